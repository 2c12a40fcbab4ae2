"""The study on a bench that only pretends to train: who does which trial, what is proposed, stopped, kept, held to matter."""

import math
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from eyebright.core.errors import InterruptedRunError, ResourceError
from eyebright.core.events import Epoch, Phase, silent
from eyebright.core.predictions import Predictions
from eyebright.core.report import Trial
from eyebright.training.fit import Pace
from eyebright.verbs.tuning import records, workers
from eyebright.verbs.tuning.importance import importances
from eyebright.verbs.tuning.space import read_space
from eyebright.verbs.tuning.study import Description, Study, mend_journal
from eyebright.verbs.tuning.trial import Outcome

WORDS = ["learning_rate=1e-4..1e-2", "batch_size=16,32"]
NEVER = math.inf


def outcome(loss):
    table = Predictions(
        keys=("a", "b"),
        labels=np.array([0, 1]),
        logits=np.array([[2.0, 0.0], [0.0, 2.0]], dtype=np.float32),
        classes=("x", "y"),
        groups=("a", "b"),
    )
    return Outcome(predictions=table, log_loss=loss, accuracy=1 - loss, f1_macro=1 - loss, seconds=0.0)


class Bench:
    """Pretends to train: the loss is the distance of the rate from 1e-3 in powers of ten, and falls over four epochs."""

    def __init__(self, each=None):
        self.tried = []
        self._each = each

    def try_out(self, settings, place, on_event, *, seconds=math.inf):
        assert place.is_dir()
        self.tried.append(settings)
        loss = 0.1 + abs(math.log10(settings.learning_rate) + 3)
        if self._each:
            self._each(len(self.tried), settings, on_event)
        for epoch in range(1, 5):
            on_event(Epoch("training", epoch, {"loss": 0.0, "validation_loss": loss + 0.1 * (4 - epoch)}, 0.0))
        return outcome(loss), None


def begin(folder, **changes):
    (folder / "trials").mkdir(parents=True)
    values = {"method": "random", "metric": "log_loss", "trials": 6, "levels": 3, "space": WORDS, "base": {"data": "any"}}
    records.keep(folder, Trial(number=0, state="finished", values={"learning_rate": 1e-3, "batch_size": 32}, score=0.5), None)
    return Study(folder, Description(**{**values, **changes}))


def search(folder, bench=None, **changes):
    begin(folder, **changes).work_through(bench or Bench(), NEVER, silent, lambda trial: None)
    return told(folder)


def told(folder):
    """{number: (state, values, score)} of all trials but the first."""
    return {trial.number: (trial.state, trial.values, trial.score) for trial in records.records(folder) if trial.number}


def test_a_grid_tries_every_combination_once(tmp_path):
    found = search(tmp_path / "s", method="grid", space=["learning_rate=1e-4..1e-2", "flip=on,off"], trials=6)
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    tried = {(values["learning_rate"], values["flip"]) for _, values, _ in found.values()}
    assert tried == {(rate, flip) for rate in (1e-4, 1e-3, 1e-2) for flip in ("on", "off")}


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_one_process_finds_the_same_for_the_same_seed(tmp_path, method):
    found = [search(tmp_path / f"{turn}", method=method, trials=14) for turn in range(2)]
    other = search(tmp_path / "other", method=method, trials=14, base={"data": "any", "seed": 1})
    assert found[0] == found[1] != other


@pytest.mark.parametrize("method", ["grid", "random", "bayesian"])
def test_a_search_interrupted_and_resumed_finds_what_an_uninterrupted_one_does(tmp_path, method):
    def stop(count, settings, on_event):
        if count == 3:
            raise InterruptedRunError("Stopped.")

    changes = {"method": method, "space": ["learning_rate=1e-4..1e-2"], "levels": 13, "trials": 13}
    whole = search(tmp_path / "whole", **changes)
    study = begin(tmp_path / "cut", **changes)
    with pytest.raises(InterruptedRunError):
        study.work_through(Bench(stop), NEVER, silent, lambda trial: None)
    assert sorted(told(tmp_path / "cut")) == [1, 2]
    Study(tmp_path / "cut", study.description).work_through(Bench(), NEVER, silent, lambda trial: None)
    assert told(tmp_path / "cut") == whole
    assert not list((tmp_path / "cut" / "trials").glob("*.claim"))


