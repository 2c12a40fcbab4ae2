"""Many pictures at once: a row each, a few in flight, and what can be kept of it."""

import csv
import io
import json

import pytest
from fake_server import picture, problem, slowly, unreadable
from page_acts import choose, file, focused, hand_over, heard, jpeg, sample, settled

from eyebright.verbs.predict import PredictResult


def _many(n, prefix="picture"):
    return [file(f"{prefix}-{index}.jpg", jpeg(8 + index, 8)) for index in range(n)]


def _row(page, n):
    return page.locator(f"#rows tr:nth-child({n})")


def _done(page, said):
    page.wait_for_selector(f"#table-said:has-text('{said}')")


def _saved(page, control):
    with page.expect_download() as download:
        page.click(control)
    return download.value.suggested_filename, download.value.path().read_bytes().decode()


def test_several_pictures_make_a_table_with_a_row_each(page, server):
    server.says(
        "/api/predict",
        picture(("cat", 0.9)),
        unreadable("the file is empty."),
        picture(("dog", 0.5), ("fox", 0.4), verdict="between"),
        slowly(0),
    )
    choose(page, file("a.jpg"), file("b.jpg", b""), file("c.jpg"), file("d.jpg"))
    _done(page, "3 of 4 pictures answered, 1 not.")
    # Three are in flight at once, so which answer goes to which of them is the server's turn; each row says what came.
    states = page.locator("#rows .state").all_inner_texts()
    assert sorted(states) == ["answered", "answered", "answered", "unreadable"]
    assert "The file is empty." in page.inner_text("#rows")
    assert "dog or fox" in page.inner_text("#rows")
    assert page.inner_text("#table-title") == "4 pictures"
    heard(page, "Done. 3 of 4 pictures answered, 1 not.")


def test_never_more_than_three_are_in_flight(page, server):
    server.says("/api/predict", slowly(0.15))
    choose(page, *_many(9))
    _done(page, "9 of 9 pictures answered.")
    assert server.most_in_flight == 3
    assert sorted(asked["file"] for asked in server.asked("/api/predict")) == [f"picture-{n}.jpg" for n in range(9)]


def test_progress_is_shown_and_told_politely(page, server):
    server.says("/api/predict", slowly(0), slowly(0), slowly(4))
    choose(page, *_many(5))
    _done(page, "2 of 5 pictures answered, 3 to go.")
    assert page.evaluate("[document.getElementById('progress').value, document.getElementById('progress').max]") == [2, 5]
    page.click("#cancel-all")
    _done(page, "2 of 5 pictures answered, 3 not.")
    assert not page.is_visible("#progress")
    assert not page.is_visible("#cancel-all")
    assert focused(page) == "save-csv"
    heard(page, "Done. 2 of 5 pictures answered, 3 not.")
    assert page.evaluate("said") == ["Asking about 5 pictures.", "Done. 2 of 5 pictures answered, 3 not."]  # not each step


def test_each_picture_can_be_cancelled_and_asked_again(page, server):
    server.says("/api/predict", slowly(3), slowly(0))
    choose(page, *_many(3))
    _done(page, "2 of 3 pictures answered, 1 to go.")
    waiting = page.locator("#rows tr[data-state=sending]")
    assert waiting.locator("button").last.get_attribute("aria-label").startswith("Cancel picture-")
    waiting.locator(".act button").click()
    cancelled = page.locator("#rows tr[data-state=cancelled]")
    cancelled.locator(".act button:has-text('Retry')").click()
    _done(page, "3 of 3 pictures answered.")


def test_what_failed_can_be_asked_again_at_once(page, server):
    server.says("/api/predict", problem(500, "no."))
    choose(page, *_many(4))
    _done(page, "0 of 4 pictures answered, 4 not.")
    server.answers.clear()
    page.click("#retry-all")
    _done(page, "4 of 4 pictures answered.")
    assert not page.is_visible("#retry-all")


