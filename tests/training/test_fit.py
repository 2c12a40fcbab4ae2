"""The training loop: it learns, keeps its best, stops at a good place, and goes on to the same bits."""

import os
import signal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eyebright.core.errors import DivergedError, InterruptedRunError, SettingsError
from eyebright.core.events import Epoch, Phase, Progress
from eyebright.models.network import PixelNetwork
from eyebright.models.zoo import timm, torchvision_models
from eyebright.training import fit as room
from eyebright.training import forward, step
from eyebright.training.augment import Augment, mixed, to_batch
from eyebright.training.checkpoint import load_checkpoint
from eyebright.training.fit import FitResult, LabelledPictures, fit, outputs_of, replayed
from eyebright.training.recipe import Recipe

from .toys import changed, coloured, copied, fast, normed, seeded, small_cnn

pytestmark = pytest.mark.usefixtures("one_thread")

AUGMENT = Augment(flip=True, shift=0.1, rotation=10, brightness=0.1)
TRAIN = coloured(48)
STEPS, EPOCHS = 12, 3


def some(pictures, rows):
    return LabelledPictures(pictures.pictures[rows], pictures.labels[rows], pictures.hashes[rows])


MIXED = AUGMENT.model_copy(update={"mixup": 0.2, "cutmix": 1.0})
# 16, 6 and 3 pictures of a class: levelled by over-sampling they are 48
UNEVEN = some(TRAIN, np.isin(np.arange(48), [*range(0, 48, 3), *range(1, 18, 3), 2, 5, 8]))
# Three epochs of four steps. Validation labels are right in one problem and wrong in the others: there the best epoch is the
# first, so that a resume must bring back weights that it did not train itself, and a rate that falls on a plateau has fallen.
PROBLEMS = {
    "cnn, dropout, augment, adam": (
        small_cnn,
        Recipe(epochs=3, batch_size=12, augment=AUGMENT, seed=5),
        TRAIN,
        coloured(12, seed=1),
    ),
    "batch norm, sgd, bad validation": (
        normed,
        Recipe(epochs=3, batch_size=12, optimiser="sgd", learning_rate=0.05, weight_decay=0.01, label_smoothing=0.1),
        TRAIN,
        coloured(12, seed=1, shift_labels=1),
    ),
    "over-sampled, mixed, focal, averaged, clipped": (
        small_cnn,
        Recipe(epochs=3, batch_size=12, sampling="over", loss="focal", average=0.9, clip=0.5, augment=MIXED),
        UNEVEN,
        None,
    ),
    "plateau, averaged batch norm, bad validation": (
        normed,
        Recipe(epochs=3, batch_size=12, schedule="plateau", plateau_patience=1, average=0.5, learning_rate=0.01),
        TRAIN,
        coloured(12, seed=1, shift_labels=1),
    ),
    "speed, muon, smaller pictures first, alternating": (
        fast,
        Recipe(epochs=3, batch_size=12, optimiser="muon", learning_rate=0.1, schedule="linear", warm_up=0, sides=((0.4, 10),),
               weight_decay=1e-3, augment=Augment(flip=True, alternate=True, pad=1), judged_from=1.0),
        TRAIN,
        coloured(12, seed=1),
    ),
}  # fmt: skip


class Recorder:
    """Pictures that note which rows are asked for."""

    def __init__(self, pictures):
        self.pictures, self.asked = pictures, []

    def __getitem__(self, rows):
        self.asked.append(rows.tolist())
        return self.pictures[rows]


def recorded(data):
    recorder = Recorder(data.pictures)
    return recorder, LabelledPictures(recorder, data.labels, data.hashes)


def uninterrupted(problem):
    make, recipe, train, validation = PROBLEMS[problem]
    network = make(0)
    return network, fit(network, train, validation, recipe)


@pytest.fixture
def every_step(monkeypatch):
    """Progress is told, and the checkpoint written, after every step."""
    monkeypatch.setattr(room, "REDRAW_SECONDS", -1.0)
    monkeypatch.setattr(room, "CHECKPOINT_SECONDS", -1.0)


# ---- learning


def test_a_separable_problem_is_learned():
    network = small_cnn()
    fresh = coloured(60, seed=9)
    result = fit(network, TRAIN, coloured(24, seed=1), Recipe(epochs=12, batch_size=12, learning_rate=0.003))
    logits, _ = outputs_of(network, fresh.pictures, Recipe(epochs=1))
    assert (logits.argmax(axis=1) == fresh.labels).mean() > 0.9
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert result.ended == "all 12 epochs were done"
    assert not network.training


