"""Features of many pictures from a network's ONNX graph, one picture stream a core."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from eyebright.backends.onnx_ import open_graph
from eyebright.core.arrays import ByteBatch, Features
from eyebright.core.errors import ModelError
from eyebright.data.in_order import in_order
from eyebright.images.preprocess import to_pixels

BATCHES = (1, 4, 16)  # pictures a call that are tried
TRIED = 16  # pictures for each of them and each thread


class GraphFeatures:
    """The features of prepared pictures by ONNX Runtime: each thread has its own part of them, and runs the whole graph.

    That scales better than sharing each layer between threads: layers of small networks are too short to be shared.
    """

    def __init__(self, graph: bytes, *, threads: int, batch: int = BATCHES[1]) -> None:
        """Opens a graph of ours. Raises ``ModelError`` where it is damaged or gives no features."""
        self._session = open_graph(graph, "The backbone's graph", threads=1)
        if "features" not in [output.name for output in self._session.get_outputs()]:
            raise ModelError("The backbone's graph gives no features.")
        self._input = self._session.get_inputs()[0].name
        self.threads, self.batch = threads, batch

    def __call__(self, pictures: ByteBatch, told: Callable[[int], None] = lambda done: None) -> Features:
        """The features [n, width] of prepared pictures; ``told`` hears from the calling thread how many are done."""
        starts = range(0, len(pictures), self.batch)
        found: list[np.ndarray] = []

        def run(start: int) -> Features:
            pixels = to_pixels(pictures[start : start + self.batch])
            features: Features = self._session.run(["features"], {self._input: pixels})[0]
            return features

        for part in in_order(run, starts, threads=self.threads, quick=0, name="features", chunk=max(1, 16 // self.batch)):
            found.append(part)
            told(min(len(found) * self.batch, len(pictures)))
        return np.concatenate(found)

    def choose_batch(self, pictures: ByteBatch, batches: Sequence[int] = BATCHES) -> dict[int, float]:
        """Sets ``batch`` to the quickest of ``batches``, timed on some of ``pictures``; returns seconds a picture of each."""
        some = pictures[: TRIED * self.threads]
        self(some)
        seconds: dict[int, float] = {}
        for self.batch in batches:
            started = time.perf_counter()
            self(some)
            seconds[self.batch] = (time.perf_counter() - started) / len(some)
        self.batch = min(seconds, key=seconds.__getitem__)
        return seconds
