"""The queue: nothing waits without need, nothing is mixed up or lost, and what is not wanted any more is not begun."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from eyebright.serving import batching
from eyebright.serving.answers import RefusalError
from eyebright.serving.batching import LONE, Workers

from .shelves import Doubling


def run(work, *, count=1, limit=100, most_bytes=10**6):
    """What ``work(workers)`` gives, in an event loop of its own."""

    async def main():
        workers = Workers(count, limit=limit, most_bytes=most_bytes, name="test")
        workers.start()
        try:
            return await asyncio.wait_for(work(workers), 20)
        finally:
            await workers.finish(5)

    return asyncio.run(main())


async def begun(model, times=1):
    """Returns when ``model`` has been called so often."""
    for _ in range(times):
        await asyncio.to_thread(model.begun.acquire)


async def queued(workers, count):
    while workers.load.waiting != count:
        await asyncio.sleep(0.001)


def asking(workers, model, items, size=1):
    return asyncio.ensure_future(workers.ask(model, items, size=size))


@pytest.mark.parametrize("count", [1, 3])
def test_answers_come_in_the_order_of_their_questions(count):
    async def work(workers):
        model = Doubling(batch=4)
        return await asyncio.gather(*(workers.ask(model, range(10 * n, 10 * n + n + 1), size=1) for n in range(9)))

    found = run(work, count=count)
    assert found == [[2 * item for item in range(10 * n, 10 * n + n + 1)] for n in range(9)]


def test_what_waited_while_the_thread_was_busy_becomes_a_batch():
    async def work(workers):
        model = Doubling(batch=4)
        model.gate.clear()
        first = asking(workers, model, [0])
        await begun(model)
        others = [asking(workers, model, [number]) for number in range(1, 7)]
        await queued(workers, 6)
        model.gate.set()
        assert await asyncio.gather(first, *others) == [[2 * number] for number in range(7)]
        return model.batches

    assert run(work) == [[0], [1, 2, 3, 4], [5, 6]]


def test_what_waits_is_shared_out_evenly_among_the_threads():
    """Two threads and six items: three each, though eight would fit into one batch."""

    async def work(workers):
        model = Doubling(batch=8)
        model.gate.clear()
        first = [asking(workers, model, ["a"]), asking(workers, model, ["b"])]
        await begun(model, 2)
        rest = asking(workers, model, range(6))
        await queued(workers, 6)
        model.gate.set()
        await asyncio.gather(*first, rest)
        return model.batches

    assert run(work, count=2)[2] == [0, 1, 2]


def test_a_batch_is_of_one_model_and_nobody_is_overtaken():
    async def work(workers):
        busy, one, other = Doubling(), Doubling(batch=8), Doubling(batch=8)
        busy.gate.clear()
        asked = [asking(workers, busy, [0])]
        await begun(busy)
        asked += [asking(workers, model, [item]) for model, item in ((one, 1), (one, 2), (other, 3), (one, 4))]
        await queued(workers, 4)
        busy.gate.set()
        await asyncio.gather(*asked)
        return one.batches, other.batches

    assert run(work) == ([[1, 2], [4]], [[3]])


def test_a_full_queue_refuses_and_says_when_to_come_back():
    """0.3 s an item were measured and 7 wait for one thread: 2.1 s, so 3."""

    async def work(workers):
        model = Doubling()
        model.gate.clear()
        asked = [asking(workers, model, [0])]
        await begun(model)
        asked.append(asking(workers, model, range(7)))
        await queued(workers, 7)
        workers._seconds_each = 0.3
        with pytest.raises(RefusalError, match="7 pictures wait already") as refused:
            await workers.ask(model, [8, 9], size=1)
        asked.append(asking(workers, model, [8]))  # one still fits
        await queued(workers, 8)
        model.gate.set()
        await asyncio.gather(*asked)
        return refused.value, workers.load

    error, load = run(work, limit=8)
    assert (error.status, error.retry_after) == (503, 3)
    assert (load.answered, load.refused, load.waiting, load.working) == (9, 2, 0, 0)


def test_the_bytes_that_wait_are_bounded_too_but_one_large_picture_alone_is_taken():
    async def work(workers):
        model = Doubling()
        model.gate.clear()
        large = asking(workers, model, [1], size=5000)
        await begun(model)
        with pytest.raises(RefusalError, match="no room"):
            await workers.ask(model, [2], size=1)
        model.gate.set()
        assert await large == [2]
        return await workers.ask(model, [3], size=1)

    assert run(work, most_bytes=1000) == [6]


def test_what_a_client_no_longer_waits_for_is_not_begun():
    async def work(workers):
        model = Doubling()
        model.gate.clear()
        first = asking(workers, model, [0])
        await begun(model)
        gone, kept = asking(workers, model, range(10, 15)), asking(workers, model, [1])
        await queued(workers, 6)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert workers.load.waiting == 1
        model.gate.set()
        await asyncio.gather(first, kept)
        return model.batches, workers.load.withdrawn

    assert run(work) == ([[0], [1]], 5)


def test_a_client_that_leaves_in_the_middle_of_its_answer_disturbs_nobody():
    async def work(workers):
        model = Doubling()
        model.gate.clear()
        gone = asking(workers, model, [0])
        await begun(model)
        gone.cancel()
        model.gate.set()
        return await workers.ask(model, [1], size=1)

    assert run(work) == [2]


def test_a_failure_is_told_to_its_own_request_alone():
    async def work(workers):
        model = Doubling(batch=4)
        model.gate.clear()
        first = asking(workers, model, [0])
        await begun(model)
        bad, good = asking(workers, model, ["bad", 1]), asking(workers, model, [2])
        await queued(workers, 3)
        model.gate.set()
        with pytest.raises(ValueError, match="a bad item"):
            await bad
        return await good, await first, workers.load.failed

    assert run(work) == ([4], [0], 1)


def test_a_model_that_answers_too_little_fails_and_the_thread_goes_on():
    class Short(Doubling):
        def answer(self, items, *, alone):
            return []

    async def work(workers):
        with pytest.raises(ValueError, match="zip"):
            await workers.ask(Short(), [1], size=1)
        return await workers.ask(Doubling(), [1], size=1)

    assert run(work) == [2]


def test_only_who_comes_alone_several_times_in_a_row_gets_all_cores():
    async def work(workers):
        model = Doubling()
        for number in range(LONE + 1):
            await workers.ask(model, [number], size=1)
        await workers.ask(model, [1, 2], size=1)
        return model.alone

    assert run(work) == [False] * (LONE - 1) + [True, True] + [False, False]


def test_the_event_loop_goes_on_while_threads_work():
    async def work(workers):
        model = Doubling()
        model.gate.clear()
        asked = asking(workers, model, [1])
        await begun(model)
        start = time.perf_counter()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asked.done()
        model.gate.set()
        await asked
        return time.perf_counter() - start

    assert run(work) < 5


def test_finishing_answers_what_was_asked_refuses_what_is_new_and_stops_the_threads():
    async def work(workers):
        model = Doubling()
        model.gate.clear()
        asked = [asking(workers, model, [number]) for number in range(5)]
        await begun(model)
        ending = asyncio.ensure_future(workers.finish(10))
        await asyncio.sleep(0)
        with pytest.raises(RefusalError, match="stopping"):
            await workers.ask(model, [9], size=1)
        model.gate.set()
        await ending
        return [await one for one in asked]

    assert run(work) == [[0], [2], [4], [6], [8]]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("test-")]


def test_what_is_not_answered_in_time_is_refused_when_the_server_stops():
    async def work(workers):
        model = Doubling()
        model.gate.clear()
        asked = [asking(workers, model, [number]) for number in range(3)]
        await begun(model)
        ending = asyncio.ensure_future(workers.finish(0.05))
        statuses = [one.status for one in await asyncio.gather(*asked, return_exceptions=True)]
        model.gate.set()
        await ending
        return statuses, model.batches

    assert run(work) == ([503, 503, 503], [[0]])


def test_many_threads_that_do_not_end_are_waited_for_together(monkeypatch):
    """Ten threads for 0.3 s each, one after the other, would be 3 s."""
    monkeypatch.setattr(batching, "PATIENCE", 0.3)

    async def work(workers):
        model = Doubling()
        model.gate.clear()
        asked = [asking(workers, model, [number]) for number in range(10)]
        await begun(model, 10)
        start = time.monotonic()
        await workers.finish(0)
        took = time.monotonic() - start
        model.gate.set()
        await asyncio.gather(*asked, return_exceptions=True)
        return took

    assert run(work, count=10) < 1.5


def test_it_can_be_started_again():
    async def work(workers):
        await workers.finish(1)
        workers.start()
        workers.start()  # once is enough: a second time changes nothing
        assert sum(thread.name.startswith("test-") for thread in threading.enumerate()) == 2
        return await workers.ask(Doubling(), [1], size=1)

    assert run(work, count=2) == [2]


def test_nothing_of_an_item_is_kept_after_its_answer():
    class Item:
        def __rmul__(self, two):
            return two

    async def work(workers):
        item = Item()
        watched = weakref.ref(item)
        await workers.ask(Doubling.__new__(Plain), [item], size=1)
        del item
        gc.collect()
        return watched()

    class Plain(Doubling):
        batch = 1

        def answer(self, items, *, alone):
            return [2 * item for item in items]

    assert run(work) is None
