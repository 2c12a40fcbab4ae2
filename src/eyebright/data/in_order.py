"""One piece of work for each of many pictures, its results in their order, by as many threads as gain by it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 8  # items a task: handing over a task costs as much as decoding a tiny picture
AHEAD = 4  # tasks a thread that are under way


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    quick: float,
    name: str = "pictures",
    chunk: int | None = None,
) -> Iterator[Result]:
    """``work(item)`` for each item, in their order.

    It begins in the calling thread, and goes over to ``threads`` threads, called ``name``, once an item took longer than
    ``quick`` seconds in the mean of two tasks in a row: threads pass the interpreter between them at each call that lets go of
    it, and where those calls are short, two are slower than one. With ``quick`` 0 threads begin at once. ``chunk`` items are
    handed over together, ``CHUNK`` where it is not given. An error, or closing the iterator, stops every thread after the item
    that it is at.
    """
    remaining = iter(items)
    stop = threading.Event()

    def some(task: tuple[Item, ...]) -> list[Result]:
        return [work(item) for item in task if not stop.is_set()]

    tasks = iter(lambda: tuple(islice(remaining, chunk or CHUNK)), ())
    if threads == 1 or quick > 0:
        yield from _alone(some, tasks, quick if threads > 1 else float("inf"))
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        under_way: deque[Future[list[Result]]] = deque()
        for task in tasks:
            under_way.append(pool.submit(some, task))
            if len(under_way) >= AHEAD * threads:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _alone(
    some: Callable[[tuple[Item, ...]], list[Result]], tasks: Iterator[tuple[Item, ...]], quick: float
) -> Iterator[Result]:
    """The results of tasks until two in a row were not quick: the very first is often slow, as a reader is loaded."""
    slow = 0
    while slow < 2 and (task := next(tasks, ())):
        started = time.perf_counter()
        results = some(task)
        slow = slow + 1 if time.perf_counter() - started > quick * len(task) else 0
        yield from results
