"""The frozen stages of a network that is trained, by ONNX Runtime: a stream of pictures a core."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eyebright.backends.onnx_ import open_graph
from eyebright.data.in_order import in_order


class GraphStages:
    """``FrozenStages`` of pictures of one size, from a graph whose outputs are what the backbone's ``first_stages`` gives.

    One picture at a time and a thread, so that an answer does not depend on which pictures it came with: training that was
    interrupted goes on to the same weights. Copies of a network share it, and are on their own again once it is closed.
    """

    def __init__(self, graph: bytes, stages: int, *, threads: int) -> None:
        """Opens the graph. Raises ``ModelError`` where it is damaged."""
        self._session: Any = open_graph(graph, "The graph of the frozen stages", threads=1)
        (given,) = self._session.get_inputs()
        self.stages, self._input, self._shape, self._threads = stages, given.name, tuple(given.shape[1:]), threads

    def __call__(self, pixels: Tensor) -> Sequence[Tensor] | None:
        session = self._session
        if session is None or pixels.device.type != "cpu" or tuple(pixels.shape[1:]) != self._shape or not len(pixels):
            return None
        rows = pixels.detach().numpy()

        def run(row: int) -> list[np.ndarray]:
            found: list[np.ndarray] = session.run(None, {self._input: np.ascontiguousarray(rows[row : row + 1])})
            return found

        threads = min(self._threads, torch.get_num_threads())  # who is to use fewer cores says so to torch
        parts = list(in_order(run, range(len(rows)), threads=threads, quick=0, name="stages", chunk=2))
        begun = [torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)]
        if pixels.is_contiguous(memory_format=torch.channels_last):
            begun[0] = begun[0].contiguous(memory_format=torch.channels_last)
        return begun

    def close(self) -> None:
        """Lets go of the graph: from now on, every network that had this computes everything by itself."""
        self._session = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "GraphStages":
        return self
