"""``auto`` on few small pictures: two networks are trained, and the one is kept that knows the validation part better."""

import re

import pytest

import eyebright
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import InterruptedRunError, ResourceError
from eyebright.verbs.making import choosing

from .shapes import report_of, squares, trained, weights_of

OWN = {"capacity": "narrow", "learning_rate": None, "batch_size": None}


def uneven(monkeypatch, rival_epochs):
    """Gives the rival other epochs than the plan's."""
    choose = choosing.choose

    def chosen(*arguments):
        plan = choose(*arguments)
        rival = plan.rival.model_copy(update={"recipe": plan.rival.recipe.model_copy(update={"epochs": rival_epochs})})
        return plan.model_copy(update={"rival": rival})

    monkeypatch.setattr(choosing, "choose", chosen)


def test_both_are_tried_and_the_reason_says_what_each_gave(data, tmp_path, quick):
    report = report_of(trained(data, tmp_path / "run", epochs=6, **OWN))
    attempts = report["training"]["attempts"]
    assert [attempt["name"].split(",")[0] for attempt in attempts] == ["speed", "cnn"]
    assert [attempt["kept"] for attempt in attempts].count(True) == 1
    choice = next(choice for choice in report["training"]["choices"] if choice["name"] == "model")
    kept = next(attempt for attempt in attempts if attempt["kept"])
    assert kept["name"].startswith(choice["value"])
    losses = [float(number) for number in re.findall(r"\d+\.\d+", choice["reason"])]
    assert losses == sorted(losses)


@pytest.mark.parametrize("epochs", [(9, 1), (1, 30)])
def test_the_better_one_is_what_the_bundle_holds(data, tmp_path, quick, monkeypatch, epochs):
    """One network is trained for long and the other hardly at all, in turn: the plan's, then its rival."""
    plan_epochs, rival_epochs = epochs
    uneven(monkeypatch, rival_epochs)
    run = trained(data, tmp_path / "run", epochs=plan_epochs, **OWN)
    expected = "speed" if plan_epochs > rival_epochs else "cnn"
    architecture = read_bundle(run.bundle).manifest.architecture
    assert architecture is not None
    assert architecture.name == expected
    assert report_of(run)["training"]["model"].startswith(expected)


def test_a_rate_that_was_asked_for_is_the_classic_networks(data, tmp_path, quick):
    report = report_of(trained(data, tmp_path / "run", epochs=1))
    assert report["training"]["model"].startswith("cnn")


@pytest.mark.parametrize("epochs", [(3, 1), (1, 8)], ids=["speed wins", "cnn wins"])
def test_a_contest_that_was_interrupted_goes_on_to_the_same_end(data, tmp_path, quick, monkeypatch, epochs):
    """Stopped in the rival's training, when the first network is done already: weights, figures and choices are the same."""
    uneven(monkeypatch, epochs[1])
    asked = {"epochs": epochs[0], "precision": "fp32", "device": "cpu", "capacity": "narrow"}
    whole = eyebright.train(data, out=tmp_path / "whole", **asked).run

    def stop(event):
        if getattr(event, "stage", "") == "cnn, training":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        eyebright.train(data, out=tmp_path / "cut", on_event=stop, **asked)
    run = eyebright.train(data, out=tmp_path / "cut", resume=True, **asked).run
    assert weights_of(run) == weights_of(whole)
    first, second = (report_of(each) for each in (whole, run))
    assert first["figures"] == second["figures"]
    assert choices_of(first) == choices_of(second)
    assert {point["stage"] for point in first["training"]["curves"]} == {"training", "training on all"}


def choices_of(report):
    return {choice["name"]: choice["value"] for choice in report["training"]["choices"]}


def test_the_choices_in_the_report_are_those_of_the_network_that_is_kept(data, tmp_path, quick, monkeypatch):
    uneven(monkeypatch, 30)
    run = eyebright.train(data, out=tmp_path / "run", epochs=1, capacity="narrow", device="cpu").run
    found = choices_of(report_of(run))
    assert found["model"] == "cnn"
    assert "capacity" not in found
    assert not [name for name in found if name.startswith("cnn, ")]
    assert {"precision", "mirrored copies in training"} <= found.keys()


def test_a_network_that_diverges_has_lost(data, tmp_path, quick, monkeypatch):
    def diverge(work):
        raise ResourceError("The loss is nan at step 3: training has diverged.")

    monkeypatch.setattr("eyebright.verbs.making.dialling.dial", diverge)
    report = report_of(trained(data, tmp_path / "run", epochs=1, **OWN))
    assert report["training"]["model"].startswith("cnn")
    assert [attempt["kept"] for attempt in report["training"]["attempts"]] == [True]


def test_many_pictures_have_no_rival(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(choosing, "FEW", 20)
    report = report_of(trained(squares(tmp_path / "data"), tmp_path / "run", epochs=1, **OWN))
    assert [attempt["name"][:4] for attempt in report["training"]["attempts"]] == ["trai"]
