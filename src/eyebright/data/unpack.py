"""One packed file, unpacked from front to back: gzip, bzip2 or xz, told by its content, and no bomb."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from eyebright.core.errors import DataError
from eyebright.data.archive import MAX_RATIO, RATIO_FREE_BYTES

PIECE = 2**20
XZ_MEMORY = 256 * 2**20  # bytes; xz -9 needs 65 MiB, a header can ask for 4 GiB
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what unpacking a damaged file raises


def packing_of(head: bytes) -> str | None:
    """What a file is packed by, told by its first bytes: ``gzip``, ``bzip2``, ``xz``, or None.

    >>> packing_of(b"BZh91AY"), packing_of(b"PK")
    ('bzip2', None)
    """
    return next((name for name, (magic, _) in _PACKINGS.items() if head.startswith(magic)), None)


def unpacked(path: Path, packing: str) -> Iterator[bytes]:
    """The unpacked bytes of ``path``, in pieces of up to 1 MiB.

    Raises ``DataError`` where they are far more than the packed bytes can honestly give, and ``DAMAGE`` where the file is
    damaged or cut short.
    """
    made = 0
    with path.open("rb") as file:
        for piece in _PACKINGS[packing][1](file):
            made += len(piece)
            read = file.tell()
            if made > max(RATIO_FREE_BYTES, MAX_RATIO * read):
                raise DataError(
                    f"{path} unpacks to more than {MAX_RATIO:,} times its size ({made:,} bytes from {read:,}). That is a bomb; "
                    "pack the pictures again."
                )
            if piece:
                yield piece


def _gzip_pieces(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        yield from iter(lambda: unpacked.read(PIECE), b"")


def _bzip2_pieces(file: IO[bytes]) -> Iterator[bytes]:
    with bz2.BZ2File(file) as unpacked:
        yield from iter(lambda: unpacked.read(PIECE), b"")


def _xz_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """As ``lzma.LZMAFile``, which has no limit of memory."""
    data = file.read(PIECE)
    while data:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        while not decompressor.eof:
            if decompressor.needs_input and not data and not (data := file.read(PIECE)):
                raise EOFError("the packed data end too early")
            yield decompressor.decompress(data, PIECE)
            data = b""
        data = decompressor.unused_data.lstrip(b"\0")  # another stream may follow, after padding
        while not data and (more := file.read(PIECE)):
            data = more.lstrip(b"\0")


_PACKINGS: dict[str, tuple[bytes, Callable[[IO[bytes]], Iterator[bytes]]]] = {
    "gzip": (b"\x1f\x8b", _gzip_pieces),
    "bzip2": (b"BZh", _bzip2_pieces),
    "xz": (b"\xfd7zXZ\x00", _xz_pieces),
}
