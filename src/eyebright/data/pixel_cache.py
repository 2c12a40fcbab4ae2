"""Prepared pictures kept between runs: by the hash of what was decoded, in a folder a way of preparing."""

import contextlib
import dataclasses
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np

from eyebright.core.arrays import ByteBatch
from eyebright.core.errors import ResourceError
from eyebright.core.files import cache_home, forget_oldest, private_directory, sha256_of_json, write_blocks, write_bytes
from eyebright.core.preprocess import Preprocess
from eyebright.data.scanned import Scanned
from eyebright.images.revision import revision

FOLDER = "pixels"  # within the cache's home
LIMIT = 4 * 2**30  # bytes over all ways of preparing; the packs that were not used for longest go first
FREE = 4  # times a new pack's size must be free on the disk: a cache is never what fills it
DIGEST = 32  # bytes of a sha256
BLOCK = 256  # pictures copied at a time: a pack is never in memory a second time
LEAST = 16 * 2**20  # bytes: less is prepared in memory
COPIED = 2 * 2**30  # bytes: more is not read into memory where a file cannot be mapped
PATIENTS = "DICOM"  # files of this format show patients: no copy of them is left behind
A_DAY = 86_400  # seconds after which half a pack is nobody's work any more
INDEX, PICTURES = ".sha256", ".pixels"


def place_for(pictures: Iterable[Scanned]) -> Path | None:
    """The folder for prepared copies of ``pictures``; None where one of them came from a file that shows a patient."""
    return None if any(picture.format == PATIENTS for picture in pictures) else cache_home() / FOLDER


@dataclasses.dataclass
class _Pack:
    """The pictures of one run: their hashes in a row, and the file of their bytes, opened when it is asked for."""

    index: Path
    digests: bytes
    shape: tuple[int, int, int]
    opened: ByteBatch | None = None

    def __len__(self) -> int:
        return len(self.digests) // DIGEST

    @property
    def pictures(self) -> ByteBatch:
        """The pictures, mapped; what is written to them stays with this process. Raises ``OSError`` where that fails."""
        if self.opened is None:
            file = self.index.with_suffix(PICTURES)
            self.opened = np.memmap(file, dtype=np.uint8, mode="c", shape=(len(self), *self.shape))
            with contextlib.suppress(OSError):
                os.utime(self.index)  # used now
        return self.opened

    def opens(self) -> bool:
        """Whether the pictures can be had now: a process may have too many files open, or the pack may have gone."""
        try:
            return len(self.pictures) == len(self)
        except (OSError, ValueError):
            return False


Place = tuple[_Pack, int]  # where a picture lies: the pack and the row

_writing: set[Thread] = set()


