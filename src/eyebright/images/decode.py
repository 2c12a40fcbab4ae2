"""Encoded bytes to an upright RGB picture. One policy for the whole program, so that a picture means the same everywhere.

The content decides, never the file's name. Size is checked from the header, before memory is spent. EXIF orientation is
applied, transparency is laid on white, CMYK is converted, another colour profile than sRGB is applied, deep grey is scaled
and not clipped, and of an animation the first frame is taken. DICOM and HEIC need an extra each. What was done beyond plain
decoding is said in ``warnings``; what cannot be done is an ``ImageError``.
"""

import dataclasses
import functools
import io
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as Pillow

from eyebright.core.arrays import Image
from eyebright.core.errors import ImageError
from eyebright.images.dicom import dicom_size, read_dicom
from eyebright.images.hearing import listening
from eyebright.images.heif import open_heif
from eyebright.images.limits import MAX_BYTES, MAX_PIXELS, check_bytes, check_size
from eyebright.images.profile import to_srgb
from eyebright.images.slow import open_pnm, refuse_many_scans
from eyebright.images.sniff import FORMATS, not_a_picture, picture_format

__all__ = ["FORMATS", "MAX_BYTES", "MAX_PIXELS", "Colour", "Decoded", "decode", "decode_any", "from_array", "picture_format"]

WHITE = (255, 255, 255, 255)
_PHOTOMETRIC = 262  # TIFF's tag for what its values mean
_NO_READER = "unknown pixel mode"  # Pillow's words of a TIFF

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
    "PPM": open_pnm,
    "HEIF": open_heif,
}


@dataclasses.dataclass(frozen=True)
class Decoded:
    """An upright picture with what is worth knowing about how it came about.

    ``picture`` is in mode RGB, or in L where it is grey; ``format`` and ``mode`` are Pillow's names for what was found;
    ``warnings`` are sentences.
    """

    picture: Pillow.Image
    format: str
    mode: str
    warnings: tuple[str, ...] = ()

    @functools.cached_property
    def image(self) -> Image:
        """The picture as an array of its own, uint8 of height x width x 3; it is made when it is first asked for."""
        return np.array(self.picture if self.picture.mode == "RGB" else self.picture.convert("RGB"))

    @property
    def height(self) -> int:
        """Rows, after the EXIF orientation was applied."""
        return self.picture.height

    @property
    def width(self) -> int:
        """Columns, after the EXIF orientation was applied."""
        return self.picture.width


def decode(content: bytes, *, colour: Colour = "colour") -> Decoded:
    """The picture in ``content``. ``grey`` replaces colour by its luminance (ITU-R 601) in three equal channels.

    Safe to call from many threads. Raises ``ImageError``, and nothing else, for whatever cannot be decoded whole.
    """
    check_bytes(content)
    format_name = picture_format(content)
    if format_name is None:
        raise not_a_picture(content)
    if format_name == "DICOM":
        picture, notes = read_dicom(content)
        return Decoded(_coloured(picture, colour), format_name, picture.mode, tuple(notes))
    with listening() as heard:
        image = _load(content, format_name)
        mode = image.mode
        notes = _animation_note(image)
        try:
            upright = _upright(image, notes)
            picture = _coloured(_plain(upright, notes, zero_is_white=_zero_is_white(image)), colour)
        except ImageError:
            raise
        except Exception as error:  # a parser on hostile bytes may raise anything
            raise _damaged(format_name, error) from error
    return Decoded(picture, format_name, mode, (*notes, *_heard_notes(heard)))


def announced_pixels(content: bytes) -> int:
    """Width times height as the header of ``content`` has it, no pixel decoded; 0 where ``decode`` would not get that far."""
    format_name = picture_format(content)
    if format_name is None:
        return 0
    try:
        with listening():
            width, height = dicom_size(content) if format_name == "DICOM" else _OPENERS[format_name](io.BytesIO(content)).size
    except Exception:  # a parser on hostile bytes may raise anything
        return 0
    return int(width * height)


