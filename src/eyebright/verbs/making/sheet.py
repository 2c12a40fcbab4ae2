"""The contact sheet of a data set: what a network would be shown of it, to be looked at before an hour is spent."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from eyebright.core import seeds
from eyebright.core.errors import DataError, ImageError, SettingsError
from eyebright.core.events import Note, OnEvent, Phase, Progress, silent
from eyebright.core.files import write_bytes
from eyebright.core.preprocess import Preprocess
from eyebright.data.source import Sample, Source
from eyebright.images.decode import decode_any
from eyebright.images.preprocess import prepare
from eyebright.training.augment import Augment
from eyebright.training.contact import contact_sheet

ROWS = 12  # more pictures than that are scrolled past, not looked at
ROWS_A_CLASS = 4


def make_sheet(
    source: Source,
    preprocess: Preprocess,
    augment: Augment,
    path: Path,
    *,
    seed: int = 0,
    on_event: OnEvent = silent,
) -> Path:
    """Writes the contact sheet of a few pictures of each class as a PNG, in one step, and gives its path back.

    The pictures are drawn from the train part where the source has one, always the same for the same seed. With more
    classes than rows, some classes stand for all, which is said; so is each picture that cannot be read. Raises
    ``SettingsError`` where ``path`` is not called .png, and ``DataError`` where there is no picture to show.
    """
    if path.suffix.lower() != ".png":
        raise SettingsError(
            f"The contact sheet is a PNG picture, but {path.name!r} was given. Choose a name that ends in .png."
        )
    chosen = _chosen(source, preprocess, seed, on_event)
    if not chosen:
        raise DataError(f"{source.name} has no labelled picture that can be read, so there is nothing to show.")
    samples, pictures = zip(*chosen, strict=True)
    sheet = contact_sheet(
        np.stack(pictures),
        np.array([sample.label for sample in samples], dtype=np.int64),
        source.classes,
        augment,
        hashes=seeds.key_hashes([sample.key for sample in samples]),
        seed=seed,
    )
    buffer = io.BytesIO()
    Pillow.fromarray(sheet).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())
    on_event(Note(f"The contact sheet is in {path}."))
    return path


def _chosen(source: Source, spec: Preprocess, seed: int, on_event: OnEvent) -> list[tuple[Sample, np.ndarray]]:
    """The samples of the rows with their prepared pictures, class by class."""
    by_class = _by_class(source)
    each = max(1, min(ROWS_A_CLASS, ROWS // max(1, len(by_class))))
    shown = np.unique(np.linspace(0, len(by_class) - 1, min(ROWS, len(by_class))).round().astype(int))
    if len(shown) < len(by_class):
        on_event(Note(f"The contact sheet shows {len(shown)} of {len(by_class)} classes."))
    on_event(Phase("Drawing the contact sheet", len(shown), "classes"))
    chosen: list[tuple[Sample, np.ndarray]] = []
    for done, position in enumerate(shown.tolist(), 1):
        readable = _readable(source, by_class[position], spec, seed, on_event)
        chosen += [pair for _, pair in zip(range(each), readable, strict=False)]
        on_event(Progress(done))
    return chosen


def _by_class(source: Source) -> list[list[Sample]]:
    """The samples that may be trained on, of each class that has some."""
    lists: list[list[Sample]] = [[] for _ in source.classes]
    for sample in source.part("train") or source.samples:
        if sample.label >= 0:
            lists[sample.label].append(sample)
    return [samples for samples in lists if samples]


def _readable(
    source: Source, samples: list[Sample], spec: Preprocess, seed: int, on_event: OnEvent
) -> Iterator[tuple[Sample, np.ndarray]]:
    for row in seeds.order(seed, "sheet", 0, seeds.key_hashes([sample.key for sample in samples])).tolist():
        sample = samples[row]
        try:
            yield sample, prepare(decode_any(source.read(sample.key), colour=spec.colour).picture, spec)
        except ImageError as error:
            on_event(Note(f"{sample.key} is not on the contact sheet: {error}", "warning"))
