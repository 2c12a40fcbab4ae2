"""Training from scratch: the epochs that time allows by hand, and what early stopping and the refit leave behind."""

import dataclasses

import numpy as np
import pytest

from eyebright.core.events import Epoch
from eyebright.training import fit as fit_room
from eyebright.training import scratch as scratch_room
from eyebright.training.fit import LabelledPictures, Pace, epochs_in_words, outputs_of
from eyebright.training.forward import EVALUATION_BATCH
from eyebright.training.head import mean_log_loss
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import TrainingData, affordable_epochs, train_from_scratch

from .toys import changed, coloured, copied, small_cnn

pytestmark = pytest.mark.usefixtures("one_thread")


def learning_data(n=48, held=12, **options):
    pictures = coloured(n, **options)
    return TrainingData(pictures, np.arange(n) >= n - held, 3)


RECIPE = Recipe(epochs=3, batch_size=12, learning_rate=0.01)


@pytest.mark.parametrize(
    ("seconds", "refit", "most", "expected"),
    [
        (100, False, 50, 9),  # 100 x 0.1 + 20 x 0.05 = 11 s an epoch
        (100, True, 50, 4),  # and 120 x 0.1 = 12 s for the refit: 23 s
        (100, False, 5, 5),
        (10.9, False, 50, 0),
        (11, False, 50, 1),
        (-3, True, 50, 0),  # the time was over before training began
    ],
)
def test_affordable_epochs_are_those_that_fit_whole(seconds, refit, most, expected):
    pace = Pace(training=0.1, evaluation=0.05)
    assert affordable_epochs(pace, 100, 20, seconds, refit=refit, most=most) == expected


def test_a_pace_too_fast_for_the_clock_is_no_division_by_zero():
    assert affordable_epochs(Pace(0.0, 0.0), 10, 10, 1.0, refit=True, most=7) == 7


def test_a_sampling_that_shows_more_pictures_affords_fewer_epochs():
    pace = Pace(training=0.1, evaluation=0.05)
    # 300 x 0.1 + 20 x 0.05 = 31 s an epoch, and 400 x 0.1 = 40 s for the refit
    assert affordable_epochs(pace, 300, 20, 100, refit=False, most=50) == 3
    assert affordable_epochs(pace, 300, 20, 150, refit=True, most=50, on_all=400) == 2


def test_without_a_refit_the_logits_are_those_of_the_final_network_on_the_validation_part(tmp_path):
    network, data = small_cnn(), learning_data()
    learned = train_from_scratch(network, data, RECIPE, refit=False, checkpoints=tmp_path)
    assert learned.rows.tolist() == list(range(36, 48))
    logits, _ = outputs_of(network, data.part(data.held_out).pictures, RECIPE)
    np.testing.assert_allclose(learned.logits, logits, atol=1e-6)
    assert learned.attempts[0].kept
    assert not (tmp_path / "training-on-all.safetensors").exists()


def test_a_refit_begins_again_from_the_initial_weights_for_as_many_epochs_as_were_best(tmp_path):
    network, data, heard = small_cnn(), learning_data(), []
    learned = train_from_scratch(network, data, RECIPE, refit=True, checkpoints=tmp_path, on_event=heard.append)
    again = [event for event in heard if isinstance(event, Epoch) and event.stage == "training on all"]
    best = min(
        (event for event in heard if isinstance(event, Epoch) and event.stage == "training"),
        key=lambda event: event.metrics["validation_loss"],
    )
    assert len(again) == best.epoch
    assert f"best at epoch {best.epoch} of 3" in learned.attempts[0].name
    assert "validation_loss" not in again[0].metrics  # nothing is held out any more

    alone = small_cnn()
    from eyebright.training.scratch import train_on_all

    once = RECIPE.model_copy(update={"epochs": best.epoch, "patience": 0})
    assert learned.again == once
    train_on_all(alone, data, once, tmp_path / "elsewhere", lambda event: None)
    assert changed(copied(alone), copied(network)) == set()


def test_a_refit_lets_the_rate_fall_where_it_fell_in_the_trial(tmp_path, monkeypatch):
    losses = iter([0.9, 0.91, 0.92, 0.5, 0.6])
    monkeypatch.setattr(fit_room._Loop, "_validate", lambda loop, validation: {"validation_loss": next(losses)})
    asked = []
    real = scratch_room.train_on_all

    def spy(network, data, recipe, *rest):
        asked.append((recipe.rate_falls, recipe.epochs))
        return real(network, data, recipe, *rest)

    monkeypatch.setattr(scratch_room, "train_on_all", spy)
    recipe = RECIPE.model_copy(update={"epochs": 5, "schedule": "plateau", "plateau_patience": 2})
    train_from_scratch(small_cnn(), learning_data(), recipe, refit=True, checkpoints=tmp_path)
    assert asked == [((3,), 4)]  # epochs 2 and 3 were no better than 1; the best was epoch 4


@pytest.mark.parametrize("update", [{"sampling": "over", "loss": "focal"}, {"average": 0.9}, {"clip": 0.1}])
def test_what_is_held_out_is_judged_by_the_final_network_whatever_the_recipe(tmp_path, update):
    network, data = small_cnn(), learning_data()
    learned = train_from_scratch(network, data, RECIPE.model_copy(update=update), refit=False, checkpoints=tmp_path)
    logits, _ = outputs_of(network, data.part(data.held_out).pictures, RECIPE)
    np.testing.assert_allclose(learned.logits, logits, atol=1e-6)
    assert learned.attempts[0].score == pytest.approx(mean_log_loss(logits, data.pictures.labels[data.held_out]), rel=1e-5)


def test_validation_pictures_never_train_the_trial(tmp_path):
    """With the held-out labels all wrong, the trial that may not look at them is exactly the same."""
    right, wrong = learning_data(), learning_data()
    wrong.pictures.labels[wrong.held_out] = (wrong.pictures.labels[wrong.held_out] + 1) % 3
    recipe = RECIPE.model_copy(update={"epochs": 1})
    logits = [
        train_from_scratch(small_cnn(), data, recipe, refit=False, checkpoints=tmp_path / name).logits
        for name, data in (("right", right), ("wrong", wrong))
    ]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize(("count", "words"), [(1, "1 epoch"), (2, "2 epochs")])
def test_epochs_in_words(count, words):
    assert epochs_in_words(count) == words


class Counted:
    """Pictures in a file, as it were: it is counted how many are copied at a time."""

    def __init__(self, pictures):
        self.pictures, self.most = pictures, 0

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, some):
        copied = self.pictures[some]
        self.most = max(self.most, len(copied))
        return copied


def test_no_more_pictures_are_copied_than_a_batch_holds(tmp_path, one_thread):
    """Of 300 pictures that lie in a file 150 are trained on, and 150 judge: both are read batch by batch."""
    plain, network = coloured(300), small_cnn()
    held, recipe = np.arange(300) % 2 == 0, Recipe(epochs=1, batch_size=16)
    whole = dataclasses.replace(plain, pictures=Counted(plain.pictures))
    learned = train_from_scratch(network, TrainingData(whole, held, 3), recipe, refit=False, checkpoints=tmp_path / "file")
    assert whole.pictures.most == EVALUATION_BATCH
    copies = LabelledPictures(plain.pictures[held], plain.labels[held], plain.hashes[held])
    expected, _ = outputs_of(network, copies.pictures, recipe)
    np.testing.assert_array_equal(learned.logits, expected)
