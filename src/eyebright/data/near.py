"""Pictures that are nearly the same: re-encoded, resized, made brighter, slightly cropped or mirrored copies of one another.

A perceptual hash proposes pairs (``images.phash``, ``data.hamming``) and the correlation of aligned pixels judges them
(``images.align``). What is linked is a cluster, also through others. Mirrored copies count: augmented sets are published with
them, and a network that saw the one knows the other. Rotated ones do not: each angle would be one more search.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.data.hamming import HammingIndex
from eyebright.images.align import correlations
from eyebright.images.phash import SIDE, VIEWS, Hashes, Thumbprint, Thumbprints, View, hashes, is_flat, view_hashes

LEAST_SIDE = 64  # pixels of the short side; below, pictures of one kind are too like each other: only exact copies count
MOST_PICTURES = 100_000  # whose thumbprints are held at once, 4 KB each: 410 MB
CORRELATION = 0.95  # of 2,128 planted crops by 2 % a side 1 is below; chests of two patients reach 0.85, other scenes 0.90
LARGEST_SHARE = 0.01  # of the set: a larger cluster is of one scene, template or film, and would bend every split
ALWAYS_MERGED = 10  # pictures; what offline augmentation makes of one picture is no sign of a film, however small the set
# What a picture may cost, so that 60,000 pictures of one machine part, each nearly like all others, take minutes and not days:
# comparisons of hashes (60,000 photographs need a tenth of it) and pairs that are aligned (photographs need less than one a
# picture, a thousand X-rays one). The nearest by hash come first.
COMPARISONS_A_PICTURE = 50_000
JUDGED_A_PICTURE = 10
FREELY_JUDGED = 10_000  # whatever the number of pictures
_CHUNK = 2048  # pictures whose hashes are looked up at once
_FEW, _MANY = 64, 8192  # proposed pairs that are judged, and looked at, before it is asked which of the others are linked now


@dataclasses.dataclass(frozen=True, slots=True)
class NearPair:
    """Two keys whose pictures are nearly the same; ``correlation`` is of their slopes after alignment, at most 1."""

    first: str
    second: str
    correlation: float
    mirrored: bool = False


@dataclasses.dataclass(frozen=True)
class Near:
    """What was found: clusters of keys, sorted, and the pairs that link them: of a cluster of three, two.

    ``reported`` are clusters too large to be copies. ``complete`` is false where so many pictures are alike that not every
    pair could be compared.
    """

    clusters: tuple[tuple[str, ...], ...] = ()
    reported: tuple[tuple[str, ...], ...] = ()
    pairs: tuple[NearPair, ...] = ()
    complete: bool = True


class Shelf:
    """Keeps the thumbprints of distinct pictures while a set is scanned, up to ``MOST_PICTURES``; beyond, none of them."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._bytes = bytearray()
        self.is_full = False

    def put(self, key: str, thumbprint: Thumbprint) -> None:
        """Adds a picture. The one too many empties the shelf: an answer about some of the pictures would pass for all."""
        if len(self._keys) == MOST_PICTURES:
            self._keys, self._bytes, self.is_full = [], bytearray(), True
        if not self.is_full:
            self._keys.append(key)
            self._bytes += thumbprint.tobytes()

    def search(self, *, total: int, on_event: OnEvent = silent) -> "Near":
        """``find_near`` among what was put in, keys in order."""
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        kept = np.frombuffer(self._bytes, dtype=np.uint8).reshape(-1, SIDE, SIDE)
        if order != list(range(len(order))):
            kept = kept[order]
        return find_near([self._keys[row] for row in order], kept, total=total, on_event=on_event)


def find_near(keys: Sequence[str], thumbprints: Thumbprints, *, total: int, on_event: OnEvent = silent) -> Near:
    """The near copies among pictures given by key and thumbprint, of a set of ``total`` pictures.

    Blank pictures take no part: their hash is noise. The answer does not depend on the order of the keys as long as it is
    ``complete``.
    """
    rows, whole = _hashed(thumbprints)
    if len(rows) < 2:
        return Near()
    on_event(Phase("Looking for near copies", len(rows)))
    search = _Search(thumbprints, rows, HammingIndex(whole, queries=len(VIEWS), budget=COMPARISONS_A_PICTURE * len(rows)))
    for start in range(0, len(rows), _CHUNK):
        done = min(start + _CHUNK, len(rows))
        for view, queries in zip(VIEWS, view_hashes(thumbprints[rows[start:done]]), strict=True):
            search.look(view, queries, start)
        on_event(Progress(done))
    clusters = _clusters([keys[row] for row in rows.tolist()], search.cluster_of)
    most = max(ALWAYS_MERGED, LARGEST_SHARE * total)
    return Near(
        clusters=tuple(cluster for cluster in clusters if len(cluster) <= most),
        reported=tuple(cluster for cluster in clusters if len(cluster) > most),
        pairs=_pairs(keys, search.linked),
        complete=search.complete,
    )