def test_a_busy_server_is_waited_for_by_each_row(page, server):
    server.says("/api/predict", problem(503, "busy", retry_after=1), problem(503, "busy", retry_after=1), slowly(0))
    choose(page, *_many(3))
    page.wait_for_selector("#rows .state:has-text('server busy, 1 s')")
    _done(page, "3 of 3 pictures answered.")


def test_a_too_large_picture_does_not_keep_the_others_waiting(page):
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(20 * 2 ** 20)], "huge.tif"));
          transfer.items.add(new File([new Uint8Array(9)], "small.jpg"));
          document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
        }"""
    )
    _done(page, "1 of 2 pictures answered, 1 not.")
    assert _row(page, 1).locator(".state").inner_text() == "too large"
    assert _row(page, 1).locator(".act button").count() == 1
    assert not _row(page, 1).locator(".act button").is_visible()


def test_a_row_opens_its_picture_with_the_answer_and_leads_back(page, server):
    choose(page, *_many(3))
    _done(page, "3 of 3 pictures answered.")
    _row(page, 2).locator(".as-link").click()
    settled(page)
    assert page.inner_text("#answer-of") == "picture-1.jpg"
    assert focused(page) == "answer-title"
    assert len(server.asked("/api/predict")) == 3  # nothing is asked twice
    page.click("#explain")
    page.wait_for_selector("#heat:visible")
    page.click("#back")
    assert page.is_visible("#table")
    assert focused(page) == "picture-1.jpg"


def test_pictures_are_added_to_a_table_and_it_can_be_cleared(page):
    choose(page, *_many(2))
    _done(page, "2 of 2 pictures answered.")
    assert page.inner_text("#drop-title") == "Add pictures"
    page.click("[data-sample$='coffee.jpg']")
    _done(page, "3 of 3 pictures answered.")
    hand_over(page, "paste", ("pasted.jpg", jpeg()))
    _done(page, "4 of 4 pictures answered.")
    page.click("#clear")
    assert page.inner_text("#drop-title") == "Drop a picture here"
    assert focused(page) == "drop"
    assert page.locator("#rows tr").count() == 0


def test_changing_the_model_asks_again_about_all(page, server):
    choose(page, *_many(3))
    _done(page, "3 of 3 pictures answered.")
    page.select_option("#models", "cifar10")
    page.wait_for_selector("#rows tr:nth-child(3) .label:has-text('cat')")
    _done(page, "3 of 3 pictures answered.")
    assert page.locator("#rows .label").all_inner_texts() == ["cat"] * 3
    assert len(server.asked("/api/predict")) == 6


def test_thumbnails_are_small_copies(page):
    choose(page, file("a.jpg", sample()), file("b.jpg", b"nothing"))
    page.wait_for_selector("#rows tr:nth-child(2) .thumb.blank")
    assert page.evaluate("(() => { const c = document.querySelector('.thumb'); return [c.width, c.height]; })()") == [112, 112]


def test_json_is_what_predict_prints(page, server):
    server.says("/api/predict", picture(("cat", 0.931234), ("dog", 0.05), verdict="sure", warnings=["12 frames."]), slowly(0))
    choose(page, *_many(2))
    _done(page, "2 of 2 pictures answered.")
    name, text = _saved(page, "#save-json")
    assert name == "eyebright-imagenet.json"
    kept = PredictResult.model_validate_json(text)
    assert [result.key for result in kept.results] == ["picture-0.jpg", "picture-1.jpg"]
    [first] = [result for result in kept.results if result.verdict]
    assert first.warnings == ["12 frames."]
    assert first.predictions[0].probability == 0.931234
    assert kept.model.sha256 == "3f2a91c0" * 8


def test_an_unreadable_file_is_in_the_json_and_one_that_was_never_answered_is_not(page, server):
    server.says("/api/predict", slowly(0))
    choose(page, *_many(2))
    _done(page, "2 of 2 pictures answered.")
    server.says("/api/predict", unreadable("cut off."))
    choose(page, file("broken.jpg", b"x"))
    _done(page, "2 of 3 pictures answered, 1 not.")
    server.says("/api/predict", problem(500, "no."))
    choose(page, file("failed.jpg", b"x"))
    _done(page, "2 of 4 pictures answered, 2 not.")
    kept = PredictResult.model_validate_json(_saved(page, "#save-json")[1])
    assert [result.error for result in kept.results] == [None, None, "cut off."]


def test_two_versions_of_a_model_are_two_documents(page):
    text = page.evaluate(
        """async () => (await import("/page/saving.js")).asJson([
          {model: {name: "m", sha256: "a"}, result: {key: "1"}},
          {model: {name: "m", sha256: "b"}, result: {key: "2"}},
        ])"""
    )
    assert [document["model"]["sha256"] for document in json.loads(text)] == ["a", "b"]


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1", 'say "hi", you', "<b>bold</b>", "plain", "a;b", "'quoted"]


def test_cells_that_would_be_formulas_are_guarded_and_others_kept(page, server):
    server.says("/api/predict", picture(('=HYPERLINK("http://x")', 0.7), ("-cat", 0.2)))
    choose(page, file("=cmd|' /C calc'!A0.jpg", jpeg()), file("ordinary, name.jpg", jpeg()))
    _done(page, "2 of 2 pictures answered.")
    name, text = _saved(page, "#save-csv")
    assert name == "eyebright-imagenet.csv"
    assert text.startswith("\ufefffile,state,verdict,")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row["file"] for row in rows] == ["'=cmd|' /C calc'!A0.jpg", "ordinary, name.jpg"]
    assert rows[0]["label_1"] == '\'=HYPERLINK("http://x")'
    assert rows[0]["label_2"] == "'-cat"
    assert rows[0]["probability_1"] == "0.7"
    assert rows[0]["state"] == "answered"
    assert rows[0]["model"] == "imagenet"
    found = page.evaluate(
        "async (cells) => { const s = await import('/page/saving.js'); return cells.map(s.cell).join(','); }", HOSTILE
    )
    [read] = csv.reader(io.StringIO(found, newline=""))
    assert read == ["'" + cell if cell[0] in "=+-@\t\r＝" else cell for cell in HOSTILE]


def test_names_full_of_html_stay_inert_in_the_table(page, server):
    nasty = "<img src=x onerror=window.hacked=1>"
    server.says("/api/predict", picture((nasty, 0.7)), unreadable(nasty))
    choose(page, file(f"{nasty}.jpg"), file("b.jpg"))
    _done(page, "1 of 2 pictures answered, 1 not.")
    assert page.inner_text("#rows").count(nasty) == 3
    assert page.locator("#rows img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_dropped_folder_gives_its_pictures_in_order_and_says_what_it_left_out(page):
    page.evaluate(
        """() => {
          const file = (name, type) => ({isDirectory: false, name, file: (done) => done(new File(["x"], name, {type}))});
          const folder = (name, ...entries) => ({isDirectory: true, name, createReader: () => {
            const batches = [entries.slice(0, 2), entries.slice(2), []];
            return {readEntries: (done) => done(batches.shift())};
          }});
          const entry = folder("trip", file("b10.jpg", "image/jpeg"), file("b9.jpg", "image/jpeg"), file(".DS_Store", ""),
            file("notes.txt", "text/plain"), folder("day 2", file("scan.dcm", "")));
          const event = new Event("drop", {bubbles: true, cancelable: true});
          event.dataTransfer = {types: ["Files"], items: [{kind: "file", webkitGetAsEntry: () => entry}]};
          document.dispatchEvent(event);
        }"""
    )
    _done(page, "3 of 3 pictures answered.")
    assert page.locator("#rows .as-link").all_inner_texts() == ["trip/b9.jpg", "trip/b10.jpg", "trip/day 2/scan.dcm"]
    assert page.inner_text("#left-out") == "2 files of the folder left out: no pictures."


@pytest.mark.slow
def test_a_thousand_pictures_are_answered(page):
    choose(page, *_many(1000))
    page.set_default_timeout(120_000)
    _done(page, "1,000 of 1,000 pictures answered.")