def test_bf16_learns_it_too():
    network = small_cnn()
    fit(network, TRAIN, None, Recipe(epochs=12, batch_size=12, learning_rate=0.003, precision="bf16"))
    logits, features = outputs_of(network, TRAIN.pictures, Recipe(epochs=1, precision="bf16"))
    assert logits.dtype == features.dtype == np.float32
    assert (logits.argmax(axis=1) == TRAIN.labels).mean() > 0.9


def test_no_epochs_leave_the_network_as_it_was():
    network = small_cnn()
    before = copied(network)
    result = fit(network, TRAIN, None, Recipe(epochs=0))
    assert not changed(before, copied(network))
    assert (result.history, result.best_epoch) == ([], 0)


def test_history_has_a_row_an_epoch_with_the_figures_of_that_epoch():
    network = small_cnn()
    validation = coloured(12, seed=1)
    result = fit(network, TRAIN, validation, Recipe(epochs=2, batch_size=12))
    assert [set(row) for row in result.history] == [{"loss", "accuracy", "validation_loss", "validation_accuracy"}] * 2
    logits, _ = outputs_of(network, validation.pictures, Recipe(epochs=1))
    best = result.history[result.best_epoch - 1]
    assert best["validation_loss"] == result.best_loss
    expected = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(validation.labels)).item()
    assert best["validation_loss"] == pytest.approx(expected)
    assert best["validation_accuracy"] == (logits.argmax(axis=1) == validation.labels).mean()


# ---- the loss. One step an epoch, without dropout: the first epoch's loss is that of the initial weights.


def first_loss(recipe, class_weights=None):
    network = small_cnn(dropout=0.0)
    with torch.no_grad():
        log_probabilities = network.eval()(to_batch(TRAIN.pictures))[0].log_softmax(dim=1).double().numpy()
    result = fit(network, TRAIN, None, recipe.model_copy(update={"epochs": 1, "batch_size": 48}), class_weights=class_weights)
    return result.history[0]["loss"], log_probabilities, -log_probabilities[np.arange(48), TRAIN.labels]


def test_the_loss_is_the_mean_log_loss():
    loss, _, losses = first_loss(Recipe(epochs=1))
    assert loss == pytest.approx(losses.mean(), rel=1e-5)


def test_label_smoothing_gives_a_share_of_the_target_to_all_classes():
    loss, log_probabilities, losses = first_loss(Recipe(epochs=1, label_smoothing=0.3))
    # Szegedy et al. 2016, section 7: 0.7 of the target on the true class, 0.3 spread evenly over all three
    assert loss == pytest.approx((0.7 * losses - 0.3 * log_probabilities.mean(axis=1)).mean(), rel=1e-5)
    assert abs(loss - losses.mean()) > 1e-3


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_class_weights_weigh_each_picture_by_its_class(kind):
    weights = np.array([0.5, 1.0, 4.0], dtype=kind)
    loss, _, losses = first_loss(Recipe(epochs=1), weights)
    of_rows = weights[TRAIN.labels]
    assert loss == pytest.approx((of_rows * losses).sum() / of_rows.sum(), rel=1e-5)
    assert abs(loss - losses.mean()) > 1e-3


def test_the_focal_loss_is_trained_where_it_is_asked_for():
    loss, _, losses = first_loss(Recipe(epochs=1, loss="focal", focal_gamma=3.0))
    assert loss == pytest.approx(((1 - np.exp(-losses)) ** 3 * losses).mean(), rel=1e-5)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixed_pictures_are_judged_by_their_shares_of_each_class(kind, smoothing):
    augment, weights = Augment(**{kind: 1.0}), np.array([0.5, 1.0, 4.0])
    network = small_cnn(dropout=0.0)
    pixels, shares = mixed(
        to_batch(TRAIN.pictures), F.one_hot(torch.from_numpy(TRAIN.labels), 3).float(), TRAIN.hashes, augment, seed=0, epoch=0
    )
    with torch.no_grad():
        logits = network(pixels)[0]
    recipe = Recipe(epochs=1, batch_size=48, augment=augment, label_smoothing=smoothing)
    result = fit(network, TRAIN, None, recipe, class_weights=weights)
    losses, shares = -logits.log_softmax(dim=1).double().numpy(), shares.double().numpy()
    smooth = (1 - smoothing) * shares + smoothing / 3
    expected = (weights * smooth * losses).sum() / (weights * shares).sum()
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-5)
    # Right is the class with the largest share.
    assert result.history[0]["accuracy"] == (logits.numpy().argmax(axis=1) == shares.argmax(axis=1)).mean()


