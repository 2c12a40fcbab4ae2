"""``tune``: a search on real pictures, what it leaves behind, how it is gone on with, and that it never sees the test part."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import eyebright
from eyebright.cli.main import main
from eyebright.core.errors import DataError, ResourceError, SettingsError
from eyebright.core.events import Choice, Progress, silent
from eyebright.core.predictions import load_predictions
from eyebright.training.fit import Pace
from eyebright.verbs.making import budgeting
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.tuning import records
from eyebright.verbs.tuning.trial import Workbench

from .shapes import SETTINGS, squares

QUICK = {**SETTINGS, "epochs": 2, "flip": "off"}
WAY = {**QUICK, "parallel": 1}
RATES = ("learning_rate=0.0005,0.005",)
FLAGS = [word for name, value in QUICK.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def searched(data, out, **settings):
    return eyebright.tune(data, out=out, **{**WAY, "search": RATES, **settings})


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    """A grid of two rates and two batch sizes. Tests only read it."""
    folder = tmp_path_factory.mktemp("search") / "grid"
    return searched(data, folder, method="grid", search=("learning_rate=0.0005,0.005", "batch_size=8,16"))


def test_a_grid_is_complete_and_the_usual_settings_come_first(found):
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3, 4]
    assert found.trials[0].values == {"learning_rate": SETTINGS["learning_rate"], "batch_size": SETTINGS["batch_size"]}
    tried = {(trial.values["learning_rate"], trial.values["batch_size"]) for trial in found.trials[1:]}
    assert tried == {(rate, size) for rate in (0.0005, 0.005) for size in (8, 16)}
    assert {trial.state for trial in found.trials} == {"finished"}
    assert all(len(trial.curve) == 2 for trial in found.trials)


def test_the_same_settings_give_the_same_score(found):
    again = next(trial for trial in found.trials[1:] if trial.values == found.trials[0].values)
    assert again.score == found.trials[0].score


def test_the_best_is_the_finished_trial_of_least_loss_the_usual_one_before_its_equals(found):
    scores = {trial.number: trial.score for trial in found.trials}
    assert scores[found.best] == min(scores.values())
    if scores[0] == min(scores.values()):
        assert found.best == 0
        assert found.gain is None


def test_a_search_leaves_its_page_its_values_and_its_settings(found):
    stored = json.loads((found.path / "search.json").read_text(encoding="utf-8"))
    assert stored["schema"] == 1
    assert len(stored["trials"]) == 5
    assert "<!doctype html>" in (found.path / "search.html").read_text(encoding="utf-8")
    assert not list((found.path / "trials").glob("*.claim"))
    assert not [path for path in (found.path / "trials").iterdir() if path.is_dir()]


def test_every_trial_is_judged_on_the_validation_pictures_and_no_others(found):
    split = json.loads((found.path / "split.json").read_text(encoding="utf-8"))["parts"]
    assert found.n == len(split["validation"])
    for trial in found.trials:
        table = load_predictions(records.predictions_file(found.path, trial.number))
        assert sorted(table.keys) == sorted(split["validation"])
        assert not set(table.keys) & set(split["test"])


def test_a_search_does_not_look_at_the_test_pictures(tmp_path):
    data = squares(tmp_path / "data", 20)
    settings = TrainSettings.resolve({"data": str(data), **QUICK})
    bench = Workbench(settings, tmp_path, silent)
    before, _ = bench.try_out(settings, tmp_path / "a", silent)
    for key in bench.material.split.parts["test"]:
        (data / key).write_bytes(b"no picture any more")
    other = settings.model_copy(update={"size": 20})  # seen at another size, all pictures are read again
    after, _ = bench.try_out(settings, tmp_path / "b", silent)
    assert (after.log_loss, after.predictions.logits.tobytes()) == (before.log_loss, before.predictions.logits.tobytes())
    bench.try_out(other, tmp_path / "c", silent)
    for key in bench.material.split.parts["validation"]:
        (data / key).write_bytes(b"no picture any more")
    with pytest.raises(DataError):
        bench.try_out(settings.model_copy(update={"size": 24}), tmp_path / "d", silent)


def test_the_best_settings_are_what_train_takes(quick, found, data, tmp_path, capsys):
    best = found.trials[found.best]
    settings = tomllib.loads((found.path / "best.toml").read_text(encoding="utf-8"))
    assert settings["learning_rate"] == best.values["learning_rate"]
    assert settings["batch_size"] == best.values["batch_size"]
    assert settings["epochs"] == 2
    words = ["train", str(data), "--config", str(found.path / "best.toml"), "--out", str(tmp_path / "run")]
    assert main(words) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    recipe = report["provenance"]["recipe"]
    assert (recipe["learning_rate"], recipe["batch_size"]) == (best.values["learning_rate"], best.values["batch_size"])
    # It is the very training that the search judged: the epochs end in the same validation losses.
    losses = [row["metrics"]["validation_loss"] for row in report["training"]["curves"] if row["stage"] == "training"]
    assert losses == pytest.approx(best.curve, rel=1e-6)


def test_what_was_asked_for_is_kept_in_the_best_settings(data, tmp_path):
    result = searched(data, tmp_path / "s", trials=1, method="random", model="lenet", size=24, label_smoothing=0.1)
    settings = tomllib.loads((result.path / "best.toml").read_text(encoding="utf-8"))
    assert (settings["model"], settings["size"], settings["label_smoothing"]) == ("lenet", 24, 0.1)
    assert "minutes" not in settings


def test_a_trial_that_cannot_be_is_kept_with_its_reason_and_the_others_are_done(data, tmp_path):
    result = searched(data, tmp_path / "s", method="grid", search=("model=cnn,no-such,hog-svm",))
    trials = {trial.values["model"]: trial for trial in result.trials[1:]}
    assert {name: trial.state for name, trial in trials.items()} == {
        "cnn": "finished",
        "no-such": "failed",
        "hog-svm": "failed",
    }
    assert "no-such" in trials["no-such"].reason
    assert "hog-svm is no network" in trials["hog-svm"].reason
    assert "2 failed." in result.how


def test_a_model_that_is_no_network_has_nothing_to_search(data, tmp_path):
    with pytest.raises(SettingsError, match="hog-svm is no network"):
        searched(data, tmp_path / "s", model="hog-svm", epochs=None)
    assert not (tmp_path / "s").exists()


def test_epochs_that_are_not_given_are_settled_by_the_usual_settings_for_all(data, tmp_path, monkeypatch):
    monkeypatch.setattr(budgeting, "measure_pace", lambda *given, **named: Pace(training=0.05, evaluation=0.0))
    told = []
    result = searched(
        data, tmp_path / "s", method="random", trials=1, epochs=None, flip="auto", minutes=0.4, on_event=told.append
    )
    description = json.loads((result.path / "study.json").read_text(encoding="utf-8"))
    epochs = next(event.value for event in told if isinstance(event, Choice) and event.name == "epochs")
    # 24 s for two trials, a bit of it gone for reading: nearly 12 s, and an epoch of 57 pictures takes 2.85 s.
    assert description["base"]["epochs"] == int(epochs) in (3, 4)
    assert description["base"]["flip"] in ("on", "off")
    assert [len(trial.curve) for trial in result.trials] == [int(epochs)] * 2


def test_an_interrupted_search_says_how_to_go_on_and_does(data, tmp_path, monkeypatch, capsys):
    whole = searched(data, tmp_path / "whole", method="random", trials=3)
    real, count = Workbench.try_out, []

    def stop(self, *given, **named):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return real(self, *given, **named)

    words = ["tune", str(data), "--out", str(tmp_path / "my s"), *FLAGS, "--parallel", "1"]
    words += ["--method", "random", "--trials", "3", "--search", *RATES]
    with monkeypatch.context() as patch:
        patch.setattr(Workbench, "try_out", stop)
        assert main(words) == 130
    assert f"eyebright tune {data} --out '{tmp_path}/my s' --resume" in capsys.readouterr().err
    assert main(["tune", str(data), "--out", str(tmp_path / "my s"), "--resume", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == 1
    assert said["path"] == str(tmp_path / "my s")
    assert "--config" in said["command"]
    assert [trial["score"] for trial in said["trials"]] == [trial.score for trial in whole.trials]


def test_a_search_stopped_in_the_usual_settings_can_be_gone_on_with(data, tmp_path, monkeypatch):
    def stop(self, *given, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Workbench, "try_out", stop)
        with pytest.raises(eyebright.EyebrightError, match="Go on with"):
            searched(data, tmp_path / "s", method="random", trials=1)
    assert len(eyebright.tune(data, out=tmp_path / "s", resume=True).trials) == 2


def test_a_search_can_be_made_longer_but_not_another(data, tmp_path):
    first = searched(data, tmp_path / "s", method="random", search=("learning_rate=0.001..0.01",), trials=1)
    longer = eyebright.tune(data, out=tmp_path / "s", resume=True, trials=2)
    assert longer.trials[:2] == first.trials
    assert len(longer.trials) == 3
    with pytest.raises(SettingsError, match=r"--method is 'grid'; the search in .* was begun with 'random'"):
        eyebright.tune(data, out=tmp_path / "s", resume=True, method="grid")


@pytest.mark.parametrize("parallel", [1, 2])
def test_other_pictures_under_the_same_names_are_noticed(tmp_path, parallel):
    data = squares(tmp_path / "data", 10)
    searched(data, tmp_path / "s", method="random", search=("learning_rate=0.001..0.01",), trials=1)
    squares(data, 10, seed=1)
    with pytest.raises(DataError, match="pictures have changed since"):
        eyebright.tune(data, out=tmp_path / "s", resume=True, trials=3, parallel=parallel)
    assert (tmp_path / "s" / "study.json").is_file()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "grid", "trials": 1}, "The grid has 2 combinations; --trials 1 would leave some out"),
        ({"search": ("test=0.1,0.2",)}, "decides what is measured"),
        ({"folds": 3}, "--folds is for train"),
        ({"dry_run": True}, "--dry-run is for train"),
        ({"resume": True}, "holds no search.toml"),
        ({"trials": 0}, "--trials is 0"),
    ],
)
def test_what_cannot_be_searched_is_refused_and_leaves_no_folder(data, tmp_path, settings, said):
    with pytest.raises(SettingsError) as refused:
        searched(data, tmp_path / "s", **settings)
    assert said in str(refused.value)
    assert not (tmp_path / "s").exists()


def test_a_folder_that_is_in_use_or_cannot_be_made_is_refused(found, data, tmp_path):
    with pytest.raises(SettingsError, match="exists and is not empty"):
        searched(data, found.path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be created"):
        searched(data, tmp_path / "file" / "s")


def test_more_trials_than_there_are_values_are_not_done(data, tmp_path):
    told = []
    result = searched(data, tmp_path / "s", method="random", trials=20, on_event=told.append)
    assert len(result.trials) == 3
    progress = [event for event in told if isinstance(event, Progress) and "best log_loss" in event.metrics]
    assert progress[-1].done == 2


def test_the_command_line_shows_the_best_beside_the_usual(data, tmp_path, capsys):
    words = ["tune", str(data), "--out", str(tmp_path / "s"), *FLAGS, "--parallel", "1"]
    assert main([*words, "--method", "grid", "--search", *RATES]) == 0
    said = capsys.readouterr()
    assert "learning_rate" in said.out
    assert f"eyebright train {data} --config {tmp_path / 's' / 'best.toml'}" in said.out
    assert str(tmp_path / "s" / "search.html") in said.out
    assert "Traceback" not in said.err


@pytest.mark.slow
def test_fine_tuning_is_searched_down_to_the_head_alone(tmp_path):
    data = squares(tmp_path / "data", 12, 40)
    result = searched(data, tmp_path / "s", method="grid", search=("unfreeze=head,1",), model="lite0", size=32, epochs=1)
    usual, *tried = result.trials
    assert usual.values == {"unfreeze": "all"}  # what auto came to
    curves = {trial.values["unfreeze"]: trial.curve for trial in tried}
    assert {name: len(curve) for name, curve in curves.items()} == {"head": 0, "1": 1}
    assert all(trial.state == "finished" for trial in tried)


def children(parent):
    return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not in {seconds} seconds")
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the processes from /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_two_processes_end_with_the_one_that_started_them_and_a_resume_does_the_rest(data, tmp_path, number):
    out = tmp_path / "s"
    command = [sys.executable, "-m", "eyebright", "tune", str(data), "--out", str(out), *FLAGS, "--epochs", "30"]
    command += ["--trials", "4", "--parallel", "2", "--search", "learning_rate=0.001..0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        until(lambda: (out / "trials").is_dir() and len(list((out / "trials").glob("*.claim"))) == 2)
        workers = children(process.pid)
        assert len(workers) == 2
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert ("--resume" in said) == (number == signal.SIGINT)
    assert "Traceback" not in said
    until(lambda: not any(map(alive, workers)))
    before = {trial.number for trial in records.records(out)}
    assert before < set(range(5))
    result = eyebright.tune(data, out=out, resume=True)
    assert [trial.number for trial in result.trials] == list(range(5))
    assert not list((out / "trials").glob("*.claim"))
    assert not list(out.glob("process-*.log"))
