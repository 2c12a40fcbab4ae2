"""Work on many pictures: in order, by one thread where it is quick and by several where it is not, and stopped at once."""

import threading
import time

import pytest

from eyebright.data.in_order import AHEAD, CHUNK, in_order


def square(number: int) -> int:
    return number * number


def slow_square(number: int) -> int:
    time.sleep(0.002)
    return number * number


@pytest.mark.parametrize("work", [square, slow_square])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, CHUNK, 5 * CHUNK + 3])
def test_results_come_in_the_order_of_the_items(work, threads, count):
    assert list(in_order(work, range(count), threads=threads, quick=0.001)) == [number**2 for number in range(count)]


def test_quick_work_stays_in_the_calling_thread():
    def where(_):
        return threading.current_thread()

    assert set(in_order(where, range(100), threads=4, quick=1.0)) == {threading.current_thread()}


def test_slow_work_goes_over_to_threads_after_two_tasks():
    def where(_):
        time.sleep(0.002)
        return threading.current_thread().name.split("_")[0]

    places = list(in_order(where, range(10 * CHUNK), threads=2, quick=0.001, name="many"))
    assert places == [threading.current_thread().name] * 2 * CHUNK + ["many"] * 8 * CHUNK


def test_one_slow_task_at_the_start_does_not_count():
    def where(number):
        time.sleep(0.1 if number == 0 else 0)
        return threading.current_thread()

    assert set(in_order(where, range(50), threads=2, quick=0.005)) == {threading.current_thread()}


def test_an_error_comes_to_the_caller_and_stops_the_rest():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.002)
        if number == 50:
            raise ValueError("number 50")

    with pytest.raises(ValueError, match="number 50"):
        list(in_order(work, range(10_000), threads=2, quick=0.001))
    assert len(begun) <= 50 + (AHEAD * 2 + 1) * CHUNK


def test_closing_stops_every_thread_after_its_item():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.02)
        return number

    results = in_order(work, range(10_000), threads=2, quick=0.001)
    assert [next(results) for _ in range(2 * CHUNK + 1)] == list(range(2 * CHUNK + 1))
    known = len(begun)
    results.close()
    assert len(begun) <= known + 2  # one a thread that was at it