def test_bayesian_proposals_gather_where_the_scores_are_good(tmp_path):
    found = search(tmp_path / "s", method="bayesian", space=["learning_rate=1e-6..1"], trials=40)
    distance = [abs(math.log10(values["learning_rate"]) + 3) for _, values, _ in found.values()]
    # Over six powers of ten, values drawn evenly are 1.5 of them away in the mean.
    assert np.mean(distance[20:]) < 0.75


def test_bayesian_proposals_avoid_what_was_tried(tmp_path):
    found = search(tmp_path / "s", method="bayesian", space=["batch_size=16,32,64", "flip=on,off"], trials=6, base=RATED)
    assert len({tuple(values.values()) for _, values, _ in found.values()}) >= 5


RATED = {"data": "any", "learning_rate": 1e-3}


def test_a_number_is_claimed_once_until_it_is_let_go(tmp_path):
    begin(tmp_path / "s")
    first = records.claim(tmp_path / "s", 1)
    assert records.claim(tmp_path / "s", 1) is None
    first.release()
    again = records.claim(tmp_path / "s", 1)
    assert again is not None
    records.keep(tmp_path / "s", Trial(number=1, state="failed", values={}), None)
    again.release()
    assert records.claim(tmp_path / "s", 1) is None


def test_a_process_that_is_killed_lets_go_of_its_claim(tmp_path):
    begin(tmp_path / "s")
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom eyebright.verbs.tuning.records import claim\n"
        "held = claim(Path(sys.argv[1]), 1)\nprint('held', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "s")], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert records.claim(tmp_path / "s", 1) is None
        process.kill()
        process.wait()
    freed = records.claim(tmp_path / "s", 1)
    assert freed is not None
    freed.release()


def test_what_a_killed_process_left_open_in_optuna_s_record_is_closed(tmp_path):
    study = begin(tmp_path / "s", method="bayesian")
    left, _ = study._ask(1)  # as by a process that then died
    study.work_through(Bench(), NEVER, silent, lambda trial: None)
    states = {trial.number: trial.state.name for trial in study._optuna.get_trials()}
    assert states[left.number] == "FAIL"
    assert "RUNNING" not in states.values()


def test_a_line_that_a_power_cut_left_half_written_is_taken_off(tmp_path):
    search(tmp_path / "s", method="bayesian", trials=3)
    journal = tmp_path / "s" / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"work')
    mend_journal(tmp_path / "s")
    assert journal.read_bytes() == whole


def test_a_trial_that_does_worse_than_half_of_the_others_is_stopped_early(tmp_path):
    epochs = []

    def count(number, settings, on_event):
        epochs.append(settings.learning_rate)

    study = begin(tmp_path / "s", method="grid", space=["learning_rate=1e-5..1e-1"], levels=21, trials=21)
    study.work_through(Bench(count), NEVER, silent, lambda trial: None)
    found = records.records(tmp_path / "s")[1:]
    stopped = [trial for trial in found if trial.state == "stopped early"]
    finished = [trial for trial in found if trial.state == "finished"]
    assert len(stopped) >= 4
    # Never among the first five that end, never in the first epoch, and with no score and no predictions.
    assert all(trial.state == "finished" for trial in found[:5])
    assert all(len(trial.curve) == 2 and trial.score is None for trial in stopped)
    assert all("after epoch 2 it did worse than half of the others" in trial.reason for trial in stopped)
    assert not any(records.predictions_file(tmp_path / "s", trial.number).exists() for trial in stopped)
    assert all(len(trial.curve) == 4 for trial in finished)
    assert min(finished, key=lambda trial: trial.score).values == {"learning_rate": 1e-3}


