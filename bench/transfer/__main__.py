"""Photographs to a bundle, beside fastai and plain logistic regression:  python -m bench.transfer [PART ...]

Parts, all by default, each kept in bench/results/transfer.json as soon as it is there:

``trashnet``, ``rice``, ``xrays``  a set of photographs each, five grouped resplits, paired: fastai's ``fine_tune``, logistic
             regression on frozen features, ours without fine-tuning, and ours given the minutes that fastai took, all with
             the same network, from the command to the model. TrashNet and the X-rays take about 70 minutes each; stopped,
             they go on behind the last resplit that was whole
``heads``    ours without fine-tuning beside logistic regression alone, TrashNet and the X-rays, the same resplits: six minutes
``loading``  a folder of JPEG files to float batches at 224 pixels, from files and from the cache, beside torch's DataLoader
             with two workers, five rounds: TrashNet as it is, five times over, and enlarged to 1,024 pixels
``latency``  one picture at a time, in each form of a bundle, beside the runtimes' own benchmarks, five rounds

Data is found through EYEBRIGHT_DATA, as ``trashnet.zip``, ``rice_leaf.zip`` and ``chest_xray.zip``. Nothing else should run
meanwhile; the load average is kept beside each figure.
"""

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import eyebright
from bench.parts import run_parts
from bench.peers import python_of
from bench.transfer.latency import latency
from eyebright.core.files import cache_home, sha256, sha256_of_json, write_json
from eyebright.core.machine import environment
from eyebright.data.folds import group_folds
from eyebright.data.open import open_source
from eyebright.data.source import Source, group_of

HERE = Path(__file__).parent
PEERS = HERE / "peers"
RESULTS = HERE.parent / "results" / "transfer.json"
RESPLITS = 5
ROUNDS, ENLARGED = 5, 1024
HEAD = ["--unfreeze", "head", "--minutes", "0.25"]  # 15 s are a wish: the head is learned all the same
FOLDS = 5  # a fifth of the groups is the test part of a resplit


@dataclasses.dataclass(frozen=True)
class Set:
    """A set of photographs: its archive, how its groups are named, and fastai's epochs."""

    file: str
    group: str | None
    epochs: int


SETS = {
    "trashnet": Set("trashnet.zip", None, 5),
    "rice": Set("rice_leaf.zip", None, 3),
    "xrays": Set("chest_xray.zip", r"(?P<group>person\d+|IM-\d+)", 5),
}


def compared(name: str) -> list[dict[str, Any]]:
    """Every way on each resplit of the set ``name``, one after the other; behind those that a stopped run had done."""
    python = python_of("transfer-peers", PEERS / "requirements.txt")
    one, kept = SETS[name], cache_home() / "bench" / f"transfer-{name}.json"
    rows = _done(kept)
    done = {row["resplit"] for row in rows}
    print(f"{len(done)} resplits were done before." if done else "From the first resplit.", flush=True)
    for number, held_out in enumerate(drawn(one)):
        if number in done:
            continue
        with written(one, held_out) as place:
            for way, found in _ways(python, one, place, number):
                rows.append({"resplit": number, "way": way} | found)
                print({key: value for key, value in rows[-1].items() if key not in ("labels", "answers")}, flush=True)
        write_json(kept, {"by": _program(), "rows": rows})
    return rows


def _done(kept: Path) -> list[dict[str, Any]]:
    """The rows of a run of this very program that was stopped; none where it had come to its end."""
    found = json.loads(kept.read_text()) if kept.exists() else {"by": "", "rows": []}
    rows: list[dict[str, Any]] = found["rows"]
    return rows if found["by"] == _program() and len({row["resplit"] for row in rows}) < RESPLITS else []


def _program() -> str:
    """What decides the figures: our code, the bench's, the packages, and the machine."""
    files = sorted([*Path(eyebright.__file__).parent.rglob("*.py"), *HERE.rglob("*.py"), *HERE.rglob("*.txt")])
    return sha256_of_json([environment(), *(sha256(file) for file in files)])


