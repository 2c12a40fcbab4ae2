"""The bounds within which a picture is decoded. They are checked on what a header claims, before memory is spent."""

from eyebright.core.errors import ImageError

MAX_PIXELS = 40_000_000  # 120 MB as RGB; a 140 kB PNG can hold 144 megapixels
MAX_SIDE = 65_535  # JPEG's own limit; the resampler's tables grow with the longer side, not with the area
MAX_BYTES = 256 * 2**20


def check_bytes(content: bytes) -> None:
    """Raises ``ImageError`` where there is nothing, or more than ``MAX_BYTES``."""
    if not content:
        raise ImageError("The file is empty; an encoded picture was expected. Copy it again, or remove it.")
    if len(content) > MAX_BYTES:
        raise ImageError(
            f"The file has {len(content) / 2**20:.0f} MiB; at most {MAX_BYTES >> 20} MiB are read. Save a smaller copy."
        )


def check_size(width: int, height: int) -> None:
    """Raises ``ImageError`` where a picture of this size in pixels has no area, or more than is decoded."""
    if width < 1 or height < 1:
        raise ImageError(f"The picture is {width} x {height} pixels; at least 1 x 1 was expected. Remove it.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"The picture is {width} x {height} = {width * height / 1e6:.1f} megapixels; at most {MAX_PIXELS / 1e6:.0f} "
            f"megapixels and {MAX_SIDE} a side are decoded. Save a smaller copy."
        )
