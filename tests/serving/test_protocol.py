"""Connections: who is slow, long-winded or garbled is let go on time and told why; everybody else is served meanwhile."""

import contextlib
import dataclasses
import time

import pytest
from fastapi import Request, Response

from eyebright.serving.options import Bounds

from .server import QUICK, Client, EmptyDesk, alive, echo_length, eventually, head, route, running

SOON = 0.3  # seconds: the deadline that a test is about
WITHIN = 1.0  # second more: sweeps, and a busy machine; what drips goes on for many
SLOW = dataclasses.replace(QUICK, head=SOON, body=SOON, idle=SOON, write=SOON, linger=SOON)


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def slow(request):
    """A server whose deadlines are short; it echoes the length of what it is sent. Event loops differ in their edges."""
    pytest.importorskip(request.param)
    with running(deadlines=SLOW, routers=route(echo_length), loop=request.param) as server:
        yield server


def seconds(action):
    began = time.monotonic()
    result = action()
    return result, time.monotonic() - began


def test_a_head_that_does_not_end_is_answered_408_on_time_while_others_are_served(slow):
    with Client(slow.address) as loris:
        loris.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        assert slow.request("POST", "/api/predict", b"four")[2] == b"4"
        (status, headers, body), took = seconds(loris.answer)
        assert (status, headers["connection"]) == (408, "close")
        assert b"head did not arrive within 0.3 seconds" in body
        assert took < SOON + WITHIN
        assert loris.is_closed()


def test_a_head_that_drips_gains_no_time(slow):
    with Client(slow.address) as loris:
        took = loris.drip(head("GET", "/health/live", x_long="a" * 1000), every=0.02)
        assert SOON / 2 < took < SOON + WITHIN
        assert loris.answer()[0] == 408


def test_a_connection_that_says_nothing_is_closed_without_a_word(slow):
    with Client(slow.address) as silent:
        (status, _, _), took = seconds(silent.answer)
        assert status == 0
        assert took < SOON + WITHIN


def test_bare_line_ends_keep_no_connection_open(slow):
    with Client(slow.address) as client:
        client.ask("GET", "/health/live")
        assert client.answer()[0] == 200
        took = client.drip(b"\r\n" * 500, every=0.02)
        assert took < SOON + WITHIN


def test_a_body_that_does_not_end_is_answered_408_on_time_in_the_dialects_words(slow):
    with Client(slow.address) as client, Client(slow.address) as other:
        client.send(head("POST", "/api/predict", content_length=100) + b"x" * 50)
        other.send(head("POST", "/v2/x", content_length=100))
        (status, headers, body), took = seconds(client.answer)
        assert (status, headers["content-type"]) == (408, "application/problem+json")
        assert headers["x-request-id"] in body.decode()
        assert took < SOON + WITHIN
        assert client.is_closed()
    assert [line["status"] for line in slow.lines() if line["event"] == "request"].count(408) == 1


def test_a_body_that_drips_gains_no_time(slow):
    with Client(slow.address) as client:
        client.send(head("POST", "/api/predict", content_length=1000))
        took = client.drip(b"x" * 1000, every=0.02)
        assert took < SOON + WITHIN
        assert client.answer()[0] == 408


def test_chunks_that_drip_gain_no_time(slow):
    with Client(slow.address) as client:
        client.send(head("POST", "/api/predict", transfer_encoding="chunked"))
        took = client.drip(b"1\r\nx\r\n" * 200, every=0.02)
        assert took < SOON + WITHIN
        assert client.answer()[0] == 408


def test_the_next_request_has_its_whole_time_from_its_first_byte(slow):
    with Client(slow.address) as client:
        for _ in range(3):
            client.ask("POST", "/api/predict", b"four")
            assert client.answer()[2] == b"4"
            time.sleep(SOON * 0.6)  # together longer than either deadline


def test_an_idle_connection_is_closed_when_its_time_is_up(slow):
    with Client(slow.address) as client:
        client.ask("GET", "/health/live")
        assert client.answer()[0] == 200
        closed, took = seconds(client.is_closed)
        assert closed
        assert SOON / 2 < took < SOON + WITHIN


def test_a_client_that_does_not_read_is_let_go():
    async def much(request: Request) -> Response:
        return Response(bytes(64_000_000))

    with running(deadlines=SLOW, routers=route(much, "/api/much", ["GET"])) as server, Client(server.address) as client:
        client.ask("GET", "/api/much")
        assert server.request("GET", "/health/live")[0] == 200
        assert eventually(lambda: not alive(server))
        status, headers, body = client.answer()
        assert (status, headers["content-length"]) == (200, "64000000")
        assert len(body) < 64_000_000


