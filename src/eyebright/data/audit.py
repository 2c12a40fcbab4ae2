"""What a data set really holds: every picture is decoded in full once, and what fails, repeats or contradicts is named.

A header check is not enough: it passes a file that was cut in half.
"""

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

from eyebright.core.arrays import array_sha256
from eyebright.core.errors import DataError, ImageError
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.machine import usable_cores
from eyebright.data.in_order import in_order
from eyebright.data.near import LARGEST_SHARE, LEAST_SIDE, MOST_PICTURES, Near, NearPair, Shelf
from eyebright.data.pixel_cache import PATIENTS
from eyebright.data.probe import probed_keys
from eyebright.data.scan_cache import ScanCache
from eyebright.data.scanned import Scanned
from eyebright.data.source import PARTS, Sample, Source
from eyebright.images.cues import cues_of
from eyebright.images.decode import decode_any
from eyebright.images.phash import Thumbprint, thumbprint

IMBALANCE_LIMIT = 10.0  # largest class over smallest; beyond it accuracy alone misleads, and that is said aloud
NAMED = 10  # how many keys a message names before it only counts
WORTH_KEEPING = 1.0  # seconds of reading: less is done again sooner than it is found
_EVENT_SECONDS = 0.1
_QUICK = 0.002  # seconds: pictures of 500 pixels take 1.4 alone and with two threads, of 800 pixels 6.4 and 4.2 (NOTES.md)


@dataclasses.dataclass(frozen=True)
class Audit:
    """What the scan found, by key.

    ``duplicates`` are clusters of keys with identical decoded pixels, so copies whose files differ in format or metadata
    are found too; ``conflicts`` are those clusters whose pictures carry different labels.

    ``near`` are clusters of nearly the same pictures, exact copies of their members included, ``near_pairs`` what links them
    and how well it correlates; ``reported`` are clusters too large to be copies, which nobody keeps together; ``near_notes``
    says in sentences what of this the user should know.
    """

    scanned: dict[str, Scanned]
    unreadable: dict[str, str]
    duplicates: tuple[tuple[str, ...], ...] = ()
    conflicts: tuple[tuple[str, ...], ...] = ()
    near: tuple[tuple[str, ...], ...] = ()
    near_pairs: tuple[NearPair, ...] = ()
    reported: tuple[tuple[str, ...], ...] = ()
    near_notes: tuple[str, ...] = ()


Depth = Literal["full", "exact"]
_Found = tuple[Scanned, Thumbprint | None] | str  # of a picture that cannot be read: why


def audit(
    source: Source,
    *,
    depth: Depth = "full",
    threads: int | None = None,
    on_event: OnEvent = silent,
    cache: Path | None = None,
) -> Audit:
    """The audit of every picture of ``source``, in one pass; only a thumbprint of each is kept in memory meanwhile.

    ``depth="exact"`` is enough to know again the pictures that a model was made with: near copies are not looked for, and no
    cues are kept. A picture that cannot be read is recorded with its reason, not raised: ``refuse_unfit`` judges. Files that
    are in the folder ``cache`` are not decoded again; what took long is added to it.
    """
    started = time.monotonic()
    known = ScanCache(cache) if cache is not None else None
    on_event(Phase("Reading every picture", len(source.samples)))
    scanned: dict[str, Scanned] = {}
    unreadable: dict[str, str] = {}
    distinct: set[str] = set()
    shelf = Shelf()
    spoken = time.monotonic()
    for key, found in _scan_all(source, depth, threads or usable_cores(), known):
        if isinstance(found, str):
            unreadable[key] = found
        else:
            scanned[key], small = found
            if small is not None and scanned[key].pixels_sha256 not in distinct:
                shelf.put(key, small)
            distinct.add(scanned[key].pixels_sha256)
        if time.monotonic() - spoken >= _EVENT_SECONDS:
            spoken = time.monotonic()
            on_event(Progress(len(scanned) + len(unreadable)))
    on_event(Progress(len(source.samples)))
    if known is not None:
        known.flush(new=time.monotonic() - started > WORTH_KEEPING)
    duplicates = _clusters(scanned)
    exact = Audit(scanned, unreadable, duplicates, conflicting(source, duplicates))
    if depth == "exact":
        return exact
    near = shelf.search(total=len(source.samples), on_event=on_event)
    return dataclasses.replace(
        exact,
        near=_with_copies(near.clusters, duplicates),
        near_pairs=near.pairs,
        reported=_with_copies(near.reported, duplicates),
        near_notes=_near_notes(source, near, is_full=shelf.is_full),
    )


