"""What a person does on the page, and what they see and hear."""

import io
from pathlib import Path

from PIL import Image

SAMPLES = Path(__file__).parents[3] / "src/eyebright/serving/page/samples"


def sample(name="cat"):
    return (SAMPLES / f"{name}.jpg").read_bytes()


def jpeg(width=64, height=48, colour=(180, 120, 60)):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


def file(name="cat.jpg", content=None, mime="image/jpeg"):
    return {"name": name, "mimeType": mime, "buffer": sample() if content is None else content}


def choose(page, *files):
    """Files through the file dialogue; until the page stands still enough to be read: wait for what you expect."""
    page.set_input_files("#files", list(files) or [file()])


def settled(page, state="answered"):
    page.wait_for_selector(f"#answer[data-state='{state}']")


def heard(page, words):
    """Waits until a screen reader would have said ``words``."""
    page.wait_for_selector(f"[role=status]:has-text({words!r})", state="attached")


def title(page):
    return page.inner_text("#answer-title")


def bars(page):
    return [tuple(row.split("\n")) for row in page.locator("#bars li").all_inner_texts()]


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")


def hand_over(page, kind, *files, target="document"):
    """A drop or a paste of ``(name, size in bytes or content)``."""
    page.evaluate(
        """([kind, target, files]) => {
          const transfer = new DataTransfer();
          for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/jpeg"}));
          const event = kind === "paste"
            ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true, cancelable: true})
            : new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true});
          (target === "document" ? document : document.querySelector(target)).dispatchEvent(event);
        }""",
        [kind, target, [(name, list(content)) for name, content in files]],
    )
