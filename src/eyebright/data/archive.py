"""Archives of pictures, read in place: what is refused in all of them, and how a checked one becomes a source.

A folder layout, or one table with the files it lists; a single folder around it all is left out of the keys. An archive's own
directory is read without trust: names that lead out of it, links, doubled names and bombs are refused before a single member is
opened. ``zip_`` and ``tar`` open the two kinds.
"""

import dataclasses
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from eyebright.core.errors import DataError, ImageError
from eyebright.data.layout import Listing, lay_out
from eyebright.data.names import HEAD, is_hidden_path, key_of, part_of
from eyebright.data.source import Source
from eyebright.data.table import MAX_BYTES as TABLE_MAX_BYTES
from eyebright.data.table import Files, Table, build, has_columns, parse_table
from eyebright.images.limits import MAX_BYTES

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_ENTRIES = 5_000_000
MAX_TOTAL_BYTES = 64 * 2**30
MAX_RATIO = 1_100  # unpacked bytes for a packed one: deflate reaches 1,032, and what exceeds it is no picture
RATIO_FREE_BYTES = 2**20  # below this a ratio does no harm

_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive whose directory was checked.

    ``sizes`` leads from each file's name, with ``/``, to its unpacked bytes. ``fetch`` gives up to so many first bytes of a
    file, ``pieces`` all of them one after the other; both are safe from many threads and raise ``ImageError`` where the file
    is damaged.
    """

    path: Path
    sizes: Mapping[str, int]
    folders: tuple[str, ...]
    fetch: Callable[[str, int], bytes]
    pieces: Callable[[str], Iterator[bytes]]

    def read(self, name: str, limit: int) -> bytes:
        """One file's bytes. Raises ``ImageError`` where it is damaged or larger than ``limit``."""
        if self.sizes[name] > limit:
            raise ImageError(f"The entry has {self.sizes[name] / 2**20:.0f} MiB; at most {limit >> 20} MiB are read.")
        return self.fetch(name, limit)

    def start(self, name: str, count: int) -> bytes:
        """Up to ``count`` first bytes of a file; none where they cannot be read."""
        try:
            return self.fetch(name, count)
        except ImageError:
            return b""


class Directory:
    """The entries of an archive as they are found, none of them believed.

    Its methods raise ``DataError`` for what is unsafe, naming the archive and the entry.
    """

    def __init__(self, path: Path, max_total_bytes: int) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}
        self.folders: list[str] = []
        self._max_total_bytes = max_total_bytes
        self._entries = 0
        self._total = 0

    def add_file(self, name: str, size: int) -> str:
        """Takes up a file of ``size`` unpacked bytes. Returns its name as it is known from now on."""
        known = self._known(name)
        if not known:
            self.refuse("without a name", name)
        if known in self.sizes:
            raise DataError(f"{self.path} has two entries named {known}; one was expected. Pack the archive again.")
        self._total += size
        if self._total > self._max_total_bytes:
            raise DataError(
                f"{self.path} claims {self._total / 2**30:.1f} GiB or more unpacked; at most "
                f"{self._max_total_bytes / 2**30:g} GiB are accepted. Give an unpacked folder instead."
            )
        self.sizes[known] = size
        return known

    def add_folder(self, name: str) -> None:
        """Takes up a folder."""
        if known := self._known(name):
            self.folders.append(known)

    def refuse(self, problem: str, name: str) -> NoReturn:
        """Raises the error for an entry with a ``problem``, e.g. ``that is a link``."""
        raise DataError(
            f"{self.path} has an entry {problem}: {name[:200]!r}; plain files were expected. Pack the archive again."
        )

    def _known(self, name: str) -> str:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise DataError(f"{self.path} has more than {MAX_ENTRIES:,} entries, the most that are read. Split the archive.")
        parts = name.replace("\\", "/").split("/")
        if (parts[0] == "" and len(parts) > 1) or _DRIVE.match(name) or ".." in parts:
            self.refuse("whose name leads out of the archive", name)
        return "/".join(part for part in parts if part not in ("", "."))


def archive_name(path: Path) -> str:
    """What a source made from the archive ``path`` is called.

    >>> archive_name(Path("sets/pets.tar.gz")), archive_name(Path("v1.2"))
    ('pets', 'v1.2')
    """
    lower = path.name.lower()
    suffix = max((suffix for suffix in SUFFIXES if lower.endswith(suffix)), key=len, default="")
    return path.name[: len(path.name) - len(suffix)] or path.name


