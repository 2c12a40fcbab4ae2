"""What is kept of a run's events while it goes on: its log, and the curves that TensorBoard shows."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eyebright.core.errors import MissingExtraError
from eyebright.core.events import Choice, Epoch, Event, EventLog
from eyebright.core.run import Run
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import BEGUN, Story


@contextlib.contextmanager
def recorded(story: Story, settings: TrainSettings, place: Run) -> Iterator[None]:
    """What the story tells in the block goes to the run's log, and to TensorBoard's where that was asked for.

    First the story takes up what earlier parts of the run told. Raises ``MissingExtraError`` as ``TensorBoardLog`` does.
    """
    story.remember(place.events)
    with contextlib.closing(EventLog(place.events)) as log:
        log(BEGUN)
        story.listen(log)
        if not settings.tensorboard:
            yield
            return
        with contextlib.closing(TensorBoardLog(place.path / "tensorboard")) as board:
            story.listen(board)
            yield


class TensorBoardLog:
    """A listener that writes each epoch's figures, and the choices as text, for ``tensorboard --logdir RUN``.

    Raises ``MissingExtraError`` where the package is not installed. Events of another kind are passed over.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            raise MissingExtraError.for_extra("tensorboard", "The log for TensorBoard") from None
        self._writer: Any = SummaryWriter(str(folder))

    def __call__(self, event: Event) -> None:
        if isinstance(event, Epoch):
            stage = re.sub(r"[^A-Za-z0-9_.-]+", "-", event.stage)
            for name, value in event.metrics.items():
                self._writer.add_scalar(f"{stage}/{name}", value, event.epoch)
            self._writer.add_scalar(f"{stage}/seconds", event.seconds, event.epoch)
            self._writer.flush()
        elif isinstance(event, Choice):
            self._writer.add_text(f"choices/{event.name}", f"{event.value}: {event.reason}")

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