def _scan_all(source: Source, depth: Depth, threads: int, known: ScanCache | None) -> Iterator[tuple[str, _Found]]:
    """Each key with what was found, in the order of the samples."""
    probed = probed_keys(source) if depth == "full" else frozenset()

    def scanned(key: str) -> tuple[str, _Found]:
        return key, _scan(source, key, depth, known, probed=key in probed)

    return in_order(scanned, (sample.key for sample in source.samples), threads=threads, quick=_QUICK, name="audit")


def _scan(source: Source, key: str, depth: Depth, known: ScanCache | None, *, probed: bool) -> _Found:
    """What is known of one picture, with its thumbprint where near copies are looked for; or why it cannot be read."""
    try:
        content = source.read(key)
        digest = ""
        if known is not None and isinstance(content, bytes):
            digest, scan = known.get(content, cues=probed)
            if scan is not None:
                scanned, small = scan
                return (scanned if probed else dataclasses.replace(scanned, cues=None)), small if depth == "full" else None
        decoded = decode_any(content)
    except ImageError as error:
        return str(error)
    except (DataError, OSError) as error:
        return getattr(error, "strerror", None) or str(error)
    cues = cues_of(content, decoded) if probed else None
    small = thumbprint(decoded.picture) if depth == "full" and min(decoded.picture.size) >= LEAST_SIDE else None
    sha256 = array_sha256(decoded.image)
    scanned = Scanned(sha256, decoded.height, decoded.width, decoded.mode, decoded.format, tuple(decoded.warnings), cues)
    if known is not None and digest and depth == "full" and decoded.format != PATIENTS:
        known.put(digest, (scanned, small))
    return scanned, small


def _clusters(scanned: Mapping[str, Scanned]) -> tuple[tuple[str, ...], ...]:
    keys_of: defaultdict[str, list[str]] = defaultdict(list)
    for key, picture in scanned.items():
        keys_of[picture.pixels_sha256].append(key)
    return tuple(sorted(tuple(sorted(keys)) for keys in keys_of.values() if len(keys) > 1))


