"""A bounded queue in front of a few threads: pictures of many requests, asked for in batches, one model at a time.

A thread takes what waits when it becomes free, and never waits for a batch to fill: under load batches form by themselves, and
where there is none a picture starts at once. Decoding is done by the same threads, so that the event loop only hands over and
collects. No thread spins, and none holds the lock while it works.
"""

import asyncio
import collections
import dataclasses
import math
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar

from eyebright.serving.answers import RefusalError

LONGEST_RETRY = 60  # seconds: later than that nobody knows how busy the server will be
LONE = 3  # items in a row that found nothing else to do, before one gets all cores: under steady load it would be in the way
PATIENCE = 1.0  # seconds for all threads that are asked to stop; one in the middle of a long answer ends with the process
MEMORY = 0.1  # weight of the newest batch in the running mean of the seconds an item takes

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Item_contra = TypeVar("Item_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)


class Askable(Protocol[Item_contra, Answer_co]):
    """What answers: ``answer`` may be called by several threads at once, with up to ``batch`` items."""

    @property
    def batch(self) -> int:
        """The most items to hand over at once."""
        ...

    def answer(self, items: Sequence[Item_contra], *, alone: bool) -> Sequence[Answer_co]:
        """An answer for each item; ``alone`` says that nothing else waits or is worked on."""
        ...


@dataclasses.dataclass(frozen=True)
class Load:
    """What a queue has done and has to do. Items: pictures, or questions about one."""

    waiting: int
    working: int
    answered: int
    failed: int
    refused: int
    withdrawn: int
    batches: int
    seconds_each: float


@dataclasses.dataclass(eq=False)
class _Request(Generic[Item, Answer]):
    """Items that are asked for and answered together. All but ``future`` is touched under the queue's lock only."""

    model: Askable[Item, Answer]
    items: Sequence[Item]
    future: "asyncio.Future[list[Answer]]"
    answers: dict[int, Answer] = dataclasses.field(default_factory=dict)


_Place = tuple[_Request[Item, Answer], int]  # a request, and which of its items


class Workers(Generic[Item, Answer]):
    """``count`` threads, a queue of at most ``limit`` items that nobody has begun, and ``most_bytes`` that they hold."""

    def __init__(self, count: int, *, limit: int, most_bytes: int, name: str) -> None:
        self.count, self.limit, self.most_bytes, self.name = count, limit, most_bytes, name
        self._threads: list[threading.Thread] = []
        self._waiting: collections.deque[_Place[Item, Answer]] = collections.deque()
        self._changed = threading.Condition(threading.Lock())
        self._open: set[asyncio.Future[list[Answer]]] = set()
        self._bytes = self._working = self._lone = 0
        self._answered = self._failed = self._refused = self._withdrawn = self._batches = 0
        self._seconds_each = 0.0
        self._closed = self._stopping = False

    def start(self) -> None:
        """Starts the threads, also once more after ``finish``; nothing where they run already."""
        if self._threads:
            return
        self._closed = self._stopping = False
        names = [f"{self.name}-{number}" for number in range(self.count)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def load(self) -> Load:
        """The queue as it stands."""
        with self._changed:
            counts = (self._answered, self._failed, self._refused, self._withdrawn, self._batches)
            return Load(len(self._waiting), self._working, *counts, self._seconds_each)

    async def ask(self, model: Askable[Item, Answer], items: Sequence[Item], *, size: int) -> list[Answer]:
        """The answers to ``items``, which hold ``size`` bytes, in their order.

        Raises ``RefusalError`` 503 where the queue has no room for all of them, and whatever ``model`` raises. When the caller
        is cancelled, items that nobody has begun are taken off the queue.
        """
        request = _Request(model, items, asyncio.get_running_loop().create_future())
        self._enter(request, size)
        try:
            return await request.future
        finally:
            self._leave(request, size)

    async def finish(self, seconds: float) -> None:
        """Takes nothing new, waits ``seconds`` at most for what is asked for, refuses the rest, and stops the threads."""
        self._closed = True
        if self._open:
            await asyncio.wait(list(self._open), timeout=seconds)
        for future in list(self._open):
            if not future.done():
                future.set_exception(_stopping())
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        threads, self._threads = self._threads, []
        end = time.monotonic() + PATIENCE  # for all together: the more cores, the more threads
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _enter(self, request: _Request[Item, Answer], size: int) -> None:
        if self._closed:
            raise _stopping()
        with self._changed:
            if len(self._waiting) + len(request.items) > self.limit or (self._open and self._bytes + size > self.most_bytes):
                self._refused += len(request.items)
                raise self._busy()
            self._waiting.extend((request, index) for index in range(len(request.items)))
            self._changed.notify(len(request.items))
        self._open.add(request.future)
        self._bytes += size

    def _busy(self) -> RefusalError:
        wait = math.ceil(self._seconds_each * len(self._waiting) / self.count)
        detail = f"{len(self._waiting)} pictures wait already; there is no room for more. Ask again in a moment."
        return RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after=min(max(wait, 1), LONGEST_RETRY))

    def _leave(self, request: _Request[Item, Answer], size: int) -> None:
        self._open.discard(request.future)
        self._bytes -= size
        with self._changed:
            if len(request.answers) < len(request.items):  # the caller is gone, or one of the items has failed
                kept = [place for place in self._waiting if place[0] is not request]
                self._withdrawn += len(self._waiting) - len(kept)
                self._waiting = collections.deque(kept)

    def _work(self) -> None:
        while self._one_batch():
            pass

    def _one_batch(self) -> bool:
        """Takes and answers what waits; False when there is nothing more to do. What it held is let go with its frame."""
        places, alone = self._take()
        if not places:
            return False
        start = time.perf_counter()
        outcomes = _outcomes(places, alone=alone)
        self._note(len(places), time.perf_counter() - start)
        for (request, index), outcome in zip(places, outcomes, strict=True):
            self._settle(request, index, outcome)
        return True

    def _take(self) -> tuple[list[_Place[Item, Answer]], bool]:
        """The next items, all of one model, shared out evenly among the threads; and whether there was nothing else to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return [], False
            model = self._waiting[0][0].model
            share = min(max(1, model.batch), math.ceil(len(self._waiting) / self.count))
            places = [self._waiting.popleft()]
            while len(places) < share and self._waiting and self._waiting[0][0].model is model:
                places.append(self._waiting.popleft())
            alone = self._working == 0 and len(places) == 1 and not self._waiting
            self._lone = self._lone + 1 if alone else 0
            self._working += len(places)
            return places, self._lone >= LONE

    def _note(self, items: int, seconds: float) -> None:
        with self._changed:
            self._working -= items
            self._batches += 1
            each = seconds / items
            self._seconds_each += (MEMORY if self._seconds_each else 1.0) * (each - self._seconds_each)

    def _settle(self, request: _Request[Item, Answer], index: int, outcome: "_Outcome") -> None:
        """Puts one outcome to the others of its request, and tells the event loop when that is complete, or has failed."""
        with self._changed:
            if outcome.error is None:
                self._answered += 1
                request.answers[index] = outcome.answer
            else:
                self._failed += 1
            if outcome.error is None and len(request.answers) < len(request.items):
                return
        try:
            request.future.get_loop().call_soon_threadsafe(_deliver, request, outcome.error)
        except RuntimeError:  # the event loop is closed: nobody waits any more
            return


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What came of one item."""

    answer: Any = None
    error: Exception | None = None


def _outcomes(places: Sequence[_Place[Item, Answer]], *, alone: bool) -> list[_Outcome]:
    """What the model says of each; where a batch fails its items are asked for one by one, so that none spoils another."""
    model = places[0][0].model
    try:
        answers = model.answer([request.items[index] for request, index in places], alone=alone)
        return [_Outcome(answer) for answer, _ in zip(answers, places, strict=True)]
    except Exception as error:  # told to whoever asked
        if len(places) == 1:
            return [_Outcome(error=error)]
    return [_outcomes([place], alone=False)[0] for place in places]


def _stopping() -> RefusalError:
    return RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping. Ask again later.", retry_after=LONGEST_RETRY)


def _deliver(request: _Request[Item, Answer], error: Exception | None) -> None:
    if request.future.done():
        return
    if error is None:
        request.future.set_result([request.answers[index] for index in range(len(request.items))])
    else:
        request.future.set_exception(error)
