"""What the parts that a data set gives itself have in common, and should not: copies, near copies, pictures of one group."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from eyebright.data.audit import Audit
from eyebright.data.source import PARTS, Sample, Source

_Marks = Mapping[str, Mapping[str, str]]  # kind of leak -> key -> what pictures that leak have in common


@dataclasses.dataclass(frozen=True)
class Leak:
    """Pictures of the held-out part ``parts[1]`` of which ``parts[0]`` has a copy, exact or near, or another of the group."""

    kind: Literal["duplicate", "near", "group"]
    parts: tuple[str, str]
    keys: tuple[str, ...]
    sentence: str

    @property
    def count(self) -> int:
        """How many pictures of the held-out part leaked."""
        return len(self.keys)


def find_leaks(source: Source, audit: Audit) -> tuple[Leak, ...]:
    """What leaks between the parts that the source itself gives; empty where it gives none.

    Test is compared with every other part, validation and calibration with train: by identical pixels, by near copies (those
    that are no exact ones), and by group.
    """
    if not source.has_parts:
        return ()
    members = {part: [s for s in source.samples if s.part == part and s.key in audit.scanned] for part in PARTS}
    members["train"] += [s for s in source.samples if s.part is None and s.key in audit.scanned]
    marks = _marks(source, audit)
    pairs = [(other, "test") for other in PARTS[:3]] + [("train", "validation"), ("train", "calibration")]
    leaks = (
        _leak(kind, (seen, held_out), members[seen], members[held_out], marks) for seen, held_out in pairs for kind in marks
    )
    return tuple(leak for leak in leaks if leak.keys)


def _marks(source: Source, audit: Audit) -> _Marks:
    """What pictures of the source have, by kind and key."""
    pixels = {key: found.pixels_sha256 for key, found in audit.scanned.items()}
    cluster = {key: keys[0] for keys in audit.near for key in keys}
    group = {sample.key: sample.group for sample in source.samples if sample.group is not None}
    return {"duplicate": pixels, "near": cluster, "group": group}


def _leak(kind: Any, parts: tuple[str, str], seen: list[Sample], held_out: list[Sample], marks: _Marks) -> Leak:
    keys = _with_a_mark_of(seen, held_out, marks[kind])
    if kind == "near":
        keys -= _with_a_mark_of(seen, held_out, marks["duplicate"])
    return Leak(kind, parts, tuple(sorted(keys)), _leak_sentence(kind, parts, len(keys), len(held_out)))


def _with_a_mark_of(seen: list[Sample], held_out: list[Sample], mark_of: Mapping[str, str]) -> set[str]:
    """The keys of ``held_out`` whose mark some picture of ``seen`` has too."""
    known = {mark_of[sample.key] for sample in seen if sample.key in mark_of}
    return {sample.key for sample in held_out if mark_of.get(sample.key) in known}


def _leak_sentence(kind: str, parts: tuple[str, str], count: int, total: int) -> str:
    seen, held_out = parts
    subject = f"{count:,} of {total:,} {held_out} pictures"
    one = count == 1
    source = "training" if seen == "train" else seen
    if kind == "duplicate":
        return f"{subject} {'is an exact copy' if one else 'are exact copies'} of {source} pictures."
    if kind == "near":
        how = "re-encoded, resized, cropped or mirrored"
        return f"{subject} {'is a near copy' if one else 'are near copies'} ({how}) of {source} pictures."
    return f"{subject} {'belongs to a group' if one else 'belong to groups'} (patient, camera, track) also in {seen}."
