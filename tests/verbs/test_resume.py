"""A run killed at any moment and resumed ends in the same bytes; Ctrl-C says how to go on; contradictions are refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import eyebright
from eyebright.cli.main import Terminated, main
from eyebright.core.errors import DataError, InterruptedRunError, SettingsError
from eyebright.core.run import Run

from .shapes import SETTINGS, outcome, report_of, squares, story_of, trained

KILLED = Path(__file__).with_name("killed.py")
FLAGS = [word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def killed_at(moments, data, out, *flags):
    """{moment: (exit status when killed, exit status when resumed)}, in words."""
    command = [sys.executable, str(KILLED), ",".join(moments), str(data), str(out), *FLAGS, *flags]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Traceback" not in said.stderr
    rows = [line.split() for line in said.stdout.splitlines() if line.startswith(("replace", "flush"))]
    return {moment: (status, resumed) for moment, status, resumed in rows}


def count_of_files(data, out, monkeypatch):
    """The uninterrupted run, and how many files it renamed into place."""
    real, count = os.replace, []
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *given: (count.append(1), real(*given))[1])
        run = trained(data, out)
    return run, len(count)


@pytest.mark.slow
def test_a_run_killed_at_any_file_it_writes_and_resumed_ends_in_the_same_bytes(quick, data, tmp_path, monkeypatch):
    whole, files = count_of_files(data, tmp_path / "whole", monkeypatch)
    assert files > 12
    # The first two are environment.json and settings.toml: before them there is no run to go on with.
    moments = [f"replace:{number}" for number in range(3, files + 1, 4)]
    moments += [f"flush:{number}" for number in range(5, files - 1, 6)]
    ends = killed_at(moments, data, tmp_path / "run")
    assert ends == dict.fromkeys(moments, ("-9", "0"))
    for moment in moments:
        assert outcome(Run(tmp_path / f"run-{moment.replace(':', '-')}")) == outcome(whole), moment


@pytest.mark.slow
def test_what_a_kill_left_half_written_is_gone_after_the_resume(data, tmp_path):
    killed_at(["flush:6"], data, tmp_path / "run")
    assert list((tmp_path / "run-flush-6").rglob(".*.part*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"unfreeze": "4", "fine_tune_in_folds": "yes"}], ids=["once", "in folds"])
def test_fine_tuning_killed_and_resumed_ends_in_the_same_bytes(quick, tmp_path, more):
    data = squares(tmp_path / "data", 12, 40)
    flags = {"model": "lite0", "size": 32, "epochs": 1, **more}
    whole = trained(data, tmp_path / "whole", **flags)
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    # Of the files: 4 and more are the plan, the head's strength, the features, the checkpoints of fine-tuning, the bundle.
    ends = killed_at(["replace:6", "replace:8", "flush:9"], data, tmp_path / "run", *words)
    assert set(ends.values()) == {("-9", "0")}
    for moment in ends:
        assert outcome(Run(tmp_path / f"run-{moment.replace(':', '-')}")) == outcome(whole), moment


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_was_done_and_prints_the_command_that_goes_on(data, tmp_path, number, code):
    out = tmp_path / "my run"
    words = [*FLAGS, "--epochs", "100000", "--patience", "0"]
    command = [sys.executable, "-m", "eyebright", "train", str(data), "--out", str(out), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_epochs(out / "events.jsonl", 2)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"eyebright train {data} --out '{out}' --resume" in said
    assert "Traceback" not in said
    assert (out / "checkpoints" / "training.safetensors").is_file()


def wait_for_epochs(events, count, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if events.exists() and events.read_text(encoding="utf-8").count('"event": "epoch"') >= count:
            return
        time.sleep(0.05)
    pytest.fail(f"no {count} epochs in {seconds} seconds")


def interrupted(data, out, monkeypatch, error=KeyboardInterrupt, **settings):
    """A run stopped where the measuring begins: all is learned, nothing is judged."""
    with monkeypatch.context() as patch:
        patch.setattr("eyebright.verbs.making.judging.predictions_of", lambda *given, **named: (_ for _ in ()).throw(error()))
        with pytest.raises(InterruptedRunError) as stopped:
            trained(data, out, **settings)
    return stopped.value


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interruption_outside_training_says_how_to_go_on_too(quick, data, tmp_path, monkeypatch, capsys, error, code):
    def stop(*given, **named):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("eyebright.verbs.making.judging.predictions_of", stop)
        assert main(["train", str(data), "--out", str(tmp_path / "run"), *FLAGS]) == code
    assert f"Go on with: eyebright train {data} --out {tmp_path / 'run'} --resume" in capsys.readouterr().err


def test_a_resume_does_not_train_again_what_is_done(quick, data, tmp_path, monkeypatch):
    whole = trained(data, tmp_path / "whole")
    interrupted(data, tmp_path / "run", monkeypatch)
    resumed = eyebright.train(data, out=tmp_path / "run", resume=True).run
    assert outcome(resumed) == outcome(whole)
    epochs = [(row["stage"], row["epoch"]) for row in story_of(resumed) if row["event"] == "epoch"]
    assert len(epochs) == len(set(epochs))


def test_the_report_of_a_resumed_run_tells_the_whole_story(quick, data, tmp_path, monkeypatch):
    whole = report_of(trained(data, tmp_path / "whole"))
    interrupted(data, tmp_path / "run", monkeypatch)
    resumed = report_of(eyebright.train(data, out=tmp_path / "run", resume=True).run)
    choices = [{one["name"]: one["value"] for one in report["training"]["choices"]} for report in (whole, resumed)]
    assert choices[0] == choices[1]
    curves = [[(one["stage"], one["epoch"]) for one in report["training"]["curves"]] for report in (whole, resumed)]
    assert curves[0] == curves[1]


def test_a_run_can_be_resumed_from_another_folder(quick, data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    interrupted("squares", tmp_path / "run", monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert eyebright.train(data, out="run", resume=True).run.finished


def test_a_finished_run_is_not_resumed(finished, data, capsys):
    assert main(["train", str(data), "--out", str(finished.path), "--resume"]) == 2
    assert str(finished.report_html) in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_not_resumed(data, tmp_path, capsys):
    assert main(["train", str(data), "--out", str(tmp_path), "--resume"]) == 3
    assert "is not a run" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [{"epochs": 7}, {"seed": 5}, {"model": "lite0"}, {"flip": "on"}, {"resize": "crop"}])
def test_flags_that_contradict_the_run_are_refused(quick, data, tmp_path, monkeypatch, flags):
    interrupted(data, tmp_path / "run", monkeypatch)
    with pytest.raises(SettingsError, match=r"was begun with .* to go on, or begin a new run"):
        eyebright.train(data, out=tmp_path / "run", resume=True, **flags)


def test_other_data_than_the_run_was_begun_with_is_refused(quick, data, tmp_path, monkeypatch):
    interrupted(data, tmp_path / "run", monkeypatch)
    other = squares(tmp_path / "other", 5)
    with pytest.raises(SettingsError, match="was begun with"):
        eyebright.train(other, out=tmp_path / "run", resume=True)


def test_the_same_flags_again_are_no_contradiction(quick, data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    interrupted("squares", tmp_path / "run", monkeypatch, data_home=Path("."))
    resumed = eyebright.train("squares", out=tmp_path / "run", resume=True, data_home=Path("."), **SETTINGS)
    assert resumed.run.finished


@pytest.mark.parametrize("change", ["more", "fewer", "renamed"])
def test_data_that_changed_since_is_exit_three(quick, tmp_path, monkeypatch, change):
    data = squares(tmp_path / "data", 10)
    interrupted(data, tmp_path / "run", monkeypatch, epochs=1)
    if change == "more":
        squares(data, 1, first=900)
    else:
        moved = (data / "red" / "003.png").rename(data / "red" / "moved.png")
        if change == "fewer":
            moved.unlink()
    with pytest.raises(DataError, match="The data has changed since") as refused:
        eyebright.train(data, out=tmp_path / "run", resume=True)
    assert refused.value.exit_code == 3


def test_pixels_that_changed_under_the_same_names_are_noticed(quick, tmp_path, monkeypatch):
    """The split knows keys only; checkpoints of other pictures must not be gone on with in silence."""
    data = squares(tmp_path / "data", 10)
    interrupted(data, tmp_path / "run", monkeypatch, epochs=1)
    squares(data, 10, seed=1)
    with pytest.raises(DataError, match="pictures have changed since"):
        eyebright.train(data, out=tmp_path / "run", resume=True)


@pytest.mark.parametrize("change", ["another name of a class", "another label of a picture", "another group"])
def test_labels_names_and_groups_that_changed_under_the_same_pixels_are_noticed(quick, tmp_path, monkeypatch, change):
    """A split that the table gives stays as it is; outputs of the old labels must not go by the names of the new ones."""
    rows = []
    for path in sorted(squares(tmp_path, 10).glob("*/*.png")):
        number = int(path.stem)
        part = "train" if number < 6 else "val" if number < 8 else "test"
        rows.append([f"{path.parent.name}/{path.name}", path.parent.name, part, path.name])

    def write():
        (tmp_path / "t.csv").write_text("path,label,part,group\n" + "".join(f"{','.join(row)}\n" for row in rows))

    write()
    interrupted(tmp_path / "t.csv", tmp_path / "run", monkeypatch, epochs=1)
    if change == "another name of a class":
        rows = [[path, "zinnober" if label == "red" else label, *rest] for path, label, *rest in rows]
    elif change == "another label of a picture":
        rows[0][1] = rows[-1][1]
    else:
        rows[0][3] = "alone"
    write()
    with pytest.raises(DataError, match="Labels, class names or groups have changed since"):
        eyebright.train(tmp_path / "t.csv", out=tmp_path / "run", resume=True)


def test_a_damaged_checkpoint_is_exit_three_with_the_remedy(quick, data, tmp_path, monkeypatch):
    interrupted(data, tmp_path / "run", monkeypatch)
    checkpoint = tmp_path / "run" / "checkpoints" / "training.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"not a whole checkpoint.*Delete it"):
        eyebright.train(data, out=tmp_path / "run", resume=True)
    checkpoint.unlink()
    whole = trained(data, tmp_path / "whole")
    assert outcome(eyebright.train(data, out=tmp_path / "run", resume=True).run) == outcome(whole)


def test_a_resume_reads_the_budget_instead_of_timing_again(quick, data, tmp_path, monkeypatch):
    from eyebright.training.fit import Pace
    from eyebright.verbs.making import budgeting

    times = []

    def pace(*given, **named):
        times.append(1)
        return Pace(training=1.0, evaluation=0.0)

    monkeypatch.setattr(budgeting, "measure_pace", pace)
    interrupted(data, tmp_path / "run", monkeypatch, epochs=None, minutes=9.9)
    before = json.loads((tmp_path / "run" / "checkpoints" / "plan.json").read_text())["recipe"]["epochs"]
    resumed = eyebright.train(data, out=tmp_path / "run", resume=True).run
    assert len(times) == 1
    assert report_of(resumed)["provenance"]["recipe"]["epochs"] == before == 4