def source_of(archive: Archive) -> Source:
    """The pictures in ``archive``. Reads are safe from many threads. Raises ``DataError`` where its layout is not known."""
    if table := _the_table(archive):
        return _table_in(archive, table)
    listing, prefix = _listing(archive)
    layout = lay_out(listing)
    stored = layout.paths

    def read(key: str) -> bytes:
        return archive.read(prefix + stored[key], MAX_BYTES)

    return Source(archive_name(archive.path), layout.classes, layout.samples, read, layout.stray, layout.notes)


def _listing(archive: Archive) -> tuple[Listing, str]:
    """What the archive holds, and the name of the one folder around it all (or nothing), which keys leave out."""
    prefix = _wrapping_folder(archive)
    inside = {name.removeprefix(prefix) for name in archive.sizes if name.startswith(prefix)}
    outside = tuple(name for name in archive.sizes if not name.startswith(prefix))
    folders = {name.removeprefix(prefix) for name in archive.folders if name.startswith(prefix)}
    listing = Listing(
        archive.path.name,
        tuple(sorted(inside)),
        tuple(sorted(folders)),
        lambda name: archive.start(prefix + name, HEAD),
        outside,
        lambda name, count: archive.start(prefix + name, count),
    )
    return listing, prefix


def _wrapping_folder(archive: Archive) -> str:
    """``flowers/`` where all that is nested lies in folders below it; a lone part is no wrapping."""
    nested = [name for name in archive.sizes if "/" in name and not is_hidden_path(name)]
    tops = {name.split("/")[0] for name in nested}
    if len(tops) != 1 or part_of(top := tops.pop()) or not any(name.count("/") >= 2 for name in nested):
        return ""
    return f"{top}/"


@dataclasses.dataclass(frozen=True)
class _FoundTable:
    name: str
    content: bytes


def _the_table(archive: Archive) -> _FoundTable | None:
    """The archive's one table of pictures, or None where it has none, or several, or one about something else."""
    names = [name for name in archive.sizes if name.lower().endswith((".csv", ".tsv")) and not is_hidden_path(name)]
    if len(names) != 1 or archive.sizes[names[0]] > TABLE_MAX_BYTES:
        return None
    content = archive.read(names[0], TABLE_MAX_BYTES)
    return _FoundTable(names[0], content) if has_columns(content) else None


def _table_in(archive: Archive, found: _FoundTable) -> Source:
    where = f"{found.name} in {archive.path.name}"
    table = parse_table(found.content, where)
    folder = posixpath.dirname(found.name)
    by_key = {key_of(name): name for name in archive.sizes}
    stored = {row.number: _member_path(row.path, row.number, where) for row in table.rows}

    def member(path: str) -> str | None:
        return by_key.get(key_of(posixpath.join(folder, path)))

    name = archive_name(archive.path)
    files = Files(_reader(archive, member), _starter(archive, member), lambda path: member(path) is not None)
    source = build(table, name, where, stored, files)
    return dataclasses.replace(source, stray=_unlisted(archive, table, stored, member, found.name))


def _member_path(path: str, row: int, where: str) -> str:
    normal = posixpath.normpath(path)
    if posixpath.isabs(normal) or _DRIVE.match(normal) or normal.split("/")[0] == "..":
        raise DataError(
            f"{where} has the path {path[:200]!r} in row {row}, which leads out of the archive; a path relative to the table "
            "was expected. Correct it."
        )
    return normal


def _reader(archive: Archive, member: Callable[[str], str | None]) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        name = member(path)
        if name is None:
            raise ImageError("The table lists it, but the archive does not hold it. Add the file, or remove the row.")
        return archive.read(name, MAX_BYTES)

    return read


def _starter(archive: Archive, member: Callable[[str], str | None]) -> Callable[[str, int], bytes]:
    def start(path: str, count: int) -> bytes:
        name = member(path)
        return b"" if name is None else archive.start(name, count)

    return start


def _unlisted(
    archive: Archive, table: Table, stored: dict[int, str], member: Callable[[str], str | None], table_name: str
) -> tuple[str, ...]:
    listed = {member(stored[row.number]) for row in table.rows}
    return tuple(sorted(key_of(name) for name in archive.sizes if name not in listed and name != table_name))
