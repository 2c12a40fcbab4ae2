"""The chosen way repeated: members of folds and ensembles, and ever smaller training sets."""

import itertools

import numpy as np
import pytest
import torch

from eyebright.training.fit import LabelledPictures, fit
from eyebright.training.head import fit_head
from eyebright.training.members import head_on_features, shares_of_training, train_member
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import TrainingData
from eyebright.training.transfer import TransferData

from .toys import changed, coloured, copied, small_cnn

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.01, patience=1)


def test_a_member_from_scratch_is_what_fit_makes_of_the_rows(tmp_path):
    pictures = coloured()
    data = TrainingData(pictures, np.zeros(48, dtype=bool), 3)
    rows = np.arange(48) < 32
    network, expected = small_cnn(), small_cnn()
    train_member(network, data, rows, RECIPE, strength=None, stage="fold 1", checkpoint=tmp_path / "fold.safetensors")
    fit(expected, data.part(rows), None, RECIPE.model_copy(update={"patience": 0}))
    assert not changed(copied(expected), copied(network))


def test_a_head_alone_leaves_the_backbone_as_it_is(tmp_path):
    pictures = coloured()
    generator = np.random.default_rng(0)
    network = small_cnn()
    features = generator.normal(size=(48, network.head.in_features)).astype(np.float32)
    data = TransferData(pictures, np.zeros(48, dtype=bool), 3, features=features, folds=np.arange(48) % 3)
    rows = np.arange(48) < 30
    before = copied(network)
    recipe = RECIPE.model_copy(update={"epochs": 0})
    train_member(network, data, rows, recipe, strength=0.01, stage="fold 1", checkpoint=tmp_path / "fold.safetensors")
    assert changed(before, copied(network)) == {"head.weight", "head.bias"}
    expected = fit_head(features[rows], pictures.labels[rows], 3, strength=0.01)
    assert torch.equal(network.head.weight, torch.from_numpy(expected.weight))
    assert not list(tmp_path.iterdir())


def shares(labels, groups, folds, train, **options):
    return shares_of_training(train, labels, groups, folds, classes=2, **options)


def test_each_training_set_is_contained_in_the_next_and_keeps_every_class():
    labels = np.array([0] * 80 + [1] * 16)
    groups = [f"g{row // 2}" for row in range(96)]
    folds = np.arange(96) // 2 % 4
    seen: dict[int, list[set[int]]] = {}

    def train(rows, held):
        seen.setdefault(int(folds[held[0]]), []).append(set(rows.tolist()))
        assert not set(rows.tolist()) & set(held.tolist())
        return np.zeros((len(held), 2), dtype=np.float32)

    found = shares(labels, groups, folds, train)
    for sets in seen.values():
        assert all(smaller < larger for smaller, larger in itertools.pairwise(sets))
        assert all({0, 1} <= set(labels[list(rows)].tolist()) for rows in sets)
    # Of 60 and 12 rows in whole pairs, 30 and 6 groups: an eighth is 4 and 1 groups, 10 rows.
    assert [share.n for share in found] == [10, 20, 36, 72]


def test_groups_are_never_torn():
    labels, groups = np.arange(60) % 2, [f"g{row // 6}" for row in range(60)]
    folds = np.arange(60) // 6 % 3

    def train(rows, held):
        assert all(len({int(row) for row in rows if groups[row] == name}) in (0, 6) for name in set(groups))
        return np.zeros((len(held), 2), dtype=np.float32)

    shares(labels, groups, folds, train)


def test_the_seed_decides_which_pictures_come_first():
    labels, groups, folds = np.arange(60) % 2, [str(row) for row in range(60)], np.arange(60) % 3
    kept: dict[int, list[list[int]]] = {0: [], 1: []}
    for seed in (0, 0, 1):
        taken: list[int] = []

        def train(rows, held, taken=taken):
            taken.extend(rows.tolist())
            return np.zeros((len(held), 2), dtype=np.float32)

        shares(labels, groups, folds, train, fractions=(0.25,), seed=seed)
        kept[seed].append(taken)
    assert kept[0][0] == kept[0][1] != kept[1][0]


def test_more_pictures_make_a_better_head():
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    features = generator.normal(size=(400, 40)).astype(np.float32)
    features[:, 0] += labels
    data = TransferData(
        LabelledPictures(np.zeros((400, 3, 1, 1), np.uint8), labels, np.zeros(400, np.uint64)),
        np.zeros(400, dtype=bool),
        2,
        features=features,
        folds=np.arange(400) % 2,
    )
    train = head_on_features(data, 0.1)
    found = shares(labels, [str(row) for row in range(400)], np.arange(400) // 2 % 4, train)
    right = [float((share.logits.argmax(axis=1) == labels).mean()) for share in found]
    assert right[-1] > right[0]
    assert right[-1] == pytest.approx(0.69, abs=0.06)  # two normals one apart: at best 0.69


def test_steps_are_counted_for_the_progress_bar():
    labels, steps = np.arange(20) % 2, []
    shares(
        labels,
        [str(row) for row in range(20)],
        np.arange(20) // 2 % 2,
        lambda rows, held: np.zeros((len(held), 2), dtype=np.float32),
        on_step=steps.append,
    )
    assert steps == list(range(1, 9))  # four fractions, two folds
