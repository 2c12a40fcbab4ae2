"""Fine-tuning in folds: nobody is asked what it has seen, and what is kept is the mean of all networks."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from eyebright.data.folds import SEEN_BY_ALL
from eyebright.training import folded as room
from eyebright.training.fit import FitResult, outputs_of
from eyebright.training.folded import fine_tune_in_folds
from eyebright.training.head import LinearHead
from eyebright.training.recipe import Recipe
from eyebright.training.transfer import TransferData, calibrated_loss, head_result, set_head, transfer_head

from .toys import changed, coloured, copied, small_cnn

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(epochs=6, batch_size=12, learning_rate=3e-4, patience=3)
FOLDS = 4


def prepared(tmp_path, n=48):
    """The network with its head, the data, and the choice of the head."""
    network, pictures = small_cnn(dropout=0.0), coloured(n)
    features = outputs_of(network, pictures.pictures, RECIPE)[1]
    folds = np.arange(n) // 3 % FOLDS
    data = TransferData(pictures, np.arange(n) >= n - 12, 3, features=features, folds=folds)
    return network, data, transfer_head(network, data, checkpoints=tmp_path)


def watched(monkeypatch, change=None):
    """The networks as ``fit`` left them, and the rows and recipes that it was given; ``change`` takes the place of training."""
    seen, real = [], room.fit

    def spy(network, train, validation, recipe, **options):
        if change is None:
            result = real(network, train, validation, recipe, **options)
        else:
            change(network, len(seen))
            result = FitResult([{}], 1, 0.5, "the test said so", 1.0)
        seen.append((copy.deepcopy(network), set(train.hashes.tolist()), validation, recipe))
        return result

    monkeypatch.setattr(room, "fit", spy)
    return seen


def turned(network, number):
    set_head(network, LinearHead(-network.head.weight.detach().numpy(), -network.head.bias.detach().numpy()))


def sharpened(network, number):
    """Better for sure, and each a little otherwise: the class's channel is what decides in these pictures."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.001 * (number + 1))


def test_every_picture_is_asked_of_a_network_that_has_not_seen_it(tmp_path, monkeypatch):
    network, data, choice = prepared(tmp_path)
    seen = watched(monkeypatch)
    learned = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path)
    assert len(seen) == FOLDS
    assert all(validation is None and recipe.patience == 0 for _, _, validation, recipe in seen)
    assert [recipe.seed for *_, recipe in seen] == [0, 1, 2, 3]  # each in an order of its own
    for fold, (member, rows, *_) in enumerate(seen):
        held = data.folds == fold
        assert rows.isdisjoint(data.pictures.hashes[held].tolist())
        assert len(rows) == (~held).sum()
        expected = outputs_of(member, data.part(held).pictures, RECIPE)[0]
        np.testing.assert_allclose(learned.logits[held], expected, atol=1e-5)  # here all of the way is best
    assert learned.attempts[1].kept
    assert learned.attempts[1].score == pytest.approx(calibrated_loss(learned.logits, data.pictures.labels)[0])
    np.testing.assert_array_equal(learned.rows, np.arange(48))


def test_rows_that_no_fold_holds_out_are_learned_from_by_every_network_and_judge_none(tmp_path, monkeypatch):
    network, data, _ = prepared(tmp_path / "folds")
    folds = np.where(np.arange(48) < 2, SEEN_BY_ALL, data.folds)
    data = dataclasses.replace(data, folds=folds)
    choice = transfer_head(network, data, checkpoints=tmp_path)
    monkeypatch.setattr(room.Verdict, "keeps_tuning", True)
    monkeypatch.setattr(room, "_loss_on", lambda *given: 0.1)
    seen = watched(monkeypatch, sharpened)
    learned = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path)
    assert learned.attempts[1].kept
    assert len(seen) == FOLDS
    assert all(set(data.pictures.hashes[:2].tolist()) <= rows for _, rows, *_ in seen)
    np.testing.assert_array_equal(learned.rows, np.arange(2, 48))
    assert len(learned.logits) == 46
    assert learned.attempts[1].score == pytest.approx(calibrated_loss(learned.logits, data.pictures.labels[2:])[0])
    head = head_result(data, choice, RECIPE, 1.0, "the test said so")
    np.testing.assert_array_equal(head.rows, np.arange(2, 48))
    np.testing.assert_array_equal(head.logits, choice.out_of_fold[2:])


def test_better_networks_become_one_by_the_mean_of_their_weights(tmp_path, monkeypatch):
    network, data, choice = prepared(tmp_path)
    losses = iter([0.3, 0.25, 0.5])  # half-way, at the end, the head's
    monkeypatch.setattr(room, "calibrated_loss", lambda logits, labels: (next(losses), 1.0))
    monkeypatch.setattr(room, "_loss_on", lambda *given: 0.1)
    seen = watched(monkeypatch, sharpened)
    learned = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path, head_seconds=2.5)
    for name, tensor in network.state_dict().items():
        expected = np.mean([member.state_dict()[name].numpy() for member, *_ in seen], axis=0, dtype=np.float64)
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-6)
    head, tuning = learned.attempts
    assert (head.kept, tuning.kept, head.seconds, tuning.seconds) == (False, True, 2.5, 4.0)
    assert tuning.name == "fine-tuning, 6 epochs, unfrozen: all, the mean of 4 networks"
    assert learned.ended == (
        "Fine-tuning was kept: calibrated out-of-fold loss 0.250 against the head's 0.500 on 48 pictures; the model is the "
        "mean of 4 networks, each fine-tuned on all folds but one."
    )
    assert learned.again.epochs == 6


