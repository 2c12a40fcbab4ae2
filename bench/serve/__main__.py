"""Requests a second beside the peers:  python -m bench.serve [--rounds N] [--seconds S] [--clients N ...]

EfficientNet-Lite0 at 224 pixels (the bundle ``imagenet``), JPEG bodies, load from a second process on the same cores. A round
measures every server once, each started for itself and warmed up; rounds are repeated, so that ratios are between neighbours in
time. Peers run in an environment of their own, made from ``peers/requirements.txt``. Writes bench/results/serve.json.
"""

import argparse
import dataclasses
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import python_of
from bench.serve.pictures import QUALITY, write_pictures
from eyebright.core.events import silent
from eyebright.core.files import sha256, write_json
from eyebright.core.machine import environment
from eyebright.verbs.making.imagenet import open_bundle

HERE = Path(__file__).parent
PEERS = HERE / "peers"
RESULTS = HERE.parent / "results" / "serve.json"
WARM_UP = 2.0  # seconds of load before the figures
PATIENCE = 60.0  # seconds that a server has to start
OURS = "eyebright serve"
FIGURES = ("requests_per_second", "p50_ms", "p99_ms")


@dataclasses.dataclass(frozen=True)
class Server:
    """How one server is started and asked. ``{model}`` and ``{port}`` are filled in."""

    name: str
    command: tuple[str, ...]
    path: str
    kind: str


def servers(python: str) -> list[Server]:
    fastapi = (python, str(PEERS / "bare_fastapi.py"), "{model}", "{port}")
    lit = (python, str(PEERS / "lit.py"), "{model}", "{port}")
    ours = (sys.executable, "-m", "eyebright", "serve", "imagenet", "--port", "{port}")
    return [
        Server(OURS, ours, "/api/predict?model=imagenet", "raw"),
        Server(f"{OURS}, multipart", ours, "/api/predict?model=imagenet", "multipart"),
        Server("bare FastAPI, async def", (*fastapi, "async"), "/predict", "raw"),
        Server("bare FastAPI, def", (*fastapi, "threads"), "/predict", "raw"),
        Server("LitServe, 1 worker", (*lit, "1", "0", "1"), "/predict", "base64"),
        Server("LitServe, 2 workers of 1 thread", (*lit, "2", "1", "1"), "/predict", "base64"),
        Server("LitServe, batches of 8", (*lit, "1", "0", "8"), "/predict", "base64"),
    ]


@contextmanager
def running(server: Server, model: Path) -> Iterator[int]:
    """The port of a server that answers, stopped with all its children at the end."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [part.format(model=model, port=port) for part in server.command]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=PEERS)
        try:
            await_port(process, port, server.name)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def await_port(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"{name} stopped with exit code {process.returncode} before it answered.")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
        except urllib.error.HTTPError:
            return  # an answer, whatever it says
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{name} did not answer within {PATIENCE:.0f} s.")


def measured(server: Server, model: Path, pictures: list[Path], clients: int, seconds: float) -> dict[str, float]:
    with running(server, model) as port:
        files = [str(picture) for picture in pictures]
        for duration in (WARM_UP, seconds):
            command = [sys.executable, str(HERE / "load.py"), str(port), server.path, server.kind, str(clients), str(duration)]
            found: dict[str, float] = json.loads(subprocess.run([*command, *files], check=True, capture_output=True).stdout)
    return found


def in_process(pictures: list[Path], seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.serve.in_process", "imagenet", str(seconds), *map(str, pictures)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def show(rounds: list[dict[str, dict[str, float]]], clients: int) -> None:
    print(f"\n{clients} clients, {len(rounds)} rounds, medians")
    print(f"{'':34}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'failed':>8}   {OURS} is")
    for name in rounds[0]:
        rate, p50, p99 = (statistics.median(one[name][key] for one in rounds) for key in FIGURES)
        ratios = sorted(one[OURS]["requests_per_second"] / one[name]["requests_per_second"] for one in rounds)
        failed = sum(one[name]["failed"] for one in rounds)
        times = f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:34}{rate:12.1f}{p50:10.1f}{p99:10.1f}{failed:8.0f}   {times}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    bundle = open_bundle("imagenet", silent)
    model = bundle.form_file("onnx")
    contenders = servers(python_of("serve-peers", PEERS / "requirements.txt"))
    loads: dict[int, list[dict[str, dict[str, float]]]] = {clients: [] for clients in given.clients}
    processes = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = write_pictures(Path(folder))
        for turn in range(given.rounds):
            processes.append(in_process(pictures, given.seconds))
            print(f"round {turn + 1}: in-process {processes[-1]}", flush=True)
            for clients in given.clients:
                found = {one.name: measured(one, model, pictures, clients, given.seconds) for one in contenders}
                loads[clients].append(found)
                print(
                    f"  {clients} clients: "
                    + ", ".join(f"{name} {row['requests_per_second']:.0f}" for name, row in found.items()),
                    flush=True,
                )
    for clients, rounds in loads.items():
        show(rounds, clients)
    shares = {
        clients: statistics.median(
            one[OURS]["requests_per_second"] / max(process.values()) for one, process in zip(rounds, processes, strict=True)
        )
        for clients, rounds in loads.items()
    }
    for clients, share in shares.items():
        print(f"{clients} clients: {share:.0%} of the better way in-process")
    settings = {
        "seconds": given.seconds,
        "jpeg_quality": QUALITY,
        "model_sha256": sha256(model),
        "peers": (PEERS / "requirements.txt").read_text().split(),
    }
    found_all = {str(clients): rounds for clients, rounds in loads.items()}
    write_json(
        given.out, {"schema": 1, "environment": environment(), **settings, "in_process": processes, "clients": found_all}
    )


if __name__ == "__main__":
    main()