def test_each_epochs_loss_is_of_that_epoch_alone():
    network, losses = small_cnn(dropout=0.0), []

    def on_event(event):
        if isinstance(event, Epoch):
            with torch.no_grad():
                logits, _ = network(to_batch(TRAIN.pictures))
            losses.append(F.cross_entropy(logits, torch.from_numpy(TRAIN.labels)).item())

    result = fit(network, TRAIN, None, Recipe(epochs=3, batch_size=48), on_event=on_event)
    # One step an epoch: the loss of epoch 2 is that of the weights at the end of epoch 1.
    assert [row["loss"] for row in result.history[1:]] == pytest.approx(losses[:2], rel=1e-5)


# ---- the best epoch


def test_the_weights_of_the_best_epoch_come_back():
    network, seen = small_cnn(), {}

    def on_event(event):
        if isinstance(event, Epoch):
            seen[event.epoch] = copied(network)

    planned = iter([0.9, 0.5, 0.7, 0.6])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room._Loop, "_validate", lambda loop, validation: {"validation_loss": next(planned)})
        result = fit(network, TRAIN, TRAIN, Recipe(epochs=4, batch_size=12), on_event=on_event)
    assert (result.best_epoch, result.best_loss) == (2, 0.5)
    assert not changed(copied(network), seen[2])
    assert changed(seen[2], seen[4])


def test_training_stops_early_where_validation_only_gets_worse():
    # Every validation label is wrong: what is learned makes it worse from the first epoch on.
    wrong = coloured(24, seed=1, shift_labels=1)
    result = fit(normed(), TRAIN, wrong, Recipe(epochs=30, batch_size=12, learning_rate=0.01, patience=2))
    assert result.best_epoch == len(result.history) - 2
    assert len(result.history) < 30
    assert "had not fallen for 2 epochs (early stopping)" in result.ended
    assert f"the weights of epoch {result.best_epoch} are kept" in result.ended


def test_patience_zero_never_stops():
    wrong = coloured(24, seed=1, shift_labels=1)
    assert len(fit(normed(), TRAIN, wrong, Recipe(epochs=6, batch_size=24, learning_rate=0.01)).history) == 6


def test_without_validation_the_last_epoch_stays():
    network, seen = small_cnn(), {}

    def on_event(event):
        seen["last"] = copied(network)

    result = fit(network, TRAIN, None, Recipe(epochs=2, batch_size=24), on_event=on_event)
    assert result.best_epoch == 2
    assert not changed(copied(network), seen["last"])
    assert not any(part.training for part in network.modules())


# ---- interrupted and resumed


@pytest.mark.parametrize("problem", PROBLEMS)
def test_killed_after_every_single_write_it_still_ends_in_the_same_weights(tmp_path, monkeypatch, every_step, problem):
    make, recipe, train, validation = PROBLEMS[problem]
    expected, whole = uninterrupted(problem)
    save = room.save_checkpoint

    def save_and_die(*arguments):
        save(*arguments)
        raise SystemExit

    monkeypatch.setattr(room, "save_checkpoint", save_and_die)
    for life in range(STEPS + EPOCHS):
        with pytest.raises(SystemExit):
            fit(make(life), train, validation, recipe, checkpoint=tmp_path / "c")
    # The initial weights were others in each life: all but the first one's must come from the checkpoint.
    network = make(99)
    result = fit(network, train, validation, recipe, checkpoint=tmp_path / "c")
    assert not changed(copied(expected), copied(network))
    assert (result.history, result.best_epoch, result.best_loss) == (whole.history, whole.best_epoch, whole.best_loss)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("step", [1, 3, 4, 6, 8, STEPS])