def test_only_the_training_that_is_judged_is_watched(tmp_path):
    def noise(number, settings, on_event):
        on_event(Phase("training on all", 3, "steps"))
        on_event(Epoch("training on all", 1, {"loss": 9.0, "validation_loss": 1e9}, 0.0))
        on_event(Epoch("training", 1, {"loss": 9.0}, 0.0))

    found = search(tmp_path / "s", Bench(noise), space=["batch_size=16,32,64"], trials=3, base=RATED)
    assert all(len(trial.curve) == 4 for trial in records.records(tmp_path / "s")[1:])
    assert {state for state, _, _ in found.values()} == {"finished"}


@pytest.mark.parametrize("error", [ResourceError("The loss is nan."), RuntimeError("shapes\n do not fit"), MemoryError()])
def test_a_trial_that_fails_is_kept_with_its_reason_and_the_search_goes_on(tmp_path, error):
    def fail(number, settings, on_event):
        if number == 2:
            raise error

    search(tmp_path / "s", Bench(fail))
    found = records.records(tmp_path / "s")[1:]
    assert [trial.state for trial in found] == ["finished", "failed", *["finished"] * 4]
    assert found[1].reason == (" ".join(str(error).split()) or "MemoryError")


def test_values_that_the_settings_refuse_together_are_a_failed_trial(tmp_path):
    base = {"data": "any", "ensemble": "none", "learning_rate": 1e-3}
    study = begin(tmp_path / "s", space=["batch_size=16,32"], trials=2, base=base)
    study.base = study.base.model_copy(update={"distil": True})  # a contradiction that no single value is to blame for
    study.work_through(Bench(), NEVER, silent, lambda trial: None)
    found = records.records(tmp_path / "s")[1:]
    assert [trial.state for trial in found] == ["failed", "failed"]
    assert "--distil needs --ensemble" in found[0].reason


def test_a_score_that_is_no_number_is_a_failed_trial(tmp_path):
    bench = SimpleNamespace(try_out=lambda *given: (outcome(math.nan), None))
    search(tmp_path / "s", bench, trials=1)
    assert records.records(tmp_path / "s")[1].state == "failed"


def test_the_time_ends_a_trial_in_its_midst_and_leaves_it_for_a_resume(tmp_path):
    def slow(number, settings, on_event):
        for _ in range(200):
            on_event(Phase("training"))
            time.sleep(0.01)

    study = begin(tmp_path / "s")
    began = time.time()
    study.work_through(Bench(slow), began + 0.3, silent, lambda trial: None)
    assert time.time() - began < 1.5
    assert told(tmp_path / "s") == {}
    study.work_through(Bench(), NEVER, silent, lambda trial: None)
    assert sorted(told(tmp_path / "s")) == [1, 2, 3, 4, 5, 6]


def test_accuracy_is_kept_as_it_is_and_the_highest_is_sought(tmp_path):
    found = search(tmp_path / "s", method="bayesian", metric="accuracy", space=["learning_rate=1e-6..1"], trials=40)
    scores = [score for state, _, score in found.values() if state == "finished"]
    assert np.mean(scores[-10:]) > np.mean(scores[:10])


def trials_of(score, count=40):
    generator = np.random.default_rng(0)
    drawn = [{"learning_rate": float(10 ** generator.uniform(-4, -2)), "batch_size": 16} for _ in range(count)]
    drawn = [{**values, "batch_size": int(generator.choice([16, 32]))} for values in drawn]
    return [
        Trial(number=number, state="finished", values=values, score=score(values)) for number, values in enumerate(drawn, 1)
    ]