class PixelCache:
    """Pictures by the sha256 of their decoded pixels, prepared in one way. Each run that prepares something new adds a pack.

    A pack is two files: the bytes of the pictures, and their hashes, which are written last. The folder is its owner's alone.
    What cannot be read is passed over, what cannot be written is done without.
    """

    def __init__(self, folder: Path, spec: Preprocess) -> None:
        self._root = folder
        self._folder = folder / sha256_of_json([spec.model_dump(), revision()])[:32]
        self._shape = (3, spec.height, spec.width)
        self._places: dict[bytes, Place] = {}
        settle()
        with contextlib.suppress(OSError):  # another user's folder
            for file in sorted(self._folder.glob(f"*{INDEX}")):
                self._know(file)

    def _know(self, file: Path) -> None:
        try:
            pack = _Pack(file, file.read_bytes(), self._shape)
            size = file.with_suffix(PICTURES).stat().st_size
        except OSError:
            return
        if len(pack.digests) % DIGEST or size != len(pack) * int(np.prod(self._shape)):
            _remove(file)  # cut short, or not of these pictures
            return
        for row in range(len(pack)):
            self._places.setdefault(pack.digests[DIGEST * row : DIGEST * (row + 1)], (pack, row))

    def places(self, contents: Sequence[str]) -> list[Place | None]:
        """For each hash where the picture lies, or None where it is not known, or its pack cannot be opened now."""
        found = [self._places.get(bytes.fromhex(content)) for content in contents]
        closed = set()
        for pack in {id(place[0]): place[0] for place in found if place is not None}.values():
            if not pack.opens():
                closed.add(id(pack))
        return [None if place is None or id(place[0]) in closed else place for place in found]

    def whole(self, contents: Sequence[str], places: Sequence[Place | None]) -> ByteBatch | None:
        """The pictures of ``contents`` as they lie in one pack, nothing copied; None unless they lie there in a row, in order.

        Writing to it changes this process' own copy only.
        """
        first = places[0] if places else None
        if first is None:
            return None
        pack, row = first
        wanted = bytes.fromhex("".join(contents))
        if pack.digests[DIGEST * row : DIGEST * row + len(wanted)] != wanted:
            return None
        return pack.pictures[row : row + len(contents)]

    def add(self, contents: Sequence[str], pictures: ByteBatch, rows: Sequence[int]) -> None:
        """Keeps the ``rows`` of ``pictures``, whose hashes are ``contents``, for the next run, if the disk has ample room.

        They are written behind the caller's back, and must stay as they are meanwhile; ``settle`` waits for it, and so does
        the end of the process. What lies in a file is written at once: the file is its owner's, to remove when he likes.
        """
        write = partial(self._write, list(contents), pictures, list(rows))
        if isinstance(pictures, np.memmap) or not _begun(write):
            write()

    def _write(self, contents: list[str], pictures: ByteBatch, rows: list[int]) -> None:
        index = self._new_index()
        try:
            if not self._has_room(len(rows)):
                return
            blocks = (_block(pictures, rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK))
            write_blocks(index.with_suffix(PICTURES), blocks)
            self._announce(index, contents)
        except (ResourceError, OSError, MemoryError):
            _remove(index)

    def draft(self, count: int) -> "Draft | None":
        """Room for a pack of ``count`` pictures, on a disk with ample room; None where it cannot be had or is not worth it."""
        if not hasattr(os, "pwrite") or count * self._bytes < LEAST:
            return None
        index = self._new_index()
        try:
            if not self._has_room(count):
                return None
            return Draft(index, (count, *self._shape), partial(self._announce, index))
        except (ResourceError, OSError):
            _remove(index)
            return None

    @property
    def _bytes(self) -> int:
        """Of a picture."""
        return int(np.prod(self._shape))

    def _new_index(self) -> Path:
        return self._folder / f"{secrets.token_hex(8)}{INDEX}"

    def _has_room(self, count: int) -> bool:
        """Whether ``count`` pictures more fit; the folder is there then. Raises ``OSError``."""
        private_directory(self._root)
        private_directory(self._folder)
        self._tidy()
        size = count * self._bytes
        return size <= LIMIT and shutil.disk_usage(self._folder).free >= FREE * size

    def _announce(self, index: Path, contents: Sequence[str]) -> None:
        """From now on the pack of ``index``, whose pictures are written, is found by ``contents``."""
        write_bytes(index, bytes.fromhex("".join(contents)))
        forget_oldest(self._root.rglob(f"*{INDEX}"), LIMIT, beside=PICTURES)

    def _tidy(self) -> None:
        """Removes what runs left behind that were killed while they wrote."""
        for file in (*self._root.rglob(f"*{PICTURES}"), *self._root.rglob("*.part")):
            alone = file.suffix == ".part" or not file.with_suffix(INDEX).exists()
            with contextlib.suppress(OSError):
                if alone and time.time() - file.stat().st_mtime > A_DAY:
                    file.unlink()


