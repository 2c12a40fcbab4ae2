"""Our side of loading:  python -m bench.transfer.loading FOLDER CACHE

Prints the seconds from a folder of JPEG files to float batches at 224 pixels, imports and the list of names left
out; with what lies in CACHE, which is filled where it is empty: behind the training's back, done ``written`` seconds after the
last batch. And the decoder's own limit: Pillow's decoding alone, a thread a core.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image

from eyebright.core.machine import usable_cores
from eyebright.core.memory import keep_memory
from eyebright.core.preprocess import Preprocess
from eyebright.data.audit import audit
from eyebright.data.open import open_source
from eyebright.data.pixel_cache import settle
from eyebright.data.pixels import prepare_all
from eyebright.training.augment import to_batch

SIDE, BATCH = 224, 64


def main(folder: str, cache: str) -> None:
    source = open_source(folder)
    keys = [sample.key for sample in source.samples]
    contents: list[str] = []

    def know() -> None:
        """What each file decodes to, as every training asks first; from the cache where the file is known."""
        scanned = audit(source, cache=Path(cache, "scans")).scanned
        contents[:] = [scanned[key].pixels_sha256 for key in keys]

    def load() -> None:
        pixels = Path(cache, "pixels")
        pictures = prepare_all(source, keys, Preprocess(height=SIDE, width=SIDE), contents=contents, cache=pixels)
        for start in range(0, len(pictures), BATCH):
            to_batch(pictures[start : start + BATCH])

    def decode(key: str) -> None:
        content = source.read(key)
        assert isinstance(content, bytes)
        Image.open(io.BytesIO(content)).load()

    def decode_all() -> None:
        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(decode, keys))

    found = {"auditing": timed(know), "cold": timed(load), "written": timed(settle)}
    found |= {"auditing_again": timed(know), "cached": timed(load), "decoding_alone": timed(decode_all)}
    print(json.dumps({**found, "pictures": len(keys)}))


def timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    torch.set_num_threads(usable_cores())
    keep_memory()  # as training does
    main(*sys.argv[1:])
