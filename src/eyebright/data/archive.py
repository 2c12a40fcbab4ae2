"""A zip archive of pictures, read in place: a folder layout, or one table with the files it lists. Nothing is unpacked.

The directory of the archive is read without trust: names that lead out of it, links, encrypted entries, doubled names and
bombs are refused before a single entry is opened. Deflate reaches 1,032:1 at the most; what claims more is not honest.
"""

import dataclasses
import posixpath
import re
import stat
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from eyebright.core.errors import DataError, ImageError
from eyebright.data.folder import HEAD, Listing, is_hidden_path, key_of, lay_out, part_of
from eyebright.data.source import Source
from eyebright.data.table import MAX_BYTES as TABLE_MAX_BYTES
from eyebright.data.table import Table, build, has_columns, parse_table
from eyebright.images.decode import MAX_BYTES

MAX_ENTRIES = 5_000_000
MAX_TOTAL_BYTES = 64 * 2**30
MAX_RATIO = 1_100  # unpacked bytes for a packed one
RATIO_FREE_BYTES = 2**20  # below this a ratio does no harm

_DRIVE = re.compile(r"^[A-Za-z]:")


def zip_source(path: Path, *, max_total_bytes: int = MAX_TOTAL_BYTES) -> Source:
    """The pictures in the zip ``path``. Reads are safe from many threads.

    Raises ``DataError`` where the archive is damaged, unsafe or of no layout that is known.
    """
    archive = _Archive(path, max_total_bytes)
    if table := _the_table(archive):
        return _table_in(archive, table)
    listing, prefix = _listing(archive)
    layout = lay_out(listing)
    stored = layout.paths

    def read(key: str) -> bytes:
        return archive.read(prefix + stored[key], MAX_BYTES)

    return Source(path.stem, layout.classes, layout.samples, read, layout.stray, layout.notes)


class _Archive:
    """An open zip whose directory was checked. ``members`` leads from a name with ``/`` to its entry."""

    def __init__(self, path: Path, max_total_bytes: int) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise DataError(f"{path} is not a zip that can be read: {error}. Copy or download it again.") from None
        try:
            self.members, self.directories = _checked_members(self._zip, path, max_total_bytes)
        except DataError:
            self._zip.close()
            raise

    def read(self, name: str, limit: int) -> bytes:
        """One member's bytes. Raises ``ImageError`` where it is damaged or larger than ``limit``."""
        entry = self.members[name]
        if entry.file_size > limit:
            raise ImageError(f"The entry has {entry.file_size / 2**20:.0f} MiB; at most {limit >> 20} MiB are read.")
        return self._read(entry, limit)

    def head(self, name: str) -> bytes:
        """The first bytes of a member; empty where they cannot be read."""
        try:
            return self._read(self.members[name], HEAD)
        except ImageError:
            return b""

    def _read(self, entry: zipfile.ZipInfo, count: int) -> bytes:
        # One lock for all: inflating a picture takes a small part of the time that decoding it takes.
        try:
            with self._lock, self._zip.open(entry) as file:
                return file.read(count)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError) as error:
            raise ImageError(
                f"The entry in the zip cannot be read ({str(error) or type(error).__name__}). Copy or download the zip again."
            ) from None


def _checked_members(
    archive: zipfile.ZipFile, path: Path, max_total_bytes: int
) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise DataError(f"{path} has {len(entries):,} entries; at most {MAX_ENTRIES:,} are read. Split the archive.")
    members: dict[str, zipfile.ZipInfo] = {}
    directories: list[str] = []
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        _refuse_unsafe(entry, name, path)
        if name.endswith("/"):
            directories.append(name.rstrip("/"))
        elif name in members:
            raise DataError(f"{path} has two entries named {name}; one was expected. Pack the archive again.")
        else:
            members[name] = entry
    _refuse_bomb(entries, path, max_total_bytes)
    return members, directories


def _refuse_unsafe(entry: zipfile.ZipInfo, name: str, path: Path) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        problem = "whose name leads out of the archive"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "that is a link or a device"
    elif entry.flag_bits & 1:
        problem = "that is encrypted"
    else:
        return
    raise DataError(f"{path} has an entry {problem}: {name[:200]!r}; plain files were expected. Pack the archive again.")


