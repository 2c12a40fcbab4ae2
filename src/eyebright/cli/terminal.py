"""Events as words on stderr: one live line where a person looks, plain lines where a file or a pipe listens."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from eyebright.core.events import Choice, Epoch, Event, Note, OnEvent, Phase, Progress
from eyebright.core.words import duration

PLAIN_INTERVAL = 10.0  # seconds between two progress lines in a log
LIVE_INTERVAL = 0.1  # seconds between two redraws: faster only costs CPU time
FIGURES_SHOWN = 3
NAME_WIDTH, BAR_WIDTH = 24, 16  # columns of the live line, which must say enough in a window of 80


def neutral(text: str, *, keep: str = "") -> str:
    """``text`` with every character that could steer a terminal written out, those in ``keep`` excepted.

    File and class names come from strangers: an escape sequence in one could recolour, retitle or overwrite the screen, and a
    direction mark could turn a name round.

    >>> neutral("rose" + chr(27) + "[2J.jpg")
    'rose\\\\x1b[2J.jpg'
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def remaining_seconds(elapsed: float, done: int, total: int | None) -> float | None:
    """How long a phase will still take at its mean pace so far; None where that is not known.

    >>> remaining_seconds(30.0, 25, 100)
    90.0
    """
    if not total or done <= 0:
        return None
    return elapsed * max(total - done, 0) / done


@contextmanager
def listener(stream: IO[str], *, clock: Callable[[], float] = time.monotonic) -> Iterator[OnEvent]:
    """A listener for the length of one command, fit for ``stream``; however the block ends, the cursor is back."""
    if not _is_live(stream):
        yield PlainLines(stream, clock)
        return
    line = LiveLine(stream, clock)
    try:
        yield line
    finally:
        line.close()


class PlainLines:
    """Writes a line for each thing worth keeping in a log, and for progress at most every ten seconds."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._pace = _Pace(clock)
        self._said = clock()

    def __call__(self, event: Event) -> None:
        self._pace.see(event)
        if isinstance(event, Progress):
            self._progress(event)
            return
        if isinstance(event, Phase):
            self._said = self._pace.now()
        self._write(sentence(event))

    def _progress(self, event: Progress) -> None:
        if self._pace.now() - self._said < PLAIN_INTERVAL:
            return
        self._said = self._pace.now()
        parts = [self._pace.share(), self._pace.left(), _figures(event.metrics)]
        self._write(f"{self._pace.name}: {', '.join(part for part in parts if part)}")

    def _write(self, line: str) -> None:
        print(neutral(line), file=self._stream, flush=True)


class LiveLine:
    """Redraws one line with the phase, a bar, the figures and the time left; choices and notes scroll above it."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console

        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._clock = clock
        self._pace = _Pace(clock)
        self._bar: Any = None
        self._drawn = float("-inf")
        self._metrics: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        self._pace.see(event)
        if isinstance(event, Progress):
            self._metrics = event.metrics or self._metrics
            self._draw()
        elif isinstance(event, Phase):
            self._metrics = {}
            self._draw(always=True)
        elif isinstance(event, Epoch):
            self._metrics = event.metrics
            self._draw(always=True)
        else:
            self._print(event)

    def close(self) -> None:
        """Takes the line away and gives the cursor back. Safe to call twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, event: Event) -> None:
        warning = isinstance(event, Note) and event.level == "warning"
        self._console.print(neutral(sentence(event)), style="yellow" if warning else "dim", soft_wrap=True)

    def _draw(self, *, always: bool = False) -> None:
        now = self._clock()
        if not always and now - self._drawn < LIVE_INTERVAL:
            return
        self._drawn = now
        if self._bar is None:
            self._bar = _live(self._console)  # known before it hides the cursor, so that close() always gives it back
            self._bar.start()
        self._bar.update(self._line(), refresh=True)

    def _line(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 2))
        row.add_column(no_wrap=True, overflow="ellipsis", min_width=min(len(self._pace.name), NAME_WIDTH))
        row.add_column(width=BAR_WIDTH)
        row.add_column(no_wrap=True, overflow="ellipsis")
        # The figures come last: a narrow window cuts them first.
        said = [part for part in (self._pace.brief(), self._pace.left(), _figures(self._metrics)) if part]
        bar = ProgressBar(total=self._pace.total, completed=self._pace.done, width=BAR_WIDTH) if self._pace.total else Text("")
        row.add_row(Text(neutral(self._pace.name)), bar, Text(neutral("  ".join(said))))
        return row


def sentence(event: Event) -> str:
    """An event as one line of plain text; progress is not a sentence and gives an empty one."""
    match event:
        case Phase(name, total, unit):
            return f"{name}: {total:,} {_counted(unit, total)}" if total else f"{name} ..."
        case Epoch(stage, epoch, metrics, seconds):
            return f"{stage}, epoch {epoch}: {_figures(metrics)} ({duration(seconds)})"
        case Choice(name, value, reason):
            return f"{name}: {value} ({reason})"
        case Note(text, level):
            return f"warning: {text}" if level == "warning" else text
        case _:
            return ""


class _Pace:
    """How far the current phase is, and how fast it goes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self.name, self.unit = "working", "steps"
        self.total: int | None = None
        self.done = 0
        self._began = clock()

    def see(self, event: Event) -> None:
        if isinstance(event, Phase):
            self.name, self.total, self.unit = event.name, event.total, event.unit
            self.done, self._began = 0, self.now()
        elif isinstance(event, Progress):
            self.done = event.done

    def share(self) -> str:
        if not self.total:
            return f"{self.done:,} {_counted(self.unit, self.done)}" if self.done else ""
        return (
            f"{min(100, 100 * self.done // self.total)} % ({self.done:,} of {self.total:,} {_counted(self.unit, self.total)})"
        )

    def brief(self) -> str:
        return f"{min(100, 100 * self.done // self.total)} %  {self.done:,}/{self.total:,}" if self.total else self.share()

    def left(self) -> str:
        seconds = remaining_seconds(self.now() - self._began, self.done, self.total)
        return "" if seconds is None else f"{duration(seconds)} left"


def _counted(unit: str, count: int) -> str:
    """The unit's name as it stands after ``count``: 1 picture, 2 pictures."""
    return unit.removesuffix("s") if count == 1 else unit


def _figures(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:FIGURES_SHOWN])


def _is_live(stream: IO[str]) -> bool:
    import os

    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _live(console: Any) -> Any:
    from rich.live import Live

    # No refresh thread: the work sends events often enough, and a thread would take time from it.
    return Live(console=console, auto_refresh=False, transient=True)
