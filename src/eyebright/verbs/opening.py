"""A bundle opened in the form that answers soonest: for few pictures the one that starts first, for many the quickest."""

import time

import numpy as np

from eyebright.backends.open import open_predictor, ways
from eyebright.core.bundle import Bundle
from eyebright.core.errors import ModelError
from eyebright.core.predictor import Predictor
from eyebright.images.preprocess import to_pixels
from eyebright.verbs.verify import decode_probe, golden_difference

MANY = 200  # pictures: a second or two of answers; what is gained on fewer is less than opening another form takes
BATCH = 16
TIMED = 0.25  # seconds a form
COMPARED = ("onnx", "openvino", "litert")  # torch takes seconds to start, and is nowhere quicker


def open_quickest(bundle: Bundle, *, form: str, pictures: int, threads: int | None = None) -> tuple[Predictor, str]:
    """A predictor of ``bundle`` for ``pictures`` pictures, and why it is of this form.

    Where ``form`` is auto and the pictures are many, every form that is installed, quick to open and true to the golden answers
    is timed. Raises as ``open_predictor`` does.
    """
    candidates = [name for name, installed in ways(bundle).items() if installed and name in COMPARED]
    if form != "auto" or pictures < MANY or len(candidates) < 2:
        return open_predictor(bundle, form=form, threads=threads)
    prepared, _ = decode_probe(bundle)
    if not prepared:  # nothing to hold the forms to
        return open_predictor(bundle, form=form, threads=threads)
    pixels = to_pixels(np.stack([picture for _, picture in prepared]))
    batch = pixels[np.arange(BATCH) % len(pixels)]
    rates: dict[str, float] = {}
    opened: dict[str, Predictor] = {}
    for name in candidates:
        try:
            opened[name], _ = open_predictor(bundle, form=name, threads=threads)
            golden_difference(opened[name], prepared)
        except ModelError:
            continue
        rates[name] = _rate(opened[name], batch)
    if not rates:
        return open_predictor(bundle, form=form, threads=threads)
    best = max(rates, key=rates.__getitem__)
    measured = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    return opened[best], f"the quickest here, in pictures a second: {measured}"


def _rate(predictor: Predictor, batch: np.ndarray) -> float:
    """Pictures a second."""
    predictor(batch)
    calls, started = 0, time.perf_counter()
    while not calls or time.perf_counter() - started < TIMED:
        predictor(batch)
        calls += 1
    return calls * len(batch) / (time.perf_counter() - started)
