"""Tar archives, plain or packed by gzip, bzip2 or xz, opened without trust and read in place.

The headers are walked once, from front to back; after that every file is read by its place. A packed tar is unpacked in that
one walk into memory or, where it is large, into a nameless file on the disk, so that no read ever rewinds it.

Read are the formats of POSIX.1-2017 (`pax`, "ustar Interchange Format" and "pax Header Block") and of GNU tar (its manual,
"Basic Tar Format"). Links, devices, sparse files and whatever else is no plain file or folder are refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from eyebright.core.errors import DataError, ImageError
from eyebright.data.archive import MAX_TOTAL_BYTES, Archive, Directory, source_of
from eyebright.data.source import Source
from eyebright.data.spool import MEMORY, ByteFile, Spool
from eyebright.data.unpack import DAMAGE, packing_of, unpacked

BLOCK = 512
MAX_EXTRA_BYTES = 2**20  # of a long name or an extended header: their content is read into memory
MAX_PADDING = 16 * 2**20  # zeros after the end; tapes were written in records of some MiB
PIECE = 2**20
ZEROS = bytes(BLOCK)

_FILES, _FOLDER = b"0\x007", b"5"  # 7 is "contiguous", which no system of today tells from a plain file
_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL = b"L", b"K", b"xX", b"g"
_REFUSED = {b"1": "that is a hard link", b"2": "that is a symbolic link", b"S": "that is a sparse file"} | dict.fromkeys(
    (b"3", b"4", b"6"), "that is a device"
)


def tar_source(path: Path) -> Source:
    """The pictures in the tar ``path``. Raises ``DataError`` where it is damaged, unsafe or of no layout that is known."""
    return source_of(open_tar(path))


def open_tar(path: Path, *, max_total_bytes: int = MAX_TOTAL_BYTES, memory: int = MEMORY) -> Archive:
    """The tar ``path`` with its directory checked; a packed one is unpacked once, beyond ``memory`` bytes onto the disk.

    Raises ``DataError`` where it is damaged, cut short or unsafe, and ``ResourceError`` where the disk has no room.
    """
    try:
        with path.open("rb") as file:
            packing = packing_of(file.read(BLOCK))
        stream = _Packed(path, packing, memory) if packing else _Plain(path)
        directory, places = _Walk(path, stream, max_total_bytes).whole()
    except (*DAMAGE, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{path} is not a tar that can be read: {reason}. Copy or download it again.") from None
    reader = _Reader(stream.store, places, directory.sizes)
    return Archive(path, directory.sizes, tuple(directory.folders), reader.fetch, reader.pieces)


def is_tar(head: bytes) -> bool:
    """Whether a file's first 512 bytes are the header of a tar, or announce something that may be packed around one."""
    return packing_of(head) is not None or (len(head) >= BLOCK and _checksum_agrees(head[:BLOCK]))


