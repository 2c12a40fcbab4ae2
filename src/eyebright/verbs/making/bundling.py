"""The fourth step of ``train``: the bundle, with each form beside the proof that it is the same model."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.arrays import ByteBatch, Pixels, array_sha256
from eyebright.core.bundle import MANIFEST, Architecture, Form, Manifest, Parity, ProbePicture
from eyebright.core.decision import Decision, save_decision
from eyebright.core.errors import ModelError
from eyebright.core.events import Note, OnEvent, Phase
from eyebright.core.files import new_directory, sha256, write_bytes, write_json, write_text
from eyebright.core.parity import require_parity
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess
from eyebright.export.onnx_ import write_onnx
from eyebright.export.probe import probe_pictures
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels
from eyebright.models.network import Classifier

TORCH_FILE, ONNX_FILE = "torch.safetensors", "model.onnx"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What goes into a bundle besides the forms."""

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    architecture: Architecture
    decision: Decision
    split: dict[str, Any] | None
    provenance: dict[str, Any]
    card: str


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
        complete(folder, contents, forms, probe, reference)


@dataclasses.dataclass(frozen=True)
class Probe:
    """The pictures that travel with a bundle: encoded, by file name, and prepared as uint8 [n, 3, height, width]."""

    encoded: dict[str, bytes]
    prepared: ByteBatch

    @property
    def pixels(self) -> Pixels:
        """The prepared pictures as a predictor takes them."""
        return to_pixels(self.prepared)


def make_probe(preprocess: Preprocess) -> Probe:
    """The probe as a model with ``preprocess`` sees it."""
    encoded = probe_pictures()
    prepared = [prepare(decode(content, colour=preprocess.colour).image, preprocess) for content in encoded.values()]
    return Probe(encoded, np.stack(prepared))


def describe_form(folder: Path, file: str, parity: Parity | None = None) -> Form:
    """The manifest's entry for a form that lies in ``folder``, whatever kind it is."""
    path = folder / file
    return Form(file=file, sha256=sha256(path), bytes=path.stat().st_size, outputs=("logits", "features"), parity=parity)


def complete(folder: Path, contents: Contents, forms: dict[str, Form], probe: Probe, reference: Predictor) -> None:
    """Writes everything around the forms, which lie in ``folder`` already; the manifest last.

    The probe's golden logits are those of ``reference``.
    """
    (folder / "probe").mkdir()
    for name, content in probe.encoded.items():
        (folder / name).write_bytes(content)
    save_decision(contents.decision, folder / "decision.json")
    if contents.split is not None:
        write_json(folder / "split.json", contents.split)
    write_text(folder / "README.md", contents.card)
    manifest = Manifest(
        name=contents.name,
        classes=contents.classes,
        preprocess=contents.preprocess,
        architecture=contents.architecture,
        forms=forms,
        decision_sha256=sha256(folder / "decision.json"),
        split_sha256=sha256(folder / "split.json") if contents.split is not None else None,
        card_sha256=sha256(folder / "README.md"),
        probe=_golden(folder, probe, reference),
        provenance=contents.provenance,
    )
    write_text(folder / MANIFEST, manifest.model_dump_json(by_alias=True, indent=2) + "\n")


def _golden(folder: Path, probe: Probe, reference: Predictor) -> tuple[ProbePicture, ...]:
    pixels = probe.pixels
    # One picture at a time, as verify replays them: the sums of a batch may be made in another order.
    logits = [reference(pixels[row : row + 1]).logits[0] for row in range(len(pixels))]
    return tuple(
        ProbePicture(
            file=name,
            sha256=sha256(folder / name),
            pixels_sha256=array_sha256(probe.prepared[row]),
            logits=tuple(float(value) for value in logits[row]),
        )
        for row, name in enumerate(probe.encoded)
    )


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
    try:
        write_onnx(network, contents.preprocess.size, path, classes=contents.classes, name=contents.name)
    except ModelError as error:
        on_event(Note(f"{error} The bundle has the torch form only, and needs torch to predict.", "warning"))
        return None
    return require_parity(reference, OnnxPredictor(path, contents.classes), pixels)
