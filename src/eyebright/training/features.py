"""Features of a frozen backbone, computed once for each picture's content and kept between runs."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from eyebright.core.arrays import ByteBatch, Features
from eyebright.core.errors import ResourceError
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.files import forget_oldest, write_bytes
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import outputs_of
from eyebright.training.recipe import Recipe

CACHE_LIMIT = 2 * 2**30  # bytes over all backbones; the files that were not used for longest go first
BLOCK = 512  # pictures embedded before the cache is written: what an interruption may cost


Embedder = Callable[[ByteBatch, Callable[[int], None]], Features]  # tells how many pictures are done as it goes


class FeatureCache:
    """Features by content hash, for one backbone at one preprocessing. Each run that finds something new adds one file."""

    def __init__(self, folder: Path, name: str) -> None:
        """``name`` holds the hash of everything that decides the features besides the picture."""
        self._root, self._folder = folder, folder / name
        self._known: dict[str, np.ndarray] = {}
        for file in sorted(self._folder.glob("*.safetensors")):
            self._read(file)

    def _read(self, file: Path) -> None:
        try:
            arrays = load_file(file)
            hashes, features = arrays["hashes"], arrays["features"]
        except (SafetensorError, OSError, KeyError):
            with contextlib.suppress(OSError):  # another user's file stays
                file.unlink(missing_ok=True)  # half a file is worth nothing; the features are computed again
            return
        with contextlib.suppress(OSError):  # another user's file can be read, not touched
            os.utime(file)  # used now
        self._known.update({row.tobytes().hex(): feature for row, feature in zip(hashes, features, strict=True)})

    def get(self, content: str) -> np.ndarray | None:
        """The features of the picture with this sha256, or None."""
        return self._known.get(content)

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
    return [row for row, content in enumerate(contents) if cache.get(content) is None]