def test_the_setting_that_decides_is_found_and_the_idle_one_is_not():
    trials = trials_of(lambda values: abs(math.log10(values["learning_rate"]) + 3))
    shares, mattered = importances(read_space(WORDS), trials, "log_loss", seed=0)
    assert mattered == ["learning_rate"]
    assert next(iter(shares)) == "learning_rate"
    assert sum(shares.values()) == pytest.approx(1.0)


def test_scores_of_pure_noise_make_nothing_matter():
    noise = iter(np.random.default_rng(5).uniform(size=40).tolist())
    shares, mattered = importances(read_space(WORDS), trials_of(lambda values: next(noise)), "log_loss", seed=0)
    assert shares
    assert mattered == []


def test_too_few_trials_say_nothing_about_importance():
    trials = trials_of(lambda values: values["learning_rate"], count=9)
    assert importances(read_space(WORDS), trials, "log_loss", seed=0) == ({}, [])


class Unused:
    """Stands for the prepared work where paces are given."""

    plan = SimpleNamespace(recipe=SimpleNamespace(device="cpu", batch_size=2))
    held_out = np.array([False, False, True])
    pictures = SimpleNamespace(pictures=np.zeros((3, 2, 2, 3)), labels=np.zeros(3), hashes=np.zeros(3))

    def fresh_network(self):
        return None, ""


@pytest.mark.parametrize(
    ("apart", "gathering", "count", "said"),
    [
        (2.0, 0.0, 4, "2.0 times"),  # a picture takes 1 s on 4 threads, 2 s on one: 4 / 2 = 2 times as many side by side
        (4.0, 0.0, 1, "1.0 times"),  # threads scale perfectly: nothing is gained
        (2.0, 12.5, 1, "1.0 times"),  # reading the data takes 4 times 12.5 of the 100 s: 2 * 0.5
        (2.0, 50.0, 1, "0.0 times"),
    ],
)
def test_side_by_side_pays_where_threads_do_not(monkeypatch, apart, gathering, count, said):
    paces = iter([1.0, apart])
    monkeypatch.setattr(workers, "usable_cores", lambda: 4)
    monkeypatch.setattr(workers, "measure_pace", lambda *given, **named: Pace(training=next(paces), evaluation=0.0))
    found, why = workers.what_pays(Unused(), 20, gathering=gathering, left=100.0)
    assert found == count
    assert said in why


def test_one_core_one_trial_or_a_gpu_mean_one_at_a_time(monkeypatch):
    monkeypatch.setattr(workers, "usable_cores", lambda: 8)
    assert workers.what_pays(Unused(), 1, gathering=0.0, left=100.0)[0] == 1
    on_gpu = Unused()
    on_gpu.plan = SimpleNamespace(recipe=SimpleNamespace(device="cuda", batch_size=2))
    assert workers.what_pays(on_gpu, 20, gathering=0.0, left=100.0) == (1, "the trials share one GPU")
    monkeypatch.setattr(workers, "usable_cores", lambda: 1)
    assert workers.what_pays(Unused(), 20, gathering=0.0, left=100.0)[0] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="two processes by fork")
def test_processes_side_by_side_do_every_trial_once(tmp_path):
    begin(tmp_path / "s", trials=24)
    program = (
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\n"
        "from tests.verbs.test_tuning_study import Bench, Description, Study, silent, NEVER, WORDS\n"
        "study = Study(Path(sys.argv[1]), Description(method='bayesian', metric='log_loss', trials=24, levels=3, space=WORDS,"
        " base={'data': 'any'}, parallel=2))\n"
        "study.work_through(Bench(), NEVER, silent, lambda trial: print(trial.number, flush=True))\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    command = [sys.executable, "-c", program, str(tmp_path / "s"), root]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    done = [[int(line) for line in process.communicate(timeout=120)[0].split()] for process in both]
    assert sorted(done[0] + done[1]) == list(range(1, 25))
    assert sorted(told(tmp_path / "s")) == list(range(1, 25))
