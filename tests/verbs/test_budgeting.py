"""How long is trained, and whether in folds: what fits into the time that is left."""

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest

from eyebright.core import seeds
from eyebright.training.fit import LabelledPictures, Pace
from eyebright.training.recipe import Recipe
from eyebright.training.transfer import TransferData
from eyebright.verbs.making.budgeting import _settle_in_folds, _settle_mirror, affordable, affordable_in_folds, rounds

N, FOLDS = 100, 5
PACE = Pace(training=0.01, evaluation=0.001)
GENTLE = Recipe(epochs=0, unfreeze="4")


def data():
    labels = np.arange(N) % 2
    pictures = LabelledPictures(np.zeros((N, 3, 4, 4), np.uint8), labels, np.arange(N, dtype=np.uint64))
    return TransferData(pictures, np.arange(N) < 20, 2, features=np.zeros((N, 3), np.float32), folds=np.arange(N) % FOLDS)


def work(*, left=100.0, asked="auto", refit=True, patience=None, recipe=GENTLE, is_quickened=False, **settings):
    said = []
    plain = {"fine_tune_in_folds": asked, "patience": patience, "folds": 0, "members": 3, "ensemble": "none"}
    return SimpleNamespace(
        settings=SimpleNamespace(**{**plain, "learning_curve": False, "distil": False, **settings}),
        plan=SimpleNamespace(refit=refit, way="transfer", recipe=recipe, preprocess=SimpleNamespace(height=4)),
        deadline=time.monotonic() + left,
        is_quickened=is_quickened,
        story=SimpleNamespace(choose=lambda name, value, why: said.append((name, value, why))),
        said=said,
    )


def test_in_folds_an_epoch_is_each_picture_for_every_network_but_one():
    """(5 - 1) x 100 pictures x 10 ms = 4 s an epoch; 2 x (100 + 5 x 100) x 1 ms = 1.2 s are for asking."""
    assert affordable_in_folds(work(left=21.5), data(), GENTLE, PACE, 12) == 5
    assert affordable_in_folds(work(left=21.0), data(), GENTLE, PACE, 12) == 4
    assert affordable_in_folds(work(left=1000.0), data(), GENTLE, PACE, 12) == 12
    assert affordable_in_folds(work(left=-1.0), data(), GENTLE, PACE, 12) == 0


def test_a_cross_validation_beside_it_costs_nothing():
    """Its networks are those of the folds."""
    assert affordable_in_folds(work(left=21.5, folds=5), data(), GENTLE, PACE, 12) == 5


def test_one_network_and_its_second_training_take_less():
    """0.8 s for the train part, 0.02 for the validation part, 1 s again for all."""
    assert affordable(work(left=18.5), data(), GENTLE, PACE, 12) == 10


@pytest.mark.parametrize(("folded", "found"), [(5, (True, 5)), (4, (False, 9))])
def test_in_folds_by_itself_where_enough_epochs_fit(folded, found):
    ours = work()
    assert _settle_in_folds(ours, data(), GENTLE, 9, folded) == found
    value = "yes" if found[0] else "no"
    assert ours.said == [
        ("fine-tuning in folds", value, f"{folded} epochs fit for each of 5 networks; 5 for each of 4 are wanted")
    ]


@pytest.mark.parametrize(
    ("ours", "recipe", "epochs"),
    [
        (work(refit=False), GENTLE, 9),
        (work(patience=3), GENTLE, 9),
        (work(), GENTLE.model_copy(update={"schedule": "plateau"}), 9),
        (work(), GENTLE.model_copy(update={"unfreeze": "all"}), 9),
        (work(), GENTLE, 0),
        (work(asked="no"), GENTLE, 9),
        (work(ensemble="seeds"), GENTLE, 9),
    ],
    ids=["many pictures", "patience", "plateau", "whole network", "no time", "forbidden", "ensemble"],
)
def test_not_in_folds_where_a_validation_part_is_wanted_or_the_networks_would_go_apart(ours, recipe, epochs):
    assert _settle_in_folds(ours, data(), recipe, epochs, 12) == (False, epochs)
    assert ours.said == []


def test_not_in_folds_where_each_network_would_lack_too_many_pictures():
    """Three folds: each would learn from two thirds."""
    few = dataclasses.replace(data(), folds=np.arange(N) % 3)
    ours = work()
    assert _settle_in_folds(ours, few, GENTLE, 9, 12) == (False, 9)
    assert ours.said[0][2] == "12 epochs fit for each of 3 networks; 5 for each of 4 are wanted"


def test_in_folds_where_it_is_asked_for_whatever_fits():
    assert _settle_in_folds(work(asked="yes", refit=False), data(), GENTLE, 9, 2) == (True, 2)


@pytest.mark.parametrize(
    ("recipe", "is_quickened", "teaching"),
    [(GENTLE.model_copy(update={"unfreeze": "all"}), False, 1 / 3), (GENTLE, False, 0.6), (GENTLE, True, 0.4)],
)
def test_what_three_teachers_say_costs_a_part_of_a_step_each(recipe, is_quickened, teaching):
    """Besides: the training on all, the three of them, and the network that they teach."""
    ours = work(recipe=recipe, is_quickened=is_quickened, ensemble="seeds", distil=True)
    assert rounds(ours) == pytest.approx(1 + 3 + 1 + 3 * teaching)


def mirror_work(lone):
    """Forty pictures of two classes, light above or below, and ``lone`` of a third class."""
    generator = np.random.default_rng(0)
    labels = np.append(np.arange(40) % 2, np.full(lone, 2)).astype(np.int64)
    pictures = generator.integers(0, 60, (len(labels), 3, 16, 16), dtype=np.uint8)
    pictures[labels == 0, :, :8] += 150
    pictures[labels == 1, :, 8:] += 150
    ours = work(flip="auto", seed=0)
    ours.pictures = LabelledPictures(pictures, labels, seeds.key_hashes([str(row) for row in range(len(labels))]))
    ours.units = [str(row) for row in range(len(labels))]
    ours.material = SimpleNamespace(source=SimpleNamespace(classes=("above", "below", "rare")))
    return ours


def test_a_class_of_one_picture_does_not_forbid_mirrored_copies():
    plain, rare = mirror_work(0), mirror_work(1)
    assert _settle_mirror(plain, GENTLE).augment.flip
    assert _settle_mirror(rare, GENTLE).augment.flip
    assert (
        rare.said
        == plain.said
        == [
            (
                "mirrored copies in training",
                "on",
                "by their pixels, mirror images are recognised at 1.000, the pictures at 1.000",
            )
        ]
    )


def test_mirrored_copies_are_left_out_where_nothing_can_be_asked():
    ours = mirror_work(1)
    ours.pictures = dataclasses.replace(ours.pictures, labels=np.where(np.arange(41) == 40, 2, 0))
    assert not _settle_mirror(ours, GENTLE).augment.flip
    assert ours.said[0][2].startswith("Cross-validation needs two classes")
