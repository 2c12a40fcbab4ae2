"""A real server on a free port, in a thread or as the command in a process of its own, and clients that misbehave.

from .server import running, command, Client
"""

import contextlib
import dataclasses
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
from fastapi import APIRouter, Request, Response

from eyebright.serving.answers import About, Answered, PictureAnswer
from eyebright.serving.app import make_app
from eyebright.serving.batching import Load
from eyebright.serving.limits import Gate
from eyebright.serving.logs import ServerLog, logging_to
from eyebright.serving.options import Bounds, Deadlines, Options
from eyebright.serving.server import Server, bound_sockets

# Everything in fractions of a second. What a test is not about is as long as it is for users.
QUICK = Deadlines(notice=0.0)
READY_SECONDS = 60.0
END = "This is where the test reads the log."
NOTHING = Load(0, 0, 0, 0, 0, 0, 0, 0.0)


class EmptyDesk:
    """A desk that answers at once, or after ``seconds``, that a picture is of the first class."""

    load = explaining = NOTHING

    def __init__(self, names=("toy",), seconds=0.0):
        self.names, self.ready, self.seconds = names, True, seconds
        self.reloads = []

    async def start(self):
        self.ready = True

    async def drain(self, seconds):
        self.ready = False

    def about(self, name):
        return About(name or self.names[0], "0" * 64, ("a", "b"), 4, 5, "onnx", "Toy", "")

    def card(self, name):
        return ""

    async def classify(self, name, pictures):
        import asyncio

        await asyncio.sleep(self.seconds)
        return Answered(self.about(name), tuple(PictureAnswer(np.array([0.75, 0.25], np.float32)) for _ in pictures))

    async def reload(self, name):
        self.reloads.append(name)
        return self.about(name)


@dataclasses.dataclass
class Running:
    """A server in a thread of this process, and what it wrote."""

    server: Server
    app: object
    address: tuple
    log: io.StringIO
    written: ServerLog

    def lines(self):
        """What the log holds, as JSON, when all that was asked is in it."""
        time.sleep(0.05)  # a line is put down just after its answer has left
        assert eventually(lambda: not self.server.gate.under_way)
        self.written.note(END)  # lines are written in their order, but by a thread that takes its time
        assert eventually(lambda: END in self.log.getvalue().rpartition("\n{")[2])
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line.get("message") != END]

    def request(self, method, path, body=b"", **headers):
        """The status, the headers and the body of one answer, over a connection of its own."""
        with Client(self.address) as client:
            client.ask(method, path, body, **headers)
            return client.answer()

    def metrics(self):
        """The metrics' lines, name and labels to value."""
        text = self.request("GET", "/metrics")[2].decode()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


@contextlib.contextmanager
def running(
    desk=None,
    options=None,
    *,
    deadlines=QUICK,
    bounds=None,
    drain=5.0,
    routers=None,
    traces=None,
    environment=None,
    loop="auto",
):
    """A server over ``desk`` for the length of a block, after which its thread is gone."""
    desk, gate, log = desk or EmptyDesk(), Gate(), io.StringIO()
    options = options or Options(deadlines=deadlines, bounds=bounds or Bounds())
    written = ServerLog("json", log)
    app = make_app(desk, options, gate=gate, log=written, traces=traces, routers=routers, environment=environment)
    sockets = bound_sockets("127.0.0.1", 0)

    def head_refused(status):
        app.state.metrics.head_refused(status)
        written.refused(status)

    server = Server(app, desk, gate, options, drain=drain, on_refused=head_refused)
    server.config.loop = loop
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(sockets,), kwargs={"on_ready": ready.set})
    with logging_to(written):
        thread.start()
        try:
            assert ready.wait(READY_SECONDS)
            yield Running(server, app, sockets[0].getsockname(), log, written)
        finally:
            server.stop()
            thread.join(READY_SECONDS)
            written.close()
            sockets[0].close()
    assert not thread.is_alive()


def route(handler, path="/api/predict", methods=("POST",)):
    """A router with one handler, for tests that are not about dialects."""
    routes = APIRouter()
    routes.add_api_route(path, handler, methods=list(methods))
    return [routes]


async def echo_length(request: Request) -> Response:
    """Says how many bytes the body had."""
    return Response(str(len(await request.body())))


class Client:
    """A client that can be as slow, rude or broken as a test wants."""

    def __init__(self, address, timeout=30.0):
        self.socket = socket.create_connection(address[:2], timeout=timeout)
        self._read = b""

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, method, path, body=b"", **headers):
        """Sends a whole request."""
        self.send(
            head(method, path, **{"content_length": len(body), **headers} if body or method == "POST" else headers) + body
        )

    def drip(self, data, every, until=10.0):
        """Sends a byte now and then, until all are sent or the server has had enough. Returns the seconds that took."""
        began = time.monotonic()
        for place in range(len(data)):
            if time.monotonic() - began > until or self.has_answer(every):
                break
            try:
                self.send(data[place : place + 1])
            except OSError:
                break
        return time.monotonic() - began

    def has_answer(self, seconds):
        """Whether something came, or the server closed, within so many seconds."""
        self.socket.settimeout(seconds)
        try:
            self._read += self.socket.recv(1, socket.MSG_PEEK) and b""
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(30.0)
        return True

    def answer(self):
        """The status, the headers and the body of the next answer, (0, {}, b"") where the server closes without one."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                return 0, {}, b""
        start, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = start.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._read) < length and self._more():
            pass
        body, self._read = self._read[:length], self._read[length:]
        return int(first.split()[1]), headers, body

    def is_closed(self, seconds=5.0):
        """Whether the server closes within so many seconds; what it still sends is read."""
        self.socket.settimeout(seconds)
        try:
            while self._more():
                pass
        except TimeoutError:
            return False
        return True

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self._read += data
        return bool(data)


def alive(server):
    """The connections that a server still holds."""
    return {*server.server.connections.open, *server.server.connections.ending}


def eventually(fact, seconds=5.0):
    """Whether ``fact()`` becomes true within so many seconds."""
    end = time.monotonic() + seconds
    while not fact() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(fact())


def head(method, path, **headers):
    """The head of a request; underscores in names stand for dashes."""
    named = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{name}: {value}\r\n" for name, value in named.items() if value is not None]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class Command:
    """``eyebright serve`` in a process of its own; ``said`` is what it wrote on stderr so far."""

    def __init__(self, process):
        self.process, self.said = process, []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        for line in self.process.stderr:
            self.said.append(line.rstrip())
            if "The page is at" in line:
                self._ready.set()
        self._ready.set()

    @property
    def address(self):
        assert self._ready.wait(READY_SECONDS), self.said
        found = [match for line in self.said if (match := re.search(r"http://([\d.]+):(\d+)/", line))]
        assert found, self.said
        return found[0][1], int(found[0][2])

    def request(self, method, path, body=b"", **headers):
        with Client(self.address) as client:
            client.ask(method, path, body, **headers)
            return client.answer()

    def stop(self, number=signal.SIGTERM, seconds=READY_SECONDS):
        """Sends a signal; returns the exit code and stdout."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds=READY_SECONDS):
        code = self.process.wait(seconds)
        self._thread.join(seconds)
        return code, self.process.stdout.read()


@contextlib.contextmanager
def command(*words, **environment):
    """The command with these words, on a free port, for the length of a block."""
    given = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "eyebright.cli.main", "serve", *map(str, words), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=given,
    )
    running = Command(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        running.wait()
        process.stdout.close()
        process.stderr.close()
