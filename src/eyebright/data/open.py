"""One door to every kind of data set: what is given decides how it is read."""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

from eyebright.core.errors import DataError, SettingsError
from eyebright.core.registry import nearest
from eyebright.data import zip_
from eyebright.data.catalogue import DATASETS, OWN_SUFFIXES, load_named, own_name, resolve_home
from eyebright.data.folder import folder_source
from eyebright.data.npz import is_npz, npz_source
from eyebright.data.source import Source
from eyebright.data.table import table_source
from eyebright.data.tar import is_tar, tar_source
from eyebright.images.decode import picture_format

ACCEPTED = (
    "a folder with one folder a class, a CSV with the columns path and label, a zip or tar of either, an .npz of pictures and "
    "labels, or a name"
)
HEAD = 512  # bytes that tell the kinds apart: a tar's first header has so many
_TABLES = (".csv", ".tsv", ".txt")
_OTHER_ARCHIVES = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"\x93NUMPY", "a single array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
)


def open_source(data: str | Path, *, data_home: Path | None = None, group: str | None = None) -> Source:
    """The pictures of ``data``: a folder, a CSV, a zip, a tar, an ``.npz``, or the name of a set in the data home.

    ``group`` is a regular expression over the keys with a group named ``group``, e.g. ``(?P<group>person\\d+)_``; what it
    finds replaces any group the data itself gives. Raises ``DataError`` where there is no such data or it is unfit, and
    ``SettingsError`` where ``group`` cannot be used.
    """
    pattern = _pattern(group) if group is not None else None
    source = _open(data, resolve_home(data_home))
    return source if pattern is None else _grouped(source, pattern)


def _open(data: str | Path, home: Path) -> Source:
    path = Path(data).expanduser()
    name = str(data)
    named = _is_name(name)
    if named and not path.exists():
        return _open_named(name, home)
    if not path.exists():
        raise DataError(_not_found(name, path, home))
    source = _open_path(path)
    if named and name in DATASETS.targets():
        note = f"{name} is read from {path.absolute()}, which hides the set known by that name."
        return dataclasses.replace(source, notes=(*source.notes, note))
    return source


def _open_named(name: str, home: Path) -> Source:
    if name in DATASETS.targets():
        return load_named(name, home)
    for candidate in (home / f"{name}{suffix}" for suffix in (".zip", "", *OWN_SUFFIXES)):
        if candidate.exists():
            return _open_path(candidate)
    raise DataError(_not_found(name, Path(name), home))


def _open_path(path: Path) -> Source:
    if path.is_dir():
        return folder_source(path)
    if not path.is_file():
        raise DataError(f"{path} is neither a file nor a folder; expected {ACCEPTED}.")
    head = _head(path)
    if head.startswith(zip_.MAGIC):
        return npz_source(path) if is_npz(path, head) else zip_.zip_source(path)
    if path.suffix.lower() in _TABLES:
        return table_source(path)
    if is_tar(head):
        return tar_source(path)
    raise DataError(_unknown(path, head))


def _unknown(path: Path, head: bytes) -> str:
    if found := picture_format(head):
        return f"{path} is one picture ({found}); expected {ACCEPTED}. Give the folder that holds the classes."
    what = next((what for magic, what in _OTHER_ARCHIVES if head.startswith(magic)), "no data set that is known")
    return f"{path} is {what}; expected {ACCEPTED}. Unpack it, or save it as one of these."


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None


def _is_name(text: str) -> bool:
    return bool(text) and Path(text).name == text and text not in (".", "..")


def _not_found(name: str, path: Path, home: Path) -> str:
    beside = (entry.name for entry in _entries(path.parent))
    close = nearest(path.name, {*DATASETS.targets(), *_names_in(home), *beside})
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"There is no data set {name!r}: expected {ACCEPTED} ({', '.join(sorted(DATASETS.targets()))}).{hint}"


def _names_in(home: Path) -> list[str]:
    return [own_name(entry) or entry.name for entry in _entries(home)]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _pattern(group: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise SettingsError(
            f"--group is {group!r}, which is not a regular expression: {error}. Correct it, for example (?P<group>person\\d+)_"
        ) from None
    if "group" not in pattern.groupindex:
        raise SettingsError(
            f"--group is {group!r}; a regular expression with a group named 'group' was expected, "
            "for example (?P<group>person\\d+)_"
        )
    return pattern


def _grouped(source: Source, pattern: re.Pattern[str]) -> Source:
    groups = [_group_in(pattern, sample.key) for sample in source.samples]
    samples = tuple(dataclasses.replace(sample, group=group) for sample, group in zip(source.samples, groups, strict=True))
    notes = (*source.notes, *_group_notes(source, groups, pattern))
    return dataclasses.replace(source, samples=samples, notes=notes)


def _group_in(pattern: re.Pattern[str], key: str) -> str | None:
    match = pattern.search(key)
    return (match["group"] or None) if match else None  # nothing between the marks is no name


def _group_notes(source: Source, groups: list[str | None], pattern: re.Pattern[str]) -> Iterable[str]:
    if any(sample.group is not None for sample in source.samples):
        yield "--group replaces the groups that the data itself gives."
    unmatched = [sample.key for sample, group in zip(source.samples, groups, strict=True) if group is None]
    if len(unmatched) == len(groups):
        yield (
            f"--group {pattern.pattern!r} matches none of the {len(groups)} keys; the first key is {unmatched[0]}. "
            "Every picture is a group of its own."
        )
    elif unmatched:
        yield (
            f"--group matches {len(groups) - len(unmatched)} of {len(groups)} keys; each of the others is a group of its own, "
            f"the first is {unmatched[0]}."
        )
