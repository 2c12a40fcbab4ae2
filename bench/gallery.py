"""What each named network costs here, and how quickly it learns:  python -m bench.gallery [--names NAME ...]

  python -m bench.gallery                      parameters, multiply-adds, ONNX size and latency -> results/gallery.json
  python -m bench.gallery --count              parameters and multiply-adds alone: seconds, and alike on every machine
  python -m bench.gallery --train DATA_HOME    validation accuracy after --seconds from scratch -> results/gallery-accuracy.json
  python -m bench.gallery --render             docs/models.md from both files; every other call ends with it, too

Rows of names that are not asked for are kept. Latency and accuracy want a machine that does nothing else.
"""

import argparse
import dataclasses
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.gallery_page import page
from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.core import seeds
from eyebright.core.bundle import Architecture
from eyebright.core.files import write_json, write_text
from eyebright.core.machine import environment, machine_line
from eyebright.core.preprocess import Preprocess
from eyebright.data.catalogue import load_named
from eyebright.data.pixels import prepare_all
from eyebright.evaluation.intervals import wilson
from eyebright.evaluation.latency import measure
from eyebright.export.onnx_ import write_onnx
from eyebright.models import lite0
from eyebright.models.catalogue import build_seeded
from eyebright.models.names import PUBLISHED
from eyebright.models.network import PixelNetwork, parameter_count
from eyebright.models.zoo import input_size

BENCH = Path(__file__).parent
COSTS, ACCURACY = BENCH / "results" / "gallery.json", BENCH / "results" / "gallery-accuracy.json"
PAGE = BENCH.parent / "docs" / "models.md"

THREADS = 2
MLP = "Rumelhart et al. 1986, Learning representations by back-propagating errors"
LENET = "LeCun et al. 1998, Gradient-based learning applied to document recognition"
LITE0 = "Liu 2020, Higher accuracy on vision models with EfficientNet-Lite"
OWN_CLASSES, IMAGENET_CLASSES = 10, 1000
TRAIN_SIZE = 64  # pixels: of networks made for more; the least that most of them take, and all that CIFAR-10's 32 are worth
LEAST = {"inception_v3": 75}
TRAIN_PICTURES, VALIDATION_PICTURES = 5000, 2000
BATCH, RATE, WARM_UP = 32, 3e-4, 0.1  # the rate is low enough for VGG and AlexNet, which have no norms


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network of the gallery: its short and its full name, its paper, and the side in pixels that it was made for."""

    name: str
    network: str
    called: str
    source: str
    size: int
    classes: int


def entries() -> list[Entry]:
    """The built-in networks, then those of the papers."""
    own = [
        Entry("mlp", "mlp", "Multilayer perceptron", MLP, 32, OWN_CLASSES),
        Entry("lenet", "lenet", "LeNet-5", LENET, 32, OWN_CLASSES),
        Entry("cnn", "cnn", "The small network of first lessons", "no paper", 32, OWN_CLASSES),
        Entry("lite0", "lite0", "EfficientNet-Lite0", LITE0, lite0.SIZE, IMAGENET_CLASSES),
    ]
    published = [
        Entry(
            one.name,
            one.network,
            one.called,
            f"{one.authors} {one.year}, {one.paper}",
            input_size(one.network),
            IMAGENET_CLASSES,
        )
        for one in PUBLISHED
    ]
    return [*own, *published]


def built(entry: Entry, size: int, classes: int) -> PixelNetwork:
    """The entry's network with seeded initial weights, for pictures of ``size``."""
    arguments: dict[str, Any] = {"size": size}
    if entry.name in ("mlp", "lenet", "cnn"):
        arguments = {"height": size, "width": size}
    elif entry.name == "lite0":
        arguments = {}
    network = build_seeded(Architecture(name=entry.network, arguments=arguments), classes, 0)
    assert isinstance(network, PixelNetwork)
    return network


def count(entry: Entry) -> dict[str, Any]:
    """Parameters, and multiply-adds for one picture at the entry's own size."""
    network = built(entry, entry.size, entry.classes).eval()
    counted = {"parameters": parameter_count(network), "multiply_adds": multiply_adds(network, entry.size)}
    return {"network": entry.network, "size": entry.size, "classes": entry.classes, **counted}


