"""Handcrafted models go the whole way: learned, bundled, verified, evaluated, and put beside a network."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import eyebright
from eyebright.core.bundle import Architecture, read_bundle
from eyebright.core.decision import Decision
from eyebright.core.errors import SettingsError
from eyebright.core.predictions import load_predictions
from eyebright.core.preprocess import Preprocess
from eyebright.core.run import create_run
from eyebright.data.split import hashed_split
from eyebright.training.recipe import Recipe
from eyebright.verbs.making.choosing import Plan
from eyebright.verbs.making.gathering import gather
from eyebright.verbs.making.handcrafted import (
    handcrafted_plan,
    learn_handcrafted,
    predictions_beside,
    refuse_network_settings,
    write_handcrafted,
)
from eyebright.verbs.making.packing import Contents
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story


@dataclasses.dataclass
class Bench:
    """What the steps before learning leave."""

    settings: TrainSettings
    material: object
    plan: Plan
    run: object
    story: Story


def prepared(data, folder, model="colour-svm", **given):
    settings = TrainSettings(data=str(data), model=model, **given)
    story = Story()
    plan = Plan(
        architecture=Architecture(name="cnn"),
        preprocess=Preprocess(height=20, width=20),
        weights="auto",
        way="scratch",
        recipe=Recipe(epochs=0),
        refit=True,
    )
    return Bench(settings, gather(settings, story), handcrafted_plan(model, plan, 16), create_run(folder), story)


def learned(bench):
    return learn_handcrafted(bench.settings, bench.material, bench.plan, bench.run, bench.story)


@pytest.fixture(scope="module")
def bench(data, tmp_path_factory):
    return prepared(data, tmp_path_factory.mktemp("runs") / "colours")


@pytest.fixture(scope="module")
def crafted(bench):
    return learned(bench)


@pytest.fixture(scope="module")
def bundle(bench, crafted, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundles") / "colours"
    contents = Contents(
        name="colours",
        classes=bench.material.source.classes,
        preprocess=bench.plan.preprocess,
        architecture=crafted.architecture,
        decision=crafted.decision,
        split=hashed_split(bench.material.split, bench.material.audit),
        provenance={},
        card="# colours\n",
    )
    write_handcrafted(crafted.network, contents, path, bench.story)
    return path


def test_the_plan_takes_the_models_own_name_and_size(bench):
    assert bench.plan.architecture == Architecture(name="colour-svm")
    assert bench.plan.preprocess.size == (16, 16)


def test_what_the_temperature_came_from_is_stored(bench, crafted):
    table = load_predictions(bench.run.predictions / "unseen.safetensors")
    assert len(table) == len(bench.material.samples("train", "validation"))
    assert crafted.decision.n == len(table)
    assert crafted.decision.fitted_on.startswith("out-of-fold logits, 5 folds")
    assert (table.logits.argmax(axis=1) == table.labels).mean() > 0.95


def test_a_calibration_part_gives_the_temperature_where_there_is_one(data, tmp_path):
    found = learned(prepared(data, tmp_path / "run", calibration=0.2))
    assert found.decision.fitted_on.startswith("the calibration part")
    assert found.decision.n == 18  # a fifth of 90


def test_folds_that_were_asked_for_give_a_cross_validation(data, tmp_path):
    bench = prepared(data, tmp_path / "run", folds=4)
    found = learned(bench)
    assert [fold.fold for fold in found.cross_validation.folds] == [1, 2, 3, 4]
    assert found.cross_validation.figures["accuracy"].n == len(bench.material.samples("train", "validation"))
    assert "which also chose the settings" in found.cross_validation.how
    assert (bench.run.predictions / "out-of-fold.safetensors").is_file()


def test_every_automatic_choice_has_its_reason(bench, crafted):
    assert bench.story.choices["folds for the settings"].value == "5"
    assert "fitted once" in bench.story.choices["minutes"].reason
    assert [attempt.kept for attempt in crafted.learned.attempts].count(True) == 1


def test_the_bundle_verifies_itself(bundle):
    result = eyebright.verify(bundle)
    assert [check for check in result.checks if check.state != "ok"] == []
    assert "answers of handcrafted" in {check.name for check in result.checks}
    assert read_bundle(bundle).manifest.architecture == Architecture(name="colour-svm")


def test_another_models_answers_are_found_out(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    manifest = json.loads((copy / "bundle.json").read_text(encoding="utf-8"))
    manifest["probe"][0]["logits"][0] += 0.5
    (copy / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert [check.name for check in eyebright.verify(copy).checks if not check.ok] == ["answers of handcrafted"]


def test_the_bundle_is_evaluated_on_its_test_part_and_predicts(bundle, data):
    evaluation = eyebright.evaluate(bundle, data, form="handcrafted")
    assert evaluation.n == 18
    assert evaluation.figures["accuracy"].value > 0.9
    result = eyebright.predict(bundle, data / "red" / "000.png")
    assert result.results[0].predictions[0].label == "red"


def test_it_stands_beside_a_network_as_a_baseline_and_leaves_its_files_alone(data, tmp_path):
    bench = prepared(data, tmp_path / "run")
    before = sorted(path.name for path in bench.run.predictions.iterdir())
    table, decision = predictions_beside("colour-knn", bench.settings, bench.material, bench.plan, bench.run, bench.story)
    assert table.keys == tuple(sample.key for sample in bench.material.samples("test"))
    assert (table.logits.argmax(axis=1) == table.labels).mean() > 0.9
    assert isinstance(decision, Decision)
    assert sorted(path.name for path in bench.run.predictions.iterdir()) == before


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"epochs": 3}, "--epochs"),
        ({"flip": "on"}, "--flip"),
        ({"learning_rate": 0.1}, "--learning-rate"),
        ({"ensemble": "seeds"}, "--ensemble"),
        ({"weights": "some.safetensors"}, "--weights"),
        ({"sampling": "over"}, "--sampling"),
    ],
)
def test_what_only_a_network_can_obey_is_refused_by_name(given, flag):
    with pytest.raises(SettingsError, match=f"hog-svm is no network, and cannot obey {flag}"):
        refuse_network_settings(TrainSettings(data="x", model="hog-svm", **given))


def test_what_it_can_obey_is_not_refused():
    refuse_network_settings(
        TrainSettings(data="x", model="hog-svm", class_weights="inverse", folds=3, size=32, resize="crop", minutes=1, seed=4)
    )


def test_weights_of_classes_reach_the_classifier(data, tmp_path):
    plain = learned(prepared(data, tmp_path / "plain", model="colour-knn"))
    weighted = learned(prepared(data, tmp_path / "weighted", model="colour-knn", class_weights="inverse"))
    assert np.allclose(plain.network.classifier.class_weights, 1)
    assert weighted.network.classifier.class_weights.shape == (3,)
