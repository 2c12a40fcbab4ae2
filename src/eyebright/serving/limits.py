"""What every request goes through before a handler sees it, and every answer on its way out: pure ASGI, a few microseconds.

Refused here, in the shape of the path's dialect: who may not ask (``callers``), too large a body (413), too many bodies at
once or a server that stops (503), too long a wait (504). Bodies are counted as they stream, whatever they declare. Each answer
gets its request id and the headers that keep a browser from more than it should do.
"""

import asyncio
import itertools
import logging
import os
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eyebright.serving.answers import RefusalError
from eyebright.serving.callers import Callers
from eyebright.serving.options import MEBIBYTE, Options
from eyebright.serving.problems import FAILED, Headers, refused
from eyebright.serving.static import CONTENT_SECURITY_POLICY

CLIENT_LEFT = 499  # nginx's, for the log and the metrics: nobody is there to read it
ANSWERED_TO_THE_END = ("/health/", "/metrics")  # also while the server stops, or is overrun
RETRY_SECONDS = 2  # after which a client may try again where only the moment was wrong

SECURITY_HEADERS: Headers = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
NO_STORE = (b"cache-control", b"no-store")
CLOSE = (b"connection", b"close")
CHALLENGE = (b"www-authenticate", b'Bearer realm="eyebright"')

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch

log = logging.getLogger("eyebright.serving")

OnExchange = Callable[["Exchange"], None]


def ignore(exchange: "Exchange") -> None:
    """Does nothing with an exchange."""


class Gate:
    """What all requests of one server share: how many there are, how many bytes of bodies they hold, whether it stops."""

    def __init__(self) -> None:
        self.stopping = False
        self.under_way = self.finished = 0
        self.held_bytes = 0


class Exchange:
    """One request and its answer, from its head to the last byte."""

    __slots__ = (
        "_complete",
        "_gate",
        "_limits",
        "_receive",
        "_seconds",
        "_send",
        "_timeout",
        "_watching",
        "began",
        "finished",
        "headers",
        "left",
        "method",
        "path",
        "received",
        "refusal",
        "request_id",
        "scope",
        "sent",
        "started",
        "state",
        "status",
        "trace",
        "trace_ids",
    )

    def __init__(self, limits: "Limits", scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send, self._limits, self._gate = scope, receive, send, limits, limits.gate
        self.began, self.method = time.perf_counter(), scope["method"]
        self.path: str = scope["path"][limits.root_length :]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.received = self.sent = self.status = 0
        self.started = self.finished = self.left = False
        self.refusal: RefusalError | None = None
        self._watching: asyncio.Task[None] | None = None
        self._complete = not (b"content-length" in self.headers or b"transfer-encoding" in self.headers)
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.request_id = self.state["request_id"] = limits.request_id(self.headers.get(b"x-request-id"))
        self.trace: Any = None
        self.trace_ids: dict[str, str] = {}  # for the log

    @property
    def outcome(self) -> int:
        """The status that was sent; 499 where the client went before it had all of it, or what it was refused with instead."""
        return self.status if self.finished and not self.left else int(self.state.get("refused", CLIENT_LEFT))

    async def run(self, app: ASGIApp) -> None:
        """Lets ``app`` answer in time, while its client is there; where it does not, or fails, answers in its place."""
        deadlines = self._limits.options.deadlines
        self._seconds = deadlines.reload if self.path.endswith("/reload") else deadlines.answer
        try:
            async with asyncio.timeout(self._seconds + (0 if self._complete else deadlines.body)) as self._timeout:
                await app(self.scope, self.receive, self.send)
        except TimeoutError:
            if not self._timeout.expired():
                raise
            if self.left:
                return
            words = f"No answer was ready within {self._seconds:g} seconds. Send fewer or smaller pictures, or try again later."
            await self._answer_in_place(RefusalError(HTTPStatus.GATEWAY_TIMEOUT, words, retry_after=RETRY_SECONDS))
        finally:
            if self._watching is not None:
                self._watching.cancel()

    async def receive(self) -> Message:
        """The next part of the body, counted."""
        message = await self._receive()
        if message["type"] != "http.request":
            self.left = not self.finished
            return message
        size = len(message.get("body", b""))
        self.received += size
        self._gate.held_bytes += size
        bounds = self._limits.options.bounds
        if self.received > bounds.body:
            self.refusal = too_large(bounds.body)
            raise self.refusal
        if self._gate.held_bytes > bounds.bodies:
            self.refusal = crowded("The pictures that are being answered fill the memory set aside for them.")
            raise self.refusal
        if not message.get("more_body", False):
            self._body_is_whole()
        return message

    def _body_is_whole(self) -> None:
        """The time for the answer begins, and from now on somebody looks whether the client is still there."""
        if not self._complete:
            self._complete = True
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)
        if self._watching is None:
            self._watching = asyncio.create_task(self._stop_when_left())

    async def _stop_when_left(self) -> None:
        """Ends the work on an answer that nobody waits for any more, as if its time were up."""
        while (await self._receive())["type"] == "http.request":
            pass
        self.left = not self.finished
        if self.left and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def send(self, message: Message) -> None:
        """Passes the answer on, with the headers that each has; a refusal that a handler swallowed takes its place."""
        if self.finished or self.left:
            return
        if self.refusal is not None:
            await self._answer_in_place(self.refusal)
            return
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            await self._send({**message, "headers": self._headed(message.get("headers", ()))})
            return
        self.sent += len(message.get("body", b""))
        await self._send(message)
        self.finished = not message.get("more_body", False)

    async def refuse(self, refusal: RefusalError) -> None:
        """Answers with a refusal where no answer has begun."""
        self.refusal = None
        status, headers, body = refused(self.path, refusal, self.request_id)
        if status == HTTPStatus.UNAUTHORIZED:
            headers.append(CHALLENGE)
        if not self._complete and not self._gate.stopping:
            headers.append(CLOSE)  # its body is not read, so the connection is of no further use
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def release(self) -> None:
        """Gives back what the body held."""
        self._gate.held_bytes -= self.received

    async def _answer_in_place(self, refusal: RefusalError) -> None:
        """The refusal instead of the handler's answer; one that has begun stays cut, and uvicorn closes the connection."""
        if not self.started:
            await self.refuse(refusal)

    def _headed(self, given: Any) -> Headers:
        headers = [*given, *SECURITY_HEADERS, (b"x-request-id", self.request_id.encode())]
        if b"cache-control" not in dict(given):
            headers.append(NO_STORE)
        if self._gate.stopping:
            headers.append(CLOSE)
        return headers


