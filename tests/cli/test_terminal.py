"""Progress for a person on a terminal, and a short log for everything else."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.cli.terminal import LiveLine, PlainLines, duration, listener, neutral, remaining_seconds
from eyebright.core.events import Choice, Epoch, Note, Phase, Progress

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def a_terminal_of_a_known_kind(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def work(send, clock, steps=100):
    """A hundred steps of one second each."""
    send(Choice("device", "cpu", "no CUDA device is visible"))
    send(Phase("training", steps))
    for step in range(1, steps + 1):
        clock.now += 1
        send(Progress(step, {"loss": 1 / step}))
    send(Epoch("head", 1, {"loss": 0.01, "accuracy": 0.875}, 100.0))
    send(Note("two pictures were left out", "warning"))


def test_without_a_terminal_the_log_is_short_and_plain(clock):
    stream = io.StringIO()
    with listener(stream, clock=clock) as send:
        work(send, clock)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["device: cpu (no CUDA device is visible)", "training: 100 pictures"]
    # Steps 10, 20, ... 100: after 10 of 100 seconds 90 are left.
    assert lines[2] == "training: 10 % (10 of 100 pictures), 1 min 30 s left, loss 0.1"
    assert len([line for line in lines if "%" in line]) == 10
    assert lines[-2:] == ["head, epoch 1: loss 0.01, accuracy 0.875 (1 min 40 s)", "warning: two pictures were left out"]
    assert "\x1b" not in stream.getvalue()


def test_one_picture_is_not_called_pictures(clock):
    stream = io.StringIO()
    with listener(stream, clock=clock) as send:
        send(Phase("Asking the model", 1))
        send(Phase("Asking the model", 2))
    assert stream.getvalue().splitlines() == ["Asking the model: 1 picture", "Asking the model: 2 pictures"]


def test_a_phase_of_unknown_length_counts_without_an_end(clock):
    stream = io.StringIO()
    send = PlainLines(stream, clock)
    send(Phase("reading", unit="files"))
    clock.now += 11
    send(Progress(1234))
    assert stream.getvalue() == "reading ...\nreading: 1,234 files\n"


def test_a_new_phase_starts_its_own_clock(clock):
    stream = io.StringIO()
    send = PlainLines(stream, clock)
    send(Phase("reading", 10))
    clock.now += 1000
    send(Phase("training", 10))
    clock.now += 10
    send(Progress(5))
    assert stream.getvalue().splitlines()[-1] == "training: 50 % (5 of 10 pictures), 10 s left"


def test_on_a_terminal_one_line_is_redrawn_and_the_cursor_comes_back(clock):
    screen = Screen()
    with listener(screen, clock=clock) as send:
        work(send, clock, steps=10)
    drawn = screen.getvalue()
    assert "training" in drawn
    assert "50 %  5/10" in drawn
    assert "5 s left" in drawn
    assert "warning: two pictures were left out" in drawn
    assert drawn.rindex(SHOW) > drawn.rindex(HIDE)


def test_a_window_of_80_columns_shows_the_phase_and_the_time_left(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    screen = Screen()
    with listener(screen, clock=clock) as send:
        send(Phase("training the whole model", 2000))
        clock.now += 100
        send(Progress(1000, {"loss": 0.12345, "accuracy": 0.98765, "learning_rate": 0.00123}))
    assert "training the whole model" in screen.getvalue()
    assert "50 %  1,000/2,000  1 min 40 s left" in screen.getvalue()


def test_an_interrupt_gives_the_cursor_back(clock):
    screen = Screen()

    def interrupted():
        with listener(screen, clock=clock) as send:
            send(Phase("training", 10))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert screen.getvalue().rindex(SHOW) > screen.getvalue().rindex(HIDE)


def test_a_fast_phase_is_not_redrawn_at_every_step(clock):
    screen = Screen()
    send = LiveLine(screen, clock)
    send(Phase("training", 10_000))
    before = len(screen.getvalue())
    for step in range(1000):
        clock.now += 0.001
        send(Progress(step))
    send.close()
    assert screen.getvalue()[before:].count("training") <= 12  # a second of events at ten redraws a second


def test_no_color_is_obeyed(monkeypatch, clock):
    def drawn():
        screen = Screen()
        with listener(screen, clock=clock) as send:
            send(Note("careful", "warning"))
        return screen.getvalue()

    assert "\x1b[33m" in drawn()
    monkeypatch.setenv("NO_COLOR", "1")
    assert drawn() == "warning: careful\n"


def test_a_dumb_terminal_gets_plain_lines(monkeypatch, clock):
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()
    with listener(screen, clock=clock) as send:
        work(send, clock)
    assert "\x1b" not in screen.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Screen])
def test_a_name_cannot_steer_the_terminal_nor_be_read_as_markup(clock, stream):
    out = stream()
    with listener(out, clock=clock) as send:
        send(Phase("[red]x\x1b]0;evil\x07", 3))
        send(Note("[link=http://evil]a\x1b[2J\r\n.jpg :smile:"))
    said = out.getvalue()
    assert "[link=http://evil]a\\x1b[2J\\r\\n.jpg :smile:" in said
    assert "[red]x\\x1b]0;evil\\x07" in said
    assert "\x1b]0;" not in said
    assert "\x1b[2J" not in said


@given(st.text(alphabet=st.characters()))
def test_neutral_text_has_nothing_unprintable_and_leaves_the_rest(text):
    assert neutral(text).isprintable()
    if text.isprintable():
        assert neutral(text) == text


@given(st.floats(0, 1e6), st.integers(1, 1000), st.integers(1, 1000))
def test_the_time_left_is_never_negative_and_none_at_the_end(elapsed, done, total):
    left = remaining_seconds(elapsed, done, total)
    assert left >= 0
    if done >= total:
        assert left == 0


@pytest.mark.parametrize(("done", "total"), [(0, 10), (5, None), (5, 0)])
def test_the_time_left_is_unknown_without_a_pace_or_an_end(done, total):
    assert remaining_seconds(10.0, done, total) is None


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (7260, "2 h 1 min")])
def test_a_duration_is_rounded_once(seconds, words):
    assert duration(seconds) == words
