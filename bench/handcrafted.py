"""Handcrafted models beside the linear head on lite0's features, out of fold:  python -m bench.handcrafted [DATA_HOME]

Train parts only; of MNIST 6,000 pictures are drawn. Five grouped folds, the same for every model of a set; settings are chosen
by the same folds, of the handcrafted models as of the head. Prints accuracy and macro F1 with 95 % intervals and how far each
is from the head on the same pictures, and writes bench/results/handcrafted.json after each set.
"""

import argparse
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sklearn

from eyebright import __version__
from eyebright.core import seeds
from eyebright.core.files import write_json
from eyebright.core.machine import machine_line
from eyebright.core.predictions import Predictions
from eyebright.core.preprocess import Preprocess
from eyebright.data.catalogue import resolve_home
from eyebright.data.folds import group_folds
from eyebright.data.open import open_source
from eyebright.data.pixels import prepare_all
from eyebright.data.source import Sample, Source, group_of
from eyebright.evaluation import fit_temperature, paired_difference
from eyebright.evaluation.accuracy import right_answers
from eyebright.evaluation.folds import cross_validation
from eyebright.models import lite0
from eyebright.models.handcrafted.names import NAMES, fitting_size, parse
from eyebright.training.fit import LabelledPictures, outputs_of
from eyebright.training.handcrafted import train_handcrafted
from eyebright.training.head import choose_strength
from eyebright.training.recipe import Recipe

SETS = {  # name: how groups are told, and the short side of a picture, in pixels
    "chest_xray": (r"(?P<group>person\d+|IM-\d+)", 500),
    "trashnet": (None, 384),
    "gtsrb": (r"train/(?P<group>\d+/\d+)_", 48),
    "mnist": (None, 28),
}
MOST = 6000
FOLDS = 5
HEAD = "lite0, linear head"
RESULT = Path(__file__).parent / "results" / "handcrafted.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, nargs="?")
    home = resolve_home(parser.parse_args().home)
    rows: list[dict[str, object]] = []
    versions = {"eyebright": __version__, "numpy": np.__version__, "sklearn": sklearn.__version__}
    head = {"schema": 1, "machine": machine_line(), "versions": versions | {"python": platform.python_version()}}
    for name, (group, side) in SETS.items():
        rows += Set(open_source(name, data_home=home, group=group), side).rows()
        RESULT.parent.mkdir(exist_ok=True)
        write_json(RESULT, head | {"rows": rows})


class Set:
    """The train part of a data set, its folds, and what each model says of it out of fold."""

    def __init__(self, source: Source, side: int) -> None:
        self.source, self.side = source, side
        self.samples = drawn([sample for sample in source.samples if sample.part != "test"])
        self.labels = np.array([sample.label for sample in self.samples], dtype=np.int64)
        self.groups = tuple(group_of(sample) for sample in self.samples)
        self.folds = group_folds(self.labels, self.groups, FOLDS, seed=0)

    def rows(self) -> list[dict[str, object]]:
        """A row a model, the head first; each is printed as it is known."""
        print(f"\n{self.source.name}: {len(self.samples):,} pictures, {len(set(self.groups)):,} groups", flush=True)
        started = time.monotonic()
        head = self.table(self.head())
        rows = [self.row(HEAD, head, head, "", time.monotonic() - started)]
        for name, logits, chosen, seconds in self.handcrafted():
            rows.append(self.row(name, self.table(logits), head, chosen, seconds))
        return rows

    def pictures(self, size: int) -> LabelledPictures:
        keys = [sample.key for sample in self.samples]
        pixels = prepare_all(self.source, keys, Preprocess(height=size, width=size))
        return LabelledPictures(pixels, self.labels, seeds.key_hashes(keys))

    def head(self) -> np.ndarray:
        """Out-of-fold logits of the linear head on lite0's features, at the size that ``train`` would choose."""
        network = lite0.lite0(len(self.source.classes))
        lite0.load_pretrained(network)
        size = 96 if self.side <= 64 else lite0.SIZE
        features = outputs_of(network, self.pictures(size).pictures, Recipe(epochs=0))[1]
        return choose_strength(features, self.labels, len(self.source.classes), self.folds).out_of_fold

    def handcrafted(self) -> Iterator[tuple[str, np.ndarray, str, float]]:
        pictures = self.pictures(fitting_size(self.side))
        for name in NAMES:
            started = time.monotonic()
            _, learned = train_handcrafted(parse(name), pictures, self.folds, len(self.source.classes), seed=0, every_fold=True)
            (kept,) = [attempt.name for attempt in learned.attempts if attempt.kept]
            yield name, learned.logits, kept.partition(" (")[0], time.monotonic() - started

    def table(self, logits: np.ndarray) -> Predictions:
        keys = tuple(sample.key for sample in self.samples)
        return Predictions(keys, self.labels, logits, self.source.classes, self.groups)

    def row(self, name: str, table: Predictions, head: Predictions, chosen: str, seconds: float) -> dict[str, object]:
        decision = fit_temperature(table, fitted_on="the same out-of-fold logits")
        figures = cross_validation(table, self.folds, decision, how="").figures
        behind = paired_difference(right_answers(table), right_answers(head), self.groups)
        told = [
            f"{figures[one].value:.3f} ({figures[one].low:.3f}-{figures[one].high:.3f})" for one in ("accuracy", "f1_macro")
        ]
        gap = "" if name == HEAD else f"{behind.value:+.3f} ({behind.low:+.3f} to {behind.high:+.3f})"
        print(f"  {name:20} {told[0]:22} {told[1]:22} {gap:26} {seconds:5.0f} s  {chosen}", flush=True)
        kept = {one: figures[one].model_dump() for one in ("accuracy", "balanced_accuracy", "f1_macro", "log_loss")}
        row = {"set": self.source.name, "model": name, "n": len(table), "chosen": chosen, "seconds": round(seconds, 1)}
        return row | {"figures": kept, "minus_head": behind.model_dump()}


def drawn(samples: list[Sample]) -> list[Sample]:
    """The samples, or ``MOST`` of them, in their order."""
    hashes = seeds.key_hashes([sample.key for sample in samples])
    return [samples[row] for row in sorted(seeds.order(0, "bench", 0, hashes)[:MOST].tolist())]


if __name__ == "__main__":
    main()
