"""Prepared pictures kept between runs: by the hash of what was decoded, in a folder a way of preparing."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from eyebright.core.arrays import ByteBatch
from eyebright.core.files import cache_home, forget_oldest, private_directory, sha256_of_json
from eyebright.core.preprocess import Preprocess
from eyebright.data.scanned import Scanned
from eyebright.images.revision import revision

FOLDER = "pixels"  # within the cache's home
LIMIT = 4 * 2**30  # bytes over all ways of preparing; the packs that were not used for longest go first
FREE = 4  # times a new pack's size must be free on the disk: a cache is never what fills it
DIGEST = 32  # bytes of a sha256
PATIENTS = "DICOM"  # files of this format show patients: no copy of them is left behind


def place_for(pictures: Iterable[Scanned]) -> Path | None:
    """The folder for prepared copies of ``pictures``; None where one of them came from a file that shows a patient."""
    return None if any(picture.format == PATIENTS for picture in pictures) else cache_home() / FOLDER


class PixelCache:
    """Pictures by the sha256 of their decoded pixels, prepared in one way. Each run that prepares something new adds a pack.

    A pack is two files: the pictures as an array, and their hashes, which are written last. The folder is its owner's alone.
    What cannot be read is thrown away, what cannot be written is done without.
    """

    def __init__(self, folder: Path, spec: Preprocess) -> None:
        self._root = folder
        self._folder = folder / sha256_of_json([spec.model_dump(), revision()])[:32]
        self._shape = (3, spec.height, spec.width)
        self._packs: list[ByteBatch] = []
        self._files: list[Path] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        for file in sorted(self._folder.glob("*.sha256")):
            self._open(file)

    def _open(self, file: Path) -> None:
        pictures = file.with_suffix(".npy")
        try:
            digests = file.read_bytes()
            pack: ByteBatch = np.load(pictures, mmap_mode="c", allow_pickle=False)
            if pack.dtype != np.uint8 or pack.shape != (len(digests) // DIGEST, *self._shape):
                raise ValueError("not the pictures of these hashes")
        except (OSError, ValueError, EOFError):
            _remove(file)
            return
        self._packs.append(pack)
        self._files.append(file)
        number = len(self._packs) - 1
        for row in range(len(pack)):
            self._places[digests[DIGEST * row : DIGEST * (row + 1)]] = (number, row)

    def places(self, contents: Sequence[str]) -> list[tuple[int, int] | None]:
        """For each hash the pack and the row where the picture lies, or None where it is not known."""
        places = [self._places.get(bytes.fromhex(content)) for content in contents]
        for number in {place[0] for place in places if place is not None}:
            with contextlib.suppress(OSError):
                os.utime(self._files[number])  # used now
        return places

    def whole(self, places: Sequence[tuple[int, int] | None]) -> ByteBatch | None:
        """The pictures of ``places`` as they lie in one pack, nothing copied; None unless they lie there in a row, in order.

        Writing to it changes this process' own copy only.
        """
        first = places[0] if places else None
        if first is None or any(place != (first[0], first[1] + step) for step, place in enumerate(places)):
            return None
        return self._packs[first[0]][first[1] : first[1] + len(places)]

    def picture(self, place: tuple[int, int]) -> np.ndarray:
        """The picture that lies there."""
        found: np.ndarray = self._packs[place[0]][place[1]]
        return found

    def add(self, contents: Sequence[str], pictures: ByteBatch) -> None:
        """Keeps ``pictures`` for the next run, if the disk has ample room."""
        name = self._folder / secrets.token_hex(8)
        try:
            private_directory(self._root)
            private_directory(self._folder)
            if pictures.nbytes > LIMIT or shutil.disk_usage(self._folder).free < FREE * pictures.nbytes:
                return
            _write(name.with_suffix(".npy"), pictures)
            _write(name.with_suffix(".sha256"), bytes.fromhex("".join(contents)))
            forget_oldest(self._root.rglob("*.sha256"), LIMIT, beside=".npy")
        except OSError:
            _remove(name.with_suffix(".sha256"))


def _write(path: Path, content: ByteBatch | bytes) -> None:
    """Whole or absent, also after a crash: a pack with a hole would be pictures that nobody took."""
    aside = path.with_suffix(f"{path.suffix}.part")
    try:
        with aside.open("xb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                np.lib.format.write_array(file, content, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _remove(file: Path) -> None:
    for one in (file, file.with_suffix(".npy")):
        with contextlib.suppress(OSError):  # another user's, or in use
            one.unlink(missing_ok=True)
