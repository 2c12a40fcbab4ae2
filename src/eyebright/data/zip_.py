"""Zip archives, opened without trust and read in place.

Beyond what ``archive`` refuses in every archive: encrypted entries, entries that share bytes, and entries that claim more
than their packed bytes can give.
"""

import lzma
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eyebright.core.errors import DataError, ImageError
from eyebright.data.archive import MAX_RATIO, MAX_TOTAL_BYTES, RATIO_FREE_BYTES, Archive, Directory, source_of
from eyebright.data.source import Source

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
PIECE = 2**20
UTF8 = 0x800  # the flag by which an entry says that its name is in UTF-8 (APPNOTE.TXT, 4.4.4)


def zip_source(path: Path) -> Source:
    """The pictures in the zip ``path``. Raises ``DataError`` where it is damaged, unsafe or of no layout that is known."""
    return source_of(open_zip(path))


def open_zip(path: Path, *, max_total_bytes: int = MAX_TOTAL_BYTES) -> Archive:
    """The zip ``path`` with its directory checked. Raises ``DataError`` where it is damaged or unsafe."""
    try:
        packed = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f"{path} is not a zip that can be read: {error}. Copy or download it again.") from None
    try:
        directory, entries = _checked(packed, path, max_total_bytes)
    except DataError:
        packed.close()
        raise
    reader = _Reader(packed, entries)
    return Archive(path, directory.sizes, tuple(directory.folders), reader.fetch, reader.pieces)


class _Reader:
    """Reads the entries of one open zip."""

    def __init__(self, packed: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> None:
        self._zip = packed
        self._entries = entries
        self._lock = threading.Lock()

    def fetch(self, name: str, count: int) -> bytes:
        # One lock for all: inflating a picture takes a small part of the time that decoding it takes.
        with _as_image_error(), self._lock, self._zip.open(self._entries[name]) as file:
            return file.read(count)

    def pieces(self, name: str) -> Iterator[bytes]:
        with _as_image_error(), self._zip.open(self._entries[name]) as file:
            while piece := file.read(PIECE):
                yield piece


_DAMAGE = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@contextmanager
def _as_image_error() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ImageError(
            f"The entry in the zip cannot be read ({str(error) or type(error).__name__}). Copy or download the zip again."
        ) from None


def _checked(packed: zipfile.ZipFile, path: Path, max_total_bytes: int) -> tuple[Directory, dict[str, zipfile.ZipInfo]]:
    directory = Directory(path, max_total_bytes)
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in packed.infolist():
        _refuse_special(entry, directory)
        name = _name(entry)
        if name.endswith(("/", "\\")):
            directory.add_folder(name)
        else:
            entries[directory.add_file(name, entry.file_size)] = entry
    _refuse_bomb(packed.infolist(), path)
    return directory, entries


def _name(entry: zipfile.ZipInfo) -> str:
    """The entry's name. Many programs write UTF-8 without saying so; the names are then read as DOS's, which Python does."""
    if entry.flag_bits & UTF8 or entry.filename.isascii():
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:  # DOS's indeed
        return entry.filename


def _refuse_special(entry: zipfile.ZipInfo, directory: Directory) -> None:
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        directory.refuse("that is a link or a device", entry.filename)
    if entry.flag_bits & 1:
        directory.refuse("that is encrypted", entry.filename)


def _refuse_bomb(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        raise DataError(f"{path} has entries that overlap, as zip bombs do. Pack the archive again.")
    for entry in entries:
        if entry.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * entry.compress_size):
            raise DataError(
                f"{path} has an entry that claims {entry.file_size:,} bytes from {entry.compress_size:,}: "
                f"{entry.filename[:200]!r}. That is a zip bomb; pack the archive again without it."
            )
