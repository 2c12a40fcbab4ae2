"""What is in a data set, before anything is learned from it: sizes, balance, and every fault that would mislead."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eyebright.core.bundle import safe_name
from eyebright.core.errors import DataError
from eyebright.core.events import OnEvent, silent
from eyebright.core.files import cache_home
from eyebright.core.report import Shortcut
from eyebright.core.settings import Settings, argument
from eyebright.data import audit as auditing
from eyebright.data import scan_cache
from eyebright.data.audit import Audit
from eyebright.data.leaks import find_leaks
from eyebright.data.near import LEAST_SIDE
from eyebright.data.open import open_source
from eyebright.data.source import Source
from eyebright.verbs.making.suspecting import shortcuts_of

MOST_SHOWN, LEAST_SHOWN = 224, 32  # pixels of a picture on the contact sheet


class InspectSettings(Settings):
    """What ``inspect`` needs to know."""

    data: str = argument(
        help="The data set: a folder with one folder a class, a CSV table, a zip or tar of either, an .npz, or a known name.",
        positional=True,
        min_length=1,
    )
    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")
    group: str | None = argument(
        None, help="Regular expression over the keys that names a picture's group, e.g. '(?P<group>person\\d+)_'."
    )
    augment: Literal["light", "medium", "strong"] | None = argument(
        None, help="Draw a contact sheet of what training with this dial would see.", section="The contact sheet"
    )
    sheet: Path | None = argument(
        None, help="Its PNG file. Default: NAME-AUGMENT.png in this folder.", section="The contact sheet"
    )
    flip: bool = argument(False, help="With mirrored copies.", section="The contact sheet")
    size: int | None = argument(
        None,
        help="Pixels of height and width. Default: the pictures' own, 224 at most.",
        section="The contact sheet",
        ge=8,
        le=512,
    )
    seed: int = argument(0, help="Which pictures, and which changes.", section="The contact sheet", ge=0, lt=2**63)

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.sheet is not None and self.augment is None:
            raise ValueError("--sheet needs --augment light, medium or strong: how much the pictures are changed")
        if self.sheet is not None and self.sheet.suffix.lower() != ".png":
            raise ValueError(f"--sheet is {self.sheet.name!r}; the name of a PNG picture was expected, ending in .png")
        return self


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Unreadable(_Value):
    """A picture that cannot be read, and why."""

    key: str
    reason: str


class NearCopies(_Value):
    """Two pictures that are nearly the same. ``correlation`` is of their slopes after alignment, at most 1."""

    first: str
    second: str
    correlation: float
    mirrored: bool


class Inspection(_Value):
    """What ``inspect --json`` prints. ``n``, ``classes`` and ``parts`` count the unreadable pictures too."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema", ge=1, le=1)
    name: str
    n: int
    classes: dict[str, int]
    parts: dict[str, dict[str, int]] = Field(description="the parts that the data set itself gives: class: count")
    groups: int = Field(description="how many groups the data set names; 0 where it names none")
    sizes: dict[str, tuple[int, int]] = Field(description="smallest, median and largest picture by area: height, width")
    modes: dict[str, int]
    formats: dict[str, int]
    imbalance: float = Field(description="largest class over smallest, of the readable pictures")
    unreadable: list[Unreadable]
    duplicates: list[list[str]] = Field(description="clusters of keys whose decoded pixels are identical")
    conflicts: list[list[str]] = Field(description="the clusters among them whose labels differ")
    near_duplicates: list[list[str]] = Field(
        description="clusters of keys whose pictures are re-encoded, resized, slightly cropped or mirrored copies"
    )
    near_pairs: list[NearCopies] = Field(description="the pairs that link these clusters")
    near_conflicts: list[list[str]] = Field(description="the clusters among them whose labels differ")
    look_alikes: list[list[str]] = Field(description="clusters of like pictures that are too large to be copies of one another")
    leaks: list[str] = Field(description="one sentence a leak between the parts that are given")
    shortcuts: list[Shortcut] = Field(description="what each cue beside the subject alone tells of the label")
    stray: list[str]
    sheet: str | None = Field(default=None, description="where the contact sheet was written")
    warnings: list[str] = Field(description="what else would mislead; conflicts and leaks are said above, once")
    notes: list[str]


def inspect(data: str | Path, *, on_event: OnEvent = silent, **settings: Any) -> Inspection:
    """The inspection of a data set: every picture is decoded once. ``settings`` are those of ``InspectSettings``.

    Raises ``DataError`` where there is no such data set; faults within it are reported, not raised.
    """
    return run(InspectSettings.resolve({"data": str(data), **settings}), on_event)


