"""Random numbers by name: nothing is consumed, so nothing depends on the order of asking."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core import seeds

KEYS = [f"rose/{i}.jpg" for i in range(200)]
keys_lists = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30, unique=True)


@given(keys_lists, st.integers(0, 2**63), st.integers(0, 1000), st.randoms())
def test_a_key_draws_the_same_numbers_in_any_company(keys, seed, epoch, random):
    shuffled = random.sample(keys, len(keys))
    drawn = dict(zip(keys, seeds.uniform(seed, "augment", epoch, seeds.key_hashes(keys), 3).tolist(), strict=True))
    again = dict(zip(shuffled, seeds.uniform(seed, "augment", epoch, seeds.key_hashes(shuffled), 3).tolist(), strict=True))
    assert drawn == again


def test_a_key_alone_draws_what_it_draws_in_a_batch():
    hashes = seeds.key_hashes(KEYS)
    together = seeds.uniform(7, "augment", 3, hashes, 4)
    alone = np.concatenate([seeds.uniform(7, "augment", 3, hashes[i : i + 1], 4) for i in range(len(KEYS))])
    np.testing.assert_array_equal(together, alone)


def test_more_columns_do_not_change_the_first_ones():
    hashes = seeds.key_hashes(KEYS)
    np.testing.assert_array_equal(seeds.uniform(7, "a", 0, hashes, 2), seeds.uniform(7, "a", 0, hashes, 9)[:, :2])


@given(keys_lists, st.integers(0, 2**63), st.randoms())
def test_the_order_of_keys_does_not_depend_on_the_order_given(keys, seed, random):
    shuffled = random.sample(keys, len(keys))
    first = [keys[i] for i in seeds.order(seed, "shuffle", 0, seeds.key_hashes(keys))]
    second = [shuffled[i] for i in seeds.order(seed, "shuffle", 0, seeds.key_hashes(shuffled))]
    assert first == second


@given(keys_lists)
def test_an_order_is_a_permutation(keys):
    assert sorted(seeds.order(1, "shuffle", 0, seeds.key_hashes(keys))) == list(range(len(keys)))


@pytest.mark.parametrize("other", [(8, "augment", 3), (7, "shuffle", 3), (7, "augment", 4)])
def test_another_seed_stream_or_epoch_draws_other_numbers(other):
    hashes = seeds.key_hashes(KEYS)
    assert not np.array_equal(seeds.uniform(7, "augment", 3, hashes), seeds.uniform(*other, hashes))


def test_numbers_lie_in_the_half_open_unit_interval():
    numbers = seeds.uniform(0, "a", 0, np.arange(100_000, dtype=np.uint64), 4)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0


@pytest.mark.parametrize("vary", ["keys", "columns", "epochs", "seeds"])
def test_numbers_are_uniform_whichever_counter_runs(vary):
    # 64 bins, 63 degrees of freedom: 124 is the 0.99999 quantile of chi-square. Counters in sequence are the hardest case.
    n = 20_000
    key = seeds.key_hashes(["one"])
    numbers = {
        "keys": lambda: seeds.uniform(0, "a", 0, np.arange(n, dtype=np.uint64))[:, 0],
        "columns": lambda: seeds.uniform(0, "a", 0, key, n)[0],
        "epochs": lambda: np.array([seeds.uniform(0, "a", epoch, key)[0, 0] for epoch in range(n // 4)]),
        "seeds": lambda: np.array([seeds.uniform(seed, "a", 0, key)[0, 0] for seed in range(n // 4)]),
    }[vary]()
    counts = np.bincount((numbers * 64).astype(int), minlength=64)
    expected = len(numbers) / 64
    assert ((counts - expected) ** 2 / expected).sum() < 124


def test_neighbouring_columns_are_not_correlated():
    numbers = seeds.uniform(0, "a", 0, np.arange(20_000, dtype=np.uint64), 4).astype(np.float64)
    off_diagonal = np.corrcoef(numbers.T)[~np.eye(4, dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.03  # four standard errors: 4 / sqrt(20,000)


def test_another_process_draws_the_same_numbers():
    program = "from eyebright.core import seeds; print(seeds.integer(5, 'head'), seeds.key_hash('rose/1.jpg'))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(seeds.integer(5, "head")), str(seeds.key_hash("rose/1.jpg"))]


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40))
def test_every_seed_gives_an_integer_that_libraries_take(seed, epoch):
    assert 0 <= seeds.integer(seed, "head", epoch) < 2**63


def test_drawing_leaves_numpys_own_stream_alone():
    before = np.random.get_state()[1].copy()
    seeds.uniform(0, "a", 0, seeds.key_hashes(KEYS))
    np.testing.assert_array_equal(before, np.random.get_state()[1])
