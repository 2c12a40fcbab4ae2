"""A foreign ONNX file as a form of ours: wrapped, and proven against the file as it came."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eyebright.core.arrays import Logits, Pixels, softmax
from eyebright.core.bundle import Form, Parity
from eyebright.core.errors import MissingExtraError, ModelError, SettingsError
from eyebright.core.events import OnEvent, Phase
from eyebright.core.files import sha256, write_bytes
from eyebright.core.foreign import Foreign, columns_fit, logits_from, values_for
from eyebright.core.parity import allowed_difference, compare_logits
from eyebright.verbs.importing.declared import Brought, Declared
from eyebright.verbs.importing.fitting import check_pixels, fit_input, foreign_of, judge_gives
from eyebright.verbs.importing.labels import require_outputs

if TYPE_CHECKING:
    from eyebright.export.original import Original

ONNX_FILE = "model.onnx"
LEAST_PROBABILITY = 1e-4  # below it, the logarithms of two equal softmaxes differ by their rounding
BRIGHTEST_OF_FRACTIONS = 16.0  # whole numbers that go no further than this are a range that was not said


def bring(file: Path, classes: tuple[str, ...], declared: Declared, folder: Path, on_event: OnEvent) -> Brought:
    """The ONNX ``file`` as ``model.onnx`` in ``folder``, with all that was declared inside.

    Raises ``ModelError`` where the file is refused or does not fit, ``SettingsError`` where something must be said of it,
    ``MissingExtraError`` without the package onnx.
    """
    require_onnx("Importing an ONNX file")
    from eyebright.export.original import read_onnx

    on_event(Phase("Reading the graph"))
    content, model = read_onnx(file)
    made_by = " ".join(part for part in (model.producer_name, model.producer_version) if part)
    brought = bring_graph(content, str(file), classes, declared, folder, on_event)
    return dataclasses.replace(brought, provenance={**brought.provenance, "written by": made_by or "unknown"})


def require_onnx(purpose: str) -> None:
    """Raises ``MissingExtraError`` where the package that reads and writes graphs is missing."""
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError.for_extra("train", purpose)


def bring_graph(
    content: bytes, origin: str, classes: tuple[str, ...], declared: Declared, folder: Path, on_event: OnEvent
) -> Brought:
    """The graph in ``content`` as ``model.onnx`` in ``folder``; ``origin`` is what errors call it. Raises as ``bring`` does."""
    from eyebright.backends.onnx_ import OnnxPredictor
    from eyebright.export.original import Original, opset_of, parse_onnx
    from eyebright.export.wrap import ends_in, wrap

    model = parse_onnx(content, origin)
    original = Original(content, origin)
    declared, notes = _range_of(original, declared)
    layout, size = fit_input(original.shape, declared, origin)
    pixels, fed = check_pixels(size), foreign_of(declared, layout, "logits")
    _choose_output(original, pixels, fed, classes)
    values = original.values(pixels, fed)
    gives, judged = judge_gives(values, declared, origin, closing=ends_in(model, original.output))
    foreign = foreign_of(declared, layout, gives)
    on_event(Phase("Writing the ONNX form"))
    wrapped = wrap(model, original, foreign, size, classes=classes, name=Path(origin).stem)
    expected = comparable(logits_from(values, foreign), foreign)
    batch = _write(wrapped, folder / ONNX_FILE, original, pixels, expected, foreign)
    predictor = OnnxPredictor(folder / ONNX_FILE, classes)
    parity = compare_logits(expected, comparable(predictor(pixels).logits, foreign), name="file")
    _require_same(parity, expected, origin)
    form = Form(file=ONNX_FILE, sha256=sha256(folder / ONNX_FILE), bytes=(folder / ONNX_FILE).stat().st_size, parity=parity)
    facts: dict[str, Any] = {"operator set": opset_of(model), "fed": foreign.model_dump(mode="json")}
    if batch:
        notes = (*notes, f"It takes {'one picture' if batch == 1 else f'{batch} pictures'} at a time; more go through in turn.")
    return Brought(forms={"onnx": form}, predictor=predictor, size=size, provenance=facts, notes=(*judged, *notes))


def comparable(logits: Logits, foreign: Foreign) -> Logits:
    """Logits as two forms can be compared: those of a file that gives probabilities are known up to a number a picture."""
    if foreign.gives == "logits":
        return logits
    logarithms: Logits = np.log(np.maximum(softmax(logits), np.float32(LEAST_PROBABILITY)))
    return logarithms


def _range_of(original: "Original", declared: Declared) -> tuple[Declared, tuple[str, ...]]:
    """The declaration, completed where the graph takes whole numbers, which can only be those of a decoded picture."""
    if original.kind is not np.uint8:
        return declared, ()
    if not declared.says_normalisation:
        return dataclasses.replace(declared, scale="0..255"), ("It takes whole numbers: pixels from 0 to 255.",)
    said = declared.normalisation()
    if max((1 - mean) / std for mean, std in zip(said.mean, said.std, strict=True)) < BRIGHTEST_OF_FRACTIONS:
        raise SettingsError(f"{original.name} takes whole numbers, which fractions would not survive. Say --scale 0..255.")
    return declared, ()


def _choose_output(original: "Original", pixels: Pixels, fed: Foreign, classes: tuple[str, ...]) -> None:
    blank = values_for(pixels[:1], fed)
    sizes = list(original.sizes(blank).values())
    if len(sizes) == 1 and not columns_fit(sizes[0], len(classes)):
        require_outputs(sizes[0], classes, original.name)
    original.choose_output(blank, len(classes))


def _write(wrapped: Any, path: Path, original: "Original", pixels: Pixels, expected: Logits, foreign: Foreign) -> int | None:
    """Writes the graph for any number of pictures at once, or for as many as the file takes where that gives other answers.

    Gives that number; None where it is open.
    """
    from eyebright.export.original import in_one_batch
    from eyebright.export.wrap import with_batch

    content = wrapped.SerializeToString()
    found = in_one_batch(content, pixels)
    batch = None
    if found is None or found.shape != expected.shape or not _same(comparable(found, foreign), expected):
        batch = original.batch or 1
        content = with_batch(wrapped, batch).SerializeToString()
    write_bytes(path, content)
    return batch


def _same(found: Logits, expected: Logits) -> bool:
    return bool(np.abs(found - expected).max() <= allowed_difference(expected))


def _require_same(parity: Parity, expected: Logits, origin: str) -> None:
    if parity.max_difference > allowed_difference(expected):
        raise ModelError(
            f"{origin}, wrapped, differs from the file by {parity.max_difference:.2g}; {allowed_difference(expected):.2g} is "
            "rounding. The bundle is not written; export the model with --layout and normalisation said, or as another format."
        )