def run(settings: InspectSettings, on_event: OnEvent = silent) -> Inspection:
    """The inspection that ``settings`` ask for."""
    source = open_source(settings.data, data_home=settings.data_home, group=settings.group)
    found = auditing.audit(source, on_event=on_event, cache=cache_home() / scan_cache.FOLDER)
    inspection = describe(source, found)
    if settings.augment is None:
        return inspection
    return inspection.model_copy(update={"sheet": str(_draw(settings, source, found, on_event))})


def _draw(settings: InspectSettings, source: Source, found: Audit, on_event: OnEvent) -> Path:
    """The path of the contact sheet. It needs torch, as training does."""
    from eyebright.core.preprocess import Preprocess
    from eyebright.training.augment import dial
    from eyebright.verbs.making.sheet import make_sheet

    assert settings.augment is not None
    median = auditing.size_summary(found).get("median", (MOST_SHOWN, MOST_SHOWN))
    side = settings.size or min(MOST_SHOWN, max(LEAST_SHOWN, *median))
    path = settings.sheet or Path(f"{safe_name(source.name)}-{settings.augment}.png")
    change = dial(settings.augment, flip=settings.flip)
    return make_sheet(source, Preprocess(height=side, width=side), change, path, seed=settings.seed, on_event=on_event)


def describe(source: Source, audit: Audit) -> Inspection:
    """What an audit found, with the sentences that a person should read."""
    return Inspection(
        name=source.name,
        n=len(source.samples),
        classes=auditing.class_counts(source),
        parts=auditing.part_counts(source),
        groups=len({sample.group for sample in source.samples} - {None}),
        sizes=auditing.size_summary(audit),
        modes=auditing.mode_counts(audit),
        formats=auditing.format_counts(audit),
        imbalance=auditing.imbalance(auditing.class_counts(source, audit)),
        unreadable=[Unreadable(key=key, reason=reason) for key, reason in audit.unreadable.items()],
        duplicates=[list(cluster) for cluster in audit.duplicates],
        conflicts=[list(cluster) for cluster in audit.conflicts],
        near_duplicates=[list(cluster) for cluster in audit.near],
        near_pairs=[NearCopies(**dataclasses.asdict(pair)) for pair in audit.near_pairs],
        near_conflicts=[list(cluster) for cluster in auditing.conflicting(source, audit.near)],
        look_alikes=[list(cluster) for cluster in audit.reported],
        leaks=[leak.sentence for leak in find_leaks(source, audit)],
        shortcuts=shortcuts_of(source, audit),
        stray=list(source.stray),
        warnings=[*_unfit(source, audit), *_warnings(source, audit)],
        notes=[*source.notes, *_notes(source, audit)],
    )


def _unfit(source: Source, audit: Audit) -> list[str]:
    """Why ``train`` would refuse the data set; empty where it would not."""
    try:
        auditing.refuse_unfit(source, audit)
    except DataError as error:
        return [str(error).replace("with --allow-bad", "with train --allow-bad")]  # inspect has no such flag
    return []


def _warnings(source: Source, audit: Audit) -> list[str]:
    found = []
    counts = auditing.class_counts(source, audit)
    if (ratio := auditing.imbalance(counts)) > auditing.IMBALANCE_LIMIT:
        found.append(_imbalance_sentence(counts, ratio))
    if bad := len(audit.unreadable):
        found.append(f"Of {len(source.samples):,} pictures {bad:,} cannot be read; training leaves them out.")
    return [*found, *audit.near_notes]


def _imbalance_sentence(counts: dict[str, int], ratio: float) -> str:
    present = {name: count for name, count in counts.items() if count}
    largest, smallest = max(present, key=lambda name: present[name]), min(present, key=lambda name: present[name])
    return (
        f"The classes are out of balance, {ratio:.1f} to 1: {largest!r} has {present[largest]:,} pictures, "
        f"{smallest!r} has {present[smallest]:,}. Read the figures that count each class the same, such as "
        "balanced accuracy, not the accuracy alone."
    )


def _notes(source: Source, audit: Audit) -> list[str]:
    notes = []
    if audit.duplicates:
        copies = sum(len(cluster) - 1 for cluster in audit.duplicates)
        notes.append(f"Exact copies of other pictures: {copies:,}. A split keeps copies in one part.")
    if near := auditing.near_count(audit):
        notes.append(f"Near copies of other pictures: {near:,}. A split keeps them in one part.")
    if small := auditing.small_count(audit):
        notes.append(f"Pictures under {LEAST_SIDE} pixels: {small:,}. Only exact copies are looked for among them.")
    if unlabelled := sum(sample.label < 0 for sample in source.samples):
        notes.append(f"Pictures without a label: {unlabelled:,}.")
    if source.stray:
        notes.append(f"Files that are no picture of a class: {len(source.stray):,}, first {source.stray[0]}. They are ignored.")
    for warning, (count, first) in auditing.warning_counts(audit).items():
        notes.append(f"{warning} (pictures: {count:,}, first {first})")
    return notes
