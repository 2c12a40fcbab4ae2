"""A foreign ONNX file read without trust, and asked as it came: what a wrapped graph must agree with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from eyebright.backends.one_file import refuse_other_files
from eyebright.core.arrays import Pixels
from eyebright.core.errors import ModelError
from eyebright.core.foreign import Foreign, columns_fit, values_for

MOST_BYTES = 2**31 - 1  # protobuf's own limit
OLDEST_OPSET = 7  # ONNX Runtime promises nothing for older ones
DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}  # whose operators ONNX Runtime has inside
KINDS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


def read_onnx(path: Path) -> tuple[bytes, onnx.ModelProto]:
    """The file's bytes and the graph in them, after it was checked.

    Raises ``ModelError`` for a file that is damaged or too large, keeps values in another file, has operators that are not
    ONNX Runtime's own, or was written for an operator set older than 7.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path} is larger than 2 GiB; no ONNX file is.")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    return content, parse_onnx(content, str(path))


def parse_onnx(content: bytes, name: str) -> onnx.ModelProto:
    """The checked graph in ``content``, a file that errors call ``name``. Raises as ``read_onnx`` does."""
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError; its module is not to be relied on
        raise ModelError(f"{name} is not an ONNX file ({type(error).__name__}). Export or copy it again.") from None
    _refuse_other_files(model, name)
    _refuse_strange_operators(model, name)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"{name} is not a valid ONNX graph: {str(error).splitlines()[0]} Export it again.") from None
    opset = opset_of(model)
    if opset < OLDEST_OPSET:
        raise ModelError(f"{name} is written for operator set {opset}; {OLDEST_OPSET} or newer is read. Export it again.")
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that the graph is written for."""
    return next((one.version for one in model.opset_import if one.domain in {"", "ai.onnx"}), 1)


def graphs_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those inside its nodes (branches, loops)."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from graphs_in(inner)


def inner_graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs that a node holds as attributes."""
    held = [inner for attribute in node.attribute for inner in (attribute.g, *attribute.graphs)]
    return [inner for inner in held if inner.node or inner.output or inner.initializer]


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in graphs_in(model.graph):
        yield from graph.node
    for function in model.functions:
        for node in function.node:
            yield node
            for inner in inner_graphs(node):
                for graph in graphs_in(inner):
                    yield from graph.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that the file can hold values in."""
    inner = [graph for node in _nodes(model) for graph in inner_graphs(node)]
    for graph in (model.graph, *inner):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _refuse_other_files(model: onnx.ModelProto, name: str) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                f"{name} keeps the values of {tensor.name!r} in another file; one file that holds everything was expected. "
                "Save it again with onnx.save(model, path, save_as_external_data=False)."
            )


def _refuse_strange_operators(model: onnx.ModelProto, name: str) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    strange = {
        f"{node.domain}.{node.op_type}"
        for node in _nodes(model)
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in own
    }
    if strange:
        raise ModelError(
            f"{name} needs operators that ONNX Runtime does not have: {', '.join(sorted(strange)[:5])}. "
            "Export the model with standard operators only."
        )


class Original:
    """The graph as it came, asked picture by picture.

    ``input`` and ``kind`` are its input's name and numpy type, ``shape`` its three sides (None where they are open), ``batch``
    the number of pictures that it takes at once (None where that is open). ``output`` is the name of the output that was
    chosen, ``columns`` how many values it has.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Opens the graph. Raises ``ModelError`` where ONNX Runtime refuses it or it does not take one batch of pictures."""
        self._session = _session(content, name)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in KINDS:
            found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise ModelError(f"{name} has the inputs {found}; one of four dimensions, for pictures, was expected.")
        self.name, self.input, self.kind = name, inputs[0].name, KINDS[inputs[0].type]
        self.batch, *self.shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
        self.output, self.columns = "", 0

    def choose_output(self, blank: np.ndarray, classes: int) -> None:
        """Takes the one output with a value a class (a single value will do for two), found by asking ``blank`` [1, ...].

        Raises ``ModelError`` where there is none, or more than one.
        """
        sizes = self.sizes(blank)
        fitting = [name for name, size in sizes.items() if columns_fit(size, classes)]
        if len(fitting) != 1:
            found = ", ".join(f"{size} ({name})" for name, size in sizes.items())
            raise ModelError(
                f"{self.name} has outputs of {found} values; one output of {classes}, a value a class, was expected. Give the "
                "labels of this very model, in its order."
            )
        self.output, self.columns = fitting[0], sizes[fitting[0]]

    def sizes(self, blank: np.ndarray) -> dict[str, int]:
        """How many values each output has for one picture [1, ...]."""
        names = [one.name for one in self._session.get_outputs()]
        return {name: int(np.size(row)) for name, row in zip(names, self._run(blank, names), strict=True)}

    def values(self, pixels: Pixels, foreign: Foreign) -> np.ndarray:
        """What the file itself gives, float32 [n, columns]: not yet logits where it gives probabilities."""
        prepared = values_for(pixels, foreign)
        return np.stack([self.ask(prepared[row : row + 1]) for row in range(len(prepared))])

    def ask(self, picture: np.ndarray) -> np.ndarray:
        """The chosen output for one picture [1, ...] in the file's own values."""
        return np.asarray(self._run(picture, [self.output])[0], dtype=np.float32).reshape(-1)

    def _run(self, picture: np.ndarray, outputs: list[str]) -> list[Any]:
        """The first row of each output."""
        batch = as_kind(np.repeat(picture, self.batch or 1, axis=0), self.kind)
        try:
            found = self._session.run(outputs, {self.input: batch})
        except Exception as error:
            raise ModelError(f"{self.name} fails on a picture of {picture.shape}: {_first_line(error)}") from None
        return [np.asarray(rows)[0] if np.ndim(rows) else np.asarray(rows) for rows in found]


def in_one_batch(content: bytes, pixels: Pixels) -> np.ndarray | None:
    """What the graph in ``content`` gives for all ``pixels`` at once; None where it cannot take them so."""
    try:
        session = _session(content, "the graph")
        found: np.ndarray = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    except Exception:  # onnxruntime's own errors share no base class
        return None
    return found


def _session(content: bytes, name: str) -> Any:
    refuse_other_files(content, name)  # again, for what did not come through ``read_onnx``
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised; they need not be printed too
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class
        raise ModelError(f"{name} cannot be opened by ONNX Runtime: {_first_line(error)} Export it again.") from None


def as_kind(values: np.ndarray, kind: type) -> np.ndarray:
    """``values`` as the graph's own type; whole numbers are the nearest ones."""
    if kind is np.uint8:
        return np.clip(np.floor(values + np.float32(0.5)), 0, 255).astype(np.uint8)
    return values.astype(kind)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
