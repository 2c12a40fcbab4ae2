"""What a running server stands:  python -m bench.serve_hardening BUNDLE [--seconds 600] [--picture FILE]

Starts ``eyebright serve`` as its users do, with every deadline as shipped, and is the client that means no good: idle
connections, slow heads and bodies, huge bodies, a bomb of a picture, clients that do not read, reloads and SIGTERM under load,
and a soak of so many seconds. Prints a table and writes bench/results/serve-hardening.json. Memory is the server process's own
(VmRSS). The queue is longer than its default, so that as many requests as the test wants are in flight.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import http.client
import io
import itertools
import os
import platform
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyebright import __version__
from eyebright.core.files import write_json
from eyebright.core.machine import machine_line

IDLE, LORIS = 1000, 200
IN_FLIGHT, RELOADS = 200, 20
RESULT = Path(__file__).parent / "results" / "serve-hardening.json"


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that was tried: what, how often, what came of it, and whether that is what should."""

    what: str
    n: int
    found: str
    good: bool


class Server:
    """The command in a process of its own."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "eyebright.cli.main", "serve", *words, "--port", "0", "--no-access-log"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"page is at http://([\d.]+):(\d+)/", line):
                self.address = (found[1], int(found[2]))
                break
        else:
            raise SystemExit(f"The server did not start; its exit code is {self.process.wait()}.")
        self._drain = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._drain.start()

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=60)

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        return asked(http.client.HTTPConnection(*self.address, timeout=60), method, path, body)


def asked(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of one answer."""
    connection.request(method, path, body, {"host": "localhost"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    picture = given.picture.read_bytes() if given.picture else _picture()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows: list[Row] = []
    server = Server(f"bench={given.bundle}", "--queue", str(2 * IN_FLIGHT))
    name = "bench"
    for try_out in (idle, slow_heads, slow_bodies, huge_bodies, bomb, unread, reloads):
        rows.append(try_out(server, picture, name))
        print(_line(rows[-1]), flush=True)
    rows += [soak(server, picture, given.seconds), stop_under_load(server, picture)]
    for row in rows[-2:]:
        print(_line(row))
    RESULT.parent.mkdir(exist_ok=True)
    write_json(RESULT, {"schema": 1, **_machine(), "rows": [dataclasses.asdict(row) for row in rows]})
    sys.exit(not all(row.good for row in rows))


def idle(server: Server, picture: bytes, name: str) -> Row:
    """Connections that say nothing, in the way of nobody, and closed after the head's 10 seconds."""
    alone = latencies_ms(server, picture)
    files = server.files()
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        quiet = [stack.enter_context(server.connect()) for _ in range(IDLE)]
        beside = latencies_ms(server, picture)
        held = server.files() - files
        closed = [_closed(one) for one in quiet]
        took = time.monotonic() - began
    found = (
        f"{held} held at once, all closed within {took:.1f} s; a prediction beside them takes {_spread(beside)}, alone "
        f"{_spread(alone)}"
    )
    return Row("idle connections", IDLE, found, all(closed) and took < 20)


def slow_heads(server: Server, picture: bytes, name: str) -> Row:
    return _slowly(server, picture, "heads that never end", b"POST /api/predict HTTP/1.1\r\nhost: localhost\r\nx: ", 10)


def slow_bodies(server: Server, picture: bytes, name: str) -> Row:
    start = b"POST /api/predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
    return _slowly(server, picture, "bodies that never end", start, 30)


def _slowly(server: Server, picture: bytes, what: str, start: bytes, deadline: float) -> Row:
    """A byte a second each, until the server has had enough."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(LORIS)]
        began = time.monotonic()
        for client in clients:
            client.sendall(start)
        ends: dict[int, tuple[float, bytes]] = {}
        served: list[float] = []
        while len(ends) < LORIS and time.monotonic() < began + 2 * deadline + 10:
            for number, client in enumerate(clients):
                if number not in ends and (answer := _drip(client)) is not None:
                    ends[number] = (time.monotonic() - began, answer)
            served += latencies_ms(server, picture, n=20)
            time.sleep(0.5)
    late = max((end for end, _ in ends.values()), default=float("inf"))
    told = sum(answer.startswith(b"HTTP/1.1 408 ") for _, answer in ends.values())
    found = f"{told} answered 408, the last after {late:.1f} s; predictions meanwhile {_spread(served)}"
    return Row(what, LORIS, found, told == LORIS and late < deadline + 3)


def _drip(client: socket.socket) -> bytes | None:
    """Sends a byte; what the server answered, or empty where it only closed; None as long as it waits."""
    client.settimeout(0.001)
    try:
        return client.recv(64)
    except TimeoutError:
        pass
    except OSError:
        return b""
    with contextlib.suppress(OSError):
        client.sendall(b"x")
    return None


def huge_bodies(server: Server, picture: bytes, name: str) -> Row:
    """A body that declares a terabyte, and one of chunks without end."""
    before, statuses, peak = server.memory_mb(), [], 0.0
    chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
    for head, piece in ((b"content-length: 1000000000000", bytes(2**20)), (b"transfer-encoding: chunked", chunk)):
        with server.connect() as client:
            client.sendall(b"POST /api/predict HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n\r\n")
            with contextlib.suppress(OSError):  # closed on us, in the end
                for _ in range(400):
                    client.sendall(piece)
                    peak = max(peak, server.memory_mb())
            statuses.append(client.recv(64)[9:12].decode())
    grown = peak - before
    return Row(
        "huge bodies",
        2,
        f"{' and '.join(statuses)}, memory up by {grown:.0f} MB at most",
        statuses == ["413"] * 2 and grown < 150,
    )


def bomb(server: Server, picture: bytes, name: str) -> Row:
    """A PNG of some ten kilobytes that would be 1.2 GB of pixels."""
    packed = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(packed, "PNG")
    before = server.memory_mb()
    status, _ = server.ask("POST", "/api/predict", packed.getvalue())
    grown = server.memory_mb() - before
    return Row(
        "a PNG of 400 megapixels", 1, f"{status}, memory up by {grown:.0f} MB", status in (200, 413, 422) and grown < 150
    )


def unread(server: Server, picture: bytes, name: str) -> Row:
    """Clients that ask for much and read nothing."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(20)]
        before = server.memory_mb()
        for client in clients:
            client.setblocking(False)
            with contextlib.suppress(OSError):
                client.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2000)
        time.sleep(1)
        grown = server.memory_mb() - before
        beside = latencies_ms(server, picture)
        gone, end = _count_gone(clients), time.monotonic() + 45
        while gone < len(clients) and time.monotonic() < end:
            time.sleep(1)
            gone = _count_gone(clients)
    return Row(
        "clients that read nothing",
        len(clients),
        f"{gone} let go; memory up by {grown:.0f} MB; predictions {_spread(beside)}",
        gone == len(clients),
    )


def _count_gone(clients: list[socket.socket]) -> int:
    """How many connections the server has reset."""
    return sum(bool(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) or _reset(client) for client in clients)


def _reset(client: socket.socket) -> bool:
    try:
        client.send(b"\r\n")
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def reloads(server: Server, picture: bytes, name: str) -> Row:
    """Requests in flight while the model is loaded again."""
    done, statuses = threading.Event(), []

    def ask() -> list[int]:
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        found = []
        while not done.is_set():
            found.append(asked(connection, "POST", "/api/predict", picture)[0])
        return found

    before = server.memory_mb()
    with concurrent.futures.ThreadPoolExecutor(IN_FLIGHT) as pool:
        asking = [pool.submit(ask) for _ in range(IN_FLIGHT)]
        loaded = [server.ask("POST", f"/api/models/{name}/reload")[0] for _ in range(RELOADS)]
        done.set()
        statuses = list(itertools.chain.from_iterable(future.result() for future in asking))
    busy, failed = statuses.count(503), sum(status not in (200, 503) for status in statuses)
    grown = server.memory_mb() - before
    found = f"{loaded.count(200)} reloads; {statuses.count(200)} answered, {busy} told to come back, {failed} failed; "
    found += f"memory up by {grown:.0f} MB"
    return Row(f"reloads with {IN_FLIGHT} requests in flight", RELOADS, found, loaded == [200] * RELOADS and not failed)


def soak(server: Server, picture: bytes, seconds: float) -> Row:
    """Right, wrong and broken requests for a long time; the slope of the memory, by least squares, the first tenth left out."""
    points, count, end, began = [], 0, time.monotonic() + seconds, time.monotonic()
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    while time.monotonic() < end:
        for path, body in (
            ("/api/predict", picture),
            ("/predictions/bench", picture),
            ("/api/predict", b"no picture"),
            ("/v2/x", b""),
        ):
            asked(connection, "POST", path, body)
            count += 1
        with server.connect() as client:
            client.sendall(b"POST /api/predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999\r\n\r\n" + bytes(5000))
        points.append((time.monotonic() - began, server.memory_mb()))
    at, megabytes = np.array(points[len(points) // 10 :]).T
    slope = float(np.polyfit(at / 60, megabytes, 1)[0])
    found = f"{slope:+.2f} MB a minute over {seconds / 60:.1f} minutes; {megabytes[-1]:.0f} MB, {server.files()} files at last"
    return Row("soak, requests", count, found, slope < 1.0)


def stop_under_load(server: Server, picture: bytes) -> Row:
    """SIGTERM while eight clients ask without a pause."""
    outcomes: list[str] = []

    def ask() -> None:
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        while True:
            try:
                connection.request("POST", "/api/predict", picture, {"host": "localhost"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                outcomes.append(type(error).__name__)
                return
            outcomes.append(str(answer.status))
            if answer.status != 200 or answer.getheader("connection") == "close":
                return

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(ask)
        time.sleep(3)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(60)
        took = time.monotonic() - began
    lost = sum(outcome not in ("200", "503") for outcome in outcomes)
    answered, told = outcomes.count("200"), outcomes.count("503")
    found = f"exit code {code} after {took:.1f} s; {answered} answered, {told} told to go, {lost} lost"
    return Row("SIGTERM under load, clients", 8, found, code == 0 and not lost)


def latencies_ms(server: Server, picture: bytes, n: int = 200) -> list[float]:
    """How long each of ``n`` predictions takes, one after the other on one connection."""
    connection, times = http.client.HTTPConnection(*server.address, timeout=60), []
    for _ in range(n):
        began = time.perf_counter()
        status, _ = asked(connection, "POST", "/api/predict", picture)
        times.append(1000 * (time.perf_counter() - began))
        assert status == 200, status
    connection.close()
    return times


def _spread(milliseconds: list[float]) -> str:
    median, slow = np.percentile(milliseconds, [50, 99])
    return f"{median:.1f} ms (p99 {slow:.1f}, n = {len(milliseconds)})"


def _closed(client: socket.socket) -> bool:
    client.settimeout(30)
    try:
        return client.recv(64) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def _picture() -> bytes:
    """A JPEG of 640 x 480 pixels with the detail of a photograph, more or less."""
    drawn = np.random.default_rng(0).normal(128, 40, (60, 80, 3)).clip(0, 255).astype(np.uint8)
    packed = io.BytesIO()
    Image.fromarray(drawn).resize((640, 480), Image.Resampling.BICUBIC).save(packed, "JPEG", quality=90)
    return packed.getvalue()


def _machine() -> dict[str, Any]:
    return {"machine": machine_line(), "versions": {"eyebright": __version__, "python": platform.python_version()}}


def _line(row: Row) -> str:
    return f"| {row.what} | {row.n} | {row.found} | {'as it should' if row.good else 'NOT as it should'} |"


if __name__ == "__main__":
    main()