def _refuse_bomb(entries: list[zipfile.ZipInfo], path: Path, max_total_bytes: int) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > max_total_bytes:
        raise DataError(
            f"{path} claims {total / 2**30:.1f} GiB unpacked; at most {max_total_bytes / 2**30:g} GiB are accepted. "
            "Give an unpacked folder instead."
        )
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        raise DataError(f"{path} has entries that overlap, as zip bombs do. Pack the archive again.")
    for entry in entries:
        if entry.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * entry.compress_size):
            raise DataError(
                f"{path} has an entry that claims {entry.file_size:,} bytes from {entry.compress_size:,}: "
                f"{entry.filename[:200]!r}. That is a zip bomb; pack the archive again without it."
            )


def _listing(archive: _Archive) -> tuple[Listing, str]:
    """What the archive holds, and the name of the one folder around it all (or nothing), which keys leave out."""
    prefix = _wrapping_folder(archive)
    inside = {name.removeprefix(prefix) for name in archive.members if name.startswith(prefix)}
    outside = tuple(name for name in archive.members if not name.startswith(prefix))
    folders = {name.removeprefix(prefix) for name in archive.directories if name.startswith(prefix)}
    listing = Listing(
        archive.path.name, tuple(sorted(inside)), tuple(sorted(folders)), lambda name: archive.head(prefix + name), outside
    )
    return listing, prefix


def _wrapping_folder(archive: _Archive) -> str:
    """``flowers/`` where all that is nested lies in folders below it; a lone part is no wrapping."""
    nested = [name for name in archive.members if "/" in name and not is_hidden_path(name)]
    tops = {name.split("/")[0] for name in nested}
    if len(tops) != 1 or part_of(top := tops.pop()) or not any(name.count("/") >= 2 for name in nested):
        return ""
    return f"{top}/"


@dataclasses.dataclass(frozen=True)
class _FoundTable:
    name: str
    content: bytes


def _the_table(archive: _Archive) -> _FoundTable | None:
    """The archive's one table of pictures, or None where it has none, or several, or one about something else."""
    names = [name for name in archive.members if name.lower().endswith((".csv", ".tsv")) and not is_hidden_path(name)]
    if len(names) != 1 or archive.members[names[0]].file_size > TABLE_MAX_BYTES:
        return None
    content = archive.read(names[0], TABLE_MAX_BYTES)
    return _FoundTable(names[0], content) if has_columns(content) else None


def _table_in(archive: _Archive, found: _FoundTable) -> Source:
    where = f"{found.name} in {archive.path.name}"
    table = parse_table(found.content, where)
    folder = posixpath.dirname(found.name)
    by_key = {key_of(name): name for name in archive.members}
    stored = {row.number: _member_path(row.path, row.number, where) for row in table.rows}

    def member(path: str) -> str | None:
        return by_key.get(key_of(posixpath.join(folder, path)))

    source = build(table, archive.path.stem, where, stored, _reader(archive, member), lambda path: member(path) is not None)
    return dataclasses.replace(source, stray=_unlisted(archive, table, stored, member, found.name))


def _member_path(path: str, row: int, where: str) -> str:
    normal = posixpath.normpath(path)
    if posixpath.isabs(normal) or _DRIVE.match(normal) or normal.split("/")[0] == "..":
        raise DataError(
            f"{where} has the path {path[:200]!r} in row {row}, which leads out of the archive; a path relative to the table "
            "was expected. Correct it."
        )
    return normal


def _reader(archive: _Archive, member: Callable[[str], str | None]) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        name = member(path)
        if name is None:
            raise ImageError("The table lists it, but the archive does not hold it. Add the file, or remove the row.")
        return archive.read(name, MAX_BYTES)

    return read


def _unlisted(
    archive: _Archive, table: Table, stored: dict[int, str], member: Callable[[str], str | None], table_name: str
) -> tuple[str, ...]:
    listed = {member(stored[row.number]) for row in table.rows}
    return tuple(sorted(key_of(name) for name in archive.members if name not in listed and name != table_name))
