"""The run's events as TensorBoard sees them: one curve a metric, side by side for the stages of training."""

import re
from pathlib import Path
from typing import Any

from eyebright.core.errors import MissingExtraError
from eyebright.core.events import Choice, Epoch, Event


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
