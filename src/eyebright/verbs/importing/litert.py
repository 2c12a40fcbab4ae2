"""A foreign ``.tflite`` file as a form of ours: kept byte for byte, with what it takes and gives written beside it."""

import dataclasses
import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from eyebright.core.bundle import Form
from eyebright.core.errors import MissingExtraError, SettingsError
from eyebright.core.events import OnEvent, Phase
from eyebright.core.files import sha256, write_bytes
from eyebright.core.foreign import columns_fit
from eyebright.verbs.importing.apart import run_apart
from eyebright.verbs.importing.declared import RANGES, Brought, Declared, Scale
from eyebright.verbs.importing.fitting import check_pixels, fit_input, foreign_of, judge_gives
from eyebright.verbs.importing.labels import require_outputs

if TYPE_CHECKING:
    from eyebright.backends.litert_ import Tensor

LITERT_FILE = "model.tflite"
STEP = 1 / 256  # LiteRT 8-bit quantization specification: the scale of what SOFTMAX and LOGISTIC give
LEAST_SHARE, USUAL_SHARE = 1 / 16, 3 / 4  # of an input's range that pictures use: below the first it cannot be meant so
RANGE_TOLERANCE = 0.02  # of a range's width: its ends are rounded to whole steps


def bring(file: Path, classes: tuple[str, ...], declared: Declared, folder: Path, on_event: OnEvent) -> Brought:
    """The ``.tflite`` ``file`` as ``model.tflite`` in ``folder``, fed as declared and as the file itself says.

    Raises ``ModelError`` where the file is refused or does not fit, ``SettingsError`` where something must be said of it,
    ``MissingExtraError`` without the package ai-edge-litert.
    """
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise MissingExtraError.for_extra("litert", "Importing a .tflite file")
    from eyebright.backends.litert_ import read_tflite

    read_tflite(file)
    on_event(Phase("Trying the graph, in a process of its own"))
    with tempfile.TemporaryDirectory(prefix="eyebright-") as aside:
        request = {"file": str(file.resolve()), "classes": classes, "declared": dataclasses.asdict(declared)}
        run_apart("eyebright.verbs.importing.litert_process", request, Path(aside), origin=str(file))
    return read(file, classes, declared, folder, on_event)


def read(file: Path, classes: tuple[str, ...], declared: Declared, folder: Path, on_event: OnEvent) -> Brought:
    """``bring``, in this process."""
    from eyebright.backends.litert_ import LitertPredictor, choose_output, describe, read_tflite

    on_event(Phase("Reading the graph"))
    content = read_tflite(file)
    inside, outputs = describe(content, str(file))
    if len(outputs) == 1 and not columns_fit(outputs[0].columns, len(classes)):
        require_outputs(outputs[0].columns, classes, str(file))
    outside = choose_output(outputs, len(classes), str(file))
    layout, size = fit_input(inside.sides, declared, str(file))
    declared, said = _completed(declared, inside, str(file))
    trial = LitertPredictor(content, classes, foreign_of(declared, layout, "logits"), size, name=str(file))
    values = trial.values(check_pixels(size))
    gives, judged = _gives(values, declared, outside, str(file))
    foreign = foreign_of(declared, layout, gives)
    write_bytes(folder / LITERT_FILE, content)
    path = folder / LITERT_FILE
    form = Form(file=LITERT_FILE, sha256=sha256(path), bytes=path.stat().st_size, foreign=foreign)
    facts: dict[str, Any] = {
        "takes": inside.told,
        "gives": outside.told,
        "fed": foreign.model_dump(mode="json"),
    }
    predictor = LitertPredictor(content, classes, foreign, size)
    return Brought(forms={"litert": form}, predictor=predictor, size=size, provenance=facts, notes=(*judged, *said))


def _completed(declared: Declared, inside: "Tensor", origin: str) -> tuple[Declared, tuple[str, ...]]:
    """The declaration; where nothing was said of the values, with the range that an 8-bit input can hold.

    Raises ``SettingsError`` where what was declared does not fit into that range.
    """
    if inside.range is None:
        return declared, ()
    low, high = inside.range
    if declared.says_normalisation:
        return declared, _compared(declared, low, high, origin)
    scale = _scale_of(low, high)
    if scale is None:
        raise SettingsError(f"{origin} takes values from {low:.3g} to {high:.3g}. Say --scale, --mean and --std.")
    completed = dataclasses.replace(declared, scale=scale)
    return completed, (f"Its 8-bit input holds values from {low:.3g} to {high:.3g}: pixels are brought to {scale}.",)


def _compared(declared: Declared, low: float, high: float, origin: str) -> tuple[str, ...]:
    """What to say of a declared range beside that which the input can hold."""
    said, width = declared.normalisation(), high - low
    ends = [(end - mean) / std for mean, std in zip(said.mean, said.std, strict=True) for end in (0.0, 1.0)]
    words = f"holds values from {low:.3g} to {high:.3g}; what was declared runs from {min(ends):.3g} to {max(ends):.3g}"
    if min(ends) < low - width / 2 or max(ends) > high + width / 2 or max(ends) - min(ends) < LEAST_SHARE * width:
        raise SettingsError(f"{origin} {words}. Leave out --scale, --mean and --std, or correct them.")
    return (f"Its 8-bit input {words}.",) if max(ends) - min(ends) < USUAL_SHARE * width else ()


def _scale_of(low: float, high: float) -> Scale | None:
    """The range of ``--scale`` that is meant by an input that can hold ``low`` to ``high``."""
    slack = RANGE_TOLERANCE * (high - low)
    fitting = [scale for scale, (least, most) in RANGES.items() if abs(low - least) <= slack and abs(high - most) <= slack]
    return fitting[0] if fitting else None


def _gives(
    values: np.ndarray, declared: Declared, outside: "Tensor", origin: str
) -> tuple[Literal["logits", "probabilities"], tuple[str, ...]]:
    """As ``judge_gives``; an 8-bit output may round a whole row of probabilities to 0, but its range says what it is."""
    if outside.range is None or abs(outside.range[0]) > STEP / 2 or abs(outside.range[1] - 255 * STEP) > STEP / 2:
        return judge_gives(values, declared, origin)
    if declared.gives == "logits":
        return "logits", ("Its output can only hold values from 0 to 1: they look like probabilities, not logits.",)
    return "probabilities", (f"It gives probabilities, in steps of {STEP:.4f}.",)