def test_half_of_the_way_is_taken_where_that_is_better_out_of_fold(tmp_path, monkeypatch):
    network, data, choice = prepared(tmp_path)
    losses = iter([0.2, 0.25, 0.5])  # half-way, at the end, the head's
    monkeypatch.setattr(room, "calibrated_loss", lambda logits, labels: (next(losses), 1.0))
    monkeypatch.setattr(room, "_loss_on", lambda *given: 0.1)
    seen = watched(monkeypatch, sharpened)
    heads = [data.head(data.folds != fold, choice.strength) for fold in range(FOLDS)]
    backbone = copied(network)
    learned = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path)
    ends = np.mean([member.state_dict()["head.weight"].numpy() for member, *_ in seen], axis=0)
    begins = np.mean([head.weight for head in heads], axis=0)
    np.testing.assert_allclose(network.state_dict()["head.weight"].numpy(), (begins + ends) / 2, rtol=1e-5, atol=1e-7)
    name = next(name for name in backbone if name.startswith("backbone.") and name.endswith("weight"))
    moved = (network.state_dict()[name] - backbone[name]).numpy()
    np.testing.assert_allclose(moved, np.mean([0.001, 0.002, 0.003, 0.004]) / 2, rtol=1e-3)
    assert learned.attempts[1].name.endswith("the mean of 4 networks, 50% of the way back")
    assert learned.ended.endswith("on all folds but one, 50% of the way back to the head.")
    member = copy.deepcopy(seen[0][0])
    begin = {name: tensor - 0.001 for name, tensor in copied(member).items()}
    member.load_state_dict(room._between(begin, member.state_dict(), 0.5))
    held = data.folds == 0
    np.testing.assert_allclose(learned.logits[held], outputs_of(member, data.part(held).pictures, RECIPE)[0], atol=1e-4)


def test_networks_that_are_worse_leave_the_head(tmp_path, monkeypatch):
    network, data, choice = prepared(tmp_path)
    watched(monkeypatch, turned)
    before = copied(network)
    learned = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path)
    assert changed(before, copied(network)) == set()
    assert [attempt.kept for attempt in learned.attempts] == [True, False]
    np.testing.assert_array_equal(learned.logits, choice.out_of_fold)
    assert learned.ended.startswith("Fine-tuning was not kept: calibrated out-of-fold loss")
    assert learned.again.epochs == 0


def test_networks_that_have_gone_apart_are_not_averaged(tmp_path):
    """Far too high a rate: half-way, each knows strangers better than its head did, and their mean knows nothing."""
    network, data, choice = prepared(tmp_path)
    before = copied(network)
    far = RECIPE.model_copy(update={"learning_rate": 0.01, "epochs": 20})
    learned = fine_tune_in_folds(network, data, choice, far, checkpoints=tmp_path)
    assert learned.attempts[1].score < choice.loss
    assert changed(before, copied(network)) == set()
    assert "the mean of their weights knows less than each by itself" in learned.ended
    assert learned.again.epochs == 0


@pytest.mark.parametrize(("mean", "kept"), [(0.29, True), (0.31, False)])
def test_the_mean_has_to_know_about_what_its_networks_know(tmp_path, monkeypatch, mean, kept):
    """On what most have seen they are at 0.1, on strangers at 0.5: from 0.3 on, the mean is nearer to the strangers."""
    network, data, choice = prepared(tmp_path)
    watched(monkeypatch, sharpened)
    losses = iter([0.6, 0.5, 0.9])  # half-way, at the end, the head's
    monkeypatch.setattr(room, "calibrated_loss", lambda logits, labels: (next(losses), 1.0))
    asked = iter([*[0.1] * (2 * FOLDS), mean])
    monkeypatch.setattr(room, "_loss_on", lambda *given: next(asked))
    learned = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path)
    assert [attempt.kept for attempt in learned.attempts] == [not kept, kept]


def test_the_mean_knows_what_easy_pictures_are(tmp_path):
    """Nothing replaced: trained on a quarter less each, the mean of the four knows the rest of the world."""
    network, data, choice = prepared(tmp_path)
    learned = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path)
    others = coloured(60, seed=1)
    loss = calibrated_loss(outputs_of(network, others.pictures, RECIPE)[0], others.labels)[0]
    assert learned.attempts[1].kept
    assert loss < 0.05


def test_taken_up_again_it_ends_in_the_same_weights(tmp_path, monkeypatch):
    network, data, choice = prepared(tmp_path)
    again = copy.deepcopy(network)
    first = fine_tune_in_folds(network, data, choice, RECIPE, checkpoints=tmp_path)
    (tmp_path / "fine-tuning-4.safetensors").unlink()  # as if it had been stopped before the last network
    second = fine_tune_in_folds(again, data, choice, RECIPE, checkpoints=tmp_path)
    assert changed(copied(network), copied(again)) == set()
    np.testing.assert_array_equal(first.logits, second.logits)
