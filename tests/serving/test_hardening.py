"""A real desk behind a real server, with clients that mean no good: everybody else is served, and nothing is left behind."""

import concurrent.futures
import contextlib
import dataclasses
import io
import json
import os
import threading
import time

import numpy as np
import pytest
from pictures import jpeg, noise
from PIL import Image

from eyebright.core.machine import proc
from eyebright.serving.desk import Desk
from eyebright.serving.options import Bounds
from eyebright.serving.shelf import open_shelf

from .desks import write_bundle
from .server import QUICK, Client, alive, command, eventually, head, running

IDLE = 1000
WARM_SECONDS, SOAK_SECONDS = 30, 60  # allocators and caches fill up in some thousand requests


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "animals")


@pytest.fixture(scope="module")
def many_files():
    """Two ends of each connection are in this process."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3 * IDLE:
        pytest.skip(f"this user may open {hard} files; {3 * IDLE} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * IDLE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def desk(*bundles):
    return Desk(open_shelf([str(one) for one in bundles]), workers=1)


def test_a_thousand_idle_connections_are_in_nobodys_way_and_go_when_their_time_is_up(bundle, many_files):
    deadlines = dataclasses.replace(QUICK, head=3.0)
    with running(desk(bundle), deadlines=deadlines) as server, contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(Client(server.address))
        assert eventually(lambda: len(server.server.connections.open) >= IDLE)
        assert server.request("GET", "/health/ready")[0] == 200
        assert server.request("POST", "/api/predict", jpeg())[0] == 200
        assert eventually(lambda: not alive(server), seconds=10)


def test_a_thousand_idle_connections_are_in_nobodys_way_where_fewer_may_be_open(bundle, many_files):
    with running(desk(bundle), bounds=Bounds(connections=100)) as server, contextlib.ExitStack() as stack:
        for number in range(IDLE):
            stack.enter_context(Client(server.address))
            if number % 250 == 0:
                assert server.request("POST", "/api/predict", jpeg())[0] == 200
        assert len(server.server.connections.open) <= 100
        assert server.request("POST", "/api/predict", jpeg())[0] == 200


def test_slow_heads_and_bodies_are_all_closed_on_time_while_others_are_served(bundle):
    deadlines = dataclasses.replace(QUICK, head=1.0, body=1.0)
    with running(desk(bundle), deadlines=deadlines) as server, contextlib.ExitStack() as stack:
        heads = [stack.enter_context(Client(server.address)) for _ in range(50)]
        bodies = [stack.enter_context(Client(server.address)) for _ in range(50)]
        began = time.monotonic()
        for client in heads:
            client.send(b"POST /api/predict HTTP/1.1\r\nhost: loc")
        for client in bodies:
            client.send(head("POST", "/api/predict", content_length=10**6) + bytes(1000))
        served = 0
        while time.monotonic() < began + 0.8:
            assert server.request("POST", "/api/predict", jpeg())[0] == 200
            served += 1
        assert served >= 3
        assert {client.answer()[0] for client in (*heads, *bodies)} == {408}
        assert time.monotonic() - began < 3.0
        assert eventually(lambda: not alive(server))
        assert server.server.gate.held_bytes == 0


def test_a_huge_body_takes_no_memory(bundle):
    with running(desk(bundle), bounds=Bounds(body=100_000)) as server:
        before = resident_mb()
        with Client(server.address) as declared:
            declared.send(head("POST", "/api/predict", content_length=10**12) + bytes(10**6))
            assert declared.answer()[0] == 413
        with Client(server.address) as endless:
            endless.send(head("POST", "/api/predict", transfer_encoding="chunked"))
            with contextlib.suppress(OSError):  # closed on it, once it has had time to read its refusal
                for _ in range(100):
                    endless.send(b"f4240\r\n" + bytes(10**6) + b"\r\n")
            assert endless.answer()[0] == 413
        assert resident_mb() - before < 60
        assert server.request("POST", "/api/predict", jpeg())[0] == 200


def test_a_bomb_of_a_picture_is_one_error(bundle):
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")  # 50 kB that would be 1.2 GB
    with running(desk(bundle)) as server:
        before = resident_mb()
        status, _, body = server.request("POST", "/api/predict", bomb.getvalue())
        assert resident_mb() - before < 60
        assert status < 500
        assert "megapixels" in body.decode()


def test_no_request_fails_while_its_model_is_replaced_and_each_is_answered_by_one_version(tmp_path):
    """Two versions of a bundle change places behind one name; what is answered fits the version it names."""
    places = [write_bundle(tmp_path / name, temperature=1.0 + number) for number, name in enumerate(("a", "b"))]
    live, picture = tmp_path / "live", jpeg(noise(10, 12))
    live.symlink_to(places[0])
    done = threading.Event()

    def ask(server):
        found = []
        with Client(server.address) as client:
            while not done.is_set():
                client.ask("POST", "/api/predict", picture)
                status, _, body = client.answer()
                said = json.loads(body)
                found.append((status, said["model"]["sha256"], said["results"][0]["predictions"][0]["probability"]))
        return found

    with running(desk(f"animals={live}")) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, server) for _ in range(8)]
        try:
            for number in range(4):
                (tmp_path / "next").symlink_to(places[(number + 1) % 2])
                os.replace(tmp_path / "next", live)
                assert server.request("POST", "/api/models/animals/reload")[0] == 200
        finally:
            done.set()
        found = [one for future in asking for one in future.result(30)]
    assert {status for status, _, _ in found} == {200}
    versions = {(sha256, probability) for _, sha256, probability in found}
    assert len(versions) == len({sha256 for sha256, _ in versions}) == 2


def test_a_version_that_does_not_prove_itself_never_answers(bundle, tmp_path):
    import shutil

    live = tmp_path / "live"
    shutil.copytree(bundle, live)
    with running(desk(live)) as server:
        before = server.request("POST", "/api/predict", jpeg())[2]
        (live / "model.onnx").write_bytes(b"damaged")
        status, _, body = server.request("POST", "/api/models/live/reload")
        assert (status, str(tmp_path) in body.decode()) == (409, False)
        assert server.request("POST", "/api/predict", jpeg())[2] == before
        assert server.metrics()['eyebright_reloads_total{model="live",outcome="refused"}'] == 1


def misuse(server, picture):
    """One of each: right, refused, broken off, slow to come."""
    assert server.request("POST", "/api/predict", picture)[0] == 200
    assert server.request("POST", "/api/predict", b"no picture")[0] == 422
    assert server.request("GET", "/nowhere")[0] == 404
    with Client(server.address) as client:
        client.send(head("POST", "/api/predict", content_length=10**5) + bytes(10**4))
    with Client(server.address) as client:
        client.send(b"garbage\r\n\r\n")
        client.answer()
    with Client(server.address) as client:
        client.ask("POST", "/v2/models/animals/infer", b"{")
        client.answer()


def test_misuse_leaves_nothing_behind(bundle):
    with running(desk(bundle)) as server:
        misuse(server, jpeg())
        threads = threading.active_count()
        for _ in range(20):
            misuse(server, jpeg())
        assert eventually(lambda: not alive(server))
        assert eventually(lambda: (server.server.gate.under_way, server.server.gate.held_bytes) == (0, 0))
        assert not server.server.connections.idle
        assert not server.server.uvicorn.server_state.tasks
        assert threading.active_count() <= threads + 1


@pytest.mark.slow
def test_memory_stays_flat(bundle):
    with command(bundle, "--no-access-log") as served:
        points, began = [], time.monotonic()
        while time.monotonic() < began + WARM_SECONDS + SOAK_SECONDS:
            misuse(served, jpeg())
            if time.monotonic() > began + WARM_SECONDS:
                points.append((time.monotonic() - began, resident_mb(served.process.pid)))
    seconds, megabytes = np.array(points).T
    slope = np.polyfit(seconds / 60, megabytes, 1)[0]
    assert slope < 1.0, f"{slope:.2f} MB a minute over {len(points)} rounds"


def resident_mb(process="self"):
    """Megabytes of a process; this one holds the servers of ``running``."""
    return int(proc(f"{process}/status")["VmRSS"].split()[0]) / 1024
