"""What other packages warn about while a picture is read, kept for the picture instead of being shown or lost.

``warnings.catch_warnings`` swaps filters for all threads at once, so it would lose or leak warnings under a thread pool.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image as Pillow
from PIL import JpegImagePlugin, PngImagePlugin, TiffImagePlugin


class _Listener:
    """Stands for the module ``warnings`` inside another package, and keeps what is said on a thread that listens.

    On threads that do not listen everything goes the usual way.
    """

    def __init__(self) -> None:
        self.local = threading.local()

    @property
    def heard(self) -> list[str] | None:
        """What was heard on this thread, or None where it does not listen."""
        heard: list[str] | None = getattr(self.local, "heard", None)
        return heard

    def warn(self, message: Any, category: type[Warning] | None = None, stacklevel: int = 1, source: Any = None) -> None:
        if self.heard is None:
            warnings.warn(message, category, stacklevel + 1, source)
        else:
            self.heard.append(str(message))

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)


_LISTENER = _Listener()


class _Quiet(logging.Filter):
    """Keeps a logger silent on a thread that listens."""

    def filter(self, record: logging.LogRecord) -> bool:
        return _LISTENER.heard is None


_QUIET = _Quiet()


def overhear(module: Any, *, log: str | None = None) -> None:
    """From now on ``listening`` hears what ``module`` warns about, and its logger ``log`` says nothing meanwhile."""
    module.warnings = _LISTENER
    if log is not None:
        logging.getLogger(log).addFilter(_QUIET)  # adding it twice adds it once


for _module in (Pillow, JpegImagePlugin, PngImagePlugin, TiffImagePlugin):
    overhear(_module)


@contextmanager
def listening() -> Iterator[list[str]]:
    """What is warned about on this thread while the block runs."""
    before = _LISTENER.heard
    heard: list[str] = []
    _LISTENER.local.heard = heard
    try:
        yield heard
    finally:
        _LISTENER.local.heard = before
