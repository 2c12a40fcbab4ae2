"""Stopping at a good place: the signal is remembered, not obeyed, while the block runs."""

import os
import signal
import threading

import pytest

from eyebright.core.interrupt import stop_requests

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def send(number):
    os.kill(os.getpid(), number)  # the handler of the main thread runs before the next line


@pytest.mark.parametrize("number", SIGNALS)
def test_a_first_signal_is_remembered_and_the_work_goes_on(number):
    with stop_requests() as stop:
        assert not stop
        send(number)
        assert stop
        assert stop.signal == number


@pytest.mark.parametrize(("first", "second"), [SIGNALS, SIGNALS[::-1], (signal.SIGINT, signal.SIGINT)])
def test_a_second_signal_interrupts_at_once(first, second):
    with stop_requests() as stop:
        send(first)
        with pytest.raises(KeyboardInterrupt):
            send(second)
        assert stop.signal == first


def test_the_handlers_of_before_come_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with stop_requests():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_the_handlers_of_before_come_back_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ZeroDivisionError), stop_requests():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_request_inside_another_goes_to_the_inner_one_only():
    with stop_requests() as outer:
        with stop_requests() as inner:
            send(signal.SIGINT)
        assert inner
        assert not outer


def test_outside_the_main_thread_nothing_is_caught():
    seen = []

    def work():
        with stop_requests() as stop:
            seen.append((signal.getsignal(signal.SIGINT), bool(stop)))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == [(signal.getsignal(signal.SIGINT), False)]
