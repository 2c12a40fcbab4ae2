"""What a file's header says of how it was made: camera, software, time, JPEG quality and coding. Nothing of where or by whom.

The few tags wanted are read by hand. A general EXIF reader parses every tag, also places, owners and serial numbers; here
they are never looked at. And no pixel is decoded, so it takes microseconds.
"""

import dataclasses
import datetime
import struct
import sys
from collections.abc import Iterator

_MAKE, _MODEL, _SOFTWARE, _CHANGED, _EXIF_IFD, _TAKEN = 0x010F, 0x0110, 0x0131, 0x0132, 0x8769, 0x9003
_WANTED = {_MAKE, _MODEL, _SOFTWARE, _CHANGED, _EXIF_IFD, _TAKEN}
_TEXT, _PLACES = 2, (4, 13)  # TIFF's types: ASCII, and LONG or IFD for the place of a directory
_MOST_LETTERS = 80
_MOST_ENTRIES = 1000
_EXIF_MARK = b"Exif\x00\x00"
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)  # among the JPEG markers SOF0 to SOF15: DHT, JPG and DAC
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)

# The sum of the luminance table of the JPEG standard, annex K.1, which libjpeg scales by quality (jcparam.c).
_STANDARD_SUM = 3685


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What was found; an empty word or None where the file does not say.

    ``taken`` is in minutes since the year 1, by the camera's own clock. ``quality`` is libjpeg's, 1 to 100, as estimated from
    the quantisation table; ``coding`` tells how a JPEG's colours are sampled, and whether it is progressive.
    """

    camera: str = ""
    software: str = ""
    taken: int | None = None
    quality: int | None = None
    coding: str = ""


def read_header(content: bytes, format_name: str) -> Header:
    """What the header of an encoded picture says. ``format_name`` is Pillow's, as in ``Decoded.format``.

    Never an error: what cannot be read is left empty.
    """
    block, quality, coding = _parts(content, format_name)
    try:
        tags = _tags(block)
    except struct.error:  # damaged metadata is common and harmless: the pixels are whole
        tags = {}
    make, model, software, changed, taken = (str(tags.get(tag, "")) for tag in (_MAKE, _MODEL, _SOFTWARE, _CHANGED, _TAKEN))
    # Thousands of pictures share a few words: interned, each is held once.
    return Header(
        sys.intern(_camera(make, model)), sys.intern(software), _minutes(taken or changed), quality, sys.intern(coding)
    )


def _parts(content: bytes, format_name: str) -> tuple[bytes, int | None, str]:
    """The EXIF block, the quality and the coding of a file; empty where its format has none."""
    if format_name == "JPEG":
        return _jpeg(content)
    if format_name == "PNG":
        return _png_exif(content), None, ""
    if format_name == "WEBP":
        return _webp_exif(content), None, ""
    return (content if format_name == "TIFF" else b""), None, ""


def _jpeg(content: bytes) -> tuple[bytes, int | None, str]:
    block, quality, coding = b"", None, ""
    for marker, segment in _jpeg_segments(content):
        if marker == 0xE1 and not block and segment.startswith(_EXIF_MARK):
            block = segment
        elif marker == 0xDB and quality is None:
            quality = _quality(segment)
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            coding = _coding(marker, segment)
    return block, quality, coding


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what belongs to them, up to the first scan."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xDA:
            return
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if length < 2:
            return
        yield marker, content[place + 4 : place + 2 + length]
        place += 2 + length


def _quality(tables: bytes) -> int | None:
    """libjpeg's quality, from a segment of quantisation tables; None where it does not begin with an 8-bit table 0.

    The inverse of jcparam.c: the table is the standard one times (200 - 2 q) / 100, or 50 / q below q = 50. A camera's own
    table gives the quality of the libjpeg table of the same sum. Below 20 it comes out too high, as entries end at 255.
    """
    if len(tables) < 65 or tables[0] != 0:
        return None
    scale = 100 * sum(tables[1:65]) / _STANDARD_SUM
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return max(1, min(100, round(quality)))


def _coding(marker: int, frame: bytes) -> str:
    """How the first component is sampled (2x2 is what is called 4:2:0), and how the picture is coded."""
    if len(frame) < 8:
        return ""
    sampling = f"{frame[7] >> 4}x{frame[7] & 15}" if frame[5] > 1 else "grey"
    return f"{sampling} progressive" if marker in _PROGRESSIVE else sampling


def _png_exif(content: bytes) -> bytes:
    """The eXIf chunk. It may come after the pixels, so every chunk is stepped over."""
    place = 8
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] == b"eXIf":
            return content[place + 8 : place + 8 + length]
        place += 12 + length
    return b""


def _webp_exif(content: bytes) -> bytes:
    """The EXIF chunk of the RIFF container. Chunks are padded to an even length."""
    place = 12
    while place + 8 <= len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == b"EXIF":
            return content[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
    return b""


def _tags(block: bytes) -> dict[int, str | int]:
    """The wanted values of a TIFF structure, by tag. Raises ``struct.error`` where it is cut."""
    block = block.removeprefix(_EXIF_MARK)
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(block[:4])
    if order is None:
        return {}
    (first,) = struct.unpack_from(order + "I", block, 4)
    tags = _directory(block, first, order)
    below = tags.get(_EXIF_IFD)
    return {**tags, **_directory(block, below, order)} if isinstance(below, int) else tags


def _directory(block: bytes, place: int, order: str) -> dict[int, str | int]:
    """The wanted values of one directory: entries of 12 bytes (tag, type, count, value or its place)."""
    found: dict[int, str | int] = {}
    (entries,) = struct.unpack_from(order + "H", block, place)
    for entry in range(place + 2, place + 2 + 12 * min(entries, _MOST_ENTRIES), 12):
        tag, kind, count, value = struct.unpack_from(order + "HHII", block, entry)
        if tag in _WANTED and kind == _TEXT:
            start = value if count > 4 else entry + 8
            found[tag] = _words(block[start : start + min(count, _MOST_LETTERS)])
        elif tag == _EXIF_IFD and kind in _PLACES:
            found[tag] = value
    return found


def _words(raw: bytes) -> str:
    """The text up to its zero byte, its spaces made single; other control characters are left out."""
    text = raw.split(b"\x00")[0].decode("latin-1")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _camera(make: str, model: str) -> str:
    """Make and model in one; many models repeat their make."""
    return model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()


def _minutes(taken: str) -> int | None:
    """EXIF's ``2024:05:31 14:02:11`` in minutes since the year 1; None where it is no such time."""
    try:
        moment = datetime.datetime.fromisoformat(taken[:10].replace(":", "-") + taken[10:19])
    except ValueError:
        return None
    return int((moment - datetime.datetime.min).total_seconds() // 60)
