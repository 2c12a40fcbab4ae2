"""Which picture is for learning, and which for judging: stratified, nothing that belongs together torn apart.

Pictures of one group (a patient, a camera, a track) and copies of one another, exact or near, form a unit, and a unit lies
in one part. Parts that the data set itself gives are kept, and what leaks between them is named.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from eyebright.core import seeds
from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.core.files import sha256_of_json
from eyebright.data.audit import Audit
from eyebright.data.folds import Units, assign_units
from eyebright.data.leaks import Leak, find_leaks
from eyebright.data.source import PARTS, Sample, Source

_FILLING_ORDER = ("train", "test", "validation", "calibration")  # which parts come first where a class has few units
_HASH_DIGITS = 32  # 128 bits: no two keys of any data set share a hash by chance


@dataclasses.dataclass(frozen=True)
class Split:
    """The keys of each part, sorted; every part of ``PARTS`` is there, though it may be empty.

    ``how`` says in words how the parts came about, ``notes`` what the user should know of it.
    """

    parts: dict[str, tuple[str, ...]]
    how: str
    leaks: tuple[Leak, ...] = ()
    seed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The sha256 of which key is in which part: equal for equal splits, however they came about."""
        return sha256_of_json({part: sorted(keys) for part, keys in self.parts.items()})

    @property
    def part_of(self) -> dict[str, str]:
        """The part of each key."""
        return {key: part for part, keys in self.parts.items() for key in keys}


def make_split(
    source: Source,
    audit: Audit,
    *,
    test: float = 0.2,
    validation: float = 0.15,
    calibration: float = 0.0,
    seed: int = 0,
) -> Split:
    """The split of the readable, labelled pictures of ``source``; what is neither test, validation nor calibration is train.

    Fractions are of the whole set and hold in each class within one picture, where pictures are units of their own. Parts
    that the source gives are kept; missing ones are taken out of its train part, in the proportion they would have had.
    The split depends on keys, labels, groups, pixels and seed, not on the order of samples.

    Raises ``SettingsError`` where the fractions leave nothing for train, ``DataError`` where there is nothing to train on.
    """
    fractions = _checked_fractions(test=test, validation=validation, calibration=calibration)
    samples, notes = _usable(source, audit)
    part_of = {sample.key: sample.part or "train" for sample in samples}  # in the order of the keys, as the parts will be
    given = {sample.part for sample in source.samples if sample.part is not None}
    if "train" not in part_of.values():
        found = f"gives {_listed(sorted(given))} but no" if given else "has no"
        raise DataError(
            f"{source.name} {found} readable train pictures with a label; some were expected. "
            "Add a train part, or give the pictures without parts to have them divided."
        )
    pool = [sample for sample in samples if part_of[sample.key] == "train"]
    shares = _shares_of_pool(fractions, given)
    units = _units(pool, audit)
    divided, lone = _divide(pool, units, shares, seed)
    part_of.update(divided)
    parts = {part: tuple(key for key, its_part in part_of.items() if its_part == part) for part in PARTS}
    notes += _class_notes(source, parts, lone, [part for part in shares if part != "train"], given)
    leaks = (*find_leaks(source, audit), *_leaks_into_drawn(source, audit, part_of, given))
    return Split(parts, _how(units, shares, given, seed), leaks, seed, tuple(notes))


def _leaks_into_drawn(source: Source, audit: Audit, part_of: Mapping[str, str], given: set[str]) -> Iterator[Leak]:
    """What a part that was drawn out of train shares with one that the set itself put aside, which drawing does not look at."""
    if not given - {"train"}:
        return
    settled = tuple(dataclasses.replace(sample, part=part_of.get(sample.key, sample.part)) for sample in source.samples)
    for leak in find_leaks(dataclasses.replace(source, samples=settled), audit):
        if leak.parts[0] in given - {"train"} and leak.parts[1] not in given:
            yield leak


def _checked_fractions(**fractions: float) -> dict[str, float]:
    for name, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise SettingsError(f"--{name} is {fraction}; expected a fraction of the whole set, at least 0 and below 1.")
    if sum(fractions.values()) > 1 - 1e-9:
        asked = " + ".join(f"{name} {fraction}" for name, fraction in fractions.items())
        raise SettingsError(f"{asked} leaves nothing for train; expected a sum below 1. Make one of them smaller.")
    return fractions


def _usable(source: Source, audit: Audit) -> tuple[list[Sample], list[str]]:
    """The samples that can be put into a part, sorted by key, and a note on those that cannot."""
    readable = [sample for sample in source.samples if sample.key in audit.scanned]
    usable = sorted((sample for sample in readable if sample.label >= 0), key=lambda sample: sample.key)
    notes = []
    if unreadable := len(source.samples) - len(readable):
        notes.append(f"{_pictures(unreadable)} could not be read and {_is(unreadable)} left out.")
    if unlabelled := len(readable) - len(usable):
        notes.append(f"{_pictures(unlabelled)} without a label {_is(unlabelled)} left out.")
    if source.has_parts and (unplaced := sum(sample.part is None for sample in usable)):
        notes.append(f"{_pictures(unplaced)} without a part {_is(unplaced)} counted as train.")
    return usable, notes