class _Stream(Protocol):
    """A tar from front to back."""

    @property
    def store(self) -> ByteFile:
        """Where the files' bytes are read from afterwards."""

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; fewer at the end."""

    def keep(self, count: int) -> int:
        """Passes ``count`` bytes over and says where they begin in ``store``. Raises ``EOFError`` where they are fewer."""


class _Plain:
    """A tar that is not packed: its bytes are read where they lie."""

    def __init__(self, path: Path) -> None:
        self.store = ByteFile(path.open("rb"))
        self._size = path.stat().st_size
        self._at = 0

    def take(self, count: int) -> bytes:
        content = self.store.read(self._at, count)
        self._at += len(content)
        return content

    def keep(self, count: int) -> int:
        begin = self._at
        if begin + count > self._size:
            raise EOFError("it ends inside a file")
        self._at += count
        return begin


class _Packed:
    """A tar inside a packed file: what is to be kept goes into a spool as it comes out."""

    def __init__(self, path: Path, packing: str, memory: int) -> None:
        self.store = Spool(memory=memory)
        self._pieces = unpacked(path, packing)
        self._piece = b""
        self._at = 0  # in the piece

    def take(self, count: int) -> bytes:
        content = self._next(count)
        while len(content) < count and (more := self._next(count - len(content))):
            content += more
        return content

    def keep(self, count: int) -> int:
        begin = self.store.size
        while count:
            content = self.take(min(count, PIECE))
            if not content:
                raise EOFError("it ends inside a file")
            self.store.append(content)
            count -= len(content)
        return begin

    def _next(self, count: int) -> bytes:
        if self._at == len(self._piece):
            self._piece, self._at = next(self._pieces, b""), 0
        content = self._piece[self._at : self._at + count]
        self._at += len(content)
        return content


class _Walk:
    """The one walk over a tar's headers. It holds what an extended header says of the entry after it."""

    def __init__(self, path: Path, stream: _Stream, max_total_bytes: int) -> None:
        self._path = path
        self._stream = stream
        self._directory = Directory(path, max_total_bytes)
        self._places: dict[str, int] = {}
        self._name: str | None = None
        self._size: int | None = None

    def whole(self) -> tuple[Directory, dict[str, int]]:
        """The directory, and where each file begins in the stream's store."""
        header = self._stream.take(BLOCK)
        if len(header) < BLOCK or not (header == ZEROS or _checksum_agrees(header)):
            raise DataError(
                f"There is no tar in {self._path}; one was expected. Unpack the file, or give pictures in a tar or zip."
            )
        while header != ZEROS:
            if not _checksum_agrees(header):
                raise ValueError("a header's checksum is wrong")
            self._entry(header)
            header = self._stream.take(BLOCK)
            if len(header) < BLOCK:
                raise EOFError("it ends before the empty blocks that close a tar")
        self._end()
        return self._directory, self._places

    def _entry(self, header: bytes) -> None:
        kind, size = header[156:157], _number(header[124:136])
        if kind in (_LONG_NAME, _LONG_LINK):
            content = self._extra(size)
            if kind == _LONG_NAME:
                self._name = _text(content.partition(b"\0")[0])
        elif kind in _EXTENDED or kind == _GLOBAL:
            self._extended(self._extra(size), everywhere=kind == _GLOBAL)
        else:
            self._plain(header, kind, size)
            self._name = self._size = None

    def _plain(self, header: bytes, kind: bytes, size: int) -> None:
        name = self._name if self._name is not None else _name(header)
        size = self._size if self._size is not None else size
        if kind == _FOLDER or (kind in _FILES and name.endswith("/") and not size):
            self._directory.add_folder(name)
            return
        if kind not in _FILES or name.endswith("/"):
            self._directory.refuse(_REFUSED.get(kind, "of an unknown kind"), name)
        known = self._directory.add_file(name, size)
        self._places[known] = self._stream.keep(size)
        self._skip_padding(size)

    def _extended(self, content: bytes, *, everywhere: bool) -> None:
        """Takes up the records of a pax header: those that say where a file's bytes are, the others mean nothing to us."""
        for key, value in _records(content):
            if key.startswith("GNU.sparse."):
                self._directory.refuse(_REFUSED[b"S"], value if key.endswith(".name") else key)
            if key in ("path", "size") and everywhere:
                raise ValueError(f"a header gives every entry the same {key}")
            if key == "path":
                self._name = value
            elif key == "size":
                if not re.fullmatch(r"[0-9]{1,20}", value):
                    raise ValueError(f"an entry's size is {value[:40]!r}")
                self._size = int(value)

    def _extra(self, size: int) -> bytes:
        if size > MAX_EXTRA_BYTES:
            raise ValueError(f"a name or an extended header claims {size:,} bytes, at most {MAX_EXTRA_BYTES:,} are read")
        content = self._stream.take(size)
        if len(content) < size:
            raise EOFError("it ends inside a header")
        self._skip_padding(size)
        return content

    def _skip_padding(self, size: int) -> None:
        if len(self._stream.take(-size % BLOCK)) < -size % BLOCK:
            raise EOFError("it ends inside a file")

    def _end(self) -> None:
        """Reads what is after the end, which can only be padding, so that nothing is overlooked and all sums are checked."""
        padding = 0
        while rest := self._stream.take(PIECE):
            padding += len(rest)
            if rest.strip(b"\0") or padding > MAX_PADDING:
                raise ValueError("there is more behind its end; a single archive was expected")


class _Reader:
    """Reads the files of one tar by their place."""

    def __init__(self, store: ByteFile, places: dict[str, int], sizes: dict[str, int]) -> None:
        self._store = store
        self._places = places
        self._sizes = sizes

    def fetch(self, name: str, count: int) -> bytes:
        return self._read(name, 0, min(count, self._sizes[name]))

    def pieces(self, name: str) -> Iterator[bytes]:
        for begin in range(0, self._sizes[name], PIECE):
            yield self._read(name, begin, min(PIECE, self._sizes[name] - begin))

    def _read(self, name: str, begin: int, count: int) -> bytes:
        try:
            content = self._store.read(self._places[name] + begin, count)
        except OSError as error:
            raise ImageError(f"The entry in the tar cannot be read ({error.strerror}). Copy the tar again.") from None
        if len(content) < count:
            raise ImageError("The tar became shorter since it was opened. Leave it as it is while it is read.")
        return content


def _checksum_agrees(header: bytes) -> bool:
    """Whether a header's sum is right; of bytes, or of signed bytes as some old tars count."""
    try:
        claimed = _number(header[148:156])
    except ValueError:
        return False
    counted = header[:148] + b" " * 8 + header[156:]
    plain = sum(counted)
    return claimed == plain or claimed == plain - 256 * sum(byte > 127 for byte in counted)


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's binary form, marked by the highest bit."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise ValueError("a header holds a negative number")
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if not re.fullmatch(rb"[0-7]*", digits):
        raise ValueError(f"a header holds {digits!r} in the place of a number")
    return int(digits or b"0", 8)


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0":  # GNU's own format keeps other things where POSIX has the prefix
        prefix = header[345:500].partition(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return _text(name)


def _records(content: bytes) -> Iterator[tuple[str, str]]:
    """The records ``LENGTH KEY=VALUE\\n`` of a pax header."""
    at = 0
    while at < len(content) and content[at]:
        digits = re.match(rb"([0-9]{1,8}) ", content[at : at + 9])
        end = at + int(digits[1]) if digits else 0
        record = content[at + len(digits[0]) : end] if digits else b""
        key, equals, value = record.partition(b"=")
        if not equals or end > len(content) or not value.endswith(b"\n"):
            raise ValueError("an extended header is malformed")
        yield _text(key), _text(value[:-1])
        at = end


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
