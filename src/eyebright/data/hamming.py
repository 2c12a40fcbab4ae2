"""Which 64-bit hashes differ in a few bits only, found without comparing all with all.

Multi-index hashing (Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index hashing", section 3):
hashes that differ in at most 7 bits differ in at most one bit of some quarter, so each hash is looked up in four tables, under
its own 16 bits and the 16 values one bit away. With 60,000 hashes a place of a table holds about one.
"""

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from eyebright.images.phash import Hashes

RADIUS = 7  # bits; more would need quarters that differ in two bits, 137 looks in place of 17
_QUARTERS = 4
_BITS = 16
_FLIPS = np.array([0, *(1 << bit for bit in range(_BITS))], dtype=np.uint64)
LOOKS = _QUARTERS * len(_FLIPS)  # for one hash
_LEAST_CAP = 16

Pairs = tuple[Int64[np.ndarray, "pairs"], Int64[np.ndarray, "pairs"], UInt8[np.ndarray, "pairs"]]


class HammingIndex:
    """Hashes that can be asked which of them are near others.

    ``budget`` bounds the comparisons that all hashes together would take with ``queries`` looks at the index each. Where many
    are nearly alike (frames of one video) and it does not suffice, a crowded place is compared in part only, those whose other
    bits are nearest by value; ``complete`` says whether that was needed.
    """

    def __init__(self, hashes: Hashes, *, queries: int = 1, budget: float = np.inf) -> None:
        self._hashes = hashes
        self._orders, self._starts, self._sorted = [], [], []
        for quarter in range(_QUARTERS):
            turned = _turned(hashes, quarter)
            order = np.argsort(turned, kind="stable")
            self._orders.append(order)
            self._sorted.append(turned[order])
            counts = np.bincount((turned >> np.uint64(64 - _BITS)).astype(np.int64), minlength=1 << _BITS)
            self._starts.append(np.concatenate([[0], np.cumsum(counts)]))
        self._cap = self._affordable(budget / max(queries * len(_FLIPS), 1))
        self.complete = self._cap >= self._largest()

    def _sizes(self) -> Int64[np.ndarray, "quarters places"]:
        return np.diff(np.stack(self._starts), axis=1)

    def _largest(self) -> int:
        return int(self._sizes().max())

    def _affordable(self, budget: float) -> int:
        """The most hashes of one place that a look may compare."""
        sizes = self._sizes().astype(np.float64)
        cap = max(self._largest(), _LEAST_CAP)
        while cap > _LEAST_CAP and (sizes * np.minimum(sizes, cap)).sum() > budget:
            cap //= 2
        return max(cap, _LEAST_CAP)

    def within_radius(self, queries: Hashes) -> Pairs:
        """The pairs (row of ``queries``, row of the index) that differ in at most ``RADIUS`` bits, and in how many.

        Each pair comes once; they are sorted.
        """
        found = [self._look(queries, quarter, flip << np.uint64(64 - _BITS)) for quarter in range(_QUARTERS) for flip in _FLIPS]
        n = max(len(self._hashes), 1)
        pairs = np.unique(np.concatenate(found))
        query, row = pairs // n, pairs % n
        return query, row, np.bitwise_count(queries[query] ^ self._hashes[row])

    def _look(self, queries: Hashes, quarter: int, flip: np.uint64) -> Int64[np.ndarray, "pairs"]:
        """The pairs found at one place of one table, as ``query * n + row``."""
        wanted = _turned(queries, quarter) ^ flip
        place = (wanted >> np.uint64(64 - _BITS)).astype(np.int64)
        start, end = self._starts[quarter][place], self._starts[quarter][place + 1]
        if not self.complete:
            middle = np.searchsorted(self._sorted[quarter], wanted)
            start, end = _window(start, end, middle, self._cap)
        counts = end - start
        query = np.repeat(np.arange(len(queries)), counts)
        first = np.repeat(start - (np.cumsum(counts) - counts), counts)
        row = self._orders[quarter][first + np.arange(len(query))]
        near = np.bitwise_count(queries[query] ^ self._hashes[row]) <= RADIUS
        pairs: np.ndarray = query[near] * len(self._hashes) + row[near]
        return pairs


def _turned(hashes: Hashes, quarter: int) -> UInt64[np.ndarray, "n"]:
    """The bits turned round until the quarter's own are the highest, so that sorting puts a place's hashes together."""
    if quarter == 0:
        return hashes
    left, right = np.uint64(_BITS * quarter), np.uint64(64 - _BITS * quarter)
    return (hashes << left) | (hashes >> right)


def _window(start: np.ndarray, end: np.ndarray, middle: np.ndarray, cap: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``cap`` of what lies from ``start`` to ``end``, around ``middle``."""
    first = np.clip(middle - cap // 2, start, np.maximum(start, end - cap))
    return first, np.minimum(end, first + cap)
