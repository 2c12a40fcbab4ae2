"""The bundle around a model that was trained elsewhere: its forms proved, its probe taken, its origin said."""

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eyebright import __version__
from eyebright.core.bundle import Architecture, Bundle, read_bundle
from eyebright.core.decision import Decision
from eyebright.core.events import OnEvent, Phase
from eyebright.core.files import new_directory
from eyebright.core.preprocess import Preprocess
from eyebright.render.card import escaped, quoted, usage
from eyebright.verbs.importing.declared import Brought, Declared, Normalisation
from eyebright.verbs.importing.labels import require_outputs
from eyebright.verbs.importing.sniffing import Kind, Sniffed
from eyebright.verbs.importing.weights import Filled
from eyebright.verbs.making.packing import Contents, complete, make_probe

Reader = Callable[[Path, tuple[str, ...], Declared, Path, OnEvent], Brought]

_READERS: dict[Kind, str] = {"onnx": "onnx_", "litert": "litert", "keras": "keras_", "h5": "keras_"}
_SHOWN_CLASSES = 60


@dataclasses.dataclass(frozen=True)
class Around:
    """What is known of an import besides the model: the file, its classes and where their names are from, what was declared."""

    name: str
    found: Sniffed
    classes: tuple[str, ...]
    classes_from: str
    declared: Declared
    licence: str | None
    source: str | None
    title: str | None = None
    summary: str | None = None


def finish_weights(filled: Filled, around: Around, path: Path, on_event: OnEvent) -> Bundle:
    """The bundle of a network with weights, in torch's and in ONNX's form. Raises ``ModelError`` where the two differ."""
    from eyebright.verbs.making.bundling import write_bundle

    contents = _contents(around, filled.preprocess, filled.architecture, filled.provenance, filled.notes)
    write_bundle(filled.network, contents, path, on_event)
    return read_bundle(path)


def finish_graph(around: Around, path: Path, on_event: OnEvent) -> tuple[Bundle, tuple[str, ...]]:
    """The bundle of a file that holds its own graph, and what its reader says of it.

    Raises ``ModelError`` where the file is refused, or has another number of outputs than there are classes.
    """
    with new_directory(path) as folder:
        brought = _reader(around.found.kind)(around.found.path, around.classes, around.declared, folder, on_event)
        on_event(Phase("Writing the bundle"))
        preprocess = around.declared.preprocess(brought.size)
        probe = make_probe(preprocess)
        require_outputs(brought.predictor(probe.pixels[:1]).logits.shape[1], around.classes, around.found.path.name)
        notes = (*brought.notes, *_normalising(around.declared, brought))
        contents = _contents(around, preprocess, brought.architecture, brought.provenance, notes, _extra(brought))
        complete(folder, contents, brought.forms, probe, brought.predictor)
    return read_bundle(path), notes


def _extra(brought: Brought) -> str:
    """The extra without which no form of the bundle can run; empty where one needs none, as ONNX does."""
    return "litert" if set(brought.forms) == {"litert"} else ""


def _normalising(declared: Declared, brought: Brought) -> tuple[str, ...]:
    """A sentence about the values that the model is fed; none where its reader took them from the file, and has said so."""
    fed = brought.provenance.get("fed")
    if declared.says_normalisation:
        return (f"Pixels from 0 to 1, {declared.channels}, are normalised with {declared.normalisation()}, as declared.",)
    if fed and Normalisation(tuple(fed["mean"]), tuple(fed["std"])).is_identity:
        return ("Nothing was said of --scale, --mean or --std: the model is fed pixels from 0 to 1 as they are.",)
    return ()


def _reader(kind: Kind) -> Reader:
    module = importlib.import_module(f"eyebright.verbs.importing.{_READERS[kind]}")
    reader: Reader = module.bring
    return reader


def _contents(
    around: Around,
    preprocess: Preprocess,
    architecture: Architecture | None,
    provenance: dict[str, Any],
    notes: tuple[str, ...],
    extra: str = "",
) -> Contents:
    declared = {key: value for key, value in dataclasses.asdict(around.declared).items() if value is not None}
    told = {
        "eyebright": __version__,
        "imported": {
            "file": around.found.path.name,
            "sha256": around.found.sha256,
            "bytes": around.found.bytes,
            "kind": around.found.kind,
            "classes from": around.classes_from,
            **({"source": around.source} if around.source else {}),
            **({"licence": around.licence} if around.licence else {}),
        },
        "declared": declared,
        **provenance,
        "notes": list(notes),
    }
    return Contents(
        name=around.name,
        classes=around.classes,
        preprocess=preprocess,
        architecture=architecture,
        decision=Decision(fitted_on="nothing: the model was imported"),
        split=None,
        provenance=told,
        card=_card(around, preprocess, notes, extra),
    )


def _card(around: Around, preprocess: Preprocess, notes: tuple[str, ...], extra: str) -> str:
    """A model card that says what is known, and that it is little: nothing was trained or measured here."""
    head = [
        "---",
        f"license: {quoted((around.licence or 'unknown').lower())}",
        "library_name: eyebright",
        "pipeline_tag: image-classification",
        "tags:",
        "- eyebright",
        "- image-classification",
        "- imported",
        "---",
    ]
    found, source = around.found, f" It came from {escaped(around.source)}." if around.source else ""
    sections = [
        "\n".join(head),
        f"# {escaped(around.title or around.name)}",
        escaped(around.summary or f"Tells {len(around.classes):,} classes apart; imported from {found.path.name}."),
        f"This model was imported, not trained here: it is {found.called}, the file {escaped(found.path.name)} of "
        f"{found.bytes:,} bytes, sha256 `{found.sha256}`.{source}",
        f"Its {len(around.classes):,} classes: {_classes(around.classes)}.",
        f"## How pictures reach it\n\n{_feeding(preprocess)}\n\n" + "\n".join(f"- {escaped(note)}" for note in notes),
        "## When not to trust it\n\nNothing was measured on import: `eyebright evaluate` does that on labelled pictures. No "
        "temperature was fitted, so its probabilities are the model's own and may be too sure. It always names one of its "
        "classes, also for a picture of something else.",
        usage("`eyebright verify BUNDLE` shows that each form still computes what it did on import.", extra=extra),
        _licence(around.licence),
    ]
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def _classes(classes: tuple[str, ...]) -> str:
    between = "; " if any("," in name for name in classes) else ", "  # ImageNet's names are lists of synonyms
    shown = between.join(escaped(name) for name in classes[:_SHOWN_CLASSES])
    return f"{shown} and {len(classes) - _SHOWN_CLASSES:,} more" if len(classes) > _SHOWN_CLASSES else shown


def _feeding(preprocess: Preprocess) -> str:
    how = {
        "squash": "stretched to the size",
        "crop": f"fitted and cut to the size, {100 * preprocess.crop_fraction:.4g} % of the short side",
        "letterbox": "fitted into the size, the rest black",
    }[preprocess.resize]
    filtered = preprocess.resampler.removeprefix("pillow-")
    return f"In {preprocess.colour}, {preprocess.height} x {preprocess.width} pixels, {how}, {filtered} filter."


def _licence(licence: str | None) -> str:
    if licence:
        return f"## Licence\n\nWeights: {escaped(licence)}, as stated on import."
    return "## Licence\n\nThe licence of the weights was not stated. Ask whoever made the file before passing it on."