def from_array(array: np.ndarray, *, colour: Colour = "colour") -> Decoded:
    """An already decoded picture, uint8 of shape height x width or height x width x 3, under the same policy."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ImageError(
            f"The array has type {array.dtype} and shape {array.shape}; uint8 of height x width or height x width x 3 "
            "was expected. Scale it to 0..255 and put the channels last."
        )
    check_size(array.shape[1], array.shape[0])
    mode = "L" if array.ndim == 2 else "RGB"
    own = array.copy() if array.ndim == 2 else np.ascontiguousarray(array)  # Pillow copies colour, but not grey
    return Decoded(_coloured(Pillow.fromarray(own), colour), "array", mode)


def decode_any(content: bytes | np.ndarray, *, colour: Colour = "colour") -> Decoded:
    """The picture in ``content``, whichever of the two kinds a source's ``read`` gives."""
    return from_array(content, colour=colour) if isinstance(content, np.ndarray) else decode(content, colour=colour)


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
        check_size(*image.size)
        check_size(*getattr(image, "_tile_size", image.size))  # a TIFF's tiles may be larger than its picture
        if format_name == "JPEG":
            refuse_many_scans(content)
        image.load()
    except ImageError:
        raise
    except Pillow.DecompressionBombError:
        raise ImageError(
            f"The {format_name} announces more than {MAX_PIXELS / 1e6:.0f} megapixels, the most that are decoded. "
            "Save a smaller copy."
        ) from None
    except Exception as error:  # a parser on hostile bytes may raise anything
        if str(error) == _NO_READER:
            raise ImageError(
                f"The {format_name} stores its pixels in a layout that is not read (bits, byte order or what the values mean); "
                "it may be whole. Save it as PNG."
            ) from None
        raise _damaged(format_name, error) from error
    return image


def _animation_note(image: Pillow.Image) -> list[str]:
    # is_animated needs to find one more frame only; n_frames would walk through all of them.
    try:
        animated = bool(getattr(image, "is_animated", False))
    except Exception:  # what follows a whole first frame may be damaged
        animated = True
    if not animated:
        return []
    which = "the one that it names as its main one" if image.format == "HEIF" else "the first one"
    return [f"It has several frames; {which} is used."]


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


def _zero_is_white(image: Pillow.Image) -> bool:
    """Whether a TIFF counts its grey from white: Pillow turns that round for 8 bits and fewer, but not for more."""
    return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


def _plain(image: Pillow.Image, notes: list[str], *, zero_is_white: bool) -> Pillow.Image:
    """The picture in mode L or RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = _deep_to_bytes(np.asarray(image), notes)
        return Pillow.fromarray(255 - grey if zero_is_white else grey)
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", colours.size, WHITE), colours)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return to_srgb(image, profile, notes)


def _deep_to_bytes(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Grey of more than 8 bits as uint8. Pillow's own conversion clips at 255, which leaves a white sheet."""
    if not np.isfinite(values).all():
        raise ImageError("The picture has values that are not finite; numbers were expected. Save it as 16-bit grey.")
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind in "iu" and low >= 0 and high <= 65_535:
        notes.append("16-bit grey was scaled to 8 bit over the full range: divided by 257.")
        if 0 < high < 4096:
            notes.append("Its values fill 12 of 16 bits at most, so few levels of grey are left. Save it over the full range.")
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    notes.append(f"Grey of {values.dtype} was scaled to 8 bit from the picture's own range, {low:g} to {high:g}.")
    span = high - low
    if span <= 0 or not np.isfinite(span):
        return np.zeros(values.shape, dtype=np.uint8)
    return np.rint((values.astype(np.float64) - low) * (255.0 / span)).astype(np.uint8)


def _coloured(image: Pillow.Image, colour: Colour) -> Pillow.Image:
    """In mode RGB or L. Pillow's L is ITU-R 601 in fixed point, and leaves a picture that is grey already as it is."""
    if colour == "grey":
        return image if image.mode == "L" else image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _heard_notes(heard: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"While decoding: {' '.join(text.split())[:300]}" for text in heard))