def _with_copies(near: Iterable[tuple[str, ...]], duplicates: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The clusters with every exact copy of their members: the search saw only one of each."""
    copies_of = {key: cluster for cluster in duplicates for key in cluster}
    grown = (sorted({copy for key in cluster for copy in copies_of.get(key, (key,))}) for cluster in near)
    return tuple(sorted(tuple(cluster) for cluster in grown))


def _near_notes(source: Source, near: Near, *, is_full: bool) -> tuple[str, ...]:
    notes = [_large_cluster_note(source, cluster) for cluster in near.reported]
    if is_full:
        notes.append(
            f"More than {MOST_PICTURES:,} pictures have {LEAST_SIDE} pixels or more a side: near copies were not looked for, "
            "only exact ones."
        )
    if not near.complete:
        notes.append("So many pictures are alike that not every pair could be compared: some near copies may be missing.")
    return tuple(notes)


def _large_cluster_note(source: Source, cluster: tuple[str, ...]) -> str:
    part_of = {sample.key: sample.part for sample in source.samples}
    found = {part_of[key] for key in cluster}
    parts = [part for part in PARTS if part in found]
    where = f", in {' and '.join(parts)}" if len(parts) > 1 else ""
    return (
        f"{len(cluster):,} pictures resemble one another in a chain ({cluster[0]}, {cluster[1]} ...){where}: more than "
        f"{LARGEST_SHARE:.0%} of the set, so rather one scene, film or template than copies. They are not kept together; "
        "if they belong together, name their group with --group."
    )


def near_count(audit: Audit) -> int:
    """How many pictures are nearly the same as an earlier one; exact copies are not counted."""
    return sum(len({audit.scanned[key].pixels_sha256 for key in cluster}) - 1 for cluster in audit.near)


def small_count(audit: Audit) -> int:
    """How many pictures are too small for the search for near copies."""
    return sum(min(picture.height, picture.width) < LEAST_SIDE for picture in audit.scanned.values())


def conflicting(source: Source, clusters: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Those of the clusters whose pictures carry different labels."""
    labels = {sample.key: sample.label for sample in source.samples}
    return tuple(cluster for cluster in clusters if len({labels[key] for key in cluster}) > 1)


def refuse_unfit(source: Source, audit: Audit, *, allow_bad: float = 0.01) -> None:
    """Returns where the data set can be learned from.

    Raises ``DataError`` where more than the share ``allow_bad`` of the pictures is unreadable, a class has no picture
    that can be read, or there are fewer than two classes.
    """
    _refuse_unreadable(source, audit, allow_bad)
    counts = class_counts(source, audit)
    if len(counts) < 2:
        raise DataError(
            f"{source.name} has {_classes_in_words(list(counts))}; at least two were expected. "
            "Give each class a folder of its own, or a label of its own in the table."
        )
    if empty := [name for name, count in counts.items() if count == 0]:
        verb = "has" if len(empty) == 1 else "have"
        raise DataError(
            f"{_classes_in_words(empty)} of {source.name} {verb} no readable picture; every class needs some. "
            "Add pictures, or remove the class."
        )


def _refuse_unreadable(source: Source, audit: Audit, allow_bad: float) -> None:
    bad, total = len(audit.unreadable), len(source.samples)
    if bad > allow_bad * total:
        raise DataError(
            f"{bad:,} of {total:,} pictures of {source.name} cannot be read ({bad / total:.1%}); at most {allow_bad:.1%} "
            f"was expected: {_named(audit.unreadable)}. Repair or remove them, or allow more with --allow-bad."
        )


def _named(reasons: Mapping[str, str]) -> str:
    named = "; ".join(f"{key} ({reason.rstrip('.')})" for key, reason in islice(reasons.items(), NAMED))
    return named if len(reasons) <= NAMED else f"{named}; and {len(reasons) - NAMED:,} more"


def _classes_in_words(names: list[str]) -> str:
    if not names:
        return "no class"
    listed = ", ".join(repr(name) for name in names[:NAMED]) + (" ..." if len(names) > NAMED else "")
    return f"the class {listed}" if len(names) == 1 else f"the classes {listed}"


def class_counts(source: Source, audit: Audit | None = None) -> dict[str, int]:
    """How many pictures each class has, in the order of the classes; with an ``audit``, only those that can be read."""
    readable = source.samples if audit is None else tuple(s for s in source.samples if s.key in audit.scanned)
    return _count(source, readable)


def part_counts(source: Source) -> dict[str, dict[str, int]]:
    """How many pictures of each class the source puts into each of its parts; empty where it gives no parts."""
    members = {part: source.part(part) for part in PARTS}
    return {part: _count(source, samples) for part, samples in members.items() if samples}


def _count(source: Source, samples: tuple[Sample, ...]) -> dict[str, int]:
    counts = Counter(sample.label for sample in samples)
    return {name: counts[label] for label, name in enumerate(source.classes)}


def imbalance(counts: Mapping[str, int]) -> float:
    """The largest class over the smallest; classes without a picture are left out, as they are an error of their own.

    >>> imbalance({"glass": 30, "trash": 5, "metal": 0})
    6.0
    """
    present = [count for count in counts.values() if count > 0]
    return max(present) / min(present) if present else 1.0


def size_summary(audit: Audit) -> dict[str, tuple[int, int]]:
    """Height and width of the ``smallest``, ``median`` and ``largest`` picture by area; empty where none could be read."""
    sizes = sorted(
        ((picture.height, picture.width) for picture in audit.scanned.values()), key=lambda size: (size[0] * size[1], size)
    )
    if not sizes:
        return {}
    return {"smallest": sizes[0], "median": sizes[(len(sizes) - 1) // 2], "largest": sizes[-1]}


def mode_counts(audit: Audit) -> dict[str, int]:
    """How many pictures are stored in each colour mode, the commonest first."""
    return dict(Counter(picture.mode for picture in audit.scanned.values()).most_common())


def format_counts(audit: Audit) -> dict[str, int]:
    """How many pictures are stored in each file format, the commonest first."""
    return dict(Counter(picture.format for picture in audit.scanned.values()).most_common())


def warning_counts(audit: Audit) -> dict[str, tuple[int, str]]:
    """Each warning of the decoder with the number of pictures it was said of and the first of them."""
    keys_of: defaultdict[str, list[str]] = defaultdict(list)
    for key, picture in audit.scanned.items():
        for warning in picture.warnings:
            keys_of[warning].append(key)
    return {warning: (len(keys), keys[0]) for warning, keys in keys_of.items()}
