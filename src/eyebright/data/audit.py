"""What a data set really holds: every picture is decoded in full once, and what fails, repeats or contradicts is named.

A header check is not enough: it passes a file that was cut in half.
"""

import dataclasses
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from eyebright.core.arrays import array_sha256
from eyebright.core.errors import DataError, ImageError
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.machine import usable_cores
from eyebright.data.source import PARTS, Sample, Source
from eyebright.images.decode import decode_any

IMBALANCE_LIMIT = 10.0  # largest class over smallest; beyond it accuracy alone misleads, and that is said aloud
NAMED = 10  # how many keys a message names before it only counts
_EVENT_SECONDS = 0.1
_KEYS_A_TASK = 8  # handing over a task costs as much as decoding a tiny picture


@dataclasses.dataclass(frozen=True, slots=True)
class Scanned:
    """One picture that could be read: the hash of its decoded pixels, its size, and how it was stored."""

    pixels_sha256: str
    height: int
    width: int
    mode: str
    format: str
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Audit:
    """What the scan found, by key.

    ``duplicates`` are clusters of keys with identical decoded pixels, so copies whose files differ in format or metadata
    are found too; ``conflicts`` are those clusters whose pictures carry different labels.
    """

    scanned: dict[str, Scanned]
    unreadable: dict[str, str]
    duplicates: tuple[tuple[str, ...], ...] = ()
    conflicts: tuple[tuple[str, ...], ...] = ()


def audit(source: Source, *, threads: int | None = None, on_event: OnEvent = silent) -> Audit:
    """The audit of every picture of ``source``, in one pass; no picture is kept in memory.

    A picture that cannot be read is recorded with its reason, not raised: ``refuse_unfit`` judges.
    """
    on_event(Phase("Reading every picture", len(source.samples)))
    scanned: dict[str, Scanned] = {}
    unreadable: dict[str, str] = {}
    spoken = time.monotonic()
    for key, found in _scan_all(source, threads or usable_cores()):
        if isinstance(found, Scanned):
            scanned[key] = found
        else:
            unreadable[key] = found
        if time.monotonic() - spoken >= _EVENT_SECONDS:
            spoken = time.monotonic()
            on_event(Progress(len(scanned) + len(unreadable)))
    on_event(Progress(len(source.samples)))
    duplicates = _clusters(scanned)
    return Audit(scanned, unreadable, duplicates, _conflicts(source, duplicates))


def _scan_all(source: Source, threads: int) -> Iterator[tuple[str, Scanned | str]]:
    """Each key with what was found, in the order of the samples; at most four tasks a thread are under way."""
    stop = threading.Event()
    keys = iter(sample.key for sample in source.samples)
    tasks = iter(lambda: tuple(islice(keys, _KEYS_A_TASK)), ())
    pool = ThreadPoolExecutor(threads, thread_name_prefix="audit")
    pending: deque[Future[list[tuple[str, Scanned | str]]]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(_scan_some, source, task, stop))
            if len(pending) >= 4 * threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        # Also on Ctrl-C: threads stop after the picture they are at, not after all that was queued.
        stop.set()
        pool.shutdown(cancel_futures=True)


def _scan_some(source: Source, keys: Iterable[str], stop: threading.Event) -> list[tuple[str, Scanned | str]]:
    return [(key, _scan(source, key)) for key in keys if not stop.is_set()]


def _scan(source: Source, key: str) -> Scanned | str:
    """What is known of one picture, or the reason why it cannot be read."""
    try:
        decoded = decode_any(source.read(key))
    except ImageError as error:
        return str(error)
    except (DataError, OSError) as error:
        return getattr(error, "strerror", None) or str(error)
    height, width = decoded.image.shape[:2]
    return Scanned(array_sha256(decoded.image), height, width, decoded.mode, decoded.format, tuple(decoded.warnings))


def _clusters(scanned: Mapping[str, Scanned]) -> tuple[tuple[str, ...], ...]:
    keys_of: defaultdict[str, list[str]] = defaultdict(list)
    for key, picture in scanned.items():
        keys_of[picture.pixels_sha256].append(key)
    return tuple(sorted(tuple(sorted(keys)) for keys in keys_of.values() if len(keys) > 1))


def _conflicts(source: Source, duplicates: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    labels = {sample.key: sample.label for sample in source.samples}
    return tuple(cluster for cluster in duplicates if len({labels[key] for key in cluster}) > 1)


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
