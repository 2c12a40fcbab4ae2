"""What the processor could do at best: a network's operations and bytes, and the rates that this computer reaches.

Two lines of the roofline (Williams, Waterman and Patterson 2009): a network takes no less time than its arithmetic at the
highest rate; and where no cache holds its weights, no less than reading them at the highest bandwidth.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 1536  # of the square matrices whose product is timed: large enough to reach the highest rate, done in milliseconds
MOVED = 256 * 2**20  # bytes copied to time the memory: no cache holds them
ROUNDS = 7


@dataclasses.dataclass(frozen=True)
class Work:
    """What one picture asks of a processor: multiplications and additions, and the bytes of the weights."""

    operations: int
    weight_bytes: int


@dataclasses.dataclass(frozen=True)
class Machine:
    """The best that was measured here, in float32: operations a second, and bytes a second read and written."""

    operations: float
    bytes: float

    def arithmetic_seconds(self, work: Work) -> float:
        """No form in float32 answers a picture sooner."""
        return work.operations / self.operations

    def reading_seconds(self, work: Work) -> float:
        """What it takes to read the weights from memory; those that stay in a cache are read sooner."""
        return work.weight_bytes / self.bytes


def measure_machine(threads: int) -> Machine:
    """The rates of ``threads`` threads, the best of a few rounds: a roof is what is reached when nothing disturbs."""
    from threadpoolctl import threadpool_limits

    a = np.ones((SIDE, SIDE), dtype=np.float32)
    source, target = np.zeros(MOVED // 4, dtype=np.float32), np.zeros(MOVED // 4, dtype=np.float32)
    with threadpool_limits(limits=threads, user_api="blas"):
        products = [_seconds(lambda: a @ a) for _ in range(ROUNDS)]
    copies = [_seconds(lambda: np.copyto(target, source)) for _ in range(ROUNDS)]
    return Machine(2 * SIDE**3 / min(products), 2 * MOVED / statistics.median(copies))


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def work_of(path: Path) -> Work | None:
    """What the ONNX file asks for a picture: its convolutions and matrix products. None where its shapes cannot be told.

    A convolution of an output of P places costs 2 P K k, with K filters of k weights each; all else is left out, as it costs
    little arithmetic.
    """
    import onnx

    model = onnx.load_model_from_string(path.read_bytes())
    for value in model.graph.input:
        if not value.type.tensor_type.shape.dim[0].dim_value:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model)
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    shapes = {value.name: _shape(value) for value in (*inferred.graph.value_info, *inferred.graph.output)} | weights
    counts = [_operations(node, shapes) for node in inferred.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    if not counts or None in counts:
        return None
    held = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    return Work(sum(count for count in counts if count is not None), held)


def _operations(node: Any, shapes: Mapping[str, list[int]]) -> int | None:
    """Two for each multiplication with its addition; None where a shape is open."""
    out, weight = shapes.get(node.output[0], []), shapes.get(node.input[1], [])
    if not out or not weight or 0 in out or 0 in weight:
        return None
    if node.op_type == "Conv":
        return 2 * math.prod(out) * math.prod(weight[1:])  # the weight is [filters, channels a group, ...]
    turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 2 * math.prod(out) * (weight[-1] if turned else weight[-2])


def _shape(value: Any) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
