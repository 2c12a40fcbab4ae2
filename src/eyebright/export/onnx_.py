"""A network as an ONNX file with the outputs ``logits`` and ``features``, one file, any batch size."""

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from eyebright import __version__
from eyebright.core.errors import ModelError
from eyebright.core.files import write_bytes
from eyebright.export.plain import OPSET, plain_model
from eyebright.models.network import Classifier


def write_onnx(network: Classifier, size: tuple[int, int], path: Path, *, classes: tuple[str, ...], name: str) -> None:
    """Writes ``network`` for pixels [n, 3, height, width] to ``path``, class names in its metadata.

    Raises ``ModelError`` where torch cannot turn the network into a graph, or the graph is larger than a file may be (2 GiB).
    """
    network = copy.deepcopy(network).eval().to("cpu")
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    try:
        model = plain_model(network, size) or _exported(network, size)
        content = _described(model, size, classes, name).SerializeToString()  # refuses more than 2 GiB
    except Exception as error:
        raise ModelError(
            f"{name} could not be written as ONNX ({type(error).__name__}). Its torch form is not touched."
        ) from error
    write_bytes(path, content)


def _exported(network: Classifier, size: tuple[int, int]) -> onnx.ModelProto:
    """The network by torch's exporter, which knows every layer and takes seconds."""
    pixels = torch.zeros(2, 3, *size)  # two: the exporter takes an example of one for a fixed batch
    batch = torch.export.Dim("batch", min=1, max=65536)
    with _quiet():
        program = torch.onnx.export(
            network,
            (pixels,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=["logits", "features"],
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def write_with_head(
    graph: bytes,
    weight: np.ndarray,
    bias: np.ndarray,
    size: tuple[int, int],
    path: Path,
    *,
    classes: tuple[str, ...],
    name: str,
) -> None:
    """Writes ``graph``, an ONNX file of ours whose backbone stays as it is, with another linear head: no exporter is needed.

    ``weight`` is [classes, width] and ``bias`` [classes], as in torch. Raises ``ModelError`` where the graph has no features.
    """
    try:
        model = onnx.load_model_from_string(graph)
    except Exception as error:  # protobuf's DecodeError; its module is not to be relied on
        raise ModelError(f"The graph for {name} is damaged ({type(error).__name__}).") from None
    nodes = _leading_to(model.graph, "features")
    if not nodes:
        raise ModelError(f"The graph for {name} has no features to put a head on.")
    head = [numpy_helper.from_array(weight, "head.weight"), numpy_helper.from_array(bias, "head.bias")]
    nodes.append(helper.make_node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], transB=1))
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used and not tensor.name.startswith("head.")]
    features = next(output for output in model.graph.output if output.name == "features")
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(classes)])
    made = helper.make_graph(nodes, model.graph.name, list(model.graph.input), [logits, features], [*kept, *head])
    model.graph.CopyFrom(made)
    write_bytes(path, _described(model, size, classes, name).SerializeToString())


def _leading_to(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that ``output`` is computed by, in their order."""
    wanted, found = {output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _described(model: onnx.ModelProto, size: tuple[int, int], classes: tuple[str, ...], name: str) -> onnx.ModelProto:
    """``model`` with its maker, its purpose and the names of its classes written into it."""
    _forget_origin(model.graph)
    model.producer_name, model.producer_version = "eyebright", __version__
    names = dict(enumerate(classes))
    onnx.helper.set_model_props(
        model,
        {
            "description": name,
            "task": "classify",
            "imgsz": json.dumps(list(size)),
            "names": json.dumps(names, ensure_ascii=False),
        },
    )
    return model


def _forget_origin(graph: onnx.GraphProto) -> None:
    """Drops the exporter's notes: they hold stack traces, and with them the folders and the user name of this computer."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    level = logging.getLogger("onnxscript").level
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the exporter's advice to its own developers
            yield
    finally:
        logging.getLogger("onnxscript").setLevel(level)
