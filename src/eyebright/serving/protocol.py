"""uvicorn's HTTP/1.1 with deadlines: a client that is slow to send, or slow to take what it is sent, is let go on time.

uvicorn alone holds a connection for ever on which a head, or a body, never ends: its only timer runs between two requests.
Here each connection knows which part of a request it waits for, and until when. One sweep over all of them closes those whose
time is up, so that a request costs no timers. A connection is given up

* whose head is not there in time, or longer than allowed: 408, 431, 414; the trailers behind a body have a head's bound;
* whose body is not there in time: 408;
* whose client does not take what was written: without a word, as nothing would arrive;
* that is idle when there are too many, the longest idle one first.

A refused body goes on being read and thrown away for some seconds: a connection closed over unread bytes is reset, and the
client would never see the refusal (RFC 9112, section 9.6).
"""

import asyncio
import contextlib
import enum
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from eyebright.serving.answers import RefusalError
from eyebright.serving.options import Bounds, Deadlines
from eyebright.serving.problems import refused

SWEEPS = 10  # for each deadline: the shortest one is exceeded by a tenth at most
RARELY = 1.0  # seconds between two sweeps at most

OnRefused = Callable[[int], None]


class Waiting(enum.Enum):
    """What a connection waits for."""

    REQUEST = "request"  # the first byte of the next one
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"  # nothing of the client: the application answers


class Connections:
    """Every open connection of one server, and whose time is up. ``on_refused`` hears the status of each head refused here."""

    def __init__(self, deadlines: Deadlines, bounds: Bounds, on_refused: OnRefused = lambda status: None) -> None:
        self.deadlines, self.bounds, self.on_refused = deadlines, bounds, on_refused
        self.open: set[DeadlineProtocol] = set()
        self.idle: dict[DeadlineProtocol, None] = {}  # of these, those without a whole head, the longest so first
        self.ending: dict[DeadlineProtocol, None] = {}  # refused or given up, but not closed yet
        shortest = min(deadlines.head, deadlines.body, deadlines.write, deadlines.idle, deadlines.linger)
        self._pause = min(shortest / SWEEPS, RARELY)
        self._sweeping = False

    def protocol(self, **given: Any) -> "DeadlineProtocol":
        """A protocol for one connection: what uvicorn calls as its ``http`` class."""
        return DeadlineProtocol(self, **given)

    def enter(self, connection: "DeadlineProtocol") -> None:
        """Takes in a new connection. Where there are too many, the longest idle one makes room, or those that end anyway."""
        self.open.add(connection)
        if len(self.open) > self.bounds.connections and self.idle:
            next(iter(self.idle)).give_up()
        most = self.bounds.connections + self.bounds.spare
        if len(self.open) + len(self.ending) > most and self.ending:
            next(iter(self.ending)).expire()
        elif len(self.open) > most:
            connection.give_up()
        if not self._sweeping:
            self._sweeping = True
            connection.loop.call_later(self._pause, self._sweep, connection.loop)

    def leave(self, connection: "DeadlineProtocol") -> None:
        """Forgets a closed connection."""
        self.open.discard(connection)
        self.idle.pop(connection, None)
        self.ending.pop(connection, None)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._sweeping = bool(self.open or self.ending)
        if self._sweeping:
            loop.call_later(self._pause, self._sweep, loop)
        for connection in [connection for connection in (*self.open, *self.ending) if connection.due <= now]:
            connection.expire()


class LingeringTransport:
    """A transport whose ``close`` lets a client finish sending a body that was refused, for some seconds."""

    def __init__(self, transport: asyncio.Transport, protocol: "DeadlineProtocol") -> None:
        self._transport, self._protocol = transport, protocol
        self.write, self.get_extra_info = transport.write, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading

    def is_closing(self) -> bool:
        return self._protocol.ended or self._transport.is_closing()

    def close(self) -> None:
        if self._protocol.waiting is Waiting.BODY and not self._transport.is_closing() and not self._protocol.ended:
            self._protocol.linger()
        else:
            self._transport.close()


