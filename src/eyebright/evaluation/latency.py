"""How fast a form answers, with what the answer depends on: batch, threads, size."""

import time

import numpy as np

from eyebright.core import seeds
from eyebright.core.arrays import Pixels
from eyebright.core.predictor import Predictor
from eyebright.core.report import Speed


def measure(
    predictor: Predictor,
    size: tuple[int, int],
    *,
    form: str,
    threads: int,
    megabytes: float,
    batch: int = 1,
    calls: int = 50,
    warmup: int = 5,
    seconds: float = 3.0,
) -> Speed:
    """The latency of ``calls`` calls on ``batch`` random pictures of ``size`` (height, width).

    A slow form is timed on fewer calls, one at least, so that warm-up and timing end after about ``seconds``; ``n`` says how
    many. ``threads`` and ``megabytes`` are what the caller set and weighed: they are carried along. Throughput is over all
    timed calls, slow ones included.
    """
    pixels = _random_pixels(batch, size)
    deadline = time.perf_counter() + seconds
    # First calls pay for allocation and caches; a third of the time is enough for them.
    _time_calls(predictor, pixels, warmup, time.perf_counter() + seconds / 3)
    took_ms = 1000 * _time_calls(predictor, pixels, calls, deadline)
    return Speed(
        form=form,
        batch=batch,
        threads=threads,
        median_ms=float(np.median(took_ms)),
        p99_ms=float(np.quantile(took_ms, 0.99)),
        pictures_per_second=1000 * batch * len(took_ms) / float(took_ms.sum()),
        n=len(took_ms),
        megabytes=megabytes,
    )


def _random_pixels(batch: int, size: tuple[int, int]) -> Pixels:
    numbers = seeds.uniform(0, "latency", 0, np.arange(batch, dtype=np.uint64), columns=3 * size[0] * size[1])
    return numbers.reshape(batch, 3, *size)  # batch (3 height width) -> pixels


def _time_calls(predictor: Predictor, pixels: Pixels, calls: int, deadline: float) -> np.ndarray:
    """Seconds a call; at least one call, and none begun after ``deadline``."""
    took: list[float] = []
    while not took or (len(took) < calls and time.perf_counter() < deadline):
        start = time.perf_counter()
        predictor(pixels)
        took.append(max(time.perf_counter() - start, 1e-9))  # a coarse clock may read zero; a rate needs more
    return np.array(took)
