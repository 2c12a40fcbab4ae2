"""The first step of ``train``: open the data, read every picture once, refuse what is unfit, and split."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eyebright.core.arrays import Labels
from eyebright.core.errors import DataError, SettingsError
from eyebright.core.events import Choice, Note, OnEvent
from eyebright.core.files import cache_home, sha256_of_json, write_json
from eyebright.core.run import Run
from eyebright.data import pixel_cache, scan_cache
from eyebright.data.audit import Audit, audit, refuse_unfit
from eyebright.data.folds import usable_folds
from eyebright.data.open import open_source
from eyebright.data.source import Sample, Source
from eyebright.data.split import Split, make_split, split_from_json, split_to_json, unit_names
from eyebright.evaluation.subgroups import check_columns
from eyebright.verbs.making.settings import TrainSettings

VALIDATION = 0.15  # of the whole set
VALIDATION_MOST = 5000  # pictures; an accuracy from 5,000 is known to one point, and the rest trains


@dataclasses.dataclass(frozen=True)
class Material:
    """The data as it will be used."""

    source: Source
    audit: Audit
    split: Split

    def samples(self, *parts: str) -> list[Sample]:
        """The samples of ``parts``, in the order of their keys."""
        wanted = {key for part in parts for key in self.split.parts[part]}
        return [sample for sample in self.source.samples if sample.key in wanted]

    @property
    def majority(self) -> int:
        """The label of the largest class in train, the first of them where several are."""
        return int(np.bincount(labels_of(self.samples("train")), minlength=len(self.source.classes)).argmax())

    def contents(self, samples: Sequence[Sample]) -> list[str]:
        """The sha256 of each sample's decoded picture."""
        return [self.audit.scanned[sample.key].pixels_sha256 for sample in samples]

    @property
    def pixel_cache(self) -> Path | None:
        """Where prepared pictures are kept for the next run; None where they may not be."""
        return pixel_cache.place_for(self.audit.scanned.values())


def gather(settings: TrainSettings, on_event: OnEvent) -> Material:
    """The material for the run. Raises ``DataError`` where the data is missing or unfit, or leaks and leaks are refused."""
    source = open_source(settings.data, data_home=settings.data_home, group=settings.group)
    check_columns(source.columns, settings.subgroups)
    for note in source.notes:
        on_event(Note(note))
    found = audit(source, on_event=on_event, cache=cache_home() / scan_cache.FOLDER)
    refuse_unfit(source, found, allow_bad=settings.allow_bad)
    if found.unreadable:
        names = ", ".join(list(found.unreadable)[:3])
        on_event(Note(f"{len(found.unreadable)} pictures cannot be read and are left out: {names}", "warning"))
    for note in found.near_notes:
        on_event(Note(note, "warning"))
    validation = _validation_fraction(settings, len(source.samples), on_event)
    split = make_split(
        source, found, test=settings.test, validation=validation, calibration=settings.calibration, seed=settings.seed
    )
    for note in split.notes:
        on_event(Note(note, "warning"))
    _refuse_empty(source, split)
    _judge_leaks(split, settings, on_event)
    material = Material(source, found, split)
    if settings.folds:
        _refuse_impossible_folds(material, settings.folds)
    if settings.baselines:  # they choose their settings by folds: too few groups are refused now, not after the training
        samples = material.samples("train", "validation")
        usable_folds(labels_of(samples), unit_names(samples, found), settings.folds or settings.head_folds)
    if settings.distil and not split.parts["calibration"]:
        raise SettingsError(
            "--distil needs pictures for the temperature of the network that it makes: no other held-out predictions of that "
            "network exist. Give --calibration 0.1 or so."
        )
    return material


def _validation_fraction(settings: TrainSettings, n: int, on_event: OnEvent) -> float:
    """What was asked for, or ``VALIDATION``; less of a large set."""
    if settings.validation is not None:
        return settings.validation
    if n * VALIDATION <= VALIDATION_MOST:
        return VALIDATION
    why = f"of {n:,} pictures, {VALIDATION_MOST:,} decide well enough; --validation changes it"
    on_event(Choice("validation", f"{VALIDATION_MOST:,} pictures", why))
    return VALIDATION_MOST / n


def _refuse_empty(source: Source, split: Split) -> None:
    empty = [part for part in ("train", "validation", "test") if not split.parts[part]]
    if empty:
        counts = ", ".join(f"{part} {len(keys)}" for part, keys in split.parts.items())
        raise DataError(
            f"{source.name} has {len(source.samples)} pictures, too few for every part: {counts}. Each of train, "
            "validation and test needs some. Add pictures, or change --test and --validation."
        )


def _refuse_impossible_folds(material: Material, wanted: int) -> None:
    samples = material.samples("train", "validation")
    possible, _ = usable_folds(labels_of(samples), unit_names(samples, material.audit), wanted)
    if possible < wanted:
        raise SettingsError(
            f"--folds is {wanted}; the rarest class has {possible} separate groups outside the test part, and every fold needs "
            f"one. Give --folds {possible} or less, or add pictures of that class."
        )


def _judge_leaks(split: Split, settings: TrainSettings, on_event: OnEvent) -> None:
    if not split.leaks:
        return
    sentences = " ".join(leak.sentence for leak in split.leaks)
    if settings.on_leak == "refuse":
        raise DataError(f"{sentences} --on-leak refuse was given. Move these pictures into one part, or use --on-leak report.")
    on_event(Note(sentences, "warning"))


def keep_split(material: Material, run: Run) -> None:
    """Writes the split into the run. Raises ``DataError`` where the run was begun with other pictures or another split."""
    # The fingerprint knows keys only; a checkpoint of other pixels under the same names must not be gone on with either, nor
    # one of other labels: its outputs would go by the names of other classes.
    source = material.source
    pixels = sha256_of_json({key: found.pixels_sha256 for key, found in material.audit.scanned.items()})
    meant = [
        [sample.key, source.classes[sample.label] if sample.label >= 0 else None, sample.group] for sample in source.samples
    ]
    labels = sha256_of_json([source.classes, meant])
    value = {**split_to_json(material.split), "pixels": pixels, "labels": labels}
    if run.split.exists():
        stored = json.loads(run.split.read_text(encoding="utf-8"))
        before = split_from_json(stored)
        if before.fingerprint != material.split.fingerprint:
            raise DataError(
                f"The data has changed since {run.path} was begun: its split was {before.fingerprint[:12]}..., it is "
                f"{material.split.fingerprint[:12]}... now. Bring the pictures back, or begin a new run."
            )
        if stored.get("pixels", pixels) != pixels:
            raise DataError(
                f"Some pictures have changed since {run.path} was begun, under the same names. Bring the old ones back, or "
                "begin a new run."
            )
        if stored.get("labels", labels) != labels:
            raise DataError(
                f"Labels, class names or groups have changed since {run.path} was begun. Bring the old ones back, or begin "
                "a new run."
            )
        return
    write_json(run.split, value)


def labels_of(samples: list[Sample]) -> Labels:
    """The label of each sample."""
    return np.array([sample.label for sample in samples], dtype=np.int64)
