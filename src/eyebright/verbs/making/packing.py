"""What every bundle has around its forms, whatever they are: probe, decision, split, card, and the manifest last. No torch."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.core.arrays import ByteBatch, Pixels, array_sha256
from eyebright.core.bundle import MANIFEST, Architecture, Form, Manifest, Parity, ProbePicture
from eyebright.core.decision import Decision, save_decision
from eyebright.core.files import sha256, write_bytes, write_json, write_text
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess
from eyebright.core.views import ONE_VIEW, Views
from eyebright.export.probe import probe_pictures
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels


@dataclasses.dataclass(frozen=True)
class Contents:
    """What goes into a bundle besides the forms."""

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    architecture: Architecture | None
    decision: Decision
    split: dict[str, Any] | None
    provenance: dict[str, Any]
    card: str
    views: Views = ONE_VIEW


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
    prepared = [prepare(decode(content, colour=preprocess.colour).picture, preprocess) for content in encoded.values()]
    return Probe(encoded, np.stack(prepared))


def describe_form(folder: Path, file: str, parity: Parity | None = None) -> Form:
    """The manifest's entry for a form that lies in ``folder``, whatever kind it is."""
    path = folder / file
    return Form(file=file, sha256=sha256(path), bytes=path.stat().st_size, outputs=("logits", "features"), parity=parity)


def complete(folder: Path, contents: Contents, forms: dict[str, Form], probe: Probe, reference: Predictor) -> None:
    """Writes everything around the forms, which lie in ``folder`` already; the manifest last.

    The probe's golden logits are those of ``reference``.
    """
    for name, content in probe.encoded.items():
        write_bytes(folder / name, content)
    save_decision(contents.decision, folder / "decision.json")
    if contents.split is not None:
        write_json(folder / "split.json", contents.split)
    write_text(folder / "README.md", contents.card)
    manifest = Manifest(
        name=contents.name,
        classes=contents.classes,
        preprocess=contents.preprocess,
        views=contents.views.names,
        views_below=contents.views.below,
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
