"""What is in a data set, before anything is learned from it: sizes, balance, and every fault that would mislead."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from eyebright.core.errors import DataError
from eyebright.core.events import OnEvent, silent
from eyebright.core.settings import Settings, argument
from eyebright.data import audit as auditing
from eyebright.data.audit import Audit
from eyebright.data.open import open_source
from eyebright.data.source import Source
from eyebright.data.split import find_leaks


class InspectSettings(Settings):
    """What ``inspect`` needs to know."""

    data: str = argument(
        help="The data set: a folder with one folder a class, a CSV table, a zip of either, or a known name.",
        positional=True,
        min_length=1,
    )
    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")
    group: str | None = argument(
        None, help="Regular expression over the keys that names a picture's group, e.g. '(?P<group>person\\d+)_'."
    )


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Unreadable(_Value):
    """A picture that cannot be read, and why."""

    key: str
    reason: str


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
    leaks: list[str] = Field(description="one sentence a leak between the parts that are given")
    stray: list[str]
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
    return describe(source, auditing.audit(source, on_event=on_event))


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
        leaks=[leak.sentence for leak in find_leaks(source, audit)],
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
    return found


def _imbalance_sentence(counts: dict[str, int], ratio: float) -> str:
    present = {name: count for name, count in counts.items() if count}
    largest, smallest = max(present, key=lambda name: present[name]), min(present, key=lambda name: present[name])
    return (
        f"The classes are out of balance, {ratio:.1f} to 1: {largest!r} has {present[largest]:,} pictures, "
        f"{smallest!r} has {present[smallest]:,}. Read the macro figures, not the accuracy alone."
    )


def _notes(source: Source, audit: Audit) -> list[str]:
    notes = []
    if audit.duplicates:
        copies = sum(len(cluster) - 1 for cluster in audit.duplicates)
        notes.append(f"Exact copies of other pictures: {copies:,}. A split keeps copies in one part.")
    if unlabelled := sum(sample.label < 0 for sample in source.samples):
        notes.append(f"Pictures without a label: {unlabelled:,}.")
    if source.stray:
        notes.append(f"Files that are no picture of a class: {len(source.stray):,}, first {source.stray[0]}. They are ignored.")
    for warning, (count, first) in auditing.warning_counts(audit).items():
        notes.append(f"{warning} (pictures: {count:,}, first {first})")
    return notes