class Draft:
    """A pack that is filled picture by picture, in any order and by any thread; it is found by others once it is kept.

    So what is prepared is written once, and never in memory a second time.
    """

    def __init__(self, index: Path, shape: tuple[int, int, int, int], announce: Callable[[Sequence[str]], None]) -> None:
        """Makes the file of pictures, beside where ``index`` is to be. Raises ``OSError`` where it cannot be made."""
        self._index, self._shape, self._announce = index, shape, announce
        handle = os.open(index.with_suffix(PICTURES), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "r+b", buffering=0)

    def put(self, row: int, picture: np.ndarray) -> None:
        """Writes the picture of ``row``. Raises ``NoRoomError`` where the disk refuses."""
        if picture.shape != self._shape[1:] or picture.dtype != np.uint8:
            raise ValueError(f"{picture.dtype} of {picture.shape} for a pack of {self._shape[1:]}")
        place = row * picture.nbytes
        content = np.ascontiguousarray(picture).data.cast("B")
        try:
            while content:
                written = os.pwrite(self._file.fileno(), content, place)
                content, place = content[written:], place + written
        except (OSError, ValueError) as error:  # the latter where it was discarded meanwhile
            raise NoRoomError(str(error)) from error

    def opened(self) -> ByteBatch:
        """The pictures, mapped; what is written to them stays with this process. Raises ``NoRoomError`` where that fails."""
        try:
            return np.memmap(self._index.with_suffix(PICTURES), dtype=np.uint8, mode="c", shape=self._shape)
        except (OSError, ValueError):  # too many files are open
            return self._copied()

    def _copied(self) -> ByteBatch:
        try:
            if os.fstat(self._file.fileno()).st_size > COPIED:
                raise MemoryError("too many pictures for memory")
            pictures = np.empty(self._shape, dtype=np.uint8)
            rest = pictures.data.cast("B")
            self._file.seek(0)
            while rest and (count := self._file.readinto(rest)):
                rest = rest[count:]
        except (OSError, MemoryError) as error:
            raise NoRoomError(str(error)) from error
        if rest:
            raise NoRoomError("the file is shorter than what was written")
        return pictures

    def keep(self, contents: Sequence[str]) -> None:
        """Lets the pack be found by ``contents``, the sha256 of each picture, once it is safe on the disk: see ``add``."""
        seal = partial(self._seal, list(contents))
        if not _begun(seal):
            seal()

    def _seal(self, contents: list[str]) -> None:
        try:
            os.fsync(self._file.fileno())
            if os.fstat(self._file.fileno()).st_nlink == 0:  # somebody deleted the folder
                raise FileNotFoundError
            self._announce(contents)
            self._file.close()
        except (ResourceError, OSError, MemoryError):
            self.discard()

    def discard(self) -> None:
        """Removes it; pictures that were opened stay as they are."""
        with contextlib.suppress(OSError):
            self._file.close()
        _remove(self._index)


class NoRoomError(Exception):
    """What was to be kept cannot be: it is done without."""


def _begun(work: Callable[[], None]) -> bool:
    """Whether a thread does ``work`` now. None can be had where a user may have no more of them, or a process ends."""
    thread = Thread(target=work, name="pixel-cache")
    try:
        thread.start()
    except RuntimeError:
        return False
    _writing.add(thread)
    return True


def settle() -> None:
    """Waits until everything that this process adds to its caches is written."""
    for thread in tuple(_writing):
        thread.join()
        _writing.discard(thread)


def _block(pictures: ByteBatch, rows: list[int]) -> memoryview:
    """The bytes of some rows; nothing is copied of those that lie together."""
    first, last = rows[0], rows[-1]
    together = pictures[first : last + 1] if rows == list(range(first, last + 1)) else pictures[rows]
    return np.ascontiguousarray(together).data.cast("B")


def _remove(index: Path) -> None:
    """The pictures first: as long as they cannot be removed, their index keeps them in the count."""
    with contextlib.suppress(OSError):
        index.with_suffix(PICTURES).unlink(missing_ok=True)
        index.unlink(missing_ok=True)
