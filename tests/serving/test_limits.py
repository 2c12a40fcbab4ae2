"""What every request goes through: sizes counted as they stream, times, memory, and the headers of each answer."""

import asyncio
import dataclasses
import json
import time

import pytest
from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from eyebright.serving.answers import RefusalError
from eyebright.serving.limits import RequestIds
from eyebright.serving.options import Bounds

from .server import QUICK, Client, EmptyDesk, echo_length, eventually, head, route, running

LIMIT = 1000  # bytes of a body


@pytest.fixture(scope="module")
def small():
    """A server that takes bodies of up to LIMIT bytes and echoes their length."""
    with running(bounds=Bounds(body=LIMIT), routers=route(echo_length)) as server:
        yield server


def chunked(*sizes):
    return b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in sizes)


def test_a_body_up_to_the_limit_is_taken_whatever_its_framing(small):
    assert small.request("POST", "/api/predict", b"x" * LIMIT)[2] == b"1000"
    with Client(small.address) as client:
        client.send(head("POST", "/api/predict", transfer_encoding="chunked") + chunked(LIMIT // 2, LIMIT // 2) + b"0\r\n\r\n")
        assert client.answer()[2] == b"1000"


def test_a_body_that_declares_too_much_is_refused_before_a_byte_of_it(small):
    with Client(small.address) as client:
        client.send(head("POST", "/api/predict", content_length=LIMIT + 1))
        status, headers, body = client.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(body)["detail"] == "The request's body is larger than 0.0009537 MiB. Send smaller or fewer pictures."


def test_a_body_that_declares_nothing_is_counted(small):
    with Client(small.address) as client:
        client.send(head("POST", "/api/predict", transfer_encoding="chunked") + chunked(*[LIMIT // 4] * 5))
        status, headers, _ = client.answer()  # it never ends, and is refused all the same
    assert (status, headers["connection"]) == (413, "close")


def test_a_handler_that_swallows_the_refusal_does_not_hide_it():
    async def deaf(request: Request) -> Response:
        try:
            await request.body()
        except Exception:
            return Response("I did not notice")
        return Response("whole")

    with running(bounds=Bounds(body=LIMIT), routers=route(deaf)) as server, Client(server.address) as client:
        client.send(head("POST", "/api/predict", transfer_encoding="chunked") + chunked(LIMIT + 1))
        assert client.answer()[0] == 413


def test_bodies_in_memory_have_a_bound_of_their_own():
    gate = []

    async def hold(request: Request) -> Response:
        await request.body()
        while not gate:
            await asyncio.sleep(0.01)
        return Response("held")

    bounds = Bounds(body=LIMIT, bodies=2 * LIMIT)
    with running(bounds=bounds, routers=route(hold)) as server, Client(server.address) as one, Client(server.address) as two:
        for client in (one, two):
            client.ask("POST", "/api/predict", b"x" * LIMIT)
        assert eventually(lambda: server.server.gate.held_bytes == 2 * LIMIT)
        status, headers, _ = server.request("POST", "/api/predict", b"x")
        assert (status, headers["retry-after"]) == (503, "2")
        gate.append(1)
        assert [client.answer()[2] for client in (one, two)] == [b"held", b"held"]
        assert eventually(lambda: server.server.gate.held_bytes == 0)
        assert server.request("POST", "/api/predict", b"x")[0] == 200


def endless_until_stopped(stopped):
    """A handler that reads its request and never answers; each time it is stopped, ``stopped`` grows by one."""

    async def endless(request: Request) -> Response:
        await request.body()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(1)
            raise
        return Response()

    return endless


def test_a_handler_that_takes_too_long_is_stopped_and_the_answer_is_504():
    stopped = []
    endless = endless_until_stopped(stopped)
    deadlines = dataclasses.replace(QUICK, answer=0.2)
    with running(deadlines=deadlines, routers=route(endless)) as server, Client(server.address) as client:
        for _ in range(2):  # the connection is kept
            client.ask("POST", "/api/predict", b"picture")
            status, headers, body = client.answer()
            assert (status, headers["retry-after"]) == (504, "2")
            assert b"within 0.2 seconds" in body
    assert stopped == [1, 1]


def test_the_time_for_an_answer_begins_when_the_body_is_whole():
    async def after_a_while(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(0.2)
        return Response("in time")

    deadlines = dataclasses.replace(QUICK, answer=0.35)
    with running(deadlines=deadlines, routers=route(after_a_while)) as server, Client(server.address) as client:
        client.send(head("POST", "/api/predict", content_length=8) + b"four")
        assert not client.has_answer(0.3)
        client.send(b"four")
        assert client.answer()[2] == b"in time"


def test_a_failure_is_500_without_a_detail_and_its_traceback_is_in_the_log_beside_the_requests_id():
    async def fail(request: Request) -> Response:
        raise ValueError("the secret of /srv/models")

    with running(routers=route(fail)) as server:
        status, headers, body = server.request("POST", "/api/predict", b"", x_request_id="find-me")
        lines = server.lines()
    assert (status, headers["x-request-id"]) == (500, "find-me")
    assert b"secret" not in body
    assert b"find-me" in body
    failed = next(line for line in lines if line["event"] == "message")
    assert failed["message"] == "Request find-me failed"
    assert "the secret of /srv/models" in failed["traceback"]


def test_a_refusal_raised_anywhere_and_the_frameworks_own_are_answered_alike():
    async def refuse(request: Request) -> Response:
        if "http" in request.query_params:
            raise HTTPException(418, "A teapot.", {"x-more": "1"})
        raise RefusalError(409, "Not now.", retry_after=7)

    with running(routers=route(refuse)) as server:
        status, headers, body = server.request("POST", "/api/predict")
        assert (status, headers["retry-after"], json.loads(body)["detail"]) == (409, "7", "Not now.")
        status, headers, body = server.request("POST", "/api/predict?http")
        assert (status, headers["x-more"], json.loads(body)["detail"]) == (418, "1", "A teapot.")
        status, headers, body = server.request("GET", "/api/predict")
        assert (status, headers["allow"]) == (405, "POST")
        assert "does not answer GET" in json.loads(body)["detail"]
        assert server.request("GET", "/nowhere")[0] == 404


def test_every_answer_has_the_headers_that_keep_a_browser_in_bounds(small):
    bad = [small.request("GET", "/nowhere"), small.request("POST", "/api/predict", b"x", origin="http://evil.example")]
    for status, headers, _ in [small.request("GET", "/health/live"), *bad]:
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["permissions-policy"].startswith("camera=(self)")
        assert headers["cache-control"] == "no-store", status
        assert "server" not in headers


def test_a_handlers_own_caching_is_kept():
    async def file(request: Request) -> Response:
        return Response("body", headers={"cache-control": "no-cache"})

    with running(routers=route(file, "/page/x.css", ["GET"])) as server:
        assert server.request("GET", "/page/x.css")[1]["cache-control"] == "no-cache"


def test_a_request_keeps_its_clients_id_where_that_is_short_and_plain():
    ids = RequestIds()
    assert ids(b"a-1.B_2") == "a-1.B_2"
    for strange in (None, b"", b"a b", b"a" * 65, b"a\nb", "é".encode(), b'a"b'):
        assert ids(strange) != strange
    assert len({ids(None) for _ in range(1000)}) == 1000


def test_an_answer_and_its_refusal_carry_the_request_id(small):
    assert small.request("POST", "/api/predict", b"x", x_request_id="mine")[1]["x-request-id"] == "mine"
    _, headers, body = small.request("GET", "/nowhere", x_request_id="bad id")
    assert headers["x-request-id"] == json.loads(body)["request_id"] != "bad id"


def test_a_client_that_leaves_is_counted_as_499_and_what_it_held_is_freed():
    with running(EmptyDesk(), routers=route(echo_length)) as server:
        with Client(server.address) as client:
            client.send(head("POST", "/api/predict", content_length=100) + b"x" * 10)
            assert eventually(lambda: server.server.gate.held_bytes == 10)
        assert eventually(lambda: server.server.gate.under_way == 0)
        assert server.server.gate.held_bytes == 0
        assert [line["status"] for line in server.lines()] == [499]


def test_work_for_a_client_that_left_after_its_whole_request_is_given_up():
    stopped = []
    endless = endless_until_stopped(stopped)
    with running(routers=route(endless)) as server:
        with Client(server.address) as client:
            client.ask("POST", "/api/predict", b"picture")
            assert eventually(lambda: server.server.gate.held_bytes == len(b"picture"))
        assert eventually(lambda: stopped == [1])
        assert [line["status"] for line in server.lines()] == [499]
        assert server.server.gate.held_bytes == 0
        assert server.metrics()['eyebright_requests_total{dialect="ours",model="toy",status="499"}'] == 1


def test_an_answer_that_has_begun_ends_when_its_client_leaves():
    ended = []

    async def rows(request: Request) -> Response:
        await request.body()

        async def forever():
            try:
                while True:
                    yield b"row"
                    await asyncio.sleep(0.01)
            finally:
                ended.append(1)

        return StreamingResponse(forever())

    with running(routers=route(rows)) as server:
        with Client(server.address) as client:
            client.ask("POST", "/api/predict", b"picture")
            assert client.answer()[0] == 200
        assert eventually(lambda: ended == [1])
        assert [line["status"] for line in server.lines()] == [499]


def test_a_client_that_stays_is_answered_whatever_it_sends_meanwhile():
    async def slowly(request: Request) -> Response:
        body = await request.body()
        await asyncio.sleep(0.2)
        return Response(body)

    with running(routers=route(slowly)) as server, Client(server.address) as client:
        client.ask("POST", "/api/predict", b"first")
        time.sleep(0.05)
        client.ask("POST", "/api/predict", b"second")
        assert [client.answer()[2] for _ in range(2)] == [b"first", b"second"]
        assert [line["status"] for line in server.lines()] == [200, 200]


@pytest.mark.parametrize("root_path", ["/behind", "/%C3%A9t%C3%A9"])
def test_a_proxys_path_is_no_part_of_what_is_judged(root_path):
    from eyebright.serving.options import Options

    options = Options(deadlines=QUICK, token="0123456789abcdef", root_path=root_path)
    with running(options=options, routers=route(echo_length)) as server:
        # The proxy takes its own path off; the server puts it on for its application.
        assert server.request("GET", "/health/live")[0] == 200
        assert server.request("POST", "/api/predict")[0] == 401
        assert server.request("POST", "/v2/x")[2].startswith(b'{"error"')
        assert server.request("POST", "/api/predict", b"four", authorization="Bearer 0123456789abcdef")[2] == b"4"
        assert "/api/predict" in {line["path"] for line in server.lines()}