class DeadlineProtocol(HttpToolsProtocol):
    """One connection that knows what it waits for, and until when (``due``, in the loop's time)."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.access_log = False  # the application writes its own
        self.keeper = connections
        self.waiting = Waiting.HEAD
        self.due = float("inf")
        self.ended = False  # nothing more is read of this client
        self.writing = False
        self._due_reading = float("inf")  # what ``due`` is again once a full buffer has drained
        self._head = 0  # bytes that came since the last byte of a body, and that no whole head has taken up
        self._raw: asyncio.Transport = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._raw = transport
        self.transport = LingeringTransport(transport, self)  # type: ignore[assignment]
        self.keeper.enter(self)
        self._wait(Waiting.HEAD, self.keeper.deadlines.head)

    def connection_lost(self, exc: Exception | None) -> None:
        self.keeper.leave(self)
        self.due = float("inf")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        if self.waiting is Waiting.REQUEST:  # also where a bare line end comes, which begins no message
            self._wait(Waiting.HEAD, self.keeper.deadlines.head)
        self._unset_keepalive_if_required()
        self._head += len(data)
        self._feed(data)
        if self._head > self.keeper.bounds.head and not self.ended:
            self._refuse_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        # After a body come trailers, which are no headers (RFC 9110, section 6.5.1). Nobody here reads any.
        if self.waiting is not Waiting.BODY:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.ended or self.parser.should_upgrade():
            return
        bounds = self.keeper.bounds
        if len(self.url) > bounds.address:
            self._refuse_head(HTTPStatus.REQUEST_URI_TOO_LONG, f"The address is longer than {bounds.address} bytes.")
            return
        # What came so far holds the head: only where that is more than a head may have, the head itself is measured.
        if self._head > bounds.head and self._head_size() > bounds.head:
            self._refuse_too_long()
            return
        super().on_headers_complete()
        self._head = 0
        self._wait(Waiting.BODY, self.keeper.deadlines.body)
        if len(self.keeper.open) > bounds.connections:
            self.scope["state"]["crowded"] = True

    def on_body(self, body: bytes) -> None:
        self._head = 0
        if not self.ended:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.ended or self.parser.should_upgrade():
            return
        self._head = 0
        super().on_message_complete()
        if self.cycle.response_complete:
            self._wait(Waiting.REQUEST, self.keeper.deadlines.idle)
        else:
            self._wait(Waiting.ANSWER, float("inf"))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.waiting is Waiting.ANSWER and self.cycle.response_complete:
            self._wait(Waiting.REQUEST, self.keeper.deadlines.idle)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.writing = True
        self._due_reading, self.due = self.due, self.loop.time() + self.keeper.deadlines.write

    def resume_writing(self) -> None:
        super().resume_writing()
        self.writing = False
        if not self.ended:
            self.due = self._due_reading

    def expire(self) -> None:
        """The time is up for what this connection waits for."""
        if self.ended or self.writing:
            self._raw.abort()
        elif self.waiting is Waiting.BODY and (self.pipeline or self.flow.read_paused):
            self.due = self.loop.time() + self.keeper.deadlines.body  # it is us who do not read
        elif self.waiting is Waiting.BODY:
            seconds = self.keeper.deadlines.body
            detail = (
                f"The request's body did not arrive within {seconds:g} seconds. Send a smaller picture, or all of it at once."
            )
            self._refuse_body(HTTPStatus.REQUEST_TIMEOUT, detail)
        elif self.waiting is Waiting.HEAD and self._head:
            seconds = self.keeper.deadlines.head
            self._refuse_head(HTTPStatus.REQUEST_TIMEOUT, f"The request's head did not arrive within {seconds:g} seconds.")
            self.give_up()
        else:
            self.give_up()

    def give_up(self) -> None:
        """Closes the connection; what is written already still has the time for writing to leave."""
        self._end(self.keeper.deadlines.write)
        self._raw.close()

    def linger(self) -> None:
        """Says that nothing more is written, throws away what still comes, for the time set, and then closes."""
        self._end(self.keeper.deadlines.linger)
        with contextlib.suppress(OSError):  # asyncio says so where the client has gone already, uvloop does not
            self._raw.write_eof()
        self.flow.resume_reading()

    def _end(self, seconds: float) -> None:
        self.ended = True
        self.keeper.leave(self)
        self.keeper.ending[self] = None
        self.due = self.loop.time() + seconds

    def _wait(self, waiting: Waiting, seconds: float) -> None:
        if self.ended:
            return
        self.waiting = waiting
        if waiting is Waiting.HEAD or waiting is Waiting.REQUEST:
            self.keeper.idle.setdefault(self)
        else:
            self.keeper.idle.pop(self, None)
        if self.writing:
            self._due_reading = self.loop.time() + seconds
        else:
            self.due = self.loop.time() + seconds

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if self.waiting is Waiting.BODY:
                self._refuse_body(HTTPStatus.BAD_REQUEST, "The request's body cannot be read as HTTP/1.1.")
            else:
                self._refuse_head(HTTPStatus.BAD_REQUEST, "This cannot be read as HTTP/1.1.")

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Reads the request again without its offer of another protocol, which a server may ignore (RFC 9110, section 7.8).

        Java's client offers HTTP/2 with each first request, and the parser takes such a request to have no body.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse_head(HTTPStatus.METHOD_NOT_ALLOWED, "This is no proxy.")
        if self._answering():
            self.give_up()
        if self.ended:
            return
        kept = [b"%s: %s\r\n" % header for header in self.headers if header[0] not in (b"upgrade", b"connection")]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"".join([method, b" ", self.url, b" HTTP/1.1\r\n", *kept, b"\r\n", rest]))

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None and not cycle.response_complete

    def _refuse_head(self, status: HTTPStatus, detail: str) -> None:
        """Refuses past the application, which never gets this request."""
        if self.ended:
            return
        if self._answering():  # the answer to an earlier request: what is written into it would be read as part of it
            self.give_up()
            return
        self._write_refusal(status, detail, path="", request_id="")
        self.keeper.on_refused(int(status))
        self.linger()

    def _refuse_body(self, status: HTTPStatus, detail: str) -> None:
        """Refuses a request that the application has: to it, the client leaves, and ``refused`` in the state says why."""
        cycle, state = self.cycle, self.scope["state"]
        if not cycle.response_started and not self.pipeline:
            path = self.scope["path"].removeprefix(self.root_path)
            self._write_refusal(status, detail, path=path, request_id=state.get("request_id", ""))
            state["refused"] = int(status)
        self.give_up()
        cycle.disconnected = True
        cycle.message_event.set()

    def _refuse_too_long(self) -> None:
        """Refuses a head, or what goes with a body and is not of it: trailers, and extensions of chunks."""
        status, bound = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self.keeper.bounds.head
        if self.waiting is Waiting.BODY:
            self._refuse_body(status, f"The request's trailers are longer than {bound} bytes. Send none: they are not read.")
        else:
            self._refuse_head(status, f"The request's head is longer than {bound} bytes. Send fewer or shorter headers.")

    def _write_refusal(self, status: HTTPStatus, detail: str, *, path: str, request_id: str) -> None:
        _, headers, body = refused(path, RefusalError(status, detail), request_id)
        if request_id:
            headers.append((b"x-request-id", request_id.encode()))
        lines = [b"%s: %s\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        self._raw.write(b"".join([STATUS_LINE[status], *lines, b"connection: close\r\n\r\n", body]))

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