def _shares_of_pool(fractions: Mapping[str, float], given: set[str]) -> dict[str, float]:
    """Each part's share of the pictures to divide; train's is the rest.

    >>> _shares_of_pool({"test": 0.2, "validation": 0.2, "calibration": 0.0}, {"train", "test"})  # 0.2 / (1 - 0.2)
    {'train': 0.75, 'validation': 0.25}
    """
    kept = sum(fraction for part, fraction in fractions.items() if part in given)
    wanted = {part: fractions[part] / (1 - kept) for part in _FILLING_ORDER[1:] if part not in given and fractions[part] > 0}
    return {"train": 1 - sum(wanted.values()), **wanted}


def _divide(pool: Sequence[Sample], units: Units, shares: Mapping[str, float], seed: int) -> tuple[dict[str, str], list[int]]:
    """The part of each key of ``pool``, and the labels of classes that one single unit holds."""
    labels = np.array([sample.label for sample in pool], dtype=np.int64)
    bins = assign_units(labels, units, np.array(list(shares.values())), seed=seed, stream="split")
    names = np.array(list(shares), dtype=object)[bins]
    pairs = np.unique(np.stack([labels, units.of_row]), axis=1)
    present, units_of_class = np.unique(pairs[0], return_counts=True)
    lone = present[units_of_class == 1].tolist()
    return dict(zip((sample.key for sample in pool), names.tolist(), strict=True)), lone


