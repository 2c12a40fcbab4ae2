import time

import numpy as np
import pytest

from eyebright.core.arrays import Pixels
from eyebright.core.predictor import Outputs
from eyebright.evaluation import measure


class Sleeper:
    """A predictor that takes a known time and remembers what it was given."""

    classes = ("a", "b")
    form = "sleeper"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.seen: list[Pixels] = []

    def __call__(self, pixels: Pixels) -> Outputs:
        self.seen.append(pixels)
        time.sleep(self.seconds)
        return Outputs(logits=np.zeros((len(pixels), 2), dtype=np.float32))


def test_a_known_delay_is_measured():
    predictor = Sleeper(0.005)
    speed = measure(predictor, (8, 6), form="onnx", batch=4, calls=20, warmup=2, threads=1, megabytes=1.5)
    assert (speed.form, speed.batch, speed.threads, speed.megabytes, speed.n) == ("onnx", 4, 1, 1.5, 20)
    assert 5 <= speed.median_ms <= speed.p99_ms
    # 4 pictures in at least 5 ms: at most 800 a second.
    assert 0 < speed.pictures_per_second <= 800
    assert len(predictor.seen) == 22, "warm-up calls are made and not timed"


def test_pixels_are_random_in_range_and_of_the_shape_asked_for():
    predictor = Sleeper(0)
    measure(predictor, (8, 6), form="onnx", batch=2, calls=1, warmup=1, threads=1, megabytes=0)
    pixels = predictor.seen[0]
    assert (pixels.shape, pixels.dtype) == ((2, 3, 8, 6), np.float32)
    assert 0 <= pixels.min() < 0.2
    assert 0.8 < pixels.max() < 1
    assert pixels.mean() == pytest.approx(0.5, abs=0.1)


def test_a_slow_form_is_timed_on_fewer_calls():
    speed = measure(Sleeper(0.05), (4, 4), form="torch", calls=1000, warmup=1000, threads=1, megabytes=0, seconds=0.3)
    # A third of 0.3 s warms up, two to three calls; the rest holds four calls of 50 ms or fewer.
    assert 1 <= speed.n <= 5


def test_one_call_is_timed_even_where_there_is_no_time_for_it():
    assert measure(Sleeper(0.02), (4, 4), form="torch", threads=1, megabytes=0, seconds=0).n == 1