def test_ctrl_c_at_any_step_loses_nothing(tmp_path, monkeypatch, problem, step):
    monkeypatch.setattr(room, "REDRAW_SECONDS", -1.0)
    make, recipe, train, validation = PROBLEMS[problem]
    expected, whole = uninterrupted(problem)

    def press(event):
        if isinstance(event, Progress) and event.done == step:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=f"Stopped in training at step {step} of 12") as stopped:
        fit(make(0), train, validation, recipe, checkpoint=tmp_path / "c", on_event=press)
    assert stopped.value.exit_code == 130
    network = make(1)
    result = fit(network, train, validation, recipe, checkpoint=tmp_path / "c")
    assert not changed(copied(expected), copied(network))
    assert result.history == whole.history


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_signal_between_two_epochs_is_obeyed_at_once_even_after_the_last(tmp_path, epoch):
    problem = "batch norm, sgd, bad validation"
    make, recipe, train, validation = PROBLEMS[problem]

    def terminate(event):
        if isinstance(event, Epoch) and event.epoch == epoch:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRunError, match=f"step {4 * epoch} of 12") as stopped:
        fit(make(0), train, validation, recipe, checkpoint=tmp_path / "c", on_event=terminate)
    assert stopped.value.exit_code == 143
    network = make(1)
    fit(network, train, validation, recipe, checkpoint=tmp_path / "c")
    assert not changed(copied(uninterrupted(problem)[0]), copied(network))


def test_a_stop_without_a_checkpoint_is_a_stop_too():
    def press(event):
        if isinstance(event, Phase):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match="at step 1 of 8"):
        fit(small_cnn(), TRAIN, None, Recipe(epochs=2, batch_size=12), on_event=press)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("done", [2, 7])
def test_a_listener_that_fails_costs_the_steps_since_the_last_write(tmp_path, monkeypatch, every_step, problem, done):
    make, recipe, train, validation = PROBLEMS[problem]

    def fail(event):
        if isinstance(event, Progress) and event.done == done:
            raise BrokenPipeError

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(BrokenPipeError):
        fit(make(0), train, validation, recipe, checkpoint=tmp_path / "c", on_event=fail)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert load_checkpoint(tmp_path / "c")[1]["step"] == done - 1
    network = make(1)
    fit(network, train, validation, recipe, checkpoint=tmp_path / "c")
    assert not changed(copied(uninterrupted(problem)[0]), copied(network))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_finished_training_is_not_repeated(tmp_path, problem):
    make, recipe, train, validation = PROBLEMS[problem]
    first = make(0)
    whole = fit(first, train, validation, recipe, checkpoint=tmp_path / "c")
    recorder, pictures = recorded(train)
    second = make(1)
    assert fit(second, pictures, validation, recipe, checkpoint=tmp_path / "c") == whole
    assert recorder.asked == []
    assert not changed(copied(first), copied(second))


def test_an_early_stop_is_remembered(tmp_path):
    wrong = coloured(24, seed=1, shift_labels=1)
    recipe = Recipe(epochs=30, batch_size=12, learning_rate=0.01, patience=1)
    whole = fit(normed(0), TRAIN, wrong, recipe, checkpoint=tmp_path / "c")
    assert "early stopping" in whole.ended
    assert fit(normed(1), TRAIN, wrong, recipe, checkpoint=tmp_path / "c") == whole


