"""Near copies: planted ones are found, unrelated pictures are left alone, and sets that are all alike stay bounded."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import COPIES, reencoded, scene

from eyebright.core.events import Phase, Progress
from eyebright.data import near
from eyebright.data.near import ALWAYS_MERGED, CORRELATION, Near, NearPair, Shelf, find_near
from eyebright.images.phash import thumbprint

SCENES = 30


@pytest.fixture(scope="module")
def prints():
    """Thumbprints of 30 unrelated pictures."""
    return np.stack([thumbprint(scene(seed)) for seed in range(SCENES)])


def found_in(pictures, total=1000):
    """What is found among pictures by key, given as thumbprints."""
    return find_near(list(pictures), np.stack(list(pictures.values())), total=total)


def named(prints):
    return {f"{i:03d}": small for i, small in enumerate(prints)}


def test_unrelated_pictures_are_not_linked(prints):
    assert found_in(named(prints)) == Near()


@pytest.mark.parametrize("change", COPIES, ids=str)
def test_a_planted_copy_is_found_and_nothing_else_is(prints, change):
    planted = range(0, SCENES, 3)
    copies = {f"{i:03d} copy": thumbprint(COPIES[change](scene(i))) for i in planted}
    found = found_in(named(prints) | copies)
    assert len(found.clusters) >= len(planted) - 1  # one of ten may be missed, none may be made up
    assert set(found.clusters) <= {(f"{i:03d}", f"{i:03d} copy") for i in planted}
    assert all(pair.correlation >= CORRELATION for pair in found.pairs)
    assert {pair.mirrored for pair in found.pairs} == {change in ("mirrored", "all at once")}


def test_copies_of_one_picture_are_one_cluster_and_each_link_is_named(prints):
    copies = {f"copy {quality}": thumbprint(reencoded(scene(7), quality)) for quality in (90, 70, 50)}
    found = found_in(named(prints) | copies)
    assert found.clusters == (("007", "copy 50", "copy 70", "copy 90"),)
    assert len(found.pairs) == 3  # four pictures are linked by three pairs
    assert {key for pair in found.pairs for key in (pair.first, pair.second)} == set(found.clusters[0])


def test_a_turned_picture_is_no_near_copy(prints):
    assert not found_in(named(prints) | {"turned": thumbprint(np.rot90(scene(3), 2))}).clusters


@given(st.permutations(range(12)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_pictures_does_not_matter(order):
    pictures = named([thumbprint(scene(seed)) for seed in range(8)])
    pictures |= {f"copy {seed}": thumbprint(reencoded(scene(seed))) for seed in range(4)}
    keys = list(pictures)
    shuffled = found_in({keys[i]: pictures[keys[i]] for i in order})
    assert shuffled.clusters == tuple((f"{seed:03d}", f"copy {seed}") for seed in range(4))


def film(frames, seed=0):
    """Pictures that are each nearly the same as the next, as the frames of a film: noise moves over one scene."""
    random = np.random.default_rng(seed)
    return np.clip(thumbprint(scene(seed)) + random.normal(0, 2, (frames, 64, 64)), 0, 255).astype(np.uint8)


def test_a_cluster_of_more_than_one_per_cent_is_reported_and_not_merged(prints):
    frames = {f"frame {i:02d}": frame for i, frame in enumerate(film(15, seed=100))}
    pictures = named(prints) | frames | {"005 copy": thumbprint(reencoded(scene(5)))}
    film_is_large = found_in(pictures, total=1499)  # 1 % is 14.99
    assert film_is_large.clusters == (("005", "005 copy"),)
    assert film_is_large.reported == (tuple(sorted(frames)),)
    film_is_small = found_in(pictures, total=1500)
    assert film_is_small.reported == ()
    assert tuple(sorted(frames)) in film_is_small.clusters


def test_in_a_tiny_set_a_few_copies_are_merged_all_the_same():
    few = {f"{i}": frame for i, frame in enumerate(film(ALWAYS_MERGED))}
    assert len(found_in(few, total=ALWAYS_MERGED).clusters) == 1
    assert len(found_in(few | {"one more": film(ALWAYS_MERGED + 1)[-1]}, total=ALWAYS_MERGED + 1).reported) == 1


def test_blank_pictures_do_not_explode_and_are_not_linked(prints):
    random = np.random.default_rng(0)
    blank = np.clip(200 + random.normal(0, 1.5, (3000, 64, 64)), 0, 255).astype(np.uint8)
    started = time.monotonic()
    found = found_in(named(np.concatenate([prints, blank])))
    assert time.monotonic() - started < 10
    assert found == Near()


def test_pictures_that_are_all_alike_take_bounded_work_and_that_is_said(monkeypatch):
    monkeypatch.setattr(near, "FREELY_JUDGED", 50)
    monkeypatch.setattr(near, "JUDGED_A_PICTURE", 1)
    random = np.random.default_rng(0)
    noisy = np.clip(thumbprint(scene(0)) + random.normal(0, 8, (300, 64, 64)), 0, 255).astype(np.uint8)
    judged = []
    monkeypatch.setattr(near, "correlations", lambda first, *_: judged.append(len(first)) or np.zeros(len(first)))
    found = found_in(named(noisy))
    assert sum(judged) <= 50 + 300
    assert not found.complete


def test_progress_ends_at_the_number_of_pictures(prints):
    events = []
    find_near([str(i) for i in range(SCENES)], prints, total=SCENES, on_event=events.append)
    assert events == [Phase("Looking for near copies", SCENES), Progress(SCENES)]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare_says_nothing(n, prints):
    events = []
    assert find_near(["a"][:n], prints[:n], total=5, on_event=events.append) == Near()
    assert events == []


def test_a_shelf_gives_the_pictures_back_in_the_order_of_their_keys():
    shelf = Shelf()
    for key, seed in (("c", 1), ("b", 2), ("a", 1)):
        shelf.put(key, thumbprint(reencoded(scene(seed), 90 if key == "a" else 60)))
    found = shelf.search(total=3)
    assert found.clusters == (("a", "c"),)
    assert isinstance(found.pairs[0], NearPair)


def test_a_shelf_that_is_too_small_gives_no_answer_at_all(monkeypatch, prints):
    monkeypatch.setattr(near, "MOST_PICTURES", 3)
    shelf = Shelf()
    for key, small in zip("abc", prints[[0, 0, 1]], strict=True):
        shelf.put(key, small)
    assert shelf.search(total=3).clusters == (("a", "b"),)
    assert not shelf.is_full
    shelf.put("d", prints[2])
    shelf.put("e", prints[2])
    assert shelf.is_full
    assert shelf.search(total=5) == Near()
