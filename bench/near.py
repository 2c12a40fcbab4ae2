"""How well near copies are found, how often others are linked, and how long it takes:  python -m bench.near [DATA_HOME]

Recall: of each picture of TrashNet and the chest X-rays one changed copy is planted, a kind at a time, and originals and copies
are searched together. False pairs: what is linked in the sets as they are; of the X-rays pairs of one patient stand apart, and
on the small pictures the search, which leaves them out, is forced. Time: a picture's thumbprint, and the search among 60,000
photographs (CIFAR-10, enlarged). Prints tables and writes bench/results/near.json.
"""

import argparse
import io
import platform
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyebright import __version__
from eyebright.core import seeds
from eyebright.core.files import write_json
from eyebright.core.machine import machine_line, usable_cores
from eyebright.data.catalogue import resolve_home
from eyebright.data.near import CORRELATION, LEAST_SIDE, Near, find_near
from eyebright.data.open import open_source
from eyebright.data.source import Source
from eyebright.images.decode import decode_any
from eyebright.images.phash import hashes, thumbprint

PATIENT = re.compile(r"person\d+|IM-\d+")
FORCED = {"mnist": 10_000, "gtsrb": 10_000, "cifar10": 60_000}  # pictures drawn at most
RESULT = Path(__file__).parent / "results" / "near.json"

