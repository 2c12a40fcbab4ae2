"""Files that are whole or absent: written aside, flushed, renamed. And the hashes that bind them."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eyebright.core.errors import ResourceError


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResourceError(
            f"{path} could not be written: {reason}. What was there before is kept; "
            "free some space or choose a folder that can be written."
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces ``path`` by ``content`` in one step. Raises ``ResourceError`` and leaves the old file where that fails."""
    write_blocks(path, [content])


def write_blocks(path: Path, blocks: Iterable[bytes | memoryview]) -> None:
    """As ``write_bytes``, of content that need not be in memory at once."""
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _name_aside(path)
        try:
            with aside.open("xb") as file:
                file.writelines(blocks)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Replaces ``path`` by ``text`` in UTF-8, in one step."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replaces ``path`` by ``value`` as indented JSON, in one step. NaN and infinity are refused (``ValueError``)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A directory to fill; it takes the name ``path`` only when the block ends well, replacing what was there.

    Raises ``ResourceError`` where the disk refuses the directory or what the block writes into it; then, and whatever else the
    block raises, ``path`` is as it was. An error of another file's is that file's, and is passed on as it comes.
    """
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _name_aside(path)
        aside.mkdir()
    try:
        try:
            yield aside
        except OSError as error:
            if error.filename is not None and not Path(str(error.filename)).is_relative_to(aside):
                raise
            with _disk_errors(path):  # a write to a full disk names no file
                raise
        with _disk_errors(path):
            if path.exists():
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
                try:
                    os.replace(path, old / path.name)
                    _replace_or_put_back(aside, path, old / path.name)
                finally:
                    shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _name_aside(path: Path) -> Path:
    """A new name beside ``path``. Not tempfile's: its files are for their owner alone, ours are as open as the umask says."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _replace_or_put_back(new: Path, path: Path, old: Path) -> None:
    try:
        os.replace(new, path)
    except BaseException:
        os.replace(old, path)
        raise


def sha256(path: Path) -> str:
    """The file's sha256 in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """The sha256 of a value's canonical JSON: equal for equal values, whatever the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def cache_home() -> Path:
    """Where caches live: ``EYEBRIGHT_CACHE``, else ``XDG_CACHE_HOME/eyebright``, else ``~/.cache/eyebright``."""
    if own := os.environ.get("EYEBRIGHT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eyebright"


def private_directory(path: Path) -> None:
    """Makes the directory ``path``, its owner's alone where this makes it; its parents are as open as the umask says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def forget_oldest(files: Iterable[Path], limit: int, *, beside: str = "") -> None:
    """Removes the ``files`` that were not touched for longest until the rest weigh at most ``limit`` bytes.

    With ``beside``, the file of that ending goes with each and is weighed with it. A file that cannot be removed is left.
    """
    weighed = []
    for file in files:
        parts = [file, file.with_suffix(beside)] if beside else [file]
        with contextlib.suppress(OSError):  # gone meanwhile
            weighed.append((file.stat().st_mtime, sum(part.stat().st_size for part in parts), parts))
    excess = sum(size for _, size, _ in weighed) - limit
    for _, size, parts in sorted(weighed, key=lambda one: one[0]):
        if excess <= 0:
            return
        excess -= size
        with contextlib.suppress(OSError):
            for part in reversed(parts):  # what is beside goes first: while it stays, its file keeps it in the count
                part.unlink(missing_ok=True)
