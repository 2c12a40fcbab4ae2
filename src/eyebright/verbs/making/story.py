"""What a run tells while it is made: events go on to the listener and the log, choices and epochs are kept for the report."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eyebright.core.events import Choice, Epoch, Event, Note, OnEvent, Phase
from eyebright.core.report import ChoiceMade, CurvePoint

BEGUN = Note("The run begins, or goes on.")


class Story:
    """Hands every event on, and remembers what the report will want."""

    def __init__(self, *listeners: OnEvent) -> None:
        self._listeners = listeners
        self.choices: dict[str, ChoiceMade] = {}
        self.notes: list[str] = []
        self.curves: list[CurvePoint] = []
        self.earlier_seconds = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Choice):
            self.choices[event.name] = ChoiceMade(name=event.name, value=event.value, reason=event.reason)
        elif isinstance(event, Note):
            self.notes.append(event.text)
        elif isinstance(event, Epoch):
            self.curves.append(CurvePoint(stage=event.stage, epoch=event.epoch, metrics=event.metrics))
        for listener in self._listeners:
            listener(event)

    def listen(self, listener: OnEvent) -> None:
        """Adds a listener."""
        self._listeners = (*self._listeners, listener)

    def remember(self, log: Path) -> None:
        """Takes up what earlier parts of the run told: choices, epochs (the last word on each) and how long they took."""
        curves = {(point.stage, point.epoch): point for point in self.curves}
        choices = {}
        for row in _rows(log):
            if row["event"] == "choice":
                choices[row["name"]] = ChoiceMade(name=row["name"], value=row["value"], reason=row["reason"])
            elif row["event"] == "epoch":
                metrics = {name: value for name, value in row["metrics"].items() if value is not None}
                curves[row["stage"], row["epoch"]] = CurvePoint(stage=row["stage"], epoch=row["epoch"], metrics=metrics)
        self.choices = {**choices, **self.choices}
        self.curves = list(curves.values())
        self.earlier_seconds = _seconds_at_work(log)

    def within(self, name: str) -> "Story":
        """A story whose choices, phases and epochs are told here under ``name``: those of what is tried beside."""
        return Story(lambda event: self(_named(event, name)))

    def choose(self, name: str, value: str, reason: str) -> None:
        """Tells, and keeps, an automatic choice."""
        self(Choice(name, value, reason))


def _named(event: Event, name: str) -> Event:
    if isinstance(event, Phase | Choice):
        return dataclasses.replace(event, name=f"{name}, {event.name}")
    return dataclasses.replace(event, stage=f"{name}, {event.stage}") if isinstance(event, Epoch) else event


def _rows(log: Path) -> Iterator[dict[str, Any]]:
    """The events in the log; a line that a power cut left half written is passed over."""
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _seconds_at_work(log: Path) -> float:
    """From the first to the last event of each part of the run: the pauses between the parts are not counted."""
    total, begun, last = 0.0, None, 0.0
    for row in _rows(log):
        if row.get("text") == BEGUN.text:
            total += last - begun if begun is not None else 0.0
            begun = row["time"]
        last = row["time"]
    return total + (last - begun if begun is not None else 0.0)
