"""Prepared pictures kept between runs: by the hash of what was decoded, in a folder a way of preparing."""

import contextlib
import dataclasses
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

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
        """Keeps the ``rows`` of ``pictures``, whose hashes are ``contents``, for the next run, if the disk has ample room."""
        size = len(rows) * int(np.prod(self._shape))
        index = self._folder / f"{secrets.token_hex(8)}{INDEX}"
        try:
            private_directory(self._root)
            private_directory(self._folder)
            self._tidy()
            if size > LIMIT or shutil.disk_usage(self._folder).free < FREE * size:
                return
            blocks = (pictures[rows[start : start + BLOCK]].tobytes() for start in range(0, len(rows), BLOCK))
            write_blocks(index.with_suffix(PICTURES), blocks)
            write_bytes(index, bytes.fromhex("".join(contents)))
            forget_oldest(self._root.rglob(f"*{INDEX}"), LIMIT, beside=PICTURES)
        except (ResourceError, OSError):
            _remove(index)

    def _tidy(self) -> None:
        """Removes what runs left behind that were killed while they wrote."""
        for file in (*self._root.rglob(f"*{PICTURES}"), *self._root.rglob("*.part")):
            alone = file.suffix == ".part" or not file.with_suffix(INDEX).exists()
            with contextlib.suppress(OSError):
                if alone and time.time() - file.stat().st_mtime > A_DAY:
                    file.unlink()


def _remove(index: Path) -> None:
    """The pictures first: as long as they cannot be removed, their index keeps them in the count."""
    with contextlib.suppress(OSError):
        index.with_suffix(PICTURES).unlink(missing_ok=True)
        index.unlink(missing_ok=True)
