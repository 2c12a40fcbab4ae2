"""Features of a frozen backbone, computed once for each picture's content and kept between runs."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eyebright.core.arrays import ByteBatch, Features
from eyebright.core.errors import ResourceError
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.files import forget_oldest, write_bytes
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import outputs_of
from eyebright.training.recipe import Recipe

CACHE_LIMIT = 2 * 2**30  # bytes over all backbones; the files of which nothing was used for longest go first
BLOCK = 512  # pictures embedded before the cache is written: what an interruption may cost


Embedder = Callable[[ByteBatch, Callable[[int], None]], Features]  # tells how many pictures are done as it goes


class FeatureCache:
    """Features by content hash, for one backbone at one preprocessing. Each run that finds something new adds one file.

    All sets of the same backbone share it, so only hashes are read until a picture's features are asked for.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """``name`` holds the hash of everything that decides the features besides the picture."""
        self._root, self._folder = folder, folder / name
        self._known: dict[str, np.ndarray] = {}
        self._places: dict[str, tuple[Path, int]] = {}
        for file in sorted(self._folder.glob("*.safetensors")):
            hashes = _array(file, "hashes")
            if hashes is not None:
                self._places.update({row.tobytes().hex(): (file, number) for number, row in enumerate(hashes)})

    def get(self, content: str) -> np.ndarray | None:
        """The features of the picture with this sha256, or None."""
        self.load([content])
        return self._known.get(content)

    def load(self, contents: Iterable[str]) -> None:
        """Reads the features of these pictures that are known, and no others; the files they lie in count as used now."""
        wanted: dict[Path, list[tuple[str, int]]] = {}
        for content in contents:
            if content in self._places:
                file, row = self._places.pop(content)
                wanted.setdefault(file, []).append((content, row))
        for file, rows in wanted.items():
            features = _array(file, "features")
            if features is None:  # another run has made room meanwhile: they are computed again
                continue
            with contextlib.suppress(OSError):  # another user's file can be read, not touched
                os.utime(file)
            self._known.update({content: features[row].copy() for content, row in rows})

    def add(self, contents: Sequence[str], features: Features) -> None:
        """Keeps ``features`` for the pictures with these sha256s. A disk that refuses costs the cache only, never the run."""
        self._known.update(zip(contents, features, strict=True))
        hashes = np.frombuffer(bytes.fromhex("".join(contents)), dtype=np.uint8).reshape(len(contents), 32)
        try:
            file = self._folder / f"{time.time_ns()}.safetensors"
            write_bytes(file, save({"hashes": hashes, "features": np.ascontiguousarray(features)}))
            forget_oldest(self._root.rglob("*.safetensors"), CACHE_LIMIT)
        except (ResourceError, OSError):
            return


def _array(file: Path, name: str) -> np.ndarray | None:
    """One array of a file; None where it cannot be had, and then the file is removed: half a file is worth nothing."""
    try:
        with safe_open(file, framework="numpy") as arrays:
            found: np.ndarray = arrays.get_tensor(name)
    except (SafetensorError, OSError):
        with contextlib.suppress(OSError):  # another user's file stays
            file.unlink(missing_ok=True)
        return None
    return found


def embed(
    network: PixelNetwork,
    pictures: ByteBatch,
    contents: Sequence[str],
    recipe: Recipe,
    cache: FeatureCache,
    *,
    on_event: OnEvent = silent,
    embedder: Embedder | None = None,
    what: str = "Embedding with the frozen backbone",
) -> Features:
    """The features of each prepared picture, [n, width]; only those whose content the cache does not know are computed.

    ``embedder`` computes them where it is given, in the place of the network in torch; ``what`` is said of it.
    """
    unknown = unknown_rows(contents, cache)
    on_event(Phase(what, len(unknown)))
    for start in range(0, len(unknown), BLOCK):
        rows = unknown[start : start + BLOCK]
        if embedder is None:
            _, found = outputs_of(network, pictures[rows], recipe, on_event=on_event, before=start)
        else:
            found = embedder(pictures[rows], lambda done, before=start: on_event(Progress(before + done)))  # type: ignore[misc]
        cache.add([contents[row] for row in rows], found)
    known = [cache.get(content) for content in contents]
    return np.stack([feature for feature in known if feature is not None])


def unknown_rows(contents: Sequence[str], cache: FeatureCache) -> list[int]:
    """The rows whose features have to be computed."""
    cache.load(contents)
    return [row for row, content in enumerate(contents) if cache.get(content) is None]
