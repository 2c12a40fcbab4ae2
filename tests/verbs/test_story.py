import json

import pytest

from eyebright.core.events import Choice, Epoch
from eyebright.verbs.making.story import BEGUN, Story


def log_of(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def begun(time):
    return {"time": time, "event": "note", "text": BEGUN.text, "level": "info"}


def epoch(time, number, loss):
    return {"time": time, "event": "epoch", "stage": "training", "epoch": number, "metrics": {"loss": loss}, "seconds": 1.0}


def test_a_resumed_run_remembers_epochs_choices_and_the_time_at_work_but_not_the_pause(tmp_path):
    choice = {"time": 12.0, "event": "choice", "name": "device", "value": "cpu", "reason": "it was asked for"}
    rows = [begun(10.0), choice, epoch(20.0, 1, 0.5), begun(1000.0), epoch(1005.0, 2, 0.4)]
    story = Story()
    story.remember(log_of(tmp_path / "events.jsonl", rows))
    assert [(point.epoch, point.metrics["loss"]) for point in story.curves] == [(1, 0.5), (2, 0.4)]
    assert story.choices["device"].value == "cpu"
    assert story.earlier_seconds == pytest.approx(10 + 5)  # 10 to 20, then 1000 to 1005


def test_an_epoch_that_was_told_twice_is_remembered_once_as_it_was_told_last(tmp_path):
    story = Story()
    story.remember(log_of(tmp_path / "events.jsonl", [begun(0), epoch(1, 1, 0.5), begun(2), epoch(3, 1, 0.25)]))
    assert [point.metrics["loss"] for point in story.curves] == [0.25]


def test_a_line_that_a_power_cut_left_half_written_is_passed_over(tmp_path):
    path = log_of(tmp_path / "events.jsonl", [begun(0), epoch(4, 1, 0.5)])
    path.write_text(path.read_text(encoding="utf-8") + '{"time": 5, "ev', encoding="utf-8")
    story = Story()
    story.remember(path)
    assert len(story.curves) == 1


def test_a_number_that_was_none_is_left_out_of_the_curve(tmp_path):
    story = Story()
    story.remember(log_of(tmp_path / "events.jsonl", [begun(0), epoch(1, 1, None)]))
    assert story.curves[0].metrics == {}


def test_every_listener_hears_every_event_and_the_story_keeps_choices_and_epochs():
    heard = []
    story = Story(heard.append)
    story.choose("device", "cpu", "no CUDA device is visible")
    story(Epoch("training", 1, {"loss": 1.0}, 2.0))
    assert heard == [Choice("device", "cpu", "no CUDA device is visible"), Epoch("training", 1, {"loss": 1.0}, 2.0)]
    assert story.choices["device"].reason == "no CUDA device is visible"
    assert story.curves[0].epoch == 1