def test_between_epochs_the_checkpoint_is_not_older_than_its_limit(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(room, "save_checkpoint", lambda path, tensors, state: written.append(state["step"]))
    fit(small_cnn(), TRAIN, None, Recipe(epochs=2, batch_size=12), checkpoint=tmp_path / "c")
    assert written == [4, 8]  # half a minute did not go by, so only the ends of the epochs
    written.clear()
    monkeypatch.setattr(room, "CHECKPOINT_SECONDS", -1.0)
    fit(small_cnn(), TRAIN, None, Recipe(epochs=1, batch_size=12), checkpoint=tmp_path / "c")
    assert written == [1, 2, 3, 4, 4]


# ---- what it says


def test_events_tell_the_story_in_order(every_step):
    events = []
    recipe, validation = Recipe(epochs=2, batch_size=24), coloured(12, seed=1)
    result = fit(small_cnn(), TRAIN, validation, recipe, stage="head", on_event=events.append)
    assert events[0] == Phase("head", 4, "steps")
    told = [event.done if isinstance(event, Progress) else (event.stage, event.epoch) for event in events[1:]]
    assert told == [1, 2, ("head", 1), 3, 4, ("head", 2)]
    epochs = [event for event in events if isinstance(event, Epoch)]
    assert [event.metrics for event in epochs] == result.history
    assert all(event.seconds > 0 for event in epochs)
    assert "validation_accuracy" in events[4].metrics
    assert "validation_accuracy" not in events[1].metrics


def test_progress_is_not_told_at_every_step(monkeypatch):
    monkeypatch.setattr(room, "REDRAW_SECONDS", 3600.0)
    events = []
    fit(small_cnn(), TRAIN, None, Recipe(epochs=2, batch_size=12), on_event=events.append)
    assert not [event for event in events if isinstance(event, Progress)]


def test_a_loss_that_runs_away_is_refused_with_a_remedy():
    recipe = Recipe(epochs=5, batch_size=12, optimiser="sgd", learning_rate=1e30, warm_up=0.0)
    with pytest.raises(DivergedError, match=r"The loss is .* at step \d+: .* Lower --learning-rate \(1e\+30 now\)"):
        fit(small_cnn(), TRAIN, None, recipe)


# ---- order, batches and randomness


def test_each_epoch_shows_every_picture_once_in_its_own_order():
    recorder, pictures = recorded(TRAIN)
    fit(small_cnn(), pictures, None, Recipe(epochs=3, batch_size=12))
    epochs = [recorder.asked[start : start + 4] for start in (0, 4, 8)]
    for batches in epochs:
        assert sorted(row for rows in batches for row in rows) == list(range(48))
    assert len({str(batches) for batches in epochs}) == 3


def test_batches_hold_the_same_pictures_however_these_are_stored():
    turned = LabelledPictures(*(column[::-1].copy() for column in (TRAIN.pictures, TRAIN.labels, TRAIN.hashes)))
    recipe = Recipe(epochs=2, batch_size=12)
    asked = []
    for data in (TRAIN, turned):
        recorder, pictures = recorded(data)
        fit(small_cnn(), pictures, None, recipe)
        asked.append([set(data.hashes[rows].tolist()) for rows in recorder.asked])
    assert asked[0] == asked[1]


def test_each_epoch_changes_the_pictures_anew(monkeypatch):
    drawn = []

    def augmented(pixels, hashes, augment, *, seed, epoch):
        drawn.append((augment, seed, epoch))
        return pixels

    monkeypatch.setattr(step, "augmented", augmented)
    fit(small_cnn(), TRAIN, None, Recipe(epochs=2, batch_size=24, augment=AUGMENT, seed=7))
    assert drawn == [(AUGMENT, 7, 0), (AUGMENT, 7, 0), (AUGMENT, 7, 1), (AUGMENT, 7, 1)]


@pytest.mark.parametrize(("n", "batch_size"), [(3, 2), (7, 2), (2, 64), (65, 64), (5, 4), (9, 8), (97, 32)])
def test_no_batch_is_a_single_picture_where_there_are_more(n, batch_size):
    recorder, pictures = recorded(coloured(n))
    fit(normed(), pictures, None, Recipe(epochs=1, batch_size=batch_size))
    sizes = [len(rows) for rows in recorder.asked]
    assert sum(sizes) == n
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 1.5 * batch_size


def test_batches_of_one_are_made_where_they_are_asked_for():
    recorder, pictures = recorded(coloured(3))
    fit(small_cnn(), pictures, None, Recipe(epochs=1, batch_size=1))
    assert [len(rows) for rows in recorder.asked] == [1, 1, 1]


def test_torchs_own_random_numbers_are_left_alone():
    before = torch.get_rng_state()
    fit(small_cnn(), TRAIN, coloured(12, seed=1), Recipe(epochs=1, augment=AUGMENT))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_of_torchs_random_numbers_does_not_matter():
    networks = [small_cnn(), small_cnn()]
    for seed, network in enumerate(networks):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fit(network, TRAIN, None, Recipe(epochs=1, batch_size=12))
    assert not changed(*map(copied, networks))


@pytest.mark.parametrize("what", ["order", "dropout", "augment"])
def test_the_seed_decides_order_dropout_and_changes(what):
    recipe = Recipe(epochs=1, batch_size=12 if what == "order" else 48, augment=AUGMENT if what == "augment" else Augment())
    networks = [small_cnn(dropout=0.5 if what == "dropout" else 0.0) for _ in range(2)]
    for seed, network in enumerate(networks):
        fit(network, TRAIN, None, recipe.model_copy(update={"seed": seed}))
    assert changed(*map(copied, networks))


def test_each_step_drops_other_units(monkeypatch):
    network, drawn = small_cnn(), []
    monkeypatch.setattr(torch, "manual_seed", drawn.append)
    fit(network, TRAIN, None, Recipe(epochs=2, batch_size=12))
    assert len(set(drawn)) == len(drawn) == 8


def test_pictures_may_lie_in_a_file(tmp_path):
    np.save(tmp_path / "pictures.npy", TRAIN.pictures)
    mapped = LabelledPictures(np.load(tmp_path / "pictures.npy", mmap_mode="r"), TRAIN.labels, TRAIN.hashes)
    networks = [small_cnn(), small_cnn()]
    results = [fit(n, data, data, Recipe(epochs=1, batch_size=12)) for n, data in zip(networks, (TRAIN, mapped), strict=True)]
    assert results[0].history == results[1].history
    assert not changed(*map(copied, networks))


@pytest.mark.parametrize("sampling", ["over", "sqrt", "under"])
def test_sampling_decides_how_many_pictures_of_each_class_an_epoch_shows(sampling):
    # 16, 6 and 3 pictures; the square roots of 16 * 6 and 16 * 3 are 9.8 and 6.9
    expected = {"over": [16, 16, 16], "sqrt": [16, 10, 7], "under": [3, 3, 3]}[sampling]
    recorder, pictures = recorded(UNEVEN)
    events = []
    recipe = Recipe(epochs=2, batch_size=8, sampling=sampling)
    result = fit(small_cnn(), pictures, None, recipe, on_event=events.append)
    shown = np.concatenate(recorder.asked)
    assert (np.bincount(UNEVEN.labels[shown]) == 2 * np.array(expected)).all()
    steps = max(1, round(sum(expected) / 8))
    assert events[0] == Phase("training", 2 * steps, "steps")
    assert len(recorder.asked) == 2 * steps
    assert len(result.history) == 2


def test_a_picture_that_is_drawn_again_is_changed_otherwise(monkeypatch):
    drawn = []

    def augmented(pixels, hashes, augment, *, seed, epoch):
        drawn.extend(hashes.tolist())
        return pixels

    monkeypatch.setattr(step, "augmented", augmented)
    fit(small_cnn(), UNEVEN, None, Recipe(epochs=1, batch_size=8, sampling="over"))
    assert len(drawn) == len(set(drawn)) == 48
    assert set(UNEVEN.hashes.tolist()) <= set(drawn)


@pytest.mark.parametrize("architecture", ["timm", "torchvision"])
def test_stochastic_depth_is_drawn_by_counter_too(architecture):
    """Which paths are dropped does not depend on torch's own numbers, but on the seed."""

    def network():
        if architecture == "timm":
            backbone = timm().create_model("test_vit", num_classes=0, img_size=16, patch_size=8, drop_path_rate=0.5)
            return PixelNetwork(nn.Identity(), backbone, nn.Linear(backbone.num_features, 3))
        block = torchvision_models().convnext.CNBlock(3, layer_scale=0.5, stochastic_depth_prob=0.5)
        return PixelNetwork(nn.Identity(), nn.Sequential(block, nn.Flatten()), nn.Linear(3 * 16 * 16, 3))

    pictures, networks = coloured(24, size=16), [seeded(network, 0) for _ in range(3)]
    for state, (trained, seed) in enumerate(zip(networks, (0, 0, 1), strict=True)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            fit(trained, pictures, None, Recipe(epochs=1, batch_size=24, seed=seed))
    assert not changed(copied(networks[0]), copied(networks[1]))
    assert changed(copied(networks[0]), copied(networks[2]))


# ---- the rate, and the length of a step


def rates_of(monkeypatch, recipe, validation=None, train=TRAIN):
    rates = []
    monkeypatch.setattr(step, "set_rate", lambda optimiser, rate: rates.append(rate))
    return rates, fit(normed(), train, validation, recipe)


def test_the_rate_falls_by_ten_after_each_plateau(monkeypatch):
    planned = iter([0.9, 0.8, 0.8, 0.85, 0.7, 0.7, 0.71])
    monkeypatch.setattr(room._Loop, "_validate", lambda loop, validation: {"validation_loss": next(planned)})
    recipe = Recipe(epochs=7, batch_size=24, learning_rate=0.5, warm_up=0.1, schedule="plateau", plateau_patience=2)
    rates, _ = rates_of(monkeypatch, recipe, TRAIN)
    # Two steps an epoch, 14 in all, two of them to warm up. Epochs 3 and 4 were no better than 2: from epoch 5 on a tenth;
    # epochs 6 and 7 were no better than 5, but nothing comes after them.
    assert rates == pytest.approx([0.25, *[0.5] * 7, *[0.05] * 6])


def test_a_constant_rate_stays(monkeypatch):
    rates, _ = rates_of(monkeypatch, Recipe(epochs=2, batch_size=12, learning_rate=0.5, warm_up=0.2, schedule="constant"))
    assert rates == pytest.approx([0.25, *[0.5] * 7])


def test_a_plateau_without_validation_is_refused_with_a_way_on():
    with pytest.raises(SettingsError, match=r"no validation part.*cosine or constant"):
        fit(small_cnn(), TRAIN, None, Recipe(epochs=1, schedule="plateau"))


def test_training_again_without_validation_the_rate_falls_where_it_fell_before(monkeypatch):
    losses = [0.9, 0.91, 0.92, 0.8, 0.81]
    trial = FitResult([{"validation_loss": loss} for loss in losses], 4, 0.8, "", 1.0)
    recipe = Recipe(epochs=5, batch_size=48, learning_rate=1.0, warm_up=0.0, schedule="plateau", plateau_patience=2)
    rates, _ = rates_of(monkeypatch, replayed(recipe, trial).model_copy(update={"epochs": 4}))
    assert rates == pytest.approx([1.0, 1.0, 1.0, 0.1])
    assert replayed(Recipe(epochs=5), trial) == Recipe(epochs=5)


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_no_step_is_longer_than_the_clipped_gradient(clip):
    network = small_cnn()
    before = copied(network)
    recipe = Recipe(epochs=1, batch_size=48, optimiser="sgd", momentum=0.0, learning_rate=0.5, warm_up=0.0, clip=clip)
    fit(network, TRAIN, None, recipe)
    length = sum(float((copied(network)[name] - value).double().square().sum()) for name, value in before.items()) ** 0.5
    # One step of plain descent goes rate * |gradient|, and the gradient is cut to the length clip.
    assert length == pytest.approx(0.5 * clip, rel=1e-3) if clip else length > 0.01


# ---- the average of the weights


def test_the_final_network_is_the_average_over_the_steps(monkeypatch):
    after, network = [], normed()
    initial = copied(network)
    learn = step.Stepper._learn

    def note(stepper, loss, rate):
        learn(stepper, loss, rate)
        after.append(copied(stepper.network))

    monkeypatch.setattr(step.Stepper, "_learn", note)
    fit(network, TRAIN, None, Recipe(epochs=2, batch_size=12, average=0.3))
    # The share that is kept: 1/10, 2/11, 3/12, then 0.3, as 4/13 is more
    for name in ("head.weight", "backbone.stem.weight", "backbone.stages.0.running_mean"):
        expected = initial[name].double()
        for weights, kept in zip(after, [0.1, 2 / 11, 0.25, *[0.3] * 5], strict=True):
            expected = kept * expected + (1 - kept) * weights[name]
        torch.testing.assert_close(network.state_dict()[name].double(), expected, rtol=1e-5, atol=1e-7)
    counter = "backbone.stages.0.num_batches_tracked"
    assert network.state_dict()[counter] == after[-1][counter] == 8


def test_validation_judges_the_average_and_the_best_epochs_average_is_kept():
    recipe = Recipe(epochs=3, batch_size=12, average=0.9, learning_rate=0.01)
    wrong = coloured(12, seed=1, shift_labels=1)
    network = normed()
    result = fit(network, TRAIN, wrong, recipe)
    assert result.best_epoch < 3
    logits, _ = outputs_of(network, wrong.pictures, recipe)
    loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(wrong.labels)).item()
    assert loss == result.best_loss


def test_the_validation_loss_is_that_of_the_average():
    recipe, held = Recipe(epochs=1, batch_size=12, average=0.9, learning_rate=0.01), coloured(12, seed=1)
    alone = normed()
    fit(alone, TRAIN, None, recipe)  # ends in the average
    logits, _ = outputs_of(alone, held.pictures, recipe)
    expected = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(held.labels)).item()
    assert fit(normed(), TRAIN, held, recipe).history[0]["validation_loss"] == expected


