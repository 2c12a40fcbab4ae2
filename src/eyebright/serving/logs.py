"""What the server writes on stderr: a line a request, and what went wrong, as text for people or as JSON for programs.

No line holds a picture, a header's value or a query, where tokens and names of people travel. Lines are handed to a thread
that writes them: whoever reads the log slowly, or not at all, does not hold up answers. Lines beyond what fits are counted and
left out.
"""

import collections
import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO, Any, Literal

from eyebright.serving.limits import Exchange

LogFormat = Literal["text", "json"]

MOST_LINES = 10_000  # that wait to be written: some megabytes, and some seconds of a busy server
PAUSE = 0.1  # seconds between two writes at most
PATH_LENGTH = 200  # characters of an address that are worth a line

LOGGERS = ("eyebright.serving", "uvicorn.error", "asyncio")


class LineWriter:
    """Writes lines to ``stream`` from a thread of its own, in the order in which they came."""

    def __init__(self, stream: IO[str], *, most: int = MOST_LINES) -> None:
        self._stream, self._most = stream, most
        self._lines: collections.deque[str] = collections.deque()
        self._left_out = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Takes one line without its end. Never waits."""
        if len(self._lines) < self._most:
            self._lines.append(line)
        else:
            self._left_out += 1

    def close(self, seconds: float = 1.0) -> None:
        """Writes what is there, for so long at most. Lines that come later are lost."""
        self._closing.set()
        self._thread.join(seconds)

    def _write_all(self) -> None:
        while not self._closing.wait(PAUSE):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._left_out:
            lines.append(f"({self._left_out} lines were left out: the log was read too slowly)")
            self._left_out = 0
        if not lines:
            return
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads, or the disk is full: the server goes on without a log
            pass


class ServerLog(logging.Handler):
    """The server's log: requests by ``request``, and what ours and uvicorn's loggers say from warnings upwards."""

    def __init__(self, how: LogFormat = "text", stream: IO[str] | None = None, *, requests: bool = True) -> None:
        super().__init__(logging.WARNING)
        self._how, self._requests = how, requests
        self._writer = LineWriter(sys.stderr if stream is None else stream)

    def request(self, exchange: Exchange, model: str) -> None:
        """A line for one finished exchange; ``model`` is the served one's name, empty where none was asked."""
        if not self._requests:
            return
        seconds = time.perf_counter() - exchange.began
        path, client = plain_path(exchange.path), (exchange.scope.get("client") or ("",))[0]
        if self._how == "text":
            self._writer.write(
                f"{_clock()} {client} {exchange.method} {path} {exchange.outcome} {1000 * seconds:.1f} ms "
                f"{exchange.received} B {exchange.request_id}{f' {model}' if model else ''}"
            )
            return
        said = {"method": exchange.method, "path": path, "status": exchange.outcome, "ms": round(1000 * seconds, 2)}
        said |= {"bytes_in": exchange.received, "bytes_out": exchange.sent, "client": client, "model": model}
        self._json("info", "request", {"request_id": exchange.request_id, **said, **exchange.trace_ids})

    def refused(self, status: int) -> None:
        """A line for a connection that was refused before it had brought a whole head."""
        if self._requests and self._how == "text":
            self._writer.write(f"{_clock()} - - - {status} (no whole head came)")
        elif self._requests:
            self._json("info", "head_refused", {"status": status})

    def emit(self, record: logging.LogRecord) -> None:
        """Writes what a logger was told, with its traceback."""
        message = record.getMessage()
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        if self._how == "text":
            self._writer.write(f"{_clock()} {record.levelname.lower()} {message}{f'{chr(10)}{trace}' if trace else ''}")
        else:
            self._json(record.levelname.lower(), "message", {"message": message, **({"traceback": trace} if trace else {})})

    def note(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        """A line about the server itself."""
        if self._how == "text":
            self._writer.write(f"{_clock()} {text}" if level == "info" else f"{_clock()} {level} {text}")
        else:
            self._json(level, "server", {"message": text})

    def close(self) -> None:
        """Writes what is still there, and stops its thread."""
        self._writer.close()
        super().close()

    def _json(self, level: str, event: str, said: dict[str, Any]) -> None:
        self._writer.write(json.dumps({"time": _stamp(), "level": level, "event": event, **said}))


@contextlib.contextmanager
def logging_to(log: ServerLog) -> Iterator[None]:
    """What the loggers of server, uvicorn and event loop say goes to ``log`` alone while the block runs."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [log], False
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def plain_path(path: str) -> str:
    """An address without its query, short, and with everything that could steer a terminal written out.

    >>> plain_path("/v2/" + chr(27) + "[2J")
    '/v2/\\\\x1b[2J'
    """
    if not path.isprintable() or " " in path:
        path = "".join(c if c.isprintable() and c != " " else c.encode("unicode_escape").decode() for c in path).replace(
            " ", "%20"
        )
    return path if len(path) <= PATH_LENGTH else path[:PATH_LENGTH] + "..."


def _stamp() -> str:
    """The time as RFC 3339 has it, in UTC, to a thousandth of a second."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(1000 * now) % 1000:03d}Z"


def _clock() -> str:
    return time.strftime("%H:%M:%S")
