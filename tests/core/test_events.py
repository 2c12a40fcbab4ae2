"""The log keeps the story that events tell."""

import json

import pytest

from eyebright.core.events import Choice, Epoch, EventLog, Note, Phase, Progress


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_log_keeps_every_event_but_progress(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    for event in (Phase("training", 10), Progress(5), Epoch("head", 1, {"loss": 0.5}, 2.0), Choice("device", "cpu", "no GPU")):
        log(event)
    log.close()
    rows = rows_of(tmp_path / "events.jsonl")
    assert [row["event"] for row in rows] == ["phase", "epoch", "choice"]
    assert rows[1]["metrics"] == {"loss": 0.5}
    assert all(row["time"] > 0 for row in rows)


def test_an_event_is_on_disk_before_the_log_is_closed(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log(Note("about to be killed"))
    assert rows_of(tmp_path / "events.jsonl")[0]["text"] == "about to be killed"
    log.close()


def test_a_second_log_goes_on_with_the_same_file(tmp_path):
    for text in ("before", "after the restart"):
        log = EventLog(tmp_path / "events.jsonl")
        log(Note(text))
        log.close()
    assert [row["text"] for row in rows_of(tmp_path / "events.jsonl")] == ["before", "after the restart"]


def test_a_loss_that_is_not_a_number_is_null_in_the_log(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log(Epoch("head", 1, {"loss": float("nan"), "accuracy": 0.5}, 1.0))
    log.close()
    assert rows_of(tmp_path / "events.jsonl")[0]["metrics"] == {"loss": None, "accuracy": 0.5}


def test_a_file_name_that_is_no_utf8_can_be_logged(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log(Note("gr\udcfcn.jpg is unreadable"))  # what os.fsdecode makes of the Latin-1 byte FC
    log.close()
    assert rows_of(tmp_path / "events.jsonl")[0]["text"] == "gr\udcfcn.jpg is unreadable"


def test_a_closed_log_refuses_further_events(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log(Note("too late"))