def _units(samples: Sequence[Sample], audit: Audit) -> Units:
    """What stays together: groups and clusters of copies, merged where they touch. ``samples`` are sorted by key."""
    row_of = {sample.key: row for row, sample in enumerate(samples)}
    parent = list(range(len(samples)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for rows in _ties(samples, audit, row_of):
        for row in rows[1:]:
            first, second = sorted((root(rows[0]), root(row)))
            parent[second] = first
    roots, of_row = np.unique(np.array([root(row) for row in range(len(samples))], dtype=np.int64), return_inverse=True)
    # A unit is named by its first key, whatever else it holds.
    return Units(of_row.reshape(-1).astype(np.int64), seeds.key_hashes([samples[row].key for row in roots.tolist()]))


def unit_names(samples: Sequence[Sample], audit: Audit) -> list[str]:
    """The unit of each sample, named by its first key: for folds that shall tear no group and no cluster of copies either."""
    ordered = sorted(samples, key=lambda sample: sample.key)
    of_row = _units(ordered, audit).of_row.tolist()
    first_of: dict[int, str] = {}
    name_of = {sample.key: first_of.setdefault(unit, sample.key) for sample, unit in zip(ordered, of_row, strict=True)}
    return [name_of[sample.key] for sample in samples]


def _ties(samples: Sequence[Sample], audit: Audit, row_of: Mapping[str, int]) -> list[list[int]]:
    rows_of_group: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        if sample.group is not None:
            rows_of_group.setdefault(sample.group, []).append(row)
    copies = [[row_of[key] for key in cluster if key in row_of] for cluster in (*audit.duplicates, *audit.near)]
    return [*rows_of_group.values(), *(rows for rows in copies if len(rows) > 1)]


def _how(units: Units, shares: Mapping[str, float], given: set[str], seed: int) -> str:
    """How the parts came about, e.g. "80 % train and 20 % test of 10 pictures, stratified by class, seed 0"."""
    n, n_units = len(units.of_row), len(units.hashes)
    percents = _listed([f"{100 * share:.4g} % {part}" for part, share in shares.items()])
    together = "" if n_units == n else f", {n_units:,} units of what belongs together kept whole"
    drawn = f"stratified by class{together}, seed {seed}"
    if not given:
        return f"{percents} of {_pictures(n)}, {drawn}"
    kept = f"{_listed([part for part in PARTS if part in given])} as the data set gives them"
    return kept if len(shares) == 1 else f"{kept}; its train part of {_pictures(n)} divided: {percents}, {drawn}"


def _class_notes(
    source: Source, parts: Mapping[str, tuple[str, ...]], lone: Sequence[int], drawn: Sequence[str], given: set[str]
) -> list[str]:
    """What is to say of classes that cannot be learned, or not judged, with these parts."""
    notes = [
        f"All pictures of the class {source.classes[label]!r} belong together (one picture, one group or copies of one "
        f"another): they are in train, and none is left for {_listed(drawn)}. Add pictures of it."
        for label in (lone if drawn else ())
    ]
    label_of = {sample.key: sample.label for sample in source.samples}
    for part in ("train", "test"):
        present = {label_of[key] for key in parts[part]}
        absent = [repr(name) for label, name in enumerate(source.classes) if label not in present]
        if part in given and absent:
            notes.append(f"The data set's {part} part has no picture of the class {_listed(absent)}.")
    return notes


def leaked_keys(leaks: Split | Iterable[Leak], part: str = "test") -> frozenset[str]:
    """The keys of ``part`` whose copy, exact or near, or whose group is also in a part that training has seen."""
    found = leaks.leaks if isinstance(leaks, Split) else leaks
    return frozenset(key for leak in found if leak.parts[1] == part for key in leak.keys)


def split_to_json(split: Split) -> dict[str, Any]:
    """The split as a JSON value, its fingerprint beside it."""
    return {
        "schema": 1,
        "how": split.how,
        "seed": split.seed,
        "fingerprint": split.fingerprint,
        "parts": {part: list(keys) for part, keys in split.parts.items()},
        "leaks": [dataclasses.asdict(leak) | {"parts": list(leak.parts), "keys": list(leak.keys)} for leak in split.leaks],
        "notes": list(split.notes),
    }


def split_from_json(value: Any) -> Split:
    """The split that ``split_to_json`` wrote. Raises ``DataError`` where it is of another kind or was changed."""
    try:
        split = Split(
            parts={part: tuple(value["parts"][part]) for part in PARTS},
            how=value["how"],
            leaks=tuple(
                Leak(leak["kind"], (leak["parts"][0], leak["parts"][1]), tuple(leak["keys"]), leak["sentence"])
                for leak in value["leaks"]
            ),
            seed=int(value["seed"]),
            notes=tuple(value["notes"]),
        )
        expected = value["fingerprint"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"This is not a split that train wrote ({error!r}). Give the split.json of a run.") from None
    if split.fingerprint != expected:
        raise DataError(
            f"The split's parts have the fingerprint {split.fingerprint[:12]}, it says {expected!s:.12}. "
            "The file was changed; train again, or bring the original back."
        )
    return split


def hashed_split(split: Split, audit: Audit) -> dict[str, Any]:
    """The split for a bundle. Keys and pixels travel as hashes only, so that neither file names nor pictures do.

    ``parts`` lists each picture by the hash of key and pixels together, ``pixels`` by its pixels alone, so that a picture that
    was moved or renamed is known again. ``leaked`` lists the test pictures that leaked, ``leaked_pixels`` their pixels.
    """
    pixels = {key: found.pixels_sha256 for key, found in audit.scanned.items()}
    leaked = leaked_keys(split)
    return {
        "schema": 1,
        "how": split.how,
        "fingerprint": split.fingerprint,
        "parts": {part: sorted(_record(key, pixels[key]) for key in keys) for part, keys in split.parts.items()},
        "pixels": {part: sorted({_short(pixels[key]) for key in keys}) for part, keys in split.parts.items()},
        "leaked": sorted(_record(key, pixels[key]) for key in leaked),
        "leaked_pixels": sorted({_short(pixels[key]) for key in leaked}),
    }


@dataclasses.dataclass(frozen=True)
class Known:
    """What a bundle knows of some pictures: the part of each that it was made with, and which of them leaked into training.

    ``seen`` are all keys whose pixels were in train, validation or calibration, whatever part the picture itself is in.
    """

    parts: dict[str, tuple[str, ...]]
    seen: frozenset[str]
    leaked: frozenset[str]


def known_pictures(hashed: Mapping[str, Any], audit: Audit) -> Known:
    """What the bundle's split says of the pictures of ``audit``. A picture it does not know by key is known by its pixels.

    Raises ``ModelError`` where ``hashed`` is not what ``hashed_split`` makes.
    """
    by_record, by_pixels = _part_of_hash(hashed, "parts"), _part_of_hash(hashed, "pixels")
    seen_pixels = {digest for part in PARTS if part != "test" for digest in hashed["pixels"][part]}
    leaked_records, leaked_pixels = (frozenset(hashed.get(field, ())) for field in ("leaked", "leaked_pixels"))
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    seen, leaked = set(), set()
    for key in sorted(audit.scanned):
        pixels = audit.scanned[key].pixels_sha256
        record, short = _record(key, pixels), _short(pixels)
        if part := by_record.get(record) or by_pixels.get(short):
            parts[part].append(key)
        if short in seen_pixels:
            seen.add(key)
        if record in leaked_records or short in leaked_pixels:
            leaked.add(key)
    return Known({part: tuple(keys) for part, keys in parts.items()}, frozenset(seen), frozenset(leaked | seen))


def _part_of_hash(hashed: Mapping[str, Any], field: str) -> dict[str, str]:
    """The part of each hash; a picture in several parts is counted to the first of them, which the model has seen."""
    try:
        part_of = {digest: part for part in reversed(PARTS) for digest in hashed[field][part]}
        whole = all(re.fullmatch(rf"[0-9a-f]{{{_HASH_DIGITS}}}", digest) for digest in part_of)
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise ModelError(
            "The bundle's split.json does not list hashed pictures by part. It was changed or damaged; copy or train it again."
        )
    return part_of


def _record(key: str, pixels_sha256: str) -> str:
    return hashlib.sha256(f"{key}\0{pixels_sha256}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]


def _short(pixels_sha256: str) -> str:
    return pixels_sha256[:_HASH_DIGITS]


def _pictures(count: int) -> str:
    return f"{count:,} picture" if count == 1 else f"{count:,} pictures"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
