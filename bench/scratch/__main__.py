"""Training small pictures from scratch, beside the peers:  python -m bench.scratch [PART ...]

Parts, all by default, each kept in bench/results/scratch.json as soon as it is there:

``segments``  20 steps of the port, then 20 of ours at each side, three times: the ratio of the steps
``port``      the record's recipe, ported plainly, once in full and once at a quarter of its steps
``seeds``     ours on CIFAR-10, five seeds, the test part read once by each
``curve``     the command ``eyebright train cifar10 --model speed --minutes M`` for M = 1, 2.5, 5, 10, 20
``deep``      the largest network, as far as the machine allows
``grey``      MNIST and Fashion-MNIST by the same recipe
``signs``     traffic signs of 48 pixels by the command: the publisher's test part, tracks kept together
``profile``   where a step goes, and how far it is from the arithmetic
``keras``     Keras' usual network, ten minutes; in an environment of its own, as TensorFlow wants one

Data is found through EYEBRIGHT_DATA. Nothing else should run meanwhile; the load average is kept beside each figure.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.parts import run_parts
from bench.peers import python_of
from bench.scratch import ours
from bench.scratch.ours import Parts, Way

HERE = Path(__file__).parent
PEERS = HERE / "peers"
RESULTS = HERE.parent / "results" / "scratch.json"
ROUNDS, STEPS = 3, 20
PORT_STEPS = (50, 200)
CIFAR = Way("standard", 13)
DEEP = Way("deep", 36)
SEEDS = range(5)
GREY = {"mnist": Way("standard", 12, flip=False), "fashion-mnist": Way("standard", 10)}
GREY_SEEDS = range(3)
MINUTES = (1, 2.5, 5, 10, 20)
SIGNS_MINUTES = 3
KERAS_MINUTES = 10


def segments() -> dict[str, Any]:
    parts = ours.load("cifar10", 32)
    ours.segment(parts, CIFAR, 3)  # compiles the kernels
    rounds = []
    with as_file(parts) as data:
        for _ in range(ROUNDS):
            port = peer(sys.executable, "port.py", data, "0", str(PORT_STEPS[-1]), str(STEPS))[-1]
            rounds.append({"port": port["step_seconds"], "ours": ours.segment(parts, CIFAR, STEPS), "load": load()})
            print(rounds[-1], flush=True)
    return {
        "batch_port": 2000,
        "batch_ours": ours.recipe_of(parts, CIFAR, 0)[0].batch_size,
        "steps_port": PORT_STEPS[-1],
        "steps_ours": ours.steps_by_side(parts, CIFAR),
        "rounds": rounds,
    }


def port() -> list[dict[str, Any]]:
    with as_file(ours.load("cifar10", 32)) as data:
        return [peer(sys.executable, "port.py", data, "0", str(steps))[-1] | {"load": load()} for steps in PORT_STEPS]


def seeds() -> dict[str, Any]:
    return _runs("cifar10", ours.load("cifar10", 32), CIFAR, SEEDS)


def deep() -> dict[str, Any]:
    return _runs("cifar10", ours.load("cifar10", 32), DEEP, range(1))


def grey() -> dict[str, Any]:
    return {name: _runs(name, ours.load(name, 28, grey=True), way, GREY_SEEDS) for name, way in GREY.items()}


def _runs(name: str, parts: Parts, way: Way, wanted: range) -> dict[str, Any]:
    ours.segment(parts, way, 3)
    runs = []
    for seed in wanted:
        runs.append(ours.train(parts, way, seed) | {"load": load()})
        print(name, way, runs[-1], flush=True)
    return {"capacity": way.capacity, "epochs": way.epochs, "runs": runs}


def curve() -> list[dict[str, Any]]:
    return [_command("cifar10", minutes) for minutes in MINUTES]


def signs() -> list[dict[str, Any]]:
    return [_command("gtsrb", SIGNS_MINUTES, "--group", r"train/(?P<group>\d+/\d+)_")]


def _command(data: str, minutes: float, *flags: str) -> dict[str, Any]:
    """What the command makes of its minutes: its figure, and what it chose."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place, "run")
        command = ["train", data, "--model", "speed", "--minutes", str(minutes), *flags, "--out", str(run), "--json"]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "eyebright", *command], check=True, stdout=subprocess.DEVNULL)
        whole = time.perf_counter() - started
        report = json.loads((run / "report.json").read_text())
    choices = {choice["name"]: f"{choice['value']} ({choice['reason']})" for choice in report["training"]["choices"]}
    found = {
        "minutes": minutes,
        "accuracy": report["figures"]["accuracy"],
        "training_seconds": report["training"]["seconds"],
        "command_seconds": whole,
        "capacity": choices["capacity"],
        "epochs": choices["epochs"],
        "load": load(),
    }
    print(found, flush=True)
    return found


def keras() -> list[dict[str, Any]]:
    with as_file(ours.load("cifar10", 32)) as data:
        return peer(python_of("scratch-peers", PEERS / "requirements.txt"), "keras_cnn.py", data, "0", str(KERAS_MINUTES))


def profile() -> list[dict[str, Any]]:
    from bench.scratch.profile import main

    return main()


def load() -> float:
    return os.getloadavg()[0]


@contextmanager
def as_file(parts: Parts) -> Iterator[str]:
    """The parts as an .npz file, for programs that are not ours."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "data.npz")
        arrays = {f"{kind}_{part}": array for part in ("train", "test") for kind, array in _arrays(getattr(parts, part))}
        np.savez(path, **arrays)
        yield str(path)


def _arrays(part: Any) -> Iterator[tuple[str, np.ndarray]]:
    yield "x", part.pictures
    yield "y", part.labels


def peer(python: str, script: str, *arguments: str) -> list[dict[str, Any]]:
    """What a peer's script prints, a row a line."""
    done = subprocess.run([python, str(PEERS / script), *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


PARTS: dict[str, Callable[[], Any]] = {
    "segments": segments, "port": port, "seeds": seeds, "curve": curve, "deep": deep, "grey": grey, "signs": signs,
    "profile": profile, "keras": keras,
}  # fmt: skip


if __name__ == "__main__":
    run_parts(PARTS, RESULTS, __doc__)
