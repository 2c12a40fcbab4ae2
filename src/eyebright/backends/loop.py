"""Predict once, judge often: the one loop that makes a table of predictions."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from eyebright.core.arrays import ByteBatch
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.predictions import Predictions
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess
from eyebright.data.pixels import prepare_all
from eyebright.data.source import Sample, Source, group_of
from eyebright.images.preprocess import to_pixels

BATCH = 64
CHUNK = 4096  # pictures prepared at a time, whatever the size of the set
CHUNK_BYTES = CHUNK * 3 * 224 * 224  # 600 MB; of larger pictures there are fewer in a chunk, so that it never needs a file
REDRAW_SECONDS = 0.1


def predictions_of(
    predictor: Predictor,
    source: Source,
    samples: Sequence[Sample],
    preprocess: Preprocess,
    *,
    on_event: OnEvent = silent,
    scratch: Path | None = None,
    contents: Sequence[str] = (),
    cache: Path | None = None,
    units: Sequence[str] = (),
) -> Predictions:
    """The table for ``samples``, in their order; pictures are prepared and asked chunk by chunk, so memory stays bounded.

    ``units`` say what belongs together, as ``unit_names`` gives them; without them it is the samples' own groups.
    ``contents`` and ``cache`` are as in ``prepare_all``.

    Raises ``ImageError`` naming the key of a picture that cannot be read.
    """
    logits: list[np.ndarray] = []
    features: list[np.ndarray] = []
    chunk = _chunk(preprocess)
    for start in range(0, len(samples), chunk):
        keys = [sample.key for sample in samples[start : start + chunk]]
        pictures = prepare_all(
            source,
            keys,
            preprocess,
            on_event=on_event,
            scratch=scratch,
            contents=contents[start : start + chunk],
            cache=cache,
        )
        on_event(Phase("Asking the model", len(keys)))
        for outputs in ask(predictor, pictures, on_event=on_event):
            logits.append(outputs[0])
            if outputs[1] is not None:
                features.append(outputs[1])
    empty = np.zeros((0, len(predictor.classes)), dtype=np.float32)
    return Predictions(
        keys=tuple(sample.key for sample in samples),
        labels=np.array([sample.label for sample in samples], dtype=np.int64),
        logits=np.concatenate(logits) if logits else empty,
        classes=predictor.classes,
        groups=tuple(units or map(group_of, samples)),
        features=np.concatenate(features) if features else None,
    )


def _chunk(preprocess: Preprocess) -> int:
    """How many pictures are prepared at a time; in whole batches where there are some, so that chunks change no answer."""
    most = min(CHUNK, CHUNK_BYTES // (3 * preprocess.height * preprocess.width))
    return max(1, most - most % BATCH if most > BATCH else most)


def ask(predictor: Predictor, pictures: ByteBatch, *, on_event: OnEvent = silent) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Logits and features of prepared pictures, batch by batch."""
    found: list[tuple[np.ndarray, np.ndarray | None]] = []
    tell = _seldom(on_event)
    for start in range(0, len(pictures), BATCH):
        outputs = predictor(to_pixels(pictures[start : start + BATCH]))
        found.append((outputs.logits, outputs.features))
        tell(min(start + BATCH, len(pictures)))
    return found


def _seldom(on_event: OnEvent) -> Callable[[int], None]:
    told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told > REDRAW_SECONDS:
            told = time.monotonic()
            on_event(Progress(done))

    return tell