def _hashed(thumbprints: Thumbprints) -> tuple[Int64[np.ndarray, "m"], Hashes]:
    """The rows that are not flat, and their hashes; in chunks, as floats take four times the memory."""
    rows, found = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint64)]
    for start in range(0, len(thumbprints), _CHUNK):
        chunk = thumbprints[start : start + _CHUNK]
        lively = np.flatnonzero(~is_flat(chunk))
        rows.append(lively + start)
        found.append(hashes(chunk[lively]))
    return np.concatenate(rows), np.concatenate(found)


class _Search:
    """What is linked so far. Numbers are places in ``rows``; ``linked`` holds rows of the thumbprints."""

    def __init__(self, thumbprints: Thumbprints, rows: Int64[np.ndarray, "n"], index: HammingIndex) -> None:
        self._thumbprints, self._rows, self._index = thumbprints, rows, index
        self._judged = 0
        self.cluster_of = np.arange(len(rows))
        self.linked: list[tuple[int, int, float, bool]] = []
        self.complete = index.complete

    def look(self, view: View, queries: Hashes, start: int) -> None:
        """Judges what the index proposes for the pictures from ``start`` on, seen through ``view``, the nearest first."""
        allowed = FREELY_JUDGED + JUDGED_A_PICTURE * (start + len(queries))
        first, second, distance = self._index.within_radius(queries)
        first += start
        # Of the whole picture both orders of a pair are proposed; one is enough.
        keep = first < second if (view.rows, view.columns) == (VIEWS[0].rows, VIEWS[0].columns) else first != second
        nearest_first = np.flatnonzero(keep)[np.argsort(distance[keep], kind="stable")]
        for some in _slices(nearest_first, _MANY):
            for few in _slices(self._apart(first, second, some), _FEW):
                left = self._apart(first, second, few)
                if self._judged + len(left) > allowed:
                    self.complete = False
                    return
                self._judged += len(left)
                self._judge(first[left], second[left], view)

    def _apart(self, first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> Int64[np.ndarray, "apart"]:
        """Those of the pairs that are not linked yet, also through others."""
        apart: np.ndarray = pairs[self.cluster_of[first[pairs]] != self.cluster_of[second[pairs]]]
        return apart

    def _judge(self, first: np.ndarray, second: np.ndarray, view: View) -> None:
        one, other = self._rows[first], self._rows[second]
        seen = self._thumbprints[one]
        if view.mirrored:
            seen = np.ascontiguousarray(seen[:, :, ::-1])
        windows = np.tile(np.array([*view.rows, *view.columns]), (len(one), 1))
        found = correlations(seen, self._thumbprints[other], windows)
        for row in np.flatnonzero(found >= CORRELATION).tolist():
            low, high = sorted((int(self.cluster_of[first[row]]), int(self.cluster_of[second[row]])))
            if low != high:
                self.cluster_of[self.cluster_of == high] = low
                self.linked.append((int(one[row]), int(other[row]), float(found[row]), view.mirrored))


def _slices(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (values[at : at + size] for at in range(0, len(values), size))


def _pairs(keys: Sequence[str], linked: list[tuple[int, int, float, bool]]) -> tuple[NearPair, ...]:
    """The pairs by key, sorted."""
    pairs = []
    for one, other, correlation, mirrored in linked:
        first, second = sorted((keys[one], keys[other]))
        pairs.append(NearPair(first, second, round(correlation, 4), mirrored))
    return tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second)))


def _clusters(keys: Sequence[str], cluster_of: np.ndarray) -> list[tuple[str, ...]]:
    """The keys of each cluster of two or more, sorted."""
    order = np.argsort(cluster_of, kind="stable")
    borders = np.flatnonzero(np.diff(cluster_of[order])) + 1
    members = [[keys[row] for row in rows.tolist()] for rows in np.split(order, borders) if len(rows) > 1]
    return sorted(tuple(sorted(cluster)) for cluster in members)