def test_averaging_does_not_change_what_is_learned_from():
    plain = fit(normed(), TRAIN, None, Recipe(epochs=3, batch_size=12))
    validated = fit(normed(), TRAIN, coloured(12), Recipe(epochs=3, batch_size=12, average=0.9))
    assert [row["loss"] for row in plain.history] == [row["loss"] for row in validated.history]


# ---- what is frozen


def test_a_frozen_backbone_keeps_even_its_running_statistics():
    network = normed()
    before = copied(network)
    fit(network, TRAIN, None, Recipe(epochs=2, batch_size=12, unfreeze="head"))
    assert changed(before, copied(network)) == {"head.weight", "head.bias"}


def test_frozen_norms_keep_their_statistics_while_the_rest_learns():
    network = normed()
    before = copied(network)
    fit(network, TRAIN, None, Recipe(epochs=2, batch_size=12, frozen_norms=True))
    names = changed(before, copied(network))
    assert not [name for name in names if "running" in name or "tracked" in name]
    assert {"backbone.stem.weight", "backbone.stages.0.weight", "backbone.offset", "head.weight"} <= names


def test_only_the_last_blocks_learn():
    network = normed()
    before = copied(network)
    fit(network, TRAIN, None, Recipe(epochs=2, batch_size=12, unfreeze="2"))
    parts = {name.rpartition(".")[0] for name in changed(before, copied(network))}
    assert parts == {"backbone.stages.2", "backbone.stages.3", "head"}


