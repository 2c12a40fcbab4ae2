"""What long work says while it runs. The library never prints: it sends these values to ``on_event``.

One stream feeds ``events.jsonl``, the terminal's progress bar and the tests.
"""

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of work begins: ``total`` steps of ``unit``, or an unknown number."""

    name: str
    total: int | None = None
    unit: str = "pictures"


@dataclasses.dataclass(frozen=True)
class Progress:
    """``done`` steps of the current phase are behind us; ``metrics`` are the figures to show beside the bar."""

    done: int
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures is done. ``seconds`` is this pass's wall-clock, validation included."""

    stage: str
    epoch: int
    metrics: dict[str, float]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Choice:
    """An automatic choice and its reason, e.g. ``Choice("device", "cpu", "no CUDA device is visible")``."""

    name: str
    value: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Note:
    """A sentence for the user. ``level`` is ``info`` or ``warning``."""

    text: str
    level: Literal["info", "warning"] = "info"


Event = Phase | Progress | Epoch | Choice | Note
OnEvent = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignores every event: the default of functions that take ``on_event``."""


class EventLog:
    """Appends events to a JSON-lines file, flushed one by one, so that a killed run keeps its story.

    ``Progress`` events are left out: they are for eyes, and would fill the disk.
    """

    def __init__(self, path: Path) -> None:
        # A file name that is not UTF-8 comes as lone surrogates; written out as \udcNN they are JSON again.
        self._file: IO[str] = path.open("a", encoding="utf-8", errors="backslashreplace")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            return
        row = {"time": round(time.time(), 3), "event": type(event).__name__.lower(), **dataclasses.asdict(event)}
        if "metrics" in row:  # a loss that ran away is NaN, which JSON cannot say
            row["metrics"] = {name: value if math.isfinite(value) else None for name, value in row["metrics"].items()}
        self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file; further events would raise ``ValueError``."""
        self._file.close()
