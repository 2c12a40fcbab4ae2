"""What encoded bytes are, by their content: the format that is read, or what else was found under a picture's name."""

from eyebright.core.errors import ImageError

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
    # A DICOM file whose preamble was cut off begins with the length of its meta information (PS3.10, section 7.1). One
    # without meta information too has no mark at all, and its byte order would be a guess: that is not read.
    (b"\x02\x00\x00\x00UL\x04\x00", "DICOM"),
)
_DICOM_MARK = slice(128, 132)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
HEAD = 132  # bytes that tell a picture from something else: DICOM's mark ends there

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "HEIF", "DICOM")

_CONVERT = "Convert it to JPEG or PNG."
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


def picture_format(head: bytes) -> str | None:
    """The format that the first ``HEAD`` bytes announce, or None where they announce none that is read.

    >>> picture_format(b"GIF89a..."), picture_format(b"<html>")
    ('GIF', None)
    """
    if head[_DICOM_MARK] == b"DICM":  # first, as its preamble may pose as a TIFF
        return "DICOM"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _boxed_format(head)
    if head[:1] == b"P" and head[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6") and head[2:3].isspace():
        return "PPM"
    return None


def _boxed_format(head: bytes) -> str | None:
    """Of the formats in ISO boxes the one that the brands name: AVIF, HEIF, or none, as for a video."""
    if any(brand in head[8:64] for brand in (b"avif", b"avis")):
        return "AVIF"
    return "HEIF" if head[8:12] in _HEIF_BRANDS else None


def not_a_picture(content: bytes) -> ImageError:
    """The error for bytes of no known format: what they look like, and what to do about it."""
    what, remedy = _look(content)
    return ImageError(f"The content is {what}; a picture was expected ({', '.join(FORMATS)}). {remedy}")


def _look(content: bytes) -> tuple[str, str]:
    for magic, what, remedy in _FOREIGN:
        if content.startswith(magic):
            return what, remedy
    if content[4:8] == b"ftyp":
        return "a video", "Save single frames as JPEG."
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
