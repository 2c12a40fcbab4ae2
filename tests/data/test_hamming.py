"""The index of hashes: exactly what comparing all with all finds, and bounded work where too many are alike."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.data.hamming import RADIUS, HammingIndex

words = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30)
flips = st.lists(st.integers(0, 63), max_size=12)


def all_with_all(queries, hashes):
    distances = np.bitwise_count(queries[:, None] ^ hashes[None])
    rows, columns = np.nonzero(distances <= RADIUS)
    return rows.tolist(), columns.tolist(), distances[rows, columns].tolist()


def found(index, queries):
    return tuple(column.tolist() for column in index.within_radius(queries))


def flipped(word, bits):
    for bit in bits:
        word ^= 1 << bit
    return word


@given(words, st.lists(flips, min_size=1, max_size=30))
def test_every_pair_within_the_radius_is_found_once_and_no_other(originals, changes):
    hashes = np.array(originals, dtype=np.uint64)
    queries = np.array([flipped(originals[i % len(originals)], bits) for i, bits in enumerate(changes)], dtype=np.uint64)
    assert found(HammingIndex(hashes), queries) == all_with_all(queries, hashes)


def test_seven_bits_apart_is_near_however_they_are_spread_and_eight_is_not():
    index = HammingIndex(np.array([0], dtype=np.uint64))
    assert index.within_radius(np.array([0b1111111], dtype=np.uint64))[0].tolist() == [0]
    # 2 + 2 + 2 + 1 over the four quarters: only the last differs in one bit, which is enough
    assert index.within_radius(np.array([3 | 3 << 16 | 3 << 32 | 1 << 48], dtype=np.uint64))[0].tolist() == [0]
    assert index.within_radius(np.array([3 | 3 << 16 | 3 << 32 | 3 << 48], dtype=np.uint64))[0].tolist() == []


@pytest.mark.parametrize("n", [0, 1])
def test_few_hashes_are_no_special_case(n):
    hashes = np.arange(n, dtype=np.uint64)
    assert found(HammingIndex(hashes), np.array([0], dtype=np.uint64)) == ([0] * n, [0] * n, [0] * n)


def test_where_many_are_alike_the_work_is_bounded_and_that_is_said():
    random = np.random.default_rng(0)
    n = 20_000
    alike = np.uint64(0x0123456789ABCDEF) ^ (np.uint64(1) << random.integers(0, 64, n).astype(np.uint64))
    started = time.monotonic()
    index = HammingIndex(alike, budget=1e7)
    rows, columns, _ = index.within_radius(alike[:500])
    assert time.monotonic() - started < 5
    assert not index.complete
    assert np.isin(np.arange(500), rows[rows == columns]).all()  # each still finds itself,
    assert len(np.unique(rows[rows != columns])) == 500  # and others, so that a chain is still one cluster
    assert HammingIndex(random.integers(0, 2**64, n, dtype=np.uint64), budget=1e7).complete
