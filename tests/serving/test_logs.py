"""The log: a line a request that programs can read, nothing that is nobody's business, and nobody's slowness in the way."""

import io
import json
import logging
import threading
import time

import pytest

from eyebright.serving.logs import LineWriter, ServerLog, logging_to, plain_path

from .server import Client, EmptyDesk, echo_length, head, route, running

SECRET = "s3cret-of-nobody-else"


def test_a_request_is_one_line_with_what_came_of_it():
    with running(EmptyDesk(names=("cats",))) as server:
        server.request("POST", "/api/predict?top_k=1", b"picture", x_request_id="mine")
        (line,) = server.lines()
    assert line.pop("ms") >= 0
    assert line.pop("time").endswith("Z")
    assert line.pop("bytes_out") > 10
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "mine",
        "method": "POST",
        "path": "/api/predict",
        "status": 200,
        "bytes_in": 7,
        "client": "127.0.0.1",
        "model": "cats",
    }


def test_the_log_holds_no_query_no_header_and_nothing_of_a_body():
    with running(routers=route(echo_length)) as server:
        for headers in ({"authorization": f"Bearer {SECRET}"}, {"cookie": SECRET}, {"x_request_id": f"{SECRET} {SECRET}"}):
            server.request("POST", f"/api/predict?token={SECRET}", SECRET.encode(), **headers)
        with Client(server.address) as client:
            client.send(f"GET /{SECRET} HTTP/9.9\r\n{SECRET}: {SECRET}\r\n\r\n".encode())
            client.answer()
        lines = server.lines()
    assert len(lines) == 4
    assert SECRET not in json.dumps(lines)


def test_a_head_that_never_came_is_one_line_too():
    with running() as server, Client(server.address) as client:
        client.send(b"garbage\r\n\r\n")
        assert client.answer()[0] == 400
        (line,) = server.lines()
    assert (line["event"], line["status"]) == ("head_refused", 400)


def test_no_address_breaks_a_line_or_steers_a_terminal():
    with running() as server, Client(server.address) as client:
        client.send(head("GET", "/%1b[2J%0aforged%20200%e2%80%ae"))
        assert client.answer()[0] == 404
        (line,) = server.lines()
    assert line["path"].isprintable()
    assert plain_path("/a b\n\u202ec") == "/a%20b\\n\\u202ec"
    assert len(plain_path("/" + "a" * 5000)) < 300


def exchange(**more):
    """A finished request as the log sees it."""
    import types

    said = {"began": time.perf_counter(), "path": "/api/predict", "method": "POST", "outcome": 200, "received": 7, "sent": 9}
    return types.SimpleNamespace(**said, request_id="mine", scope={"client": ("::1", 5)}, trace_ids={}, **more)


def test_text_lines_are_for_people():
    stream = io.StringIO()
    log = ServerLog("text", stream)
    log.request(exchange(), "cats")
    log.refused(408)
    log.note("cats was loaded again.")
    log.close()
    first, second, third = stream.getvalue().splitlines()
    assert " ::1 POST /api/predict 200 " in first
    assert first.endswith("7 B mine cats")
    assert second.endswith("408 (no whole head came)")
    assert third.endswith("cats was loaded again.")


def test_without_access_lines_faults_are_still_written():
    stream = io.StringIO()
    log = ServerLog("text", stream, requests=False)
    with logging_to(log):
        log.request(exchange(), "cats")
        log.refused(408)
        logging.getLogger("eyebright.serving").error("Request %s failed", "x")
        logging.getLogger("uvicorn.error").info("not worth a line")
    log.close()
    assert stream.getvalue().count("\n") == 1
    assert "error Request x failed" in stream.getvalue()


def test_loggers_are_given_back_as_they_were():
    logger = logging.getLogger("uvicorn.error")
    before = logger.handlers[:], logger.propagate
    log = ServerLog("text", io.StringIO())
    with pytest.raises(ValueError, match="out"), logging_to(log):
        raise ValueError("out")
    log.close()
    assert (logger.handlers, logger.propagate) == before


class Stuck(io.StringIO):
    """A log that nobody reads: writing waits."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()

    def write(self, text):
        self.free.wait(10)
        return super().write(text)


def test_a_log_that_nobody_reads_holds_up_nothing_and_says_later_what_is_missing():
    stream = Stuck()
    writer = LineWriter(stream, most=100)
    writer.write("first")
    time.sleep(0.2)  # now its thread is stuck
    began = time.monotonic()
    for number in range(1000):
        writer.write(str(number))
    assert time.monotonic() - began < 0.5
    stream.free.set()
    writer.close()
    lines = stream.getvalue().splitlines()
    assert lines[:3] == ["first", "0", "1"]
    assert lines[-1] == "(900 lines were left out: the log was read too slowly)"


def test_a_log_that_is_gone_ends_nothing():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    writer = LineWriter(Gone())
    writer.write("a")
    writer.close()
