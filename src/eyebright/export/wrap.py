"""A foreign ONNX graph made ours: ``pixels`` in [0, 1] go in, ``logits`` come out, all that lies between is inside.

The graph itself is not touched, but for tensors that have our names and for what follows the logits, which is cut off.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from eyebright import __version__
from eyebright.core.errors import ModelError
from eyebright.core.foreign import LUMINANCE, PROBABILITY_FLOOR, Foreign
from eyebright.export.original import Original, graphs_in, inner_graphs, opset_of

OURS = ("pixels", "logits")
FIRST_OPSET = 8  # Max broadcasts from here on
WRITTEN_OPSET = 13  # for older graphs
FIRST_IR = 8  # constants need not be inputs from 4 on; 8 is what operator set 15 came with
PASSING = {"Identity", "Reshape", "Flatten", "Squeeze", "Cast", "Dropout"}  # between a softmax and the output


def ends_in(model: onnx.ModelProto, output: str) -> str:
    """The operator that gives ``output``, seen through reshapes and casts, e.g. ``Softmax``."""
    node = _last(model.graph, output)
    return node.op_type if node is not None else ""


def wrap(
    model: onnx.ModelProto, original: Original, foreign: Foreign, size: tuple[int, int], *, classes: tuple[str, ...], name: str
) -> onnx.ModelProto:
    """``model`` for pixels [n, 3, height, width] of ``size``, class names in its metadata; n is left open.

    Logits come from before a closing softmax or sigmoid where there is one and the graph gives probabilities; else they are
    ``log(max(p, 1e-7))``. ``original`` says which input and output are meant. Raises ``ModelError`` for a graph that is too old
    to be brought to a newer operator set, or that does not pass ONNX's checker afterwards.
    """
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(_modern(model, original.name))
    graph = wrapped.graph
    names = _Names(graph)
    before = _feeding(foreign, names.moved(original.input), original.kind, names)
    last, after = _answering(original, _last(graph, names.moved(original.output)), foreign, names)
    nodes = [*before.nodes, *_needed(graph, last), *after.nodes]
    _replace(graph.node, nodes)
    _replace(graph.initializer, [*_used(graph), *before.constants, *after.constants])
    _replace(graph.input, [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, *size])])
    _replace(graph.output, [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(classes)])])
    del graph.value_info[:]  # it may name a batch of one
    _describe(wrapped, size, classes, name)
    try:
        onnx.checker.check_model(wrapped)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"{original.name} could not be wrapped: {str(error).splitlines()[0]}") from None
    return wrapped


def with_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """``model`` for ``batch`` pictures at a time, no more and no fewer."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (fixed.graph.input[0], fixed.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    return fixed


class _Piece:
    """Nodes and constants to be added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node with one output, whose name is given back."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        """A constant, whose name is given back."""
        self.constants.append(numpy_helper.from_array(values, name))
        return name


class _Names:
    """New names that the graph does not have; our own two are freed first."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._taken = {name for one in graphs_in(graph) for name in _names_of(one)}
        self._counter = itertools.count()
        self._moved = {name: self.new(name) for name in OURS if name in self._taken}
        for one in graphs_in(graph) if self._moved else ():
            _rename(one, self._moved)

    def moved(self, name: str) -> str:
        """What the tensor ``name`` of the original is called now."""
        return self._moved.get(name, name)

    def new(self, stem: str) -> str:
        """A name with ``stem`` in it that nothing has yet."""
        name = next(name for number in self._counter if (name := f"eyebright_{stem}_{number}") not in self._taken)
        self._taken.add(name)
        return name


