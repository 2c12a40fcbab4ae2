"""The frozen beginning of a network that is trained, by ONNX Runtime: a stream of pictures a core."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from eyebright.core.errors import ModelError
from eyebright.data.in_order import in_order


class GraphBeginning:
    """A ``Beginning`` of pictures of one size, from a graph whose outputs are what the backbone's ``begin`` gives.

    One picture at a time and a thread, so that an answer does not depend on which pictures it came with: training that was
    interrupted goes on to the same weights. Copies of a network share it, and are on their own again once it is closed.
    """

    def __init__(self, graph: bytes, stages: int, *, threads: int) -> None:
        """Opens the graph. Raises ``ModelError`` where it is damaged."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no base class
            raise ModelError(
                f"The network's beginning cannot be opened by ONNX Runtime: {str(error).splitlines()[0]}"
            ) from None
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
        parts = list(in_order(run, range(len(rows)), threads=threads, quick=0, name="beginning", chunk=2))
        begun = [torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)]
        if pixels.is_contiguous(memory_format=torch.channels_last):
            begun[0] = begun[0].contiguous(memory_format=torch.channels_last)
        return begun

    def close(self) -> None:
        """Lets go of the graph: from now on, every network that had this computes everything by itself."""
        self._session = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "GraphBeginning":
        return self
