"""Which pictures are probed: all of a small set, evenly many of each class of a large one."""

import dataclasses
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from eyebright.data.probe import probed_keys
from eyebright.data.source import Sample, Source


def source_of(counts):
    samples = [Sample(f"{label}/{number}.png", label) for label, count in enumerate(counts) for number in range(count)]
    return Source("set", tuple("abcdef"[: len(counts)]), tuple(samples), lambda key: b"")


def test_all_of_a_small_set_is_probed_but_what_has_no_label():
    source = source_of([3, 4])
    unlabelled = dataclasses.replace(source, samples=(*source.samples, Sample("unknown.png", -1)))
    assert probed_keys(unlabelled) == {sample.key for sample in source.samples}


def test_of_a_large_set_rare_classes_stay_whole():
    kept = Counter(key[0] for key in probed_keys(source_of([1000, 5, 40, 1000]), most=100))
    assert kept == {"0": 31, "1": 5, "2": 31, "3": 31}  # 5 + 3 * 31 = 98; with 32 of each it would be 101


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 150), st.randoms(use_true_random=False))
def test_no_more_than_asked_for_and_the_same_whatever_the_order(counts, most, random):
    source = source_of(counts)
    shuffled = list(source.samples)
    random.shuffle(shuffled)
    kept = probed_keys(source, most=most)
    assert len(kept) <= most
    assert kept == probed_keys(dataclasses.replace(source, samples=tuple(shuffled)), most=most)
