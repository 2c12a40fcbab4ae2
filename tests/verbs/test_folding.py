"""Cross-validation, ensembles, distillation and the learning curve, through ``train`` itself."""

import json

import numpy as np
import pytest
import torch

import eyebright
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import InterruptedRunError, SettingsError
from eyebright.core.events import Epoch
from eyebright.core.predictions import load_predictions
from eyebright.core.report import Report
from eyebright.evaluation import fit_temperature
from eyebright.evaluation.calibration import log_losses
from eyebright.verbs.making.settings import TrainSettings

from .shapes import outcome, report_of, skip_the_slow, squares, trained, weights_of


@pytest.fixture(scope="module")
def folded(data, tmp_path_factory):
    """A run with three folds."""
    with pytest.MonkeyPatch.context() as patch:
        skip_the_slow(patch)
        return trained(data, tmp_path_factory.mktemp("folded") / "run", folds=3, epochs=4)


def test_every_picture_outside_the_test_part_is_predicted_by_a_model_that_never_saw_it(folded):
    table = load_predictions(folded.predictions / "out-of-fold.safetensors")
    split = json.loads(folded.split.read_text(encoding="utf-8"))["parts"]
    assert set(table.keys) == set(split["train"]) | set(split["validation"])
    assert not set(table.keys) & set(split["test"])


