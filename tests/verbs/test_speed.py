"""``--model speed``: what the minutes buy is said with its reason, and what answers is the same in every form."""

import json

import numpy as np
import pytest
import torch

import eyebright
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import SettingsError
from eyebright.models.speed.network import CAPACITIES
from eyebright.training.augment import Augment
from eyebright.training.fit import Pace
from eyebright.training.recipe import Recipe
from eyebright.verbs.making import dialling, quick
from eyebright.verbs.making.settings import TrainSettings

from .shapes import report_of
from .shapes import trained as trained_by

OWN = {"model": "speed", "capacity": "narrow", "learning_rate": None, "batch_size": None}


def trained(data, out, **settings):
    """A run with the recipe's own rate and batch."""
    return trained_by(data, out, **{**OWN, **settings})


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """Coloured squares of 16 pixels, learned in a few epochs."""
    return trained(data, tmp_path_factory.mktemp("speed") / "run", epochs=12, flip="on")


def choices(run):
    return {choice["name"]: choice for choice in report_of(run)["training"]["choices"]}


def test_it_learns_and_its_bundle_proves_itself(run):
    assert report_of(run)["figures"]["accuracy"]["value"] > 0.8
    assert eyebright.verify(run.bundle).exit_code == 0


def test_the_views_travel_in_the_manifest_and_stand_in_the_report(run):
    manifest = read_bundle(run.bundle).manifest
    assert (manifest.views, manifest.views_below) == (quick.VIEWS, quick.BELOW)
    report = report_of(run)
    assert (tuple(report["views"]), report["views_below"]) == (quick.VIEWS, quick.BELOW)
    assert "less than 0.9 sure" in run.report_html.read_text(encoding="utf-8")


def test_every_form_answers_alike_over_the_views(run, data):
    found = []
    for form in ("torch", "onnx"):
        results = eyebright.predict(run.bundle, data / "red", data / "blue", form=form, top_k=3).results
        found.append([{answer.label: answer.probability for answer in result.predictions} for result in results])
    assert len(found[0]) == 60
    for first, second in zip(*found, strict=True):
        assert first == pytest.approx(second, abs=1e-4)


def test_where_epochs_are_given_the_capacity_is_the_usual_one_and_it_is_said_how_to_change_it(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", epochs=1, flip="on", capacity="auto")
    assert choices(run)["capacity"]["value"] == "standard"
    assert "--capacity" in choices(run)["capacity"]["reason"]


def test_pictures_that_must_not_be_mirrored_are_not_mirrored_in_the_answers(data, tmp_path):
    run = trained(data, tmp_path / "run", epochs=1, flip="off")
    assert read_bundle(run.bundle).manifest.views == quick.UNMIRRORED


def test_one_view_can_be_asked_for(data, tmp_path):
    run = trained(data, tmp_path / "run", epochs=1, flip="on", views="one")
    assert read_bundle(run.bundle).manifest.views == ("identity",)
    assert read_bundle(run.bundle).manifest.views_below is None


# --- the recipe


def recipe(pictures=50_000, side=32, **asked):
    settings = TrainSettings(data="-", model="speed", **asked)
    return quick.speed_recipe(Recipe(epochs=1), settings, pictures, side)


def test_pictures_grow_to_their_own_size():
    assert recipe(side=32).sides == ((0.3, 16), (0.6, 24))
    assert recipe(side=28).sides == ((0.6, 21),)  # 14 pixels would leave nothing after three poolings
    assert recipe(side=16).sides == ()


def test_what_was_asked_for_is_obeyed():
    asked = recipe(
        optimiser="sgd", learning_rate=0.5, schedule="cosine", warm_up=0.2, label_smoothing=0.0, batch_size=32, pad=0, flip="on"
    )
    assert (asked.optimiser, asked.learning_rate, asked.schedule, asked.warm_up) == ("sgd", 0.5, "cosine", 0.2)
    assert (asked.label_smoothing, asked.batch_size, asked.augment.pad, asked.augment.alternate) == (0.0, 32, 0, False)


@pytest.mark.parametrize(("capacity", "pad", "erase"), [("narrow", 2, 0.0), ("wide", 2, 0.0), ("deep", 4, 0.25)])
def test_the_largest_capacity_sees_more_varied_pictures(capacity, pad, erase):
    settings = TrainSettings(data="-", model="speed")
    found = quick.for_capacity(recipe(), settings, capacity, 32).augment
    assert (found.pad, found.erase) == (pad, erase)


def test_the_largest_capacity_leaves_what_was_asked_for():
    settings = TrainSettings(data="-", model="speed", pad=1, erase=0.0)
    found = quick.for_capacity(recipe(pad=1), settings, "deep", 32).augment
    assert (found.pad, found.erase) == (1, 0.0)


def test_the_largest_capacity_obeys_a_dial_of_augmentation_and_moves_no_further_than_is_allowed():
    settings = TrainSettings(data="-", model="speed", augment="none")
    assert quick.for_capacity(recipe(), settings, "deep", 32).augment.erase == 0.0
    large = quick.for_capacity(recipe(side=600), TrainSettings(data="-", model="speed"), "deep", 600).augment
    assert Augment.model_validate(large.model_dump()).pad == 32


def test_the_command_trains_the_largest_capacity_with_more_variety(data, tmp_path):
    run = trained(data, tmp_path / "run", epochs=1, flip="on", capacity="deep")
    found = report_of(run)["provenance"]["recipe"]["augment"]
    assert (found["pad"], found["erase"]) == (2, 0.25)  # an eighth of 16 pixels


# --- the dial


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(0.5, "narrow"), (2, "standard"), (8, "wide"), (30, "deep")],
)
def test_more_minutes_buy_a_larger_network(monkeypatch, minutes, expected):
    """Each capacity takes twice the time of the one before; an epoch has 100 steps of 10 pictures, a step of narrow 0.25 s.

    30 s: 120 steps of narrow, 60 of standard, which wants 120. 2 minutes: 200 of standard, 100 of wide, which wants 240.
    8 minutes: 400 of wide, 200 of deep; 30 minutes: 900 of deep, which wants 480.
    """
    cost = {name: 0.025 * 2**place for place, name in enumerate(CAPACITIES)}

    class Given:
        held_out = np.zeros(1000, dtype=bool)

    class Asked:
        def __init__(self):
            self.paces, self.settings = {}, TrainSettings(data="-", model="speed", minutes=minutes)

    monkeypatch.setattr(dialling, "_network", lambda work, capacity: capacity)
    monkeypatch.setattr(dialling, "measure_pace", lambda network, *_, **__: Pace(cost[network], 0.0))
    monkeypatch.setattr(dialling.budgeting, "most_epochs", lambda *_, **__: 1000)
    monkeypatch.setattr(
        dialling.budgeting, "affordable", lambda work, data, recipe, pace, most: int(60 * minutes / (pace.training * 1000))
    )
    chosen, reason = dialling._worth_having(Asked(), Given(), None, Recipe(epochs=0, batch_size=10))
    assert chosen == expected
    assert ("largest" in reason) == (expected == "deep")


