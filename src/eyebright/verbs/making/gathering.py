"""The first step of ``train``: open the data, read every picture once, refuse what is unfit, and split."""

import dataclasses

import numpy as np

from eyebright.core.arrays import Labels
from eyebright.core.errors import DataError
from eyebright.core.events import Note, OnEvent
from eyebright.core.files import write_json
from eyebright.core.run import Run
from eyebright.data.audit import Audit, audit, refuse_unfit
from eyebright.data.open import open_source
from eyebright.data.source import Sample, Source, group_of
from eyebright.data.split import Split, make_split, split_to_json
from eyebright.verbs.making.settings import TrainSettings

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

    def contents(self, samples: list[Sample]) -> list[str]:
        """The sha256 of each sample's decoded picture."""
        return [self.audit.scanned[sample.key].pixels_sha256 for sample in samples]


def gather(settings: TrainSettings, on_event: OnEvent) -> Material:
    """The material for the run. Raises ``DataError`` where the data is missing or unfit, or leaks and leaks are refused."""
    source = open_source(settings.data, data_home=settings.data_home, group=settings.group)
    for note in source.notes:
        on_event(Note(note))
    found = audit(source, on_event=on_event)
    refuse_unfit(source, found, allow_bad=settings.allow_bad)
    if found.unreadable:
        names = ", ".join(list(found.unreadable)[:3])
        on_event(Note(f"{len(found.unreadable)} pictures cannot be read and are left out: {names}", "warning"))
    validation = min(settings.validation, VALIDATION_MOST / max(1, len(source.samples)))
    split = make_split(
        source, found, test=settings.test, validation=validation, calibration=settings.calibration, seed=settings.seed
    )
    for note in split.notes:
        on_event(Note(note, "warning"))
    _judge_leaks(split, settings, on_event)
    return Material(source, found, split)


def _judge_leaks(split: Split, settings: TrainSettings, on_event: OnEvent) -> None:
    if not split.leaks:
        return
    sentences = " ".join(leak.sentence for leak in split.leaks)
    if settings.on_leak == "refuse":
        raise DataError(f"{sentences} --on-leak refuse was given. Move these pictures into one part, or use --on-leak report.")
    on_event(Note(sentences, "warning"))


def keep_split(material: Material, run: Run) -> None:
    """Writes the split into the run. Raises ``DataError`` where the run was begun with other pictures or another split."""
    value = split_to_json(material.split)
    if run.split.exists():
        import json

        from eyebright.data.split import split_from_json

        before = split_from_json(json.loads(run.split.read_text(encoding="utf-8")))
        if before.fingerprint != material.split.fingerprint:
            raise DataError(
                f"The data has changed since {run.path} was begun: its split was {before.fingerprint[:12]}..., it is "
                f"{material.split.fingerprint[:12]}... now. Bring the pictures back, or begin a new run."
            )
        return
    write_json(run.split, value)


def labels_of(samples: list[Sample]) -> Labels:
    """The label of each sample."""
    return np.array([sample.label for sample in samples], dtype=np.int64)


def groups_of(samples: list[Sample]) -> list[str]:
    """The group of each sample, its own key where it has none."""
    return [group_of(sample) for sample in samples]