def _feeding(foreign: Foreign, given: str, kind: type, names: _Names) -> _Piece:
    """From ``pixels`` to the tensor ``given`` that the graph begins with.

    A convolution with a kernel of one pixel is channel order, grey and normalisation at once:
    ``(pixel - mean) / std = pixel / std - mean / std``.
    """
    piece = _Piece()
    order = {"rgb": np.eye(3), "bgr": np.eye(3)[::-1], "grey": np.array([LUMINANCE])}[foreign.channels]
    mean, std = np.array(foreign.mean), np.array(foreign.std)
    weight = piece.constant(names.new("weight"), (order / std[:, None]).astype(np.float32)[:, :, None, None])
    bias = piece.constant(names.new("bias"), (-mean / std).astype(np.float32))
    values = piece.add("Conv", ["pixels", weight, bias], names.new("values"), kernel_shape=[1, 1])
    if foreign.layout == "nhwc":
        values = piece.add("Transpose", [values], names.new("turned"), perm=[0, 2, 3, 1])
    if kind is np.uint8:
        half = piece.constant(names.new("half"), np.array(0.5, dtype=np.float32))
        values = piece.add("Floor", [piece.add("Add", [values, half], names.new("raised"))], names.new("whole"))
    if kind is np.float32:
        piece.nodes[-1].output[0] = given
        return piece
    piece.add("Cast", [values], given, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
    return piece


def _answering(original: Original, node: onnx.NodeProto | None, foreign: Foreign, names: _Names) -> tuple[str, _Piece]:
    """Which tensor of the graph is the last one needed, and what leads from it to ``logits``.

    ``node`` is the one that gives the original's output. A single column becomes two: 0 and z, or 1 - p and p.
    """
    piece = _Piece()
    single = original.columns == 1
    closing = "Sigmoid" if single else "Softmax"
    inverted = foreign.gives == "probabilities" and node is not None and node.op_type == closing
    last = node.input[0] if inverted and node is not None else names.moved(original.output)
    found = piece.add("Flatten", [last], names.new("flat"), axis=1)
    found = piece.add("Cast", [found], names.new("float"), to=TensorProto.FLOAT)
    through_log = foreign.gives == "probabilities" and not inverted
    if single:
        spread = piece.constant(names.new("spread"), np.array([[-1.0 if through_log else 0.0, 1.0]], dtype=np.float32))
        shift = piece.constant(names.new("shift"), np.array([1.0 if through_log else 0.0, 0.0], dtype=np.float32))
        found = piece.add("Gemm", [found, spread, shift], names.new("two"))
    if through_log:
        floor = piece.constant(names.new("floor"), np.array(PROBABILITY_FLOOR, dtype=np.float32))
        found = piece.add("Log", [piece.add("Max", [found, floor], names.new("above"))], names.new("log"))
    piece.nodes[-1].output[0] = "logits"
    return last, piece


def _modern(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    if opset_of(model) >= FIRST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, WRITTEN_OPSET)
    except RuntimeError as error:  # the converter's own errors
        raise ModelError(
            f"{name} is written for operator set {opset_of(model)} and cannot be brought to a newer one: "
            f"{str(error).splitlines()[0]} Export it again."
        ) from None


def _last(graph: onnx.GraphProto, output: str) -> onnx.NodeProto | None:
    """The node that computes ``output``, seen through reshapes and casts."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(output)
    while node is not None and node.op_type in PASSING and node.domain in {"", "ai.onnx"}:
        node = makers.get(node.input[0])
    return node


def _describe(model: onnx.ModelProto, size: tuple[int, int], classes: tuple[str, ...], name: str) -> None:
    """Writes maker, purpose and class names into ``model``; notes of other makers, which may name their computers, go."""
    for graph in graphs_in(model.graph):
        for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")
    for field in ("doc_string", "training_info", "metadata_props"):
        model.ClearField(field)
    model.ir_version = max(model.ir_version, FIRST_IR)
    model.producer_name, model.producer_version = "eyebright", __version__
    named = json.dumps(dict(enumerate(classes)), ensure_ascii=False)
    told = {"description": name, "task": "classify", "imgsz": json.dumps(list(size)), "names": named}
    helper.set_model_props(model, told)


def _needed(graph: onnx.GraphProto, last: str) -> list[onnx.NodeProto]:
    """The nodes that ``last`` depends on, in their order."""
    wanted, kept = {last}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= _reads(node)
            kept.append(node)
    return kept[::-1]


def _used(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    read = {name for node in graph.node for name in _reads(node)}
    return [tensor for tensor in graph.initializer if tensor.name in read]


def _reads(node: onnx.NodeProto) -> set[str]:
    """The tensors that a node reads, those that the graphs inside it take from around them too."""
    inner = (one for held in inner_graphs(node) for graph in graphs_in(held) for one in graph.node)
    return {name for one in (node, *inner) for name in one.input} | {
        value.name for held in inner_graphs(node) for graph in graphs_in(held) for value in graph.output
    }


def _names_of(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from (*node.input, *node.output)
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Gives tensors other names, wherever they stand. In ONNX no name is used twice, in inner graphs neither."""
    for node in graph.node:
        for places in (node.input, node.output):
            _replace(places, [names.get(name, name) for name in places])
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = names.get(value.name, value.name)


def _replace(places: Any, values: Iterable[Any]) -> None:
    """Puts ``values`` in the place of what a repeated field of a message holds."""
    kept = list(values)
    del places[:]
    places.extend(kept)