def test_outputs_do_not_depend_on_where_a_batch_ends():
    network = normed()
    pictures = coloured(2 * forward.EVALUATION_BATCH + 3).pictures
    whole, features = outputs_of(network, pictures, Recipe(epochs=1))
    assert whole.shape == (len(pictures), 3)
    assert features.shape == (len(pictures), 8)
    alone, _ = outputs_of(network, pictures[-5:], Recipe(epochs=1))
    np.testing.assert_allclose(alone, whole[-5:], rtol=1e-4, atol=1e-5)


# ---- what is read off the pictures before the first step, and when the validation part is asked


def test_a_network_reads_what_it_wants_off_training_pictures_before_the_first_step():
    network = fast()
    assert not network.backbone.whitening.learned
    fit(network, TRAIN, None, Recipe(epochs=1, batch_size=12))
    expected = fast()
    expected.begin(to_batch(TRAIN.pictures))
    torch.testing.assert_close(network.backbone.whitening.mean, expected.backbone.whitening.mean)
    assert network.backbone.whitening.learned


@pytest.mark.parametrize(("judged_from", "asked"), [(0.0, [1, 2, 3, 4]), (0.5, [2, 3, 4]), (1.0, [4])])
def test_the_validation_part_is_asked_from_an_epoch_on_and_always_in_the_last(judged_from, asked):
    result = fit(small_cnn(), TRAIN, coloured(12, seed=1), Recipe(epochs=4, batch_size=12, judged_from=judged_from))
    assert [epoch for epoch, row in enumerate(result.history, 1) if "validation_loss" in row] == asked
    assert result.best_epoch in asked


def test_pictures_are_shown_smaller_for_as_long_as_the_recipe_says(monkeypatch):
    """Of 8 steps the first half at 8 pixels."""
    sides = []
    forward = PixelNetwork.forward

    def noted(self, pixels):
        if self.training:
            sides.append(pixels.shape[2])
        return forward(self, pixels)

    monkeypatch.setattr(PixelNetwork, "forward", noted)
    fit(normed(), TRAIN, None, Recipe(epochs=2, batch_size=12, sides=((0.5, 8),)))
    assert sides == [8] * 4 + [12] * 4


def test_an_average_of_the_weights_begins_with_what_was_read_off_the_pictures():
    network = fast()
    fit(network, TRAIN, None, Recipe(epochs=1, batch_size=12, average=0.99))
    expected = fast()
    expected.begin(to_batch(TRAIN.pictures))
    torch.testing.assert_close(network.backbone.whitening.weight, expected.backbone.whitening.weight, atol=1e-4, rtol=1e-3)
