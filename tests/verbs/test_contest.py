"""``auto`` on small pictures: two networks are trained, and the one is kept that knows the validation part better."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import eyebright
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import DataError, DivergedError, InterruptedRunError, ResourceError
from eyebright.core.events import Note
from eyebright.core.run import Run
from eyebright.verbs.making import choosing, contest
from eyebright.verbs.making.placing import RIVAL, clear_scratch

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
        raise DivergedError("The loss is nan at step 3: training has diverged.")

    monkeypatch.setattr("eyebright.verbs.making.dialling.dial", diverge)
    report = report_of(trained(data, tmp_path / "run", epochs=1, **OWN))
    assert report["training"]["model"].startswith("cnn")
    assert [attempt["kept"] for attempt in report["training"]["attempts"]] == [True]


def test_a_full_disk_decides_nothing_between_the_two(data, tmp_path, quick, monkeypatch):
    def full(work):
        raise ResourceError("plan.json could not be written: No space left on device.")

    monkeypatch.setattr("eyebright.verbs.making.dialling.dial", full)
    with pytest.raises(ResourceError, match="No space left"):
        trained(data, tmp_path / "run", epochs=1, **OWN)
    assert not (tmp_path / "run" / "report.json").exists()


def test_a_finished_run_keeps_neither_networks_prepared_pictures(tmp_path):
    run = Run(tmp_path)
    aside = Run(run.checkpoints / RIVAL)
    for checkpoints in (run.checkpoints, aside.checkpoints):
        checkpoints.mkdir(parents=True)
        for name in ("pixels-a1b2.npy", "fine-tuning-1.safetensors", "training.safetensors"):
            (checkpoints / name).write_bytes(b"")
    clear_scratch(run)
    kept = sorted(file.relative_to(run.checkpoints).as_posix() for file in run.checkpoints.rglob("*") if file.is_file())
    assert kept == ["rival/checkpoints/training.safetensors", "training.safetensors"]


def test_many_pictures_have_no_rival(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(choosing, "FEW", 20)
    report = report_of(trained(squares(tmp_path / "data"), tmp_path / "run", epochs=1, **OWN))
    assert [attempt["name"][:4] for attempt in report["training"]["attempts"]] == ["trai"]


# --- pictures between small ones and photographs: speed, and lite0 beside it


@pytest.fixture(scope="module")
def middling(tmp_path_factory):
    """Three classes of 20 coloured squares on 48 pixels."""
    return squares(tmp_path_factory.mktemp("middling") / "data", 20, 48)


@pytest.mark.slow
def test_speed_learns_pictures_of_48_pixels_beside_lite0_at_its_own_size(middling, tmp_path, quick, monkeypatch):
    """Who wins is settled here, so that each is seen as the winner once."""
    found = {}
    for name in ("lite0", "speed"):
        monkeypatch.setattr(contest, "_score", lambda tried, rows, name=name: float(tried.work.plan.architecture.name != name))
        run = trained(middling, tmp_path / name, **{**OWN, "epochs": 1})
        report, bundle = report_of(run), read_bundle(run.bundle)
        assert [attempt["name"].split(",")[0] for attempt in report["training"]["attempts"]] == ["speed", "lite0"]
        assert [attempt["kept"] for attempt in report["training"]["attempts"]] == [name == "speed", name == "lite0"]
        assert bundle.manifest.architecture.name == name
        assert eyebright.verify(run.path).exit_code == 0
        found[name] = (bundle.manifest.preprocess.size, choices_of(report))
    assert found["lite0"][0] == (96, 96)
    assert found["lite0"][1]["size"] == "96 pixels"
    assert found["lite0"][1]["weights"] == "pretrained"
    assert "capacity" not in found["lite0"][1]
    assert found["speed"][0] == (48, 48)
    assert found["speed"][1]["size"] == "48 pixels"
    assert found["speed"][1]["weights"] == "none"
    assert "depths" not in found["speed"][1]


@pytest.mark.slow
def test_a_contest_with_lite0_that_was_interrupted_goes_on_to_the_same_end(middling, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(contest, "_score", lambda tried, rows: float(tried.work.plan.architecture.name != "lite0"))
    asked = {"epochs": 1, "precision": "fp32", "device": "cpu", "capacity": "narrow"}
    whole = eyebright.train(middling, out=tmp_path / "whole", **asked).run

    def stop(event):
        if getattr(event, "stage", "") == "lite0, fine-tuning":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        eyebright.train(middling, out=tmp_path / "cut", on_event=stop, **asked)
    run = eyebright.train(middling, out=tmp_path / "cut", resume=True, **asked).run
    assert weights_of(run) == weights_of(whole)
    assert report_of(whole)["figures"] == report_of(run)["figures"]


@pytest.mark.parametrize(
    "asked", [{"learning_rate": 0.01}, {"unfreeze": "head"}, {"size": 64}, {"depths": 1}, {"weights": "none"}]
)
def test_what_only_a_pretrained_network_obeys_makes_lite0_the_model(middling, asked):
    told = eyebright.train(middling, dry_run=True, **{"epochs": 1, **asked}).plan
    assert any("lite0 at" in line for line in told)
    assert not any("beside it" in line for line in told)


def test_a_dry_run_says_that_both_are_tried(middling):
    told = eyebright.train(middling, dry_run=True, epochs=1).plan
    assert any("speed at 48 pixels" in line for line in told)
    assert "Train lite0 beside it, and keep what is better." in told


def test_lite0_is_no_rival_where_its_head_could_not_be_cross_validated(tmp_path):
    """Of two classes one has a single picture: no fold could tell anything."""
    data = squares(tmp_path / "data", 20, 48, classes=("blue",))
    squares(data, 1, 48, classes=("green",), seed=1)
    events = []
    told = eyebright.train(data, dry_run=True, epochs=1, on_event=events.append).plan
    assert any("speed at 48 pixels" in line for line in told)
    assert "model: speed (beside it lite0 would be trained, but its head could not be cross-validated)." in told
    assert not any(line.startswith("Train lite0 beside") for line in told)
    said = [event.text for event in events if isinstance(event, Note)]
    assert any(text.startswith("lite0 is not trained beside speed: Cross-validation needs two classes") for text in said)
    with pytest.raises(DataError, match="of 2 classes among 17 pictures, 1 has that"):
        eyebright.train(data, out=tmp_path / "run", model="lite0", epochs=1)
    assert not (tmp_path / "run").exists()  # refused before anything was prepared


def test_the_two_are_compared_on_the_pictures_that_judge_both():
    """The rival's head never held out the last validation picture, on which the first network is quite wrong."""
    held = np.array([False, True, True, True])
    labels = np.array([0, 0, 1, 2])
    sure = 20 * np.eye(3, dtype=np.float32)

    def tried(rows, logits):
        learned = SimpleNamespace(rows=np.array(rows), logits=np.stack(logits))
        return SimpleNamespace(learned=learned, work=SimpleNamespace(held_out=held), data=of(labels))

    first = tried([1, 2, 3], [sure[0], sure[1], sure[0]])
    second = tried([0, 1, 2], [sure[0], sure[0], np.zeros(3, np.float32)])
    both = np.intersect1d(contest._validation_rows(first), contest._validation_rows(second))
    assert both.tolist() == [1, 2]
    assert contest._score(first, both) < contest._score(second, both)
    assert contest._score(first, np.array([1, 2, 3])) > contest._score(second, both)


def of(labels):
    return SimpleNamespace(pictures=SimpleNamespace(labels=labels))


def test_photographs_have_no_contest(tmp_path):
    told = eyebright.train(squares(tmp_path / "data", 8, 65), dry_run=True, epochs=1).plan
    assert any("lite0 at" in line for line in told)
    assert not any("beside it" in line for line in told)
