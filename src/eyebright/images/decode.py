"""Encoded bytes to an upright RGB picture. One policy for the whole program, so that a picture means the same everywhere.

The content decides, never the file's name. Size is checked from the header, before memory is spent. EXIF orientation is
applied, transparency is laid on white, CMYK is converted, deep grey is scaled and not clipped, and of an animation the first
frame is taken. What was done beyond plain decoding is said in ``warnings``; what cannot be done is an ``ImageError``.
"""

import dataclasses
import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as Pillow

from eyebright.core.arrays import Image
from eyebright.core.errors import ImageError

MAX_PIXELS = 40_000_000  # 120 MB as RGB; a 140 kB PNG can hold 144 megapixels
MAX_SIDE = 65_535  # JPEG's own limit; the resampler's tables grow with the longer side, not with the area
MAX_BYTES = 256 * 2**20
WHITE = (255, 255, 255, 255)

Colour = Literal["colour", "grey"]

# The plug-ins are called directly: Image.open would import others, warn about them and read the second picture of an MPO.
_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}
FORMATS = tuple(_OPENERS)

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)

_CONVERT = "Convert it to JPEG or PNG."
_HEIC = "Convert it to JPEG, for example with the package pillow-heif."
_FOREIGN = (
    (b"%PDF", "a PDF document", "Export its pictures as JPEG or PNG."),
    (b"PK\x03\x04", "a zip archive", "Unpack it, or give the archive itself as the data set."),
    (b"\x1f\x8b", "gzip data", "Unpack it."),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture itself", "Fetch the pictures: git lfs pull."),
    (b"8BPS", "a Photoshop document", _CONVERT),
    (b"\x00\x00\x01\x00", "a Windows icon", _CONVERT),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture", _CONVERT),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture", _CONVERT),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture", _CONVERT),
    (b"\xff\x0a", "a JPEG XL picture", _CONVERT),
    (b"SQLite format 3", "a database", "Remove it."),
    (b"\x7fELF", "a program", "Remove it."),
    (b"MZ", "a program", "Remove it."),
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A picture, upright and in RGB, with what is worth knowing about how it came about.

    ``format`` and ``mode`` are Pillow's names for what was found; ``warnings`` are sentences.
    """

    image: Image
    format: str
    mode: str
    warnings: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows, after the EXIF orientation was applied."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns, after the EXIF orientation was applied."""
        return int(self.image.shape[1])


def decode(content: bytes, *, colour: Colour = "colour") -> Decoded:
    """The picture in ``content``. ``grey`` replaces colour by its luminance (ITU-R 601) in three equal channels.

    Safe to call from many threads. Raises ``ImageError``, and nothing else, for whatever cannot be decoded whole.
    """
    _check_bytes(content)
    format_name = picture_format(content)
    if format_name is None:
        raise ImageError(_not_a_picture(content))
    with _pillow_warnings() as heard:
        image = _load(content, format_name)
        mode = image.mode
        notes = _animation_note(image)
        try:
            upright = _upright(image, notes)
            plain = _plain(upright, notes)
            array = _as_array(plain, colour)
        except ImageError:
            raise
        except Exception as error:  # a parser on hostile bytes may raise anything
            raise _damaged(format_name, error) from error
    return Decoded(array, format_name, mode, (*notes, *_heard_notes(heard)))


def from_array(array: np.ndarray, *, colour: Colour = "colour") -> Decoded:
    """An already decoded picture, uint8 of shape height x width or height x width x 3, under the same policy."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ImageError(
            f"The array has type {array.dtype} and shape {array.shape}; uint8 of height x width or height x width x 3 "
            "was expected. Scale it to 0..255 and put the channels last."
        )
    _check_size(array.shape[1], array.shape[0])
    mode = "L" if array.ndim == 2 else "RGB"
    return Decoded(_as_array(Pillow.fromarray(np.ascontiguousarray(array)), colour), "array", mode)


def decode_any(content: bytes | np.ndarray, *, colour: Colour = "colour") -> Decoded:
    """The picture in ``content``, whichever of the two kinds a source's ``read`` gives."""
    return from_array(content, colour=colour) if isinstance(content, np.ndarray) else decode(content, colour=colour)


