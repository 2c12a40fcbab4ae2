"""The bundle of a network, with each form beside the proof that it is the same model."""

import contextlib
from pathlib import Path

import numpy as np

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.open import with_views
from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.bundle import Architecture, Parity
from eyebright.core.errors import ModelError
from eyebright.core.events import Note, OnEvent, Phase
from eyebright.core.files import new_directory, write_bytes
from eyebright.core.parity import require_parity
from eyebright.core.preprocess import Preprocess
from eyebright.export.onnx_ import write_onnx, write_with_head
from eyebright.models.network import Classifier, PixelNetwork
from eyebright.verbs.making.embedding import backbone_name, kept_graph
from eyebright.verbs.making.packing import Contents, complete, describe_form, make_probe

TORCH_FILE, ONNX_FILE = "torch.safetensors", "model.onnx"


def write_bundle(network: Classifier, contents: Contents, path: Path, on_event: OnEvent) -> None:
    """Writes the whole bundle to ``path``, aside first, its manifest last. A format that cannot be written is said, not hidden.

    Raises ``ModelError`` where a form differs from the torch form by more than rounding.
    """
    from safetensors.torch import save

    on_event(Phase("Writing the bundle"))
    with new_directory(path) as folder:
        network = network.eval()
        # save_file would make a file for its owner's eyes only, and hide a full disk behind an error of its own.
        write_bytes(folder / TORCH_FILE, save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}))
        reference = TorchPredictor(network, contents.classes)
        probe = make_probe(contents.preprocess)
        forms = {"torch": describe_form(folder, TORCH_FILE)}
        if parity := _add_onnx(network, reference, contents, folder, probe.pixels, on_event):
            forms["onnx"] = describe_form(folder, ONNX_FILE, parity)
        complete(folder, contents, forms, probe, with_views(reference, contents.views))


def _add_onnx(
    network: Classifier,
    reference: TorchPredictor,
    contents: Contents,
    folder: Path,
    pixels: np.ndarray,
    on_event: OnEvent,
) -> Parity | None:
    """Writes the ONNX form and returns its parity; None, with a warning, where torch cannot write this network as ONNX."""
    path = folder / ONNX_FILE
    with contextlib.suppress(ModelError):
        known = contents.architecture is not None and write_on_known_backbone(
            network, contents.architecture, contents.preprocess, path, classes=contents.classes, name=contents.name
        )
        if known:
            return require_parity(reference, OnnxPredictor(path, contents.classes), pixels)
    try:
        write_onnx(network, contents.preprocess.size, path, classes=contents.classes, name=contents.name)
    except ModelError as error:
        on_event(Note(f"{error} The bundle has the torch form only, and needs torch to predict.", "warning"))
        return None
    return require_parity(reference, OnnxPredictor(path, contents.classes), pixels)


def write_on_known_backbone(
    network: Classifier,
    architecture: Architecture,
    preprocess: Preprocess,
    path: Path,
    *,
    classes: tuple[str, ...],
    name: str = "model",
) -> bool:
    """Writes the ONNX form by putting the head on the graph that features were computed with, if it is this backbone's."""
    if not isinstance(network, PixelNetwork):
        return False
    graph = kept_graph(backbone_name(network, architecture, preprocess))
    if graph is None:
        return False
    weight, bias = network.head.weight.detach().numpy(), network.head.bias.detach().numpy()
    write_with_head(graph, weight, bias, preprocess.size, path, classes=classes, name=name)
    return True
