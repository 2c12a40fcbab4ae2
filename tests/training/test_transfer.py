"""From a pretrained network to a classifier: planted temperatures, and fine-tuning that does not help."""

import dataclasses

import numpy as np
import pytest

from eyebright.training import transfer as room
from eyebright.training.fit import FitResult, outputs_of
from eyebright.training.head import STRENGTHS, LinearHead, fit_head
from eyebright.training.recipe import Recipe
from eyebright.training.transfer import (
    TransferData,
    calibrated_loss,
    fine_tune,
    head_result,
    set_head,
    transfer_head,
)

from .toys import changed, coloured, copied, small_cnn

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(epochs=2, batch_size=12, learning_rate=0.01)


def transfer_data(network, n=48, held=12):
    pictures = coloured(n)
    features = outputs_of(network, pictures.pictures, RECIPE)[1]
    return TransferData(pictures, np.arange(n) >= n - held, 3, features=features, folds=np.arange(n) // 3 % 4)


# --- temperature


def test_a_planted_temperature_is_found():
    """Labels drawn from softmax(logits); the logits handed over are three times too sure."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (20_000, 4)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1).clip(0, 3)
    loss, temperature = calibrated_loss(3 * logits, labels)
    assert temperature == pytest.approx(3, rel=0.05)
    assert loss == pytest.approx(-np.log(probabilities[np.arange(20_000), labels]).mean(), abs=1e-3)


def test_over_confidence_alone_does_not_change_the_calibrated_loss():
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(0, 1, (300, 3)).astype(np.float32), generator.integers(0, 3, 300)
    logits[np.arange(300), labels] += 1
    assert calibrated_loss(logits, labels)[0] == pytest.approx(calibrated_loss(4 * logits, labels)[0], abs=1e-5)


# --- the head


def test_the_head_is_fitted_on_every_picture_with_the_strength_that_was_best(tmp_path):
    network = small_cnn()
    data = transfer_data(network)
    choice = transfer_head(network, data, checkpoints=tmp_path)
    assert choice.strength in STRENGTHS
    assert choice.losses[choice.strength] == min(choice.losses.values())
    expected = fit_head(data.features, data.pictures.labels, 3, strength=choice.strength)
    np.testing.assert_allclose(network.head.weight.detach().numpy(), expected.weight, rtol=1e-6)
    learned = head_result(data, choice, RECIPE, 1.0, "that is all")
    assert [(attempt.kept, attempt.reason) for attempt in learned.attempts] == [(True, "that is all")]
    assert len(learned.rows) == 48


def test_out_of_fold_logits_are_by_heads_that_never_saw_the_row(tmp_path):
    """One row with a label that nothing in its features explains: a head that had seen it would give it more."""
    network = small_cnn()
    data = transfer_data(network)
    labels = data.pictures.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    data.pictures.labels[0] = labels[0]
    choice = transfer_head(network, data, checkpoints=tmp_path)
    seen = fit_head(data.features, labels, 3, strength=choice.strength)(data.features)
    lead = lambda logits: float(logits[0, labels[0]] - np.delete(logits[0], labels[0]).max())  # noqa: E731
    assert lead(choice.out_of_fold) < lead(seen)


def test_the_choice_of_the_head_is_read_back_on_a_resume(tmp_path, monkeypatch):
    network = small_cnn()
    data = transfer_data(network)
    first = transfer_head(network, data, checkpoints=tmp_path)
    before = copied(network)
    monkeypatch.setattr(room, "choose_strength", lambda *given, **named: pytest.fail("it was chosen again"))
    again = transfer_head(network, data, checkpoints=tmp_path)
    assert (again.strength, again.losses) == (first.strength, first.losses)
    np.testing.assert_array_equal(again.out_of_fold, first.out_of_fold)
    assert changed(before, copied(network)) == set()


@pytest.mark.parametrize("class_weights", [None, np.array([1.0, 2.0, 3.0], np.float32)])
def test_the_head_is_weighted_as_the_network_is_sampled(class_weights):
    whole = transfer_data(small_cnn())
    rows = np.isin(np.arange(48), [*range(0, 48, 3), *range(1, 13, 3), 2])  # 16, 4 and 1 pictures
    uneven = TransferData(
        whole.part(rows), whole.held_out[rows], 3, class_weights, features=whole.features[rows], folds=whole.folds[rows]
    )
    given = np.ones(3) if class_weights is None else class_weights
    for sampling, drawn in (("none", [1, 1, 1]), ("over", [1, 4, 16]), ("under", [1, 4, 16]), ("sqrt", [1, 2, 4])):
        weights = dataclasses.replace(uneven, sampling=sampling).row_weights
        if weights is None:
            assert sampling == "none"
            assert class_weights is None
            continue
        expected = (given * drawn)[uneven.pictures.labels]
        np.testing.assert_allclose(weights / weights[0], expected / expected[0], rtol=1e-5)


# --- fine-tuning


def tuned(tmp_path, network, *, refit=False, recipe=RECIPE):
    data = transfer_data(network)
    choice = transfer_head(network, data, checkpoints=tmp_path)
    before = copied(network)
    learned = fine_tune(network, data, choice, recipe, refit=refit, checkpoints=tmp_path, head_seconds=2.5)
    return data, choice, before, learned


def spoil(monkeypatch, factor):
    """``fit`` that only turns the head round (factor -1), or sharpens what it has (a large one): worse, or better, for sure."""

    def fake(network, train, validation, recipe, **options):
        if factor < 0:
            set_head(network, LinearHead(-network.head.weight.detach().numpy(), -network.head.bias.detach().numpy()))
        else:
            labels, features = train.labels, outputs_of(network, train.pictures, recipe)[1]
            both = np.concatenate([features, outputs_of(network, validation.pictures, recipe)[1]])
            all_labels = np.concatenate([labels, validation.labels])
            set_head(network, fit_head(both, all_labels, 3, strength=1e-4))  # a cheat: it has seen the validation labels
        return FitResult([{}], 1, 0.5, "the test said so", 1.0)

    monkeypatch.setattr(room, "fit", fake)


def test_fine_tuning_that_is_worse_is_not_kept_and_leaves_the_head(tmp_path, monkeypatch):
    spoil(monkeypatch, -1)
    network = small_cnn()
    _, choice, before, learned = tuned(tmp_path, network)
    assert changed(before, copied(network)) == set()
    assert [attempt.kept for attempt in learned.attempts] == [True, False]
    assert learned.ended.startswith("Fine-tuning was not kept: calibrated validation loss")
    np.testing.assert_array_equal(learned.logits, choice.out_of_fold)
    assert learned.attempts[0].seconds == 2.5


def test_fine_tuning_that_is_better_is_kept_with_its_own_validation_logits(tmp_path, monkeypatch):
    spoil(monkeypatch, 1)
    network = small_cnn()
    data, _, before, learned = tuned(tmp_path, network)
    assert [attempt.kept for attempt in learned.attempts] == [False, True]
    assert changed(before, copied(network)) == {"head.weight", "head.bias"}
    np.testing.assert_array_equal(learned.rows, np.flatnonzero(data.held_out))
    logits, _ = outputs_of(network, data.part(data.held_out).pictures, RECIPE)
    np.testing.assert_allclose(learned.logits, logits, atol=1e-6)


def test_kept_fine_tuning_is_done_again_on_all_pictures_where_there_are_few(tmp_path, monkeypatch):
    spoil(monkeypatch, 1)
    again = []
    monkeypatch.setattr(room, "train_on_all", lambda network, data, recipe, *rest: again.append(recipe.epochs))
    _, _, _, learned = tuned(tmp_path, small_cnn(), refit=True)
    assert again == [1]
    assert "then trained again on train and validation together for 1 epoch" in learned.ended


def test_done_again_the_rate_falls_where_it_fell_on_a_plateau(tmp_path, monkeypatch):
    spoil(monkeypatch, 1)
    spoilt = room.fit
    trial = FitResult([{"validation_loss": loss} for loss in (0.5, 0.6, 0.7)], 1, 0.5, "", 1.0)
    monkeypatch.setattr(room, "fit", lambda *given, **options: spoilt(*given, **options) and trial)
    falls = []
    monkeypatch.setattr(room, "train_on_all", lambda network, data, recipe, *rest: falls.append(recipe.rate_falls))
    tuned(tmp_path, small_cnn(), refit=True, recipe=RECIPE.model_copy(update={"schedule": "plateau", "plateau_patience": 2}))
    assert falls == [(3,)]


def test_the_head_that_fine_tuning_is_compared_with_has_not_seen_the_validation_part(tmp_path, monkeypatch):
    seen = []
    real = room.fit_head

    def spy(features, labels, classes, **options):
        seen.append(len(labels))
        return real(features, labels, classes, **options)

    monkeypatch.setattr(room, "fit_head", spy)
    tuned(tmp_path, small_cnn())
    assert seen == [48, 36]  # the final head, then the one that is compared


def test_set_head_copies_and_keeps_nothing_of_the_callers():
    network, head = small_cnn(), LinearHead(np.ones((3, 16), np.float32), np.zeros(3, np.float32))
    set_head(network, head)
    head.weight[:] = 7
    assert float(network.head.weight.detach().max()) == 1.0