def test_small_pictures_are_refused_with_the_size_that_is_needed(data, tmp_path):
    with pytest.raises(SettingsError, match="at least 10 x 10"):
        trained(data, tmp_path / "run", epochs=1, size=8)


def test_the_same_seed_gives_the_same_weights(data, tmp_path):
    twice = [trained(data, tmp_path / name, epochs=1, flip="on") for name in ("first", "second")]
    from safetensors.torch import load_file

    first, second = (load_file(run.bundle / "torch.safetensors") for run in twice)
    assert all(torch.equal(first[name], second[name]) for name in first)


# --- what it cannot do


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"weights": "speed.safetensors"}, "from scratch only"),
        ({"model": "lite0", "capacity": "auto", "optimiser": "muon"}, "--weights none"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_remedy(data, tmp_path, asked, said):
    with pytest.raises(SettingsError, match=said):
        trained(data, tmp_path / "run", epochs=1, **asked)


def test_a_plateau_and_a_patience_are_told_how_the_validation_part_stands():
    assert (recipe().judged_from, recipe(schedule="plateau").judged_from, recipe(patience=3).judged_from) == (1.0, 0.0, 0.0)


def test_larger_pictures_come_in_smaller_batches():
    assert recipe(side=64).batch_size == 384  # a quarter: as much memory as 1,536 of 32 pixels


# --- with everything else


def test_folds_and_an_ensemble_distilled_are_made_of_it_as_of_any_network(data, tmp_path, quick):
    run = trained(
        data,
        tmp_path / "run",
        epochs=2,
        flip="on",
        folds=2,
        ensemble="folds",
        distil=True,
        calibration=0.1,
        learning_curve=True,
    )
    report = report_of(run)
    assert report["training"]["cross_validation"]["folds"] is not None
    assert report["training"]["learning_curve"] is not None
    assert read_bundle(run.bundle).manifest.architecture.name == "speed"


def test_a_search_keeps_its_capacity_and_its_mirroring(data, tmp_path, quick):
    asked = {"model": "speed", "capacity": "narrow", "flip": "alternate", "epochs": 1, "device": "cpu", "precision": "fp32"}
    eyebright.tune(data, out=tmp_path / "s", search=("learning_rate=0.1,0.3",), method="grid", parallel=1, **asked)
    base = json.loads((tmp_path / "s" / "study.json").read_text(encoding="utf-8"))["base"]
    assert {name: base[name] for name in ("model", "capacity", "flip")} == {
        name: asked[name] for name in ("model", "capacity", "flip")
    }


def test_a_search_on_small_pictures_stays_with_the_network_of_its_first_trial(data, tmp_path, quick):
    """A rate that is searched must not turn auto into the classic network for the other trials."""
    asked = {"epochs": 1, "device": "cpu", "precision": "fp32", "capacity": "narrow", "flip": "off"}
    eyebright.tune(data, out=tmp_path / "s", search=("learning_rate=0.1,0.3",), method="grid", parallel=1, **asked)
    assert json.loads((tmp_path / "s" / "study.json").read_text(encoding="utf-8"))["base"]["model"] == "speed"
