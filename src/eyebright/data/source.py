"""A source of labelled pictures: classes, samples, and a way to read each one."""

import dataclasses
from collections.abc import Callable, Mapping

from eyebright.core.arrays import Image

PARTS = ("train", "validation", "calibration", "test")


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One picture. ``key`` is its path within the source, with ``/``: stable, unique, never an index.

    ``label`` indexes the source's classes (-1 where unknown); ``part`` is given by the source or None; ``group`` is the
    patient, camera or track, or None for a picture that is a group of its own.
    """

    key: str
    label: int
    part: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """Classes by name, samples in the order of their keys, and ``read``: key -> encoded bytes, or a decoded picture.

    ``stray`` lists files that are not pictures of a class and were left out; ``notes`` are sentences to say aloud;
    ``columns`` are what a table says besides: name of the column -> key of the picture -> cell.
    """

    name: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    read: Callable[[str], bytes | Image]
    stray: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def part(self, name: str) -> tuple[Sample, ...]:
        """The samples that the source itself puts into the part ``name``."""
        return tuple(sample for sample in self.samples if sample.part == name)

    @property
    def has_parts(self) -> bool:
        """Whether the source itself says which picture is in which part."""
        return any(sample.part is not None for sample in self.samples)


def group_of(sample: Sample) -> str:
    """The sample's group; its own key where it has none."""
    return sample.group if sample.group is not None else sample.key
