"""The server around the application: its port, its signals, and how it stops without losing an answer.

SIGTERM and Ctrl-C: not ready, new predictions are refused (503, ``Retry-After``, ``Connection: close``), what is under way is
answered, then the port is closed. A second one stops at once. SIGHUP loads every model again; from a closed terminal it stops.
"""

import asyncio
import contextlib
import dataclasses
import errno
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from eyebright.core.errors import ResourceError, SettingsError
from eyebright.serving.limits import Gate
from eyebright.serving.options import Bounds, Options
from eyebright.serving.protocol import Connections, OnRefused

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

BACKLOG = 2048  # connections that the system holds until they are accepted
TICK = 0.02  # seconds between two looks at whether all is answered
CLOSING = 1.0  # seconds of the drain that are kept for closing connections
FILES_KEPT = 256  # open files that are no connections: models, libraries, the log
FEWEST = 16  # connections, however few files the system allows


@dataclasses.dataclass
class Stopping:
    """Whether and by which signal the server was asked to stop, and whether for the second time."""

    asked: asyncio.Event
    signal: int | None = None
    at_once: bool = False

    def ask(self, number: int | None = None) -> None:
        """Asks to stop; the second time, at once."""
        self.at_once = self.asked.is_set()
        self.signal = self.signal or number
        self.asked.set()


