"""Our side of the comparison: the recipe of ``speed`` on a whole training part, timed from initial weights to answers."""

import dataclasses
import statistics
import time

import numpy as np

from eyebright.core import seeds
from eyebright.core.arrays import ByteBatch, Labels
from eyebright.core.bundle import Architecture
from eyebright.core.preprocess import Preprocess
from eyebright.core.views import ONE_VIEW, Views
from eyebright.data.open import open_source
from eyebright.data.pixels import prepare_all
from eyebright.models.catalogue import build_seeded
from eyebright.models.network import PixelNetwork
from eyebright.training.augment import to_batch
from eyebright.training.fit import LabelledPictures, fit, outputs_of
from eyebright.training.recipe import Recipe
from eyebright.training.sampling import Draws
from eyebright.training.schedule import side_at
from eyebright.training.step import Stepper
from eyebright.verbs.making.quick import for_capacity, speed_recipe, views_of
from eyebright.verbs.making.settings import TrainSettings

HELD_OUT = 5000  # pictures of the training part, the last in the order of their hashes, for choosing


@dataclasses.dataclass(frozen=True)
class Parts:
    """A data set's training and test parts, prepared; ``grey`` where every picture is."""

    train: LabelledPictures
    test: LabelledPictures
    classes: int
    grey: bool

    @property
    def side(self) -> int:
        return self.train.pictures.shape[2]


@dataclasses.dataclass(frozen=True)
class Way:
    """How long which network is trained."""

    capacity: str
    epochs: int
    flip: bool = True


def load(name: str, side: int, *, grey: bool = False) -> Parts:
    """The set ``name``, found through EYEBRIGHT_DATA."""
    source = open_source(name)
    look = Preprocess(height=side, width=side, colour="grey" if grey else "colour")

    def part(wanted: str) -> LabelledPictures:
        samples = [sample for sample in source.samples if sample.part == wanted]
        keys = [sample.key for sample in samples]
        labels = np.array([sample.label for sample in samples], dtype=np.int64)
        return LabelledPictures(prepare_all(source, keys, look), labels, seeds.key_hashes(keys))

    return Parts(part("train"), part("test"), len(source.classes), grey)


def held_out(parts: Parts) -> Parts:
    """The same with the last 5,000 training pictures in place of the test part, which stays unread."""
    order = seeds.order(0, "held out", 0, parts.train.hashes)
    rows = np.zeros(len(order), dtype=bool)
    rows[order[:HELD_OUT]] = True
    return dataclasses.replace(parts, train=_rows(parts.train, ~rows), test=_rows(parts.train, rows))


def _rows(pictures: LabelledPictures, rows: np.ndarray) -> LabelledPictures:
    return LabelledPictures(pictures.pictures[rows], pictures.labels[rows], pictures.hashes[rows])


def recipe_of(parts: Parts, way: Way, seed: int) -> tuple[Recipe, Views]:
    settings = TrainSettings(data="-", model="speed", flip="auto" if way.flip else "off")
    recipe = speed_recipe(Recipe(epochs=way.epochs, precision="bf16", seed=seed), settings, len(parts.train), parts.side)
    recipe = for_capacity(recipe, settings, way.capacity, parts.side)
    flipped = recipe.augment.model_copy(update={"flip": way.flip})
    return recipe.model_copy(update={"augment": flipped}), views_of(settings, "speed", mirrored=way.flip)


def network_of(parts: Parts, way: Way, seed: int) -> PixelNetwork:
    arguments = {"height": parts.side, "width": parts.side, "grey": parts.grey, "capacity": way.capacity}
    return build_seeded(Architecture(name="speed", arguments=arguments), parts.classes, seed)


def train(parts: Parts, way: Way, seed: int, *, compare_views: bool = False) -> dict[str, float]:
    """Trains on the training part and answers for the test part; ``seconds`` holds both.

    ``compare_views`` asks again, about each picture in one view and in every view.
    """
    started = time.perf_counter()
    recipe, views = recipe_of(parts, way, seed)
    network = network_of(parts, way, seed)
    fit(network, parts.train, None, recipe)
    trained = time.perf_counter()
    logits, _ = outputs_of(network, parts.test.pictures, recipe, views=views)
    answered = time.perf_counter()
    found = {
        "seed": seed,
        "seconds": answered - started,
        "views_seconds": answered - trained,
        "right": _right(logits, parts.test.labels),
        "n": len(parts.test),
    }
    if compare_views:
        for name, other in (("right_in_one_view", ONE_VIEW), ("right_in_every_view", views.model_copy(update={"below": None}))):
            found[name] = _right(outputs_of(network, parts.test.pictures, recipe, views=other)[0], parts.test.labels)
    return found


def _right(logits: np.ndarray, labels: Labels) -> int:
    return int((logits.argmax(axis=1) == labels).sum())


def steps_by_side(parts: Parts, way: Way) -> dict[int, int]:
    """How many steps the whole recipe takes at each side."""
    recipe, _ = recipe_of(parts, way, 0)
    steps = way.epochs * round(len(parts.train) / recipe.batch_size)
    sides = [side_at(recipe.sides, step / steps) or parts.side for step in range(steps)]
    return {side: sides.count(side) for side in dict.fromkeys(sides)}


def segment(parts: Parts, way: Way, steps: int) -> dict[int, float]:
    """Median seconds of a step at each side that the recipe shows, over ``steps`` steps, the first two left out."""
    recipe, _ = recipe_of(parts, way, 0)
    stepper = Stepper(network_of(parts, way, 0), parts.train, recipe)
    some: ByteBatch = parts.train.pictures[:2000]
    stepper.network.begin(to_batch(some))
    stepper.set_training()
    found: dict[int, float] = {}
    for side in (*(side for _, side in recipe.sides), parts.side):
        times = []
        for number in range(steps):
            rows = np.arange(number * recipe.batch_size, (number + 1) * recipe.batch_size) % len(parts.train)
            rows.sort()
            started = time.perf_counter()
            stepper.step(Draws(rows, parts.train.hashes[rows]), epoch=0, number=number, rate=1e-3, side=side)
            times.append(time.perf_counter() - started)
        found[side] = statistics.median(times[2:])
    return found
