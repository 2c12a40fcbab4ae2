"""Classes, parts and samples from the names of files alone, so that a folder, a zip and a tar are read alike."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from eyebright.core.errors import DataError, MissingExtraError
from eyebright.data.names import is_hidden_path, key_of, part_of, picture_kind, shown
from eyebright.data.source import Sample
from eyebright.images.dicom import has_pydicom
from eyebright.images.heif import has_heif
from eyebright.images.patients import find_patient, patient_groups

_EXTRAS = {"DICOM": ("medical", has_pydicom), "HEIF": ("heic", has_heif)}


@dataclasses.dataclass(frozen=True)
class Listing:
    """What lies under a root: paths as they are stored, with ``/``; ``head`` gives the first ``HEAD`` bytes of one of them.

    ``where`` names the root in messages. ``start`` gives up to so many first bytes, which is asked for DICOM files alone;
    without it their patients stay unknown.
    """

    where: str
    files: tuple[str, ...]
    directories: tuple[str, ...]
    head: Callable[[str], bytes]
    stray: tuple[str, ...] = ()
    start: Callable[[str, int], bytes] | None = None


@dataclasses.dataclass(frozen=True)
class Layout:
    """Classes and samples read from a listing; ``paths`` leads from a key back to the stored path."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    paths: dict[str, str]
    stray: tuple[str, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Picture:
    key: str
    label: str
    part: str | None


def lay_out(listing: Listing) -> Layout:
    """Classes, parts and samples from the names in ``listing``; of DICOM files the patients as groups.

    Raises ``DataError`` for an empty class, fewer than two classes, or parts and classes side by side, and
    ``MissingExtraError`` for pictures whose package is not installed.
    """
    formats, stray = _candidates(listing)
    candidates = list(formats)
    part_folders = _part_folders(listing, candidates)
    depth = 1 if part_folders else 0
    pictures, unplaced = _place(candidates, depth)
    stray = [*stray, *unplaced]
    if not pictures:
        raise DataError(_no_pictures(listing, candidates))
    _refuse_empty_classes(listing, pictures, depth, part_folders)
    require_extras(listing.where, Counter(formats[stored] for stored in pictures))
    notes = _missing_in_parts(pictures)
    settled, part_notes = settle_parts([Sample(picture.key, -1, picture.part) for picture in pictures.values()])
    classes = class_names((picture.label for picture in pictures.values()), listing.where)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = {picture.key: numbers[picture.label] for picture in pictures.values()}
    samples = sorted((dataclasses.replace(s, label=labels[s.key]) for s in settled), key=lambda sample: sample.key)
    paths = _paths(pictures, listing.where)
    dicom = {sample.key: paths[sample.key] for sample in samples if formats[paths[sample.key]] == "DICOM"}
    samples, patient_notes = by_patient(samples, dicom, listing.start or (lambda _stored, _count: b""))
    return Layout(classes, tuple(samples), paths, tuple(sorted(map(key_of, stray))), (*part_notes, *notes, *patient_notes))


def class_names(labels: Iterable[str], where: str) -> tuple[str, ...]:
    """The distinct labels, sorted. Raises ``DataError`` where there are fewer than two."""
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise DataError(
            f"{where} holds one class only, {classes[0]!r}; at least two are needed, because a classifier must have something "
            "to choose between. Add pictures of what it is to be told apart from, or give the folder that holds the classes."
        )
    return classes


def settle_parts(samples: Sequence[Sample]) -> tuple[list[Sample], tuple[str, ...]]:
    """The samples with parts as we use them, and notes on what was read differently from how it is named.

    A lone ``train`` is no split at all; a ``validation`` without a ``test`` is what the set offers to be measured on.
    """
    given = {sample.part for sample in samples}
    if given == {"train"}:
        note = "Only train was given: its pictures are split into training, validation and test."
        return [dataclasses.replace(sample, part=None) for sample in samples], (note,)
    if given == {"train", "validation"}:
        note = "Only train and val were given: val is held out as the test set, validation pictures come out of train."
        held_out = {"validation": "test", "train": "train"}
        return [dataclasses.replace(sample, part=held_out[str(sample.part)]) for sample in samples], (note,)
    return list(samples), ()


def require_extras(where: str, counts: Counter[str]) -> None:
    """One answer for a whole set, in place of hundreds of pictures that cannot be read.

    ``counts`` has the pictures by ``picture_kind``. Raises ``MissingExtraError`` where a package is missing for some of them.
    """
    for name, (extra, is_there) in _EXTRAS.items():
        if counts[name] and not is_there():
            found = f"{counts[name]:,} of the {counts.total():,} pictures of {where} are {name}"
            raise MissingExtraError.for_extra(extra, f"{found}: reading them")


def by_patient(
    samples: Iterable[Sample], dicom: Mapping[str, str], start: Callable[[str, int], bytes]
) -> tuple[list[Sample], tuple[str, ...]]:
    """The samples with the patients of DICOM files as groups, and what is to be said of it.

    ``dicom`` is key -> stored path; ``start`` gives up to so many first bytes of a stored path.
    """
    groups, notes = patient_groups({key: find_patient(partial(start, stored)) for key, stored in dicom.items()})
    return [dataclasses.replace(sample, group=groups.get(sample.key)) for sample in samples], notes


def _candidates(listing: Listing) -> tuple[dict[str, str], list[str]]:
    """The stored paths of what may be pictures, each with its ``picture_kind``, and the rest."""
    formats: dict[str, str] = {}
    stray = list(listing.stray)
    for stored in listing.files:
        found = None if is_hidden_path(stored) else picture_kind(stored, listing.head)
        if found is None:
            stray.append(stored)
        else:
            formats[stored] = found
    return formats, stray


def _part_folders(listing: Listing, candidates: list[str]) -> set[str]:
    """The top directories that are parts; empty where the top directories are classes.

    A part holds directories of pictures. So a class of trains may be called ``train`` beside ``bus`` and ``car``.
    """
    tops = {stored.split("/")[0] for stored in candidates if "/" in stored}
    named = {top for top in tops if part_of(top)}
    nested = {stored.split("/")[0] for stored in candidates if stored.count("/") >= 2}
    others = tops - named
    if named and not others:
        return named
    if named & nested:
        raise DataError(
            f"{listing.where} holds parts ({shown(sorted(named & nested))}) beside other folders with pictures "
            f"({shown(sorted(others))}); either parts with class folders inside, or class folders alone were expected. "
            "Move the class folders into a part, or give one part's folder."
        )
    return set()


def _place(candidates: list[str], depth: int) -> tuple[dict[str, _Picture], list[str]]:
    """Stored path -> picture for what lies in a class folder, and the rest. ``depth`` is where the class's name stands."""
    pictures: dict[str, _Picture] = {}
    unplaced: list[str] = []
    for stored in candidates:
        key = key_of(stored)
        names = key.split("/")
        if len(names) < depth + 2:
            unplaced.append(stored)
        else:
            pictures[stored] = _Picture(key, names[depth], part_of(names[0]) if depth else None)
    return pictures, unplaced


def _no_pictures(listing: Listing, candidates: list[str]) -> str:
    found = f"{len(candidates)} pictures, none of them in a class folder" if candidates else "no pictures"
    tables = [stored for stored in listing.files if stored.lower().endswith((".csv", ".tsv")) and "/" not in stored]
    remedy = f" Or give the table itself: {tables[0]}, with the columns path and label." if tables else ""
    return (
        f"{listing.where} holds {found}; one folder for each class with its pictures inside was expected, "
        f"for example {listing.where}/cat/1.jpg and {listing.where}/dog/1.jpg.{remedy}"
    )


def _refuse_empty_classes(listing: Listing, pictures: dict[str, _Picture], depth: int, part_folders: set[str]) -> None:
    filled = {picture.label for picture in pictures.values()}
    folders = [
        names
        for names in (stored.split("/") for stored in listing.directories if not is_hidden_path(stored))
        if names[0] and len(names) == depth + 1 and (not depth or names[0] in part_folders)
    ]
    empty = sorted({"/".join(names) for names in folders if key_of(names[depth]) not in filled})
    if empty:
        raise DataError(
            f"{listing.where} has class folders without a picture: {shown(empty)}. Every class needs pictures to learn from: "
            "add some, or remove the folder."
        )


def _missing_in_parts(pictures: dict[str, _Picture]) -> list[str]:
    """A sentence for each part that lacks a class which another part has."""
    labels = {picture.label for picture in pictures.values()}
    counts = Counter((picture.part, picture.label) for picture in pictures.values())
    missing = {part: sorted(name for name in labels if not counts[part, name]) for part in sorted({p for p, _ in counts if p})}
    return [f"The folder of the {part} part has no picture of: {shown(names)}." for part, names in missing.items() if names]


def _paths(pictures: dict[str, _Picture], where: str) -> dict[str, str]:
    paths: dict[str, str] = {}
    for stored, picture in pictures.items():
        if picture.key in paths:
            raise DataError(
                f"{where} holds two files whose names differ only in how Unicode writes them: {picture.key}. "
                "One name for one file was expected; rename or remove one of them."
            )
        paths[picture.key] = stored
    return paths
