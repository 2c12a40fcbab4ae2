"""Small files that hold a decoder for minutes, refused before it begins."""

import io
import re

from PIL import PpmImagePlugin

from eyebright.core.errors import ImageError

MOST_SCANS = 100  # of a JPEG, as libtiff allows; encoders write about ten. Each goes over all pixels (LJT-01-003)
MOST_SLOW_VALUES = 16_000_000  # of a PNM that Pillow reads value by value in Python, at some two million a second
MOST_COMMENTS = 1000  # in a plain PNM: for each, Pillow copies what it holds of the file, up to 1 MiB
PNM_HEADER = 64 * 2**10  # bytes within which it must end, comments too: Pillow reads it byte by byte

_SAVE = "Save it as PNG, or as a binary PNM of 8 bits."
_SCAN, _END, _FIRST_WITH_LENGTH = 0xDA, 0xD9, 0xC0
# Within a scan's data, FF is followed by zero or by a restart mark.
_MARK = re.compile(rb"\xff+([^\x00\xff\xd0-\xd8])", re.DOTALL)


def open_pnm(file: io.BytesIO) -> PpmImagePlugin.PpmImageFile:
    """The picture in a PBM, PGM or PPM file, its pixels not decoded yet.

    Raises ``ImageError`` where decoding them would take minutes.
    """
    start = file.read(PNM_HEADER)
    file.seek(0)
    PpmImagePlugin.PpmImageFile(io.BytesIO(start))  # raises where the header does not end here
    image = PpmImagePlugin.PpmImageFile(file)
    decoder = image.tile[0].codec_name
    values = image.width * image.height * len(image.getbands())
    if decoder != "raw" and values > MOST_SLOW_VALUES:
        raise ImageError(
            f"The PPM has {values:,} values, written as text or on a scale of its own; at most {MOST_SLOW_VALUES:,} such are "
            f"read, as that is slow. {_SAVE}"
        )
    comments = file.getvalue().count(b"#") if decoder == "ppm_plain" else 0
    if comments > MOST_COMMENTS:
        raise ImageError(f"The PPM has {comments:,} comments; at most {MOST_COMMENTS:,} are read. {_SAVE}")
    return image


def refuse_many_scans(content: bytes) -> None:
    """Raises ``ImageError`` where the JPEG in ``content`` has more than ``MOST_SCANS`` scans."""
    if content.count(b"\xff\xda") <= MOST_SCANS:  # quick; a film behind the picture may have some by chance
        return
    scans, at = 0, 2
    while (mark := _MARK.search(content, at)) and mark[1][0] != _END:
        scans += mark[1][0] == _SCAN
        if scans > MOST_SCANS:
            raise ImageError(
                f"The JPEG has more than {MOST_SCANS} scans, which would take long; progressive ones have about ten. "
                "Save it again."
            )
        has_length = mark[1][0] >= _FIRST_WITH_LENGTH
        at = mark.end() + (int.from_bytes(content[mark.end() : mark.end() + 2]) if has_length else 0)