def multiply_adds(network: nn.Module, size: int) -> int:
    """Multiply-adds of convolutions, dense layers and attention for one picture; norms, activations and poolings are free.

    torch counts a multiply-add as two operations. On the meta device nothing is computed, and attention is taken apart into
    its two products, which the fused kernel of the processor would hide from the counter.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.to("meta")(torch.zeros(1, 3, size, size, device="meta"))
    return int(counter.get_total_flops()) // 2


def speed(entry: Entry, seconds: float = 1.0) -> dict[str, Any]:
    """Megabytes of the ONNX form, and its latency for one picture, in ``THREADS`` threads."""
    network = built(entry, entry.size, entry.classes)
    settle_norms(network, entry.size)
    classes = tuple(str(number) for number in range(entry.classes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(network, (entry.size, entry.size), path, classes=classes, name=entry.name)
        megabytes = path.stat().st_size / 1e6
        predictor = OnnxPredictor(path, classes, threads=THREADS)
    found = measure(
        predictor, (entry.size, entry.size), form="onnx", threads=THREADS, megabytes=megabytes, seconds=seconds, calls=200
    )
    return {
        "megabytes": round(megabytes, 2),
        "latency": found.model_dump(include={"median_ms", "p99_ms", "n", "threads", "batch"}),
    }


@torch.no_grad()
def settle_norms(network: nn.Module, size: int) -> None:
    """One batch of noise for the batch norms' statistics.

    Initial statistics let the activations of deep networks vanish, and a processor is slower on numbers near zero.
    """
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    network.train()(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
    network.eval()


def task(home: Path) -> tuple[Any, list[str], list[str]]:
    """CIFAR-10, and the keys of some pictures of its train part to learn from, and of others to validate with."""
    source = load_named("cifar10", home)
    keys = [sample.key for sample in source.part("train")]
    order = seeds.order(0, "gallery", 0, seeds.key_hashes(keys))[: TRAIN_PICTURES + VALIDATION_PICTURES]
    chosen = [keys[index] for index in order]
    return source, chosen[:TRAIN_PICTURES], chosen[TRAIN_PICTURES:]


def learn(entry: Entry, home: Path, seconds: float) -> dict[str, Any]:
    """Validation accuracy after ``seconds`` of training from initial weights, with Wilson's interval."""
    source, learned, held_out = task(home)
    size = LEAST.get(entry.name, min(entry.size, TRAIN_SIZE))
    label_of = {sample.key: sample.label for sample in source.samples}
    pictures = [
        torch.from_numpy(prepare_all(source, keys, Preprocess(height=size, width=size))) for keys in (learned, held_out)
    ]
    labels = [torch.tensor([label_of[key] for key in keys]) for keys in (learned, held_out)]
    torch.set_num_threads(THREADS)
    network = built(entry, size, len(source.classes)).to(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        steps = train(network, pictures[0], labels[0], seeds.key_hashes(learned), seconds)
    right = int((predicted(network, pictures[1]) == labels[1]).sum())
    low, high = wilson(right, len(held_out))
    figures = {"accuracy": right / len(held_out), "low": low, "high": high, "n": len(held_out)}
    return {"size": size, "seconds": seconds, "steps": steps, "epochs": round(steps * BATCH / len(learned), 2), **figures}


def train(network: nn.Module, pictures: torch.Tensor, labels: torch.Tensor, hashes: np.ndarray, seconds: float) -> int:
    """Adam for ``seconds``, the rate rising over the first tenth and falling to zero along half a cosine; mirrored copies.

    Returns the number of steps.
    """
    optimiser = torch.optim.Adam(network.train().parameters(), lr=RATE, fused=True)
    started, steps, epoch = time.perf_counter(), 0, 0
    while True:
        mirrored = torch.from_numpy(seeds.uniform(0, "mirror", epoch, hashes)[:, 0] < 0.5)
        for chosen in np.array_split(seeds.order(0, "order", epoch, hashes), max(1, len(hashes) // BATCH)):
            done = (time.perf_counter() - started) / seconds
            if done >= 1:
                return steps
            rows = torch.from_numpy(chosen)
            pixels = floats(pictures[rows])
            pixels = torch.where(mirrored[rows][:, None, None, None], pixels.flip(3), pixels)
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(max(done, 0.01) / WARM_UP, (1 + math.cos(math.pi * done)) / 2)
            loss = F.cross_entropy(network(pixels)[0], labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            steps += 1
        epoch += 1


@torch.no_grad()
def predicted(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """The answered class of each picture."""
    network.eval()
    return torch.cat([network(floats(batch))[0].argmax(dim=1) for batch in pictures.split(BATCH)])


def floats(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as pixels in [0, 1], in the layout that convolutions like."""
    return (pictures.float() / 255).contiguous(memory_format=torch.channels_last)


def read(path: Path) -> dict[str, Any]:
    """The results that are there, or none yet."""
    none: dict[str, Any] = {"schema": 1, "rows": {}}
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else none


def refuse_a_mixture(path: Path, about: dict[str, Any]) -> None:
    """Ends the program where the results at ``path`` were measured otherwise: one caption must be true of every row."""
    results = read(path)
    if other := [name for name, value in about.items() if results.get(name, value) != value]:
        raise SystemExit(f"{path} was measured with another {' and '.join(other)}. Delete it, and measure all networks again.")


def keep(path: Path, rows: dict[str, dict[str, Any]], about: dict[str, Any]) -> None:
    """Adds ``rows`` to the results at ``path``: a row's new values replace its old ones."""
    results = read(path)
    merged = {**results["rows"]} | {name: {**results["rows"].get(name, {}), **row} for name, row in rows.items()}
    write_json(path, {**results, **about, "rows": merged})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", choices=[entry.name for entry in entries()], help="only these")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--train", type=Path, metavar="DATA_HOME")
    parser.add_argument("--seconds", type=float, default=25.0, help="of training for each network")
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()

    chosen = [entry for entry in entries() if given.names is None or entry.name in given.names]
    where = {"machine": machine_line(), "environment": environment(), "threads": THREADS}
    learning = where | {"train": TRAIN_PICTURES, "batch": BATCH, "rate": RATE}
    path, about = (ACCURACY, learning) if given.train else (COSTS, {} if given.count else where)
    if not given.render:
        refuse_a_mixture(path, about)
    for entry in [] if given.render else chosen:
        started = time.perf_counter()
        if given.train:
            row = learn(entry, given.train, given.seconds)
        else:
            row = count(entry) if given.count else count(entry) | speed(entry)
        keep(path, {entry.name: row}, about)
        print(f"{entry.name:18} {time.perf_counter() - started:5.1f} s  {json.dumps(row)}", flush=True)
    write_text(PAGE, page([dataclasses.asdict(entry) for entry in entries()], read(COSTS), read(ACCURACY)))


if __name__ == "__main__":
    main()