def _ways(python: str, one: Set, place: str, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each way with what it gave, and the load before it began."""
    load = os.getloadavg()[0]
    fastai = peer(python, "fastai_tune.py", place, f"{place}/model.pkl", str(one.epochs), str(number))
    yield "fastai", {"load": load} | fastai
    load = os.getloadavg()[0]
    yield "logistic", {"load": load} | peer(python, "logistic.py", place, f"{place}/model.joblib")
    minutes = f"{fastai['seconds'] / 60:.2f}"
    for way, flags in (("head", HEAD), ("equal minutes", ["--minutes", minutes])):
        load = os.getloadavg()[0]
        yield way, {"load": load} | ours(place, number, *flags)


def heads() -> list[dict[str, Any]]:
    """Our head and logistic regression on each resplit of the two larger sets, in turns."""
    python = python_of("transfer-peers", PEERS / "requirements.txt")
    rows = []
    for name in ("trashnet", "xrays"):
        for number, held_out in enumerate(drawn(SETS[name])):
            with written(SETS[name], held_out) as place:
                for way, ask in (
                    ("logistic", partial(peer, python, "logistic.py", place, f"{place}/model.joblib")),
                    ("head", partial(ours, place, number, *HEAD)),
                ):
                    rows.append({"set": name, "resplit": number, "way": way, "load": os.getloadavg()[0]} | ask())
                    print({key: rows[-1][key] for key in ("set", "resplit", "way", "load", "seconds")}, flush=True)
    return rows


def loading() -> list[dict[str, Any]]:
    rows = []
    for name, side, times in (("TrashNet", None, 1), ("five times over", None, 5), ("enlarged", ENLARGED, 1)):
        with _jpegs(side, times) as folder:
            for number in range(ROUNDS):
                with tempfile.TemporaryDirectory() as cache:
                    done = subprocess.run(
                        [sys.executable, "-m", "bench.transfer.loading", folder, cache],
                        check=True,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                found = json.loads(done.stdout)
                for kind in ("pillow", "torchvision"):
                    found[kind] = peer(sys.executable, "loader.py", folder, kind)["seconds"]
                rows.append({"set": name, "round": number, "load": os.getloadavg()[0]} | found)
                print(rows[-1], flush=True)
    return rows


def _jpegs(side: int | None, times: int) -> "tempfile.TemporaryDirectory[str]":
    """TrashNet's files in a folder, ``times`` over as no larger set is at hand; with ``side`` enlarged to so many pixels and
    saved again."""
    place = tempfile.TemporaryDirectory()
    source = open_source(str(Path(os.environ["EYEBRIGHT_DATA"], SETS["trashnet"].file)))
    for sample in source.samples:
        content = source.read(sample.key)
        assert isinstance(content, bytes)
        folder = Path(place.name, source.classes[sample.label])
        folder.mkdir(exist_ok=True)
        for copy in range(times):
            file = folder / f"{copy}-{Path(sample.key).name}"
            if side is None:
                file.write_bytes(content)
            else:
                Image.open(io.BytesIO(content)).resize((side, side), Image.Resampling.BICUBIC).save(file, quality=90)
    return place


def drawn(one: Set) -> Iterator[np.ndarray]:
    """What each resplit holds out of the set's pictures: all its parts together, drawn anew, groups whole."""
    source = opened(one)
    labels = np.array([sample.label for sample in source.samples])
    groups = [group_of(sample) for sample in source.samples]
    for number in range(RESPLITS):
        yield group_folds(labels, groups, FOLDS, number) == 0


def opened(one: Set) -> Source:
    return open_source(str(Path(os.environ["EYEBRIGHT_DATA"], one.file)), group=one.group)


def written(one: Set, held_out: np.ndarray) -> "tempfile.TemporaryDirectory[str]":
    """A folder of train/CLASS and test/CLASS."""
    place, source = tempfile.TemporaryDirectory(), opened(one)
    for sample, out in zip(source.samples, held_out, strict=True):
        folder = Path(place.name, "test" if out else "train", source.classes[sample.label])
        folder.mkdir(parents=True, exist_ok=True)
        content = source.read(sample.key)
        assert isinstance(content, bytes)
        (folder / re.sub(r"[^A-Za-z0-9._-]", "_", sample.key)).write_bytes(content)
    return place


def ours(folder: str, seed: int, *flags: str) -> dict[str, Any]:
    """The command, to its bundle; its answers are those of its own test table. An empty cache: nothing is known before."""
    with tempfile.TemporaryDirectory() as aside:
        run = Path(aside, "run")
        command = [sys.executable, "-m", "eyebright", "train", folder, "--out", str(run), "--seed", str(seed), "--json", *flags]
        started = time.perf_counter()
        surroundings = {**os.environ, "EYEBRIGHT_CACHE": str(Path(aside, "cache"))}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=surroundings)
        seconds = time.perf_counter() - started
        from eyebright.core.predictions import load_predictions

        table = load_predictions(run / "predictions" / "test.safetensors")
        answers = table.logits.argmax(axis=1)
        return {
            "seconds": seconds,
            "labels": table.labels.tolist(),
            "answers": answers.tolist(),
            "classes": list(table.classes),
        }


def peer(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """What a peer's script prints last."""
    done = subprocess.run([python, str(PEERS / script), *arguments], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


PARTS: dict[str, Callable[[], Any]] = {
    **{name: partial(compared, name) for name in SETS},
    "heads": heads,
    "loading": loading,
    "latency": latency,
}


if __name__ == "__main__":
    run_parts(PARTS, RESULTS, __doc__)
