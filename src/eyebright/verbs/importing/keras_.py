"""A Keras file as a form of ours: read, checked and exported in a process of its own, then wrapped like any ONNX graph."""

import dataclasses
import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.core.errors import MissingExtraError, ModelError
from eyebright.core.events import OnEvent, Phase
from eyebright.core.parity import allowed_difference, compare_logits
from eyebright.verbs.importing.apart import run_apart
from eyebright.verbs.importing.declared import Brought, Declared
from eyebright.verbs.importing.onnx_ import bring_graph

PACKAGES = ("keras", "h5py", "torch", "onnx", "onnxscript")
MOST_BYTES = 4 * 2**30
MOST_GOLDEN = 2**30  # bytes: four pictures of 4096 x 4096 pixels are less


def bring(file: Path, classes: tuple[str, ...], declared: Declared, folder: Path, on_event: OnEvent) -> Brought:
    """The Keras ``file``, .keras or .h5, as ``model.onnx`` in ``folder``, with all that was declared inside.

    Raises ``ModelError`` where the file holds code or layers that are not Keras' own, is damaged, or gives other answers as
    ONNX; ``SettingsError`` where something must be said of it; ``MissingExtraError`` without Keras.
    """
    if not all(importlib.util.find_spec(package) for package in PACKAGES):
        raise MissingExtraError.for_extra("keras", "Importing a Keras model")
    if file.stat().st_size > MOST_BYTES:
        raise ModelError(f"{file} is larger than {MOST_BYTES >> 30} GiB; at most that much is read.")
    on_event(Phase("Reading the Keras model, in a process of its own"))
    with tempfile.TemporaryDirectory(prefix="eyebright-") as aside:
        place = Path(aside)
        environment = {"KERAS_BACKEND": "torch", "KERAS_HOME": aside}
        run_apart(
            "eyebright.verbs.importing.keras_process",
            _request(file, declared),
            place,
            origin=str(file),
            environment=environment,
        )
        content, about = _handed_back(place, file)
        facts = _proven(content, place, file)
    brought = bring_graph(content, str(file), classes, declared, folder, on_event)
    return dataclasses.replace(brought, provenance={**brought.provenance, **about, "keras and its graph": facts})


def _request(file: Path, declared: Declared) -> dict[str, Any]:
    said = declared.normalisation()
    ends = [(end - mean) / std for mean, std in zip(said.mean, said.std, strict=True) for end in (0.0, 1.0)]
    return {
        "file": str(file.resolve()),
        "size": declared.size,
        "planes": declared.planes,
        "layout": declared.layout,
        "range": (min(ends), max(ends)),
    }


def _handed_back(place: Path, file: Path) -> tuple[bytes, dict[str, str]]:
    try:
        about = json.loads((place / "about.json").read_text(encoding="utf-8"))
        return (place / "raw.onnx").read_bytes(), {str(key): str(value)[:60] for key, value in about.items()}
    except (OSError, ValueError, AttributeError):
        raise ModelError(f"{file} was read without a result. Save it again, or export it as ONNX where it was made.") from None


def _proven(content: bytes, place: Path, file: Path) -> dict[str, Any]:
    """How far the exported graph is from Keras itself. Raises ``ModelError`` where it is another model."""
    from eyebright.export.original import Original, parse_onnx

    parse_onnx(content, f"{file}, exported,")
    values, answers = _golden(place, file)
    original = Original(content, str(file))
    original.choose_output(values[:1], answers.shape[1])
    found = np.stack([original.ask(values[row : row + 1]) for row in range(len(values))])
    parity = compare_logits(answers, found, name="keras")
    if parity.max_difference > allowed_difference(answers):
        raise ModelError(
            f"{file} gives other answers as ONNX than in Keras, by {parity.max_difference:.2g}; at most "
            f"{allowed_difference(answers):.2g} is rounding. Export it as ONNX where it was made."
        )
    return {"n": parity.n, "max_difference": parity.max_difference, "agreement": parity.agreement}


def _golden(place: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
    path = place / "golden.npz"
    try:
        if path.stat().st_size > MOST_GOLDEN:
            raise ValueError("too large")
        with np.load(path, allow_pickle=False) as arrays:
            values, answers = (np.asarray(arrays[name], dtype=np.float32) for name in ("values", "answers"))
        return values, answers.reshape(len(values), -1)
    except (OSError, ValueError, KeyError):
        raise ModelError(f"{file} was read without golden answers. Save it again.") from None