def test_the_report_has_each_fold_the_mean_and_the_spread(folded):
    found = Report.model_validate(report_of(folded)).training.cross_validation
    assert len(found.folds) == 3
    assert sum(fold.n for fold in found.folds) == 72
    accuracies = [fold.figures["accuracy"] for fold in found.folds]
    assert found.mean["accuracy"] == pytest.approx(np.mean(accuracies))
    assert found.spread["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    assert found.figures["accuracy"].low < found.figures["accuracy"].value
    assert "3 stratified folds" in found.how


def test_the_temperature_comes_from_the_folds(folded):
    decision = read_bundle(folded.bundle).decision()
    assert "out-of-fold predictions of 3" in decision.fitted_on
    assert decision.n == 72


def test_beside_a_calibration_part_the_folds_are_judged_at_their_own_temperature(data, tmp_path, quick):
    """The calibration part's belongs to the final network, which none of the folds' is."""
    run = trained(data, tmp_path / "run", folds=2, calibration=0.2, epochs=2)
    table = load_predictions(run.predictions / "out-of-fold.safetensors")
    own = fit_temperature(table, fitted_on="the folds")
    assert read_bundle(run.bundle).decision().temperature != pytest.approx(own.temperature, rel=0.01)
    found = Report.model_validate(report_of(run)).training.cross_validation
    assert found.figures["log_loss"].value == pytest.approx(np.mean(log_losses(table, own)))


def test_the_final_model_is_made_of_all_pictures_and_the_folds_leave_nothing_behind(folded):
    stages = {row["stage"] for row in map(json.loads, folded.events.read_text().splitlines()) if row["event"] == "epoch"}
    assert stages == {"training", "training on all", "fold 1 of 3", "fold 2 of 3", "fold 3 of 3"}
    assert not list(folded.checkpoints.glob("fold-*"))


def test_more_folds_than_the_rarest_class_has_groups_are_refused_with_the_numbers(tmp_path):
    data = squares(tmp_path / "few", count=12)
    with pytest.raises(SettingsError, match=r"--folds is 20; the rarest class has (\d+) separate groups .* Give --folds \1"):
        eyebright.train(data, out=tmp_path / "run", folds=20, epochs=1)
    assert not (tmp_path / "run").exists()


def test_an_ensemble_of_folds_is_one_bundle_with_several_members(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", folds=3, ensemble="folds", epochs=3)
    bundle = read_bundle(run.bundle)
    architecture = bundle.manifest.architecture
    assert architecture.name == "ensemble"
    assert [member.name for member in architecture.members] == ["cnn"] * 3
    assert "each of the 3 members by itself" in bundle.decision().fitted_on
    assert eyebright.verify(run.bundle).exit_code == 0
    assert any("ensemble of 3 folds" in attempt["name"] for attempt in report_of(run)["training"]["attempts"])
    stages = {row["stage"] for row in map(json.loads, run.events.read_text().splitlines()) if row["event"] == "epoch"}
    assert "training on all" not in stages  # the members take its place


def test_the_ensembles_answers_are_the_mean_of_its_members(data, tmp_path, quick):
    from eyebright.backends.open import open_predictor

    run = trained(data, tmp_path / "run", folds=2, ensemble="folds", epochs=1)
    predictor, _ = open_predictor(read_bundle(run.bundle), form="torch")
    pixels = torch.rand(4, 3, 16, 16)
    whole = predictor(pixels.numpy()).logits
    network = predictor.network
    with torch.no_grad():
        parts = [
            (member(pixels)[0] / temperature).softmax(dim=1)
            for member, temperature in zip(network.members, network.temperatures, strict=True)
        ]
    assert np.allclose(np.exp(whole), torch.stack(parts).mean(dim=0).numpy(), atol=1e-6)


def test_members_of_several_seeds_differ(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", ensemble="seeds", members=2, epochs=1)
    from safetensors.numpy import load_file

    weights = load_file(run.bundle / "torch.safetensors")
    assert not np.array_equal(weights["members.0.head.weight"], weights["members.1.head.weight"])


def test_an_ensemble_can_be_distilled_into_one_network(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", folds=2, ensemble="folds", distil=True, calibration=0.2, epochs=3)
    bundle = read_bundle(run.bundle)
    assert bundle.manifest.architecture.name == "cnn"
    assert bundle.decision().fitted_on.startswith("the calibration part")
    assert any("distilled" in attempt["name"] for attempt in report_of(run)["training"]["attempts"])


def test_a_teacher_changes_what_is_learned(data, tmp_path, quick):
    alone = trained(data, tmp_path / "alone", folds=2, calibration=0.2, epochs=2)
    taught = trained(data, tmp_path / "taught", folds=2, ensemble="folds", distil=True, calibration=0.2, epochs=2)
    assert weights_of(alone) != weights_of(taught)


def test_a_head_alone_is_not_gathered_into_an_ensemble_and_that_is_said(tmp_path, quick):
    data = squares(tmp_path / "large", size=40, count=12)
    run = trained(data, tmp_path / "run", model="lite0", size=64, unfreeze="head", folds=3, ensemble="folds")
    assert read_bundle(run.bundle).manifest.architecture.name == "lite0"
    events = [json.loads(line) for line in run.events.read_text().splitlines()]
    assert any("differ too little" in row.get("text", "") for row in events)
    assert len(report_of(run)["training"]["cross_validation"]["folds"]) == 3


def test_the_learning_curve_from_scratch_ends_in_the_trials_own_predictions(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", learning_curve=True, epochs=3)
    report = report_of(run)
    curve = report["training"]["learning_curve"]
    sizes = [point["n"] for point in curve["points"]]
    assert sizes == sorted(sizes)
    assert len(sizes) == 3
    last = curve["points"][-1]["figures"]
    kept = next(attempt for attempt in report["training"]["attempts"] if attempt["kept"])
    assert last["log_loss"]["value"] <= kept["score"] + 1e-6  # the same predictions, at their best temperature
    assert curve["advice"]


def test_the_learning_curve_of_a_head_uses_every_picture_but_the_test_part(tmp_path, quick):
    data = squares(tmp_path / "large", size=40, count=12)
    run = trained(data, tmp_path / "run", model="lite0", size=64, unfreeze="head", learning_curve=True)
    curve = report_of(run)["training"]["learning_curve"]
    assert len(curve["points"]) == 4
    assert curve["points"][-1]["figures"]["accuracy"]["n"] == report_of(run)["data"]["n"] - report_of(run)["n"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ensemble": "folds"}, "--ensemble folds needs --folds K"),
        ({"distil": True}, "--distil needs --ensemble"),
        ({"folds": 1}, "cross-validation needs 2 folds at least"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, said):
    with pytest.raises(SettingsError, match=said):
        TrainSettings.resolve({"data": "flowers", **given})


def test_a_distilled_network_needs_pictures_for_its_own_temperature(data, tmp_path):
    with pytest.raises(SettingsError, match="Give --calibration"):
        eyebright.train(data, out=tmp_path / "run", folds=2, ensemble="folds", distil=True)
    assert not (tmp_path / "run").exists()


STAGES = {
    "a fold": {"folds": 2},
    "a member": {"ensemble": "seeds", "members": 2},
    "distillation": {"ensemble": "seeds", "members": 2, "distil": True, "calibration": 0.2},
    "a smaller training set": {"learning_curve": True},
}


@pytest.mark.parametrize("what", STAGES)
def test_a_run_stopped_in_any_stage_ends_in_the_same_model(data, tmp_path, quick, what):
    """Ctrl-C after the first epoch of the last stage; resumed, all is as in a run that nobody stopped."""
    whole = trained(data, tmp_path / "whole", epochs=2, **STAGES[what])
    last = [row["stage"] for row in map(json.loads, whole.events.read_text().splitlines()) if row["event"] == "epoch"][-1]

    def stop(event):
        if isinstance(event, Epoch) and event.stage == last and event.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="--resume"):
        trained(data, tmp_path / "stopped", epochs=2, on_event=stop, **STAGES[what])
    resumed = eyebright.train(data, out=tmp_path / "stopped", resume=True).run
    assert outcome(resumed) == outcome(whole)
    assert report_of(resumed)["training"]["learning_curve"] == report_of(whole)["training"]["learning_curve"]
    assert report_of(resumed)["training"]["cross_validation"] == report_of(whole)["training"]["cross_validation"]
