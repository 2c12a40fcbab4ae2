"""A network as an ONNX file with the outputs ``logits`` and ``features``, one file, any batch size."""

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch

from eyebright import __version__
from eyebright.core.errors import ModelError
from eyebright.models.network import Classifier

OPSET = 18


def write_onnx(network: Classifier, size: tuple[int, int], path: Path, *, classes: tuple[str, ...], name: str) -> None:
    """Writes ``network`` for pixels [n, 3, height, width] to ``path``, class names in its metadata.

    Raises ``ModelError`` where torch cannot turn the network into a graph, or the graph is larger than a file may be (2 GiB).
    """
    network = copy.deepcopy(network).eval().to("cpu")
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    pixels = torch.zeros(2, 3, *size)  # two: the exporter takes an example of one for a fixed batch
    batch = torch.export.Dim("batch", min=1, max=65536)
    try:
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
        content = _described(program.model_proto, size, classes, name).SerializeToString()  # refuses more than 2 GiB
    except Exception as error:
        raise ModelError(
            f"{name} could not be written as ONNX ({type(error).__name__}). Its torch form is not touched."
        ) from error
    path.write_bytes(content)


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