class Limits:
    """The middleware around ``app``. ``on_begin`` and ``on_done`` are told of each exchange: traces, metrics and the log."""

    def __init__(
        self, app: ASGIApp, options: Options, gate: Gate, on_begin: OnExchange = ignore, on_done: OnExchange = ignore
    ) -> None:
        self.app, self.options, self.gate = app, options, gate
        self._on_begin, self._on_done = on_begin, on_done
        self.root_length = len(options.root_path)
        self.request_id = RequestIds()
        self._callers = Callers(options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(self, scope, receive, send)
        self.gate.under_way += 1
        self._on_begin(exchange)
        try:
            await self._answer(exchange)
        finally:
            self.gate.under_way -= 1
            self.gate.finished += 1
            exchange.release()
            self._on_done(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            refusal = self._refusal(exchange)
            if refusal is not None:
                await exchange.refuse(refusal)
            else:
                await exchange.run(self.app)
        except ClientDisconnect:
            pass
        except RefusalError as late:
            if not exchange.started:
                await exchange.refuse(late)
        except Exception:
            log.exception("Request %s failed", exchange.request_id)
            if not exchange.started:
                await exchange.refuse(RefusalError(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED))

    def _refusal(self, exchange: Exchange) -> RefusalError | None:
        """Why this request goes no further, from its head alone; None where it may."""
        refusal = self._callers.refusal(exchange.method, exchange.path, exchange.headers)
        return refusal or self._untimely(exchange) or self._declared_too_large(exchange.headers.get(b"content-length"))

    def _untimely(self, exchange: Exchange) -> RefusalError | None:
        if exchange.path.startswith(ANSWERED_TO_THE_END):
            return None
        if self.gate.stopping:
            return crowded("The server is about to stop.")
        if exchange.state.get("crowded"):
            return crowded("There are more connections than this server takes.")
        return None

    def _declared_too_large(self, declared: bytes | None) -> RefusalError | None:
        if declared is None or int(declared) <= self.options.bounds.body:
            return None
        return too_large(self.options.bounds.body)


class RequestIds:
    """A name for each request: the client's own where it is short and plain, else one that no other request here has."""

    def __init__(self) -> None:
        self._prefix = os.urandom(4).hex()
        self._numbers = itertools.count(1)

    def __call__(self, given: bytes | None) -> str:
        if given is not None and _SANE_ID(given):
            return given.decode()
        return f"{self._prefix}-{next(self._numbers):08x}"


def too_large(limit: int) -> RefusalError:
    """The refusal of a body of more than ``limit`` bytes."""
    detail = f"The request's body is larger than {limit / MEBIBYTE:.4g} MiB. Send smaller or fewer pictures."
    return RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def crowded(why: str) -> RefusalError:
    """The refusal of what would be answered at another moment."""
    return RefusalError(
        HTTPStatus.SERVICE_UNAVAILABLE, f"{why} Try again in {RETRY_SECONDS} seconds.", retry_after=RETRY_SECONDS
    )