def test_what_is_not_http_is_refused_and_the_connection_closed(slow):
    for garbage in (b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9\r\n\r\n", b"GET http:// HTTP/1.1\r\n\r\n"):
        with Client(slow.address) as client:
            client.send(garbage)
            assert client.answer()[0] == 400, garbage
            assert client.is_closed()


def test_a_body_that_breaks_its_framing_is_refused(slow):
    with Client(slow.address) as client:
        client.send(head("POST", "/api/predict", transfer_encoding="chunked") + b"2\r\nabX\r\n")
        assert client.answer()[0] == 400
        assert client.is_closed()


def test_two_lengths_that_differ_and_length_beside_chunks_are_refused(slow):
    """What a proxy and this server could read differently would let one request hide in another."""
    for smuggled in (b"content-length: 4\r\ncontent-length: 5\r\n", b"content-length: 4\r\ntransfer-encoding: chunked\r\n"):
        with Client(slow.address) as client:
            client.send(b"POST /api/predict HTTP/1.1\r\nhost: localhost\r\n" + smuggled + b"\r\n0\r\n\r\n")
            assert client.answer()[0] == 400
            assert client.is_closed()


def test_a_head_that_is_too_long_is_refused_whole_or_not():
    bounds = Bounds(head=1000, address=300)
    with running(bounds=bounds, routers=route(echo_length)) as server:
        whole, endless = head("POST", "/api/predict", x_long="a" * 1000), head("GET", "/", x_long="a" * 1100)[:-4]
        for sent in (whole, endless, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500):
            with Client(server.address) as client:
                client.send(sent)
                assert client.answer()[0] == 431
                assert client.is_closed(0.1)
        assert server.request("GET", "/health/" + "a" * 300)[0] == 414
        # A body does not count as head, however it arrives.
        assert server.request("POST", "/api/predict", b"x" * 5000)[2] == b"5000"
        assert server.metrics()['eyebright_heads_refused_total{status="431"}'] == 3


@pytest.fixture(scope="module")
def short_heads():
    """A server whose heads are of 1000 bytes at most; it says which headers a request had, and how long its body was."""

    async def described(request: Request) -> Response:
        length = len(await request.body())
        return Response(f"{length} {sorted(request.headers)}")

    with running(bounds=Bounds(head=1000, address=300), routers=route(described)) as server:
        yield server


def test_a_head_in_two_parts_after_a_large_body_is_no_long_head(short_heads):
    second = head("POST", "/api/predict", content_length=4)
    with Client(short_heads.address) as client:
        client.send(head("POST", "/api/predict", content_length=50_000))
        time.sleep(0.05)
        client.send(bytes(50_000))
        assert client.answer()[2].startswith(b"50000 ")
        client.send(second[:20])
        time.sleep(0.05)
        client.send(second[20:] + b"four")
        assert client.answer()[2].startswith(b"4 ")


def test_a_head_that_does_not_end_is_bounded_too_while_the_answer_before_it_is_awaited():
    with running(EmptyDesk(seconds=30), bounds=Bounds(head=1000), drain=0.1) as server, Client(server.address) as client:
        client.ask("POST", "/api/predict", b"picture")
        assert eventually(lambda: server.server.gate.under_way == 1)
        client.send(b"GET / HTTP/1.1\r\nx-long: " + b"a" * 2000)
        assert client.is_closed()
        assert client.answer()[0] == 0  # what was written now would be read as the answer that is awaited


@pytest.mark.parametrize("extra", [b"0\r\n" + b"a: b\r\n" * 500, b"0\r\nx-long: " + b"a" * 2000, b"2;x=" + b"a" * 2000])
def test_trailers_and_extensions_of_chunks_are_bounded_as_a_head_is(short_heads, extra):
    with Client(short_heads.address) as client:
        client.send(head("POST", "/api/predict", transfer_encoding="chunked") + b"4\r\nfour\r\n")
        time.sleep(0.05)
        client.send(extra)
        status, headers, body = client.answer()
        assert (status, headers["connection"]) == (431, "close")
        assert b"trailers are longer than 1000 bytes" in body
        assert client.is_closed()


def test_trailers_are_no_headers(short_heads):
    with Client(short_heads.address) as client:
        client.send(head("POST", "/api/predict", transfer_encoding="chunked") + b"4\r\nfour\r\n0\r\nx-late: 1\r\n\r\n")
        assert client.answer()[2] == b"4 ['host', 'transfer-encoding']"


def test_requests_that_come_at_once_are_answered_in_their_order(slow):
    with Client(slow.address) as client:
        client.send(b"".join(head("POST", "/api/predict", content_length=n) + b"x" * n for n in (3, 1, 2)))
        assert [client.answer()[2] for _ in range(3)] == [b"3", b"1", b"2"]


def test_a_late_pipelined_body_leaves_the_answer_before_it_whole():
    async def slowly(request: Request) -> Response:
        import asyncio

        await asyncio.sleep(1.5 * SOON)
        return Response("late but whole")

    with running(deadlines=SLOW, routers=route(slowly)) as server, Client(server.address) as client:
        client.send(head("POST", "/api/predict", content_length=0) + head("POST", "/api/predict", content_length=9) + b"x")
        status, _, body = client.answer()
        assert (status, body) == (200, b"late but whole")


def test_an_offer_of_http_2_is_ignored_and_the_body_read(slow):
    """Java's client sends this with its first request, curl --http2 too."""
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
    with Client(slow.address) as client:
        client.ask("POST", "/api/predict", b"four", **offer)
        assert client.answer()[2] == b"4"
        client.send(head("POST", "/api/predict", content_length=4, **offer))
        time.sleep(0.05)
        client.send(b"four")
        assert client.answer()[2] == b"4"
        client.ask("GET", "/health/live", **offer)
        assert client.answer()[0] == 200
    with Client(slow.address) as client:
        client.send(b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n")
        assert client.answer()[0] == 405


def test_many_offers_at_once_end_the_connection_and_not_the_server(slow):
    with Client(slow.address) as client:
        client.send(head("GET", "/health/live", connection="upgrade", upgrade="h2c") * 3000)
        assert client.is_closed()
    assert slow.request("GET", "/health/live")[0] == 200


def test_a_refusal_arrives_although_its_client_is_still_sending():
    bounds = Bounds(body=1000)
    with running(bounds=bounds, routers=route(echo_length)) as server, Client(server.address) as client:
        client.send(head("POST", "/api/predict", content_length=30_000_000))
        for _ in range(30):
            client.send(bytes(1_000_000))  # a reset connection would raise here, or lose the answer
        status, headers, _ = client.answer()
        assert (status, headers["connection"]) == (413, "close")


def test_a_refused_client_that_sends_for_ever_is_let_go():
    with (
        running(deadlines=SLOW, bounds=Bounds(body=1000), routers=route(echo_length)) as server,
        Client(server.address) as client,
    ):
        client.send(head("POST", "/api/predict", content_length=30_000_000))
        assert client.answer()[0] == 413
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + 10:
                client.send(b"x")
                time.sleep(0.01)
        assert time.monotonic() - began < SOON + 2 * WITHIN
        assert eventually(lambda: not alive(server))


def test_who_waits_to_be_told_to_continue_is_told():
    with running(bounds=Bounds(body=1000), routers=route(echo_length)) as server:
        with Client(server.address) as client:
            client.send(head("POST", "/api/predict", content_length=4, expect="100-continue"))
            assert client.answer()[0] == 100
            client.send(b"four")
            assert client.answer()[2] == b"4"
        with Client(server.address) as client:  # and not told to send what would be refused
            client.send(head("POST", "/api/predict", content_length=4000, expect="100-continue"))
            assert client.answer()[0] == 413


def test_where_there_are_too_many_connections_the_longest_idle_one_makes_room():
    with running(bounds=Bounds(connections=3, spare=2)) as server:
        clients = [Client(server.address) for _ in range(3)]
        clients[0].ask("GET", "/health/live")
        assert clients[0].answer()[0] == 200  # now the one that was idle for the shortest time
        with Client(server.address) as late:
            late.ask("GET", "/health/live")
            assert late.answer()[0] == 200
        assert clients[1].is_closed(0.2)
        assert not clients[2].is_closed(0.05)
        assert not clients[0].is_closed(0.05)
        for client in clients:
            client.socket.close()


def test_where_all_connections_are_busy_only_health_is_answered():
    with running(EmptyDesk(seconds=1.0), bounds=Bounds(connections=2, spare=2)) as server:
        busy = [Client(server.address) for _ in range(2)]
        for client in busy:
            client.ask("POST", "/api/predict", b"picture")
        time.sleep(0.1)
        assert server.request("GET", "/health/ready")[0] == 200
        status, headers, _ = server.request("POST", "/api/predict", b"picture")
        assert (status, headers["retry-after"]) == (503, "2")
        assert [client.answer()[0] for client in busy] == [200, 200]
        for client in busy:
            client.socket.close()


def test_a_client_that_read_a_large_answer_slowly_keeps_its_connection_as_long_as_any_other():
    async def large(request: Request) -> Response:
        return Response(bytes(8_000_000))

    patient = dataclasses.replace(QUICK, write=SOON, idle=60.0)
    with running(deadlines=patient, routers=route(large)) as server, Client(server.address) as client:
        client.ask("POST", "/api/predict", b"x")
        time.sleep(SOON / 2)  # the buffer is full meanwhile, and the clock for writing runs
        assert len(client.answer()[2]) == 8_000_000
        assert not client.is_closed(SOON + WITHIN)