class Server:
    """``app`` on ``sockets``, with deadlines on its connections and a drain of ``drain`` seconds at most at its end."""

    def __init__(
        self, app: Any, desk: "Desk", gate: Gate, options: Options, *, drain: float, on_refused: OnRefused = lambda status: None
    ) -> None:
        self.desk, self.gate, self.options, self.drain = desk, gate, options, drain
        self.connections = Connections(options.deadlines, options.bounds, on_refused)
        self.config = uvicorn.Config(
            app,
            http=self.connections.protocol,  # type: ignore[arg-type]  # uvicorn calls what it is given
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            workers=1,
            backlog=BACKLOG,
            root_path=options.root_path,
            # Ours comes first; uvicorn's own only backs it up.
            timeout_keep_alive=math.ceil(options.deadlines.idle) + 1,
        )
        self.uvicorn = _Uvicorn(self.config)
        self.stopping: Stopping | None = None
        self.cut = 0  # answers that were not ready when the drain ended

    def run(
        self,
        sockets: list[socket.socket],
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_reload: Callable[[], Awaitable[None]] | None = None,
    ) -> int | None:
        """Serves until a signal comes, which is returned, or ``stop`` is called. Raises ``ResourceError`` for a taken port."""
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            return runner.run(self.serve(sockets, on_ready=on_ready, on_reload=on_reload))

    async def serve(
        self,
        sockets: list[socket.socket],
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_reload: Callable[[], Awaitable[None]] | None = None,
    ) -> int | None:
        """The same, within a running event loop."""
        self.stopping = Stopping(asyncio.Event())
        self._loop = asyncio.get_running_loop()
        with _signals(self._loop, self.stopping, on_reload):
            _listen(sockets)
            await self.desk.start()
            serving = asyncio.create_task(self.uvicorn.serve(sockets=sockets))
            asked = asyncio.create_task(self.stopping.asked.wait())
            while not self.uvicorn.started and not serving.done():
                await asyncio.sleep(TICK)
            if self.uvicorn.started:
                on_ready()
            await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            await self._stop(serving)
        return self.stopping.signal

    def stop(self) -> None:
        """Asks the server to stop as SIGTERM does, from any thread."""
        if self.stopping is not None:
            with contextlib.suppress(RuntimeError):  # it has stopped already
                self._loop.call_soon_threadsafe(self.stopping.ask)

    async def _stop(self, serving: "asyncio.Task[None]") -> None:
        """Answers what is under way, and closes."""
        end = time.monotonic() + self.drain
        self.gate.stopping = True
        if not serving.done():
            await self._until_answered(end - min(CLOSING, self.drain / 2))
        self.cut = self.gate.under_way
        await self.desk.drain(0.0 if self._hurried() else max(0.0, end - time.monotonic()))
        left = max(TICK, end - time.monotonic())
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment]  # uvicorn only waits for so long
        self.uvicorn.force_exit = self._hurried()
        self.uvicorn.should_exit = True
        await serving

    async def _until_answered(self, end: float) -> None:
        began = time.monotonic()
        # Who connects in the first moment is told to go elsewhere, rather than met by a closed port. Not after Ctrl-C: a
        # person waits.
        stay = self.options.deadlines.notice if self.stopping and self.stopping.signal != signal.SIGINT else 0.0
        while not self._hurried() and time.monotonic() < end:
            if not self.gate.under_way and time.monotonic() >= began + stay:
                return
            await asyncio.sleep(TICK)

    def _hurried(self) -> bool:
        return self.stopping is not None and self.stopping.at_once


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to us: uvicorn would raise them again once it has stopped."""
        yield


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets that hold ``port`` (0: a free one) at ``host``. They do not listen yet: who comes before the models is refused.

    Raises ``ResourceError`` for a port that is taken or not allowed, ``SettingsError`` for a host that is not this computer's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"--host {host!r} cannot be resolved: {error}. Give a name or address of this computer.") from None
    # One address is enough, and for a name that has both, IPv4 is what people type.
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    bound = socket.socket(family, kind, protocol)
    _claim(bound)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _refused_port(error, address) from None
    bound.set_inheritable(False)
    return [bound]


def _claim(bound: socket.socket) -> None:
    """Lets a server follow another at once, and keeps it from sharing that one's port.

    SO_REUSEADDR does that but on Windows, where it lets two servers listen at one port, and another option forbids it
    (Microsoft, "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE").
    """
    exclusive: int | None = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # Windows alone has it
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)


def _listen(sockets: list[socket.socket]) -> None:
    """Opens the port. uvloop would not say where another program, bound like us, was quicker to listen."""
    for bound in sockets:
        try:
            bound.listen(BACKLOG)
        except OSError as error:
            raise _refused_port(error, bound.getsockname()) from None


def url_of(bound: socket.socket) -> str:
    """Where a browser on this computer finds the page, e.g. ``http://127.0.0.1:8000/``."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def fitting(bounds: Bounds) -> Bounds:
    """``bounds`` with as many connections as the system lets this process hold open; first lets it hold as many as it may."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return bounds
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = bounds.connections + bounds.spare + FILES_KEPT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return bounds
    return dataclasses.replace(bounds, connections=max(FEWEST, soft - bounds.spare - FILES_KEPT))


def _refused_port(error: OSError, address: Any) -> ResourceError | SettingsError:
    host, port = address[:2]
    if error.errno == errno.EADDRINUSE:
        return ResourceError(
            f"Port {port} is in use. Stop what listens there, or give another: --port {port + 1}, or --port 0."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ResourceError(f"Port {port} may not be taken by this user: {error.strerror}. Give one above 1023, such as 8000.")
    if error.errno == errno.EADDRNOTAVAIL:
        return SettingsError(f"--host {host} is no address of this computer. Give 127.0.0.1, or 0.0.0.0 for all it has.")
    return ResourceError(f"Port {port} at {host} cannot be served: {error.strerror}. Give another --host or --port.")


@contextlib.contextmanager
def _signals(
    loop: asyncio.AbstractEventLoop, stopping: Stopping, on_reload: Callable[[], Awaitable[None]] | None
) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP mean what this module says while the block runs; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    tasks: set[asyncio.Future[None]] = set()
    asked_again = False

    def reload() -> None:
        nonlocal asked_again
        asked_again = bool(tasks)  # one at a time; what the one under way has read already may have been replaced since
        if on_reload is None or asked_again:
            return
        task = asyncio.ensure_future(on_reload())
        tasks.add(task)
        task.add_done_callback(ended)

    def ended(task: "asyncio.Future[None]") -> None:
        tasks.discard(task)
        if asked_again and not task.cancelled() and not stopping.asked.is_set():
            reload()

    def heard(number: int, frame: FrameType | None) -> None:
        is_reload = number == getattr(signal, "SIGHUP", None) and not _has_terminal()
        loop.call_soon_threadsafe(*((reload,) if is_reload else (stopping.ask, number)))

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, heard) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