def picture_format(head: bytes) -> str | None:
    """The format that the first bytes announce, or None where they announce none that ``decode`` reads.

    >>> picture_format(b"GIF89a..."), picture_format(b"<html>")
    ('GIF', None)
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and any(brand in head[8:64] for brand in (b"avif", b"avis")):
        return "AVIF"
    if head[:1] == b"P" and head[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6") and head[2:3].isspace():
        return "PPM"
    return None


def _check_bytes(content: bytes) -> None:
    if not content:
        raise ImageError("The file is empty; an encoded picture was expected. Copy it again, or remove it.")
    if len(content) > MAX_BYTES:
        raise ImageError(
            f"The file has {len(content) / 2**20:.0f} MiB; at most {MAX_BYTES >> 20} MiB are read. Save a smaller copy."
        )


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"The picture is {width} x {height} pixels; at least 1 x 1 was expected. Remove it.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"The picture is {width} x {height} = {width * height / 1e6:.1f} megapixels; at most {MAX_PIXELS / 1e6:.0f} "
            f"megapixels and {MAX_SIDE} a side are decoded. Save a smaller copy."
        )


def _not_a_picture(content: bytes) -> str:
    what, remedy = _look(content)
    return f"The content is {what}; a picture was expected ({', '.join(FORMATS)}). {remedy}"


def _look(content: bytes) -> tuple[str, str]:
    """What ``content`` looks like, and what to do about it."""
    for magic, what, remedy in _FOREIGN:
        if content.startswith(magic):
            return what, remedy
    if content[4:8] == b"ftyp":
        return ("a HEIC picture", _HEIC) if content[8:12] in _HEIC_BRANDS else ("a video", "Save single frames as JPEG.")
    if content[128:132] == b"DICM":
        return "a DICOM file", "Export it as 16-bit PNG."
    return _look_at_text(content[:1024])


def _look_at_text(head: bytes) -> tuple[str, str]:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text:
        return "an SVG drawing", "Render it to PNG."
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        return "an HTML page, as a failed download leaves behind", "Download the picture again."
    if text.startswith(b"<?xml"):
        return "XML", "Remove it."
    if not head.strip(b"\x00"):
        return "zero bytes, as an interrupted copy leaves behind", "Copy it again."
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        return "text", "Remove it."
    return "of an unknown kind", "Convert it to JPEG or PNG, or remove it."


def _damaged(format_name: str, error: Exception) -> ImageError:
    detail = (str(error) or type(error).__name__).rstrip(".")
    return ImageError(
        f"The {format_name} is truncated or damaged ({detail[:200]}); a whole picture was expected. "
        "Copy it again, or remove it."
    )


def _load(content: bytes, format_name: str) -> ImageFile.ImageFile:
    """The decoded picture, its size checked between header and data."""
    try:
        image = _OPENERS[format_name](io.BytesIO(content))
        _check_size(*image.size)
        _check_size(*getattr(image, "_tile_size", image.size))  # a TIFF's tiles may be larger than its picture
        image.load()
    except ImageError:
        raise
    except Pillow.DecompressionBombError:
        raise ImageError(
            f"The {format_name} announces more than {MAX_PIXELS / 1e6:.0f} megapixels, the most that are decoded. "
            "Save a smaller copy."
        ) from None
    except Exception as error:  # a parser on hostile bytes may raise anything
        raise _damaged(format_name, error) from error
    return image


def _animation_note(image: Pillow.Image) -> list[str]:
    # is_animated needs to find one more frame only; n_frames would walk through all of them.
    try:
        animated = bool(getattr(image, "is_animated", False))
    except Exception:  # what follows a whole first frame may be damaged
        animated = True
    return ["It has several frames; the first one is used."] if animated else []


def _upright(image: Pillow.Image, notes: list[str]) -> Pillow.Image:
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF is common and harmless: the pixels are whole
        notes.append("Its EXIF data could not be read; it is used as stored, without rotation.")
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


def _plain(image: Pillow.Image, notes: list[str]) -> Pillow.Image:
    """The picture in mode L or RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return Pillow.fromarray(_deep_to_bytes(np.asarray(image), notes))
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", colours.size, WHITE), colours).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _deep_to_bytes(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Grey of more than 8 bits as uint8. Pillow's own conversion clips at 255, which leaves a white sheet."""
    if not np.isfinite(values).all():
        raise ImageError("The picture has values that are not finite; numbers were expected. Save it as 16-bit grey.")
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind in "iu" and low >= 0 and high <= 65_535:
        notes.append("16-bit grey was scaled to 8 bit over the full range: divided by 257.")
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    notes.append(f"Grey of {values.dtype} was scaled to 8 bit from the picture's own range, {low:g} to {high:g}.")
    span = high - low
    if span <= 0 or not np.isfinite(span):
        return np.zeros(values.shape, dtype=np.uint8)
    return np.rint((values.astype(np.float64) - low) * (255.0 / span)).astype(np.uint8)


def _as_array(image: Pillow.Image, colour: Colour) -> Image:
    """uint8 height x width x 3. Pillow's L is ITU-R 601 in fixed point, and leaves a picture that is grey already as it is."""
    if colour == "grey":
        image = image.convert("L")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _heard_notes(heard: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"While decoding: {' '.join(text.split())[:300]}" for text in heard))


class _Listener:
    """Stands for the module ``warnings`` inside Pillow, and keeps what is said on a thread that listens.

    ``warnings.catch_warnings`` swaps filters for all threads at once, so it would lose or leak warnings under a thread
    pool. On threads that do not listen everything goes the usual way.
    """

    def __init__(self) -> None:
        self.local = threading.local()

    def warn(self, message: Any, category: type[Warning] | None = None, stacklevel: int = 1, source: Any = None) -> None:
        heard: list[str] | None = getattr(self.local, "heard", None)
        if heard is None:
            warnings.warn(message, category, stacklevel + 1, source)
        else:
            heard.append(str(message))

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)


_LISTENER = _Listener()
for _module in (Pillow, JpegImagePlugin, PngImagePlugin, TiffImagePlugin):
    setattr(_module, "warnings", _LISTENER)  # noqa: B010 - the type checker knows these names as a module


@contextmanager
def _pillow_warnings() -> Iterator[list[str]]:
    """What Pillow warns about on this thread while the block runs."""
    heard: list[str] = []
    _LISTENER.local.heard = heard
    try:
        yield heard
    finally:
        _LISTENER.local.heard = None
