"""A directory a class, with or without a directory a part.

leaves/healthy/0.jpg            leaves/train/healthy/0.jpg
leaves/rust/deep/er/1.png       leaves/test/rust/1.png
"""

import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from eyebright.core.errors import DataError, ImageError
from eyebright.data.layout import Listing, lay_out
from eyebright.data.names import HEAD, is_hidden, picture_kind, shown
from eyebright.data.source import Source
from eyebright.images.decode import MAX_BYTES


def folder_source(path: Path) -> Source:
    """The pictures under ``path``, one directory a class. Raises ``DataError`` where the layout cannot be learned from."""
    listing = list_folder(path)
    layout = lay_out(listing)
    stored = layout.paths

    def read(key: str) -> bytes:
        return read_file(path / stored[key])

    return Source(path.resolve().name or str(path), layout.classes, layout.samples, read, layout.stray, layout.notes)


def list_folder(root: Path) -> Listing:
    """Every regular file below ``root``, and links to nowhere under a picture's name.

    Links are followed, each directory is visited once, hidden ones are not entered.
    """
    files: list[str] = []
    directories: list[str] = []
    stray: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = deque([""])
    while waiting:
        folder = waiting.pop()
        if not _first_visit(root / folder, seen):
            stray.append(f"{folder}/")  # a link back to where we have been: a loop, or the same pictures twice
            continue
        directories.append(folder)
        for entry in _entries(root / folder):
            inner = f"{folder}/{entry.name}" if folder else entry.name
            if is_hidden(entry.name):
                stray.append(inner)
            elif _is(entry, stat.S_ISDIR):
                # Links wait until every true directory was seen: its own name is the better one.
                (waiting.appendleft if entry.is_symlink() else waiting.append)(inner)
            else:
                (files if _is_file(entry) else stray).append(inner)
    return Listing(
        str(root),
        tuple(sorted(files)),
        tuple(sorted(directories)),
        lambda inner: first_bytes(root / inner, HEAD),
        tuple(stray),
        lambda inner, count: first_bytes(root / inner, count),
    )


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in ``folder``, by name; hidden files and other files are passed over.

    Raises ``DataError`` where there is none: it says what is there instead.
    """
    entries = [entry for entry in _entries(folder) if not is_hidden(entry.name)]
    files = [entry.name for entry in entries if _is_file(entry)]
    pictures = [folder / name for name in files if picture_kind(name, lambda inner: first_bytes(folder / inner, HEAD))]
    if pictures:
        return pictures
    folders = [entry.name for entry in entries if _is(entry, stat.S_ISDIR)]
    if folders:
        raise DataError(
            f"{folder} holds no picture itself; it has the subfolders {shown(folders)}, which are not entered. "
            f"Give the folders that hold the pictures, for example {folder / folders[0]}."
        )
    found = f"only other files were found ({shown(files)})" if files else "it is empty"
    raise DataError(f"{folder} holds no picture; {found}. Give pictures, or a folder with pictures in it.")


def read_file(path: Path) -> bytes:
    """A picture file's bytes. Raises ``ImageError`` where it cannot be read or is too large to be a picture."""
    try:
        with path.open("rb") as file:
            size = min(os.fstat(file.fileno()).st_size, MAX_BYTES)
            content = file.read(size + 1)  # memory for no more than there is
            if len(content) > size:  # it grows, or is no plain file
                content += file.read(MAX_BYTES + 1 - len(content))
    except OSError as error:
        raise ImageError(
            f"The file cannot be read: {error.strerror or error}. Check that it exists and its permissions."
        ) from None
    if len(content) > MAX_BYTES:
        raise ImageError(f"The file is larger than {MAX_BYTES >> 20} MiB, the most that is read. Save a smaller copy.")
    return content


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be listed: {error.strerror}. Check its permissions.") from None


def _is(entry: os.DirEntry[str], kind: Callable[[int], bool]) -> bool:
    try:
        return kind(entry.stat().st_mode)
    except OSError:  # a link to nowhere
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a regular file, or a link to nowhere under a picture's name.

    Such links are pictures that git-annex or DVC has not fetched: reading one says so, and too many of them are refused.
    """
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return entry.is_symlink() and picture_kind(entry.name, lambda name: b"") is not None


def _first_visit(folder: Path, seen: set[tuple[int, int]]) -> bool:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def first_bytes(path: Path, count: int) -> bytes:
    """Up to ``count`` first bytes of a file; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""  # then it is no picture that we can see, and is reported as stray