Change = Callable[[Image.Image], Image.Image]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, nargs="?")
    home = resolve_home(parser.parse_args().home)
    photographs, chests = (open_source(name, data_home=home) for name in ("trashnet", "chest_xray"))
    result = {
        "schema": 1,
        "machine": machine_line(),
        "versions": {"eyebright": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "correlation": CORRELATION,
        "least_side": LEAST_SIDE,
        "recall": [row for source in (photographs, chests) for row in recall(source)],
        "linked": [linked(source) for source in (photographs, chests)],
        "forced_on_small": [forced(open_source(name, data_home=home), most) for name, most in FORCED.items()],
        "scan_ms": scan_cost(photographs),
    }
    RESULT.parent.mkdir(exist_ok=True)
    write_json(RESULT, result)


def _reencode(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _resize(picture: Image.Image, factor: float) -> Image.Image:
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC)


def _crop(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return picture.crop(tuple(round(edge) for edge in box))


def _brighten(picture: Image.Image) -> Image.Image:
    return picture.point(lambda value: min(255, round(1.1 * value)))


def _flip(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _several(picture: Image.Image) -> Image.Image:
    """Cropped by 2 % a side, brighter, smaller and re-encoded."""
    return _reencode(_resize(_brighten(_crop(picture, 0.02, 0.02, 0.02, 0.02)), 0.75), 75)


CHANGES: dict[str, Change] = {
    "JPEG, quality 90": lambda picture: _reencode(picture, 90),
    "JPEG, quality 75": lambda picture: _reencode(picture, 75),
    "JPEG, quality 50": lambda picture: _reencode(picture, 50),
    "resized to 50 %": lambda picture: _resize(picture, 0.5),
    "resized to 75 %": lambda picture: _resize(picture, 0.75),
    "resized to 150 %": lambda picture: _resize(picture, 1.5),
    "cropped by 2 % a side": lambda picture: _crop(picture, 0.02, 0.02, 0.02, 0.02),
    "cropped by 5 % a side": lambda picture: _crop(picture, 0.05, 0.05, 0.05, 0.05),
    "cropped by 5 % at a corner": lambda picture: _crop(picture, 0.05, 0.05, 0, 0),
    "cropped by 10 % at one side": lambda picture: _crop(picture, 0.1, 0, 0, 0),
    "brightness + 10 %": _brighten,
    "mirrored": _flip,
    "2 %, + 10 %, to 75 %, quality 75": _several,
    "turned by 2 degrees": lambda picture: picture.rotate(2, Image.Resampling.BICUBIC),
}


def recall(source: Source) -> list[dict[str, Any]]:
    """A row a change: how many of the planted copies are in one cluster with their originals."""
    keys = [sample.key for sample in source.samples]
    originals = _thumbprints(source, keys, lambda picture: picture)
    rows = []
    for name, change in CHANGES.items():
        both = np.concatenate([originals, _thumbprints(source, keys, change)])
        found = find_near([*keys, *(f"{key} copy" for key in keys)], both, total=len(both))
        cluster_of = _cluster_of(found)
        hits = sum(key in cluster_of and cluster_of[key] == cluster_of.get(f"{key} copy") for key in keys)
        rows.append({"set": source.name, "change": name, "found": hits, "n": len(keys), "recall": round(hits / len(keys), 4)})
        print(f"{source.name:12} {name:32} {hits:5,} of {len(keys):5,}  {hits / len(keys):.3f}", flush=True)
    return rows


def linked(source: Source) -> dict[str, Any]:
    """The pairs that are linked in the set as it is. Exact copies are left out."""
    keys, prints = _distinct([sample.key for sample in source.samples], source)
    found = find_near(keys, prints, total=len(keys))
    row = _rates(source.name, found, len(keys))
    if source.name == "chest_xray":
        row["of different patients"] = sum(_patient(pair.first) != _patient(pair.second) for pair in found.pairs)
    row["pairs"] = [[pair.first, pair.second, pair.correlation] for pair in found.pairs]
    _say(row)
    return row


def forced(source: Source, most: int) -> dict[str, Any]:
    """What would be linked if pictures under ``LEAST_SIDE`` took part."""
    hashed = seeds.key_hashes([sample.key for sample in source.samples])
    drawn = sorted(seeds.order(0, "bench", 0, hashed)[:most].tolist())
    keys, prints = _distinct([source.samples[row].key for row in drawn], source)
    start = time.perf_counter()
    found = find_near(keys, prints, total=len(keys))
    row = _rates(source.name, found, len(keys)) | {"seconds": round(time.perf_counter() - start, 1)}
    label_of = {sample.key: sample.label for sample in source.samples}
    row["of different classes"] = sum(label_of[pair.first] != label_of[pair.second] for pair in found.pairs)
    _say(row)
    return row


def _rates(name: str, found: Near, n: int) -> dict[str, Any]:
    pictures = sum(map(len, (*found.clusters, *found.reported)))
    return {
        "set": name,
        "n": n,
        "links": len(found.pairs),
        "links a million pairs": round(len(found.pairs) / (n * (n - 1) / 2) * 1e6, 2),
        "share of pictures linked": round(pictures / n, 4),
        "largest cluster": max(map(len, (*found.clusters, *found.reported)), default=0),
        "complete": found.complete,
    }


def _say(row: dict[str, Any]) -> None:
    print(", ".join(f"{name}: {value}" for name, value in row.items() if name != "pairs"), flush=True)


def scan_cost(source: Source) -> dict[str, float]:
    """Milliseconds a picture, the median of 200: reading and decoding, its thumbprint at 224 pixels, and its hash."""
    pictures = []
    for sample in source.samples[:200]:
        image = Image.fromarray(decode_any(source.read(sample.key)).image)
        pictures.append(np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)))
    prints = np.stack([thumbprint(picture) for picture in pictures])
    cost = {
        "decode": _median_ms([lambda key=sample.key: decode_any(source.read(key)).image for sample in source.samples[:200]]),
        "thumbprint at 224": _median_ms([lambda picture=picture: thumbprint(picture) for picture in pictures]),
        "hash": _median_ms([lambda: hashes(prints)] * 20) / len(prints),
    }
    print({name: round(value, 3) for name, value in cost.items()})
    return cost


def _median_ms(calls: list[Callable[[], Any]]) -> float:
    seconds = []
    for call in calls:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1000


def _thumbprints(source: Source, keys: list[str], change: Change) -> np.ndarray:
    def one(key: str) -> np.ndarray:
        return thumbprint(np.asarray(change(Image.fromarray(decode_any(source.read(key)).image))))

    with ThreadPoolExecutor(usable_cores()) as pool:
        return np.stack(list(pool.map(one, keys)))


def _distinct(keys: list[str], source: Source) -> tuple[list[str], np.ndarray]:
    """Keys and thumbprints without exact copies (of thumbprints, which is enough here)."""
    prints = _thumbprints(source, keys, lambda picture: picture)
    _, first = np.unique(prints.reshape(len(prints), -1), axis=0, return_index=True)
    rows = np.sort(first)
    return [keys[row] for row in rows.tolist()], prints[rows]


def _cluster_of(found: Near) -> dict[str, int]:
    return {key: number for number, cluster in enumerate((*found.clusters, *found.reported)) for key in cluster}


def _patient(key: str) -> str:
    named = PATIENT.search(key)
    return named.group() if named else key


if __name__ == "__main__":
    main()
