"""Splits: exact fractions, units that are never torn, and planted leaks that must be found."""

import hashlib
import json
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import reencoded, resized, scene

from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.data.audit import Audit, audit
from eyebright.data.leaks import find_leaks
from eyebright.data.scanned import Scanned
from eyebright.data.source import PARTS, Sample, Source
from eyebright.data.split import (
    hashed_split,
    known_pictures,
    leaked_keys,
    make_split,
    split_from_json,
    split_to_json,
    unit_names,
)


def source_of(samples, classes=("cat", "dog", "owl", "rat")):
    return Source("pets", classes, tuple(samples), lambda key: b"")


def digest_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def audit_of(samples, copies=(), unreadable=(), near=()):
    """An audit in which every picture is different but for the clusters ``copies``, and ``near`` those nearly the same."""
    original = {key: cluster[0] for cluster in copies for key in cluster}
    keys = [sample.key for sample in samples if sample.key not in unreadable]
    scanned = {key: Scanned(digest_of(original.get(key, key)), 8, 8, "RGB", "PNG") for key in keys}
    clusters = [tuple(tuple(sorted(cluster)) for cluster in kind) for kind in (copies, near)]
    return Audit(scanned, dict.fromkeys(unreadable, "cut"), clusters[0], near=clusters[1])


def ungrouped(counts):
    return [Sample(f"{label}/{i:05d}.png", label) for label, n in enumerate(counts) for i in range(n)]


def grouped(rows):
    """Samples of (label, number of a patient or None)."""
    return [Sample(f"{i:02d}.png", label, group=patient and f"patient {patient}") for i, (label, patient) in enumerate(rows)]


def split_of(samples, copies=(), **options):
    return make_split(source_of(samples), audit_of(samples, copies), **options)


def counts_of(split, samples, part):
    label_of = {sample.key: sample.label for sample in samples}
    return Counter(label_of[key] for key in split.parts[part])


class_sizes = st.lists(st.integers(1, 70), min_size=1, max_size=4)
fractions = st.sampled_from(
    [
        {},
        {"test": 0.2, "validation": 0.0},
        {"test": 0.3, "validation": 0.0},
        {"test": 0.1, "validation": 0.1, "calibration": 0.1},
        {"test": 0.25, "validation": 0.25},
        {"test": 0.02, "validation": 0.02},
    ]
)
grouped_rows = st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(1, 9))), min_size=1, max_size=60)


@given(class_sizes, fractions, st.integers(0, 5))
def test_each_class_is_divided_within_one_picture_of_the_fractions(sizes, fractions, seed):
    samples = ungrouped(sizes)
    split = split_of(samples, seed=seed, **fractions)
    wanted = {"test": 0.2, "validation": 0.15, "calibration": 0.0, **fractions}
    wanted["train"] = 1 - sum(wanted.values())
    for part in PARTS:
        found = counts_of(split, samples, part)
        for label, n in enumerate(sizes):
            assert abs(found[label] - wanted[part] * n) <= 1 + 1e-9 or n == 1
            if n >= 2 and part in ("train", "test"):
                assert found[label] >= 1


@given(class_sizes, fractions)
def test_each_picture_is_in_exactly_one_part(sizes, fractions):
    samples = ungrouped(sizes)
    split = split_of(samples, **fractions)
    assert sorted(key for keys in split.parts.values() for key in keys) == sorted(sample.key for sample in samples)


@given(grouped_rows, st.lists(st.lists(st.integers(0, 59), min_size=2, max_size=4), max_size=5), st.integers(0, 3))
def test_no_group_and_no_cluster_of_copies_straddles_two_parts(rows, clusters, seed):
    samples = grouped(rows)
    # A picture is in one cluster of copies at most: later mentions of it are dropped.
    seen, copies = set(), []
    for cluster in clusters:
        fresh = sorted({i for i in cluster if i < len(rows)} - seen)
        seen |= set(fresh)
        if len(fresh) > 1:
            copies.append(tuple(samples[i].key for i in fresh))
    split = split_of(samples, copies, seed=seed)
    part_of = split.part_of
    assert len(part_of) == len(samples)
    for cluster in copies:
        assert len({part_of[key] for key in cluster}) == 1
    for group in {sample.group for sample in samples} - {None}:
        assert len({part_of[sample.key] for sample in samples if sample.group == group}) == 1


@given(grouped_rows, st.randoms(use_true_random=False))
def test_shuffling_the_samples_leaves_the_split_unchanged(rows, random):
    samples = grouped(rows)
    split = split_of(samples)
    random.shuffle(samples)
    assert split_of(samples) == split


def test_a_hundred_pictures_at_the_usual_fractions_are_divided_exactly():
    split = split_of(ungrouped([100]))
    # 0.2 and 0.15 of 100; the rest is train
    assert {part: len(keys) for part, keys in split.parts.items()} == {
        "train": 65,
        "validation": 15,
        "calibration": 0,
        "test": 20,
    }
    assert split.how == "65 % train, 20 % test and 15 % validation of 100 pictures, stratified by class, seed 0"


def test_rounding_in_small_classes_does_not_add_up():
    # 100 classes of 7: 1.4 of each belong in test. Rounded alike in each class that were 100 or 200, not 140.
    samples = ungrouped([7] * 100)
    source = Source("many", tuple(f"class {i}" for i in range(100)), tuple(samples), lambda key: b"")
    split = make_split(source, audit_of(samples))
    assert abs(len(split.parts["test"]) - 140) <= 1
    assert abs(len(split.parts["validation"]) - 105) <= 1


def test_another_seed_gives_another_split_of_the_same_sizes():
    samples = ungrouped([50, 30])
    first, second = split_of(samples, seed=0), split_of(samples, seed=1)
    assert first.fingerprint != second.fingerprint
    assert {part: len(keys) for part, keys in first.parts.items()} == {part: len(keys) for part, keys in second.parts.items()}


def test_groups_of_uneven_size_come_near_the_fractions():
    # 60 patients of 1 to 20 pictures, each of one class, as in the chest X-rays.
    sizes = np.random.default_rng(0).integers(1, 21, 60)
    samples = [
        Sample(f"p{patient:02d}/{i:02d}.png", patient % 2, group=f"p{patient:02d}")
        for patient, size in enumerate(sizes)
        for i in range(size)
    ]
    split = split_of(samples)
    for label in (0, 1):
        n = sum(sample.label == label for sample in samples)
        assert counts_of(split, samples, "test")[label] / n == pytest.approx(0.2, abs=0.02)
        assert counts_of(split, samples, "validation")[label] / n == pytest.approx(0.15, abs=0.02)


def test_a_class_of_two_groups_is_in_train_and_test_and_one_of_three_also_in_validation():
    samples = [Sample(f"{label}/{g}/{i}.png", label, group=f"{label}{g}") for label in (1, 2) for g in "ab" for i in range(9)]
    samples += [Sample(f"2/c/{i}.png", 2, group="2c") for i in range(9)]
    samples += [Sample(f"0/{i}.png", 0) for i in range(60)]
    split = split_of(samples)
    assert counts_of(split, samples, "train")[1] == counts_of(split, samples, "test")[1] == 9
    assert [counts_of(split, samples, part)[2] for part in ("train", "test", "validation")] == [9, 9, 9]


def test_a_class_of_one_group_goes_to_train_with_a_note():
    samples = [*ungrouped([20]), *(Sample(f"1/{i}.png", 1, group="only patient") for i in range(9))]
    split = split_of(samples)
    assert counts_of(split, samples, "train")[1] == 9
    assert any("'dog'" in note and "none is left for test and validation" in note for note in split.notes)


def test_unreadable_and_unlabelled_pictures_are_left_out_and_noted():
    samples = [*ungrouped([10, 10]), Sample("x.png", -1)]
    split = make_split(source_of(samples), audit_of(samples, unreadable=("0/00000.png",)))
    assert not {"0/00000.png", "x.png"} & set(split.part_of)
    assert len(split.part_of) == 19
    assert split.notes[:2] == (
        "1 picture could not be read and is left out.",
        "1 picture without a label is left out.",
    )


def test_sixty_thousand_pictures_are_divided_in_about_a_second():
    samples = ungrouped([6000] * 10)
    source = Source("digits", tuple("0123456789"), tuple(samples), lambda key: b"")
    found = audit_of(samples, copies=[(f"0/{i:05d}.png", f"0/{i + 1:05d}.png") for i in range(0, 200, 2)])
    started = time.monotonic()
    split = make_split(source, found)
    assert time.monotonic() - started < 5  # 0.2 s on a quiet machine; the bound is for a busy one
    assert len(split.parts["test"]) == 12_000


@pytest.mark.parametrize("options", [{"test": -0.1}, {"validation": 1.0}, {"test": 0.6, "validation": 0.4}])
def test_fractions_that_leave_nothing_for_train_are_refused(options):
    with pytest.raises(SettingsError, match="expected a"):
        split_of(ungrouped([10]), **options)


def given_parts(**keys):
    """Samples of alternating class: ``train=4`` gives ``train/0.png`` to ``train/3.png`` in the part train."""
    return [Sample(f"{part}/{i:03d}.png", i % 2, part) for part, n in keys.items() for i in range(n)]


def test_given_parts_are_kept_and_a_missing_validation_is_taken_out_of_train():
    samples = given_parts(train=160, test=40)
    split = split_of(samples)
    assert split.parts["test"] == tuple(sample.key for sample in samples if sample.part == "test")
    # 0.15 of the whole is 0.15 / 0.8 of the train part: 30 of 160
    assert len(split.parts["validation"]) == 30
    assert all(key.startswith("train/") for key in split.parts["validation"])
    assert split.how.startswith("train and test as the data set gives them")
    assert "18.75 % validation" in split.how


def test_all_given_parts_are_kept_and_calibration_only_comes_when_asked_for():
    samples = given_parts(train=100, validation=20, test=30)
    split = split_of(samples)
    assert {part: len(keys) for part, keys in split.parts.items()} == {
        "train": 100,
        "validation": 20,
        "calibration": 0,
        "test": 30,
    }
    # 0.13 of the whole, of which 0.2 + 0.15 are kept: 0.13 / 0.65 = 0.2 of train
    assert len(split_of(samples, calibration=0.13).parts["calibration"]) == 20


def test_a_missing_test_part_is_taken_out_of_train():
    split = split_of(given_parts(train=170, validation=30))
    assert len(split.parts["test"]) == 40  # 0.2 / (1 - 0.15) of 170
    assert len(split.parts["validation"]) == 30


def test_a_source_without_a_train_part_is_refused():
    with pytest.raises(DataError, match="gives test but no readable train pictures"):
        split_of(given_parts(test=10))
    with pytest.raises(DataError, match="has no readable train pictures"):
        split_of([Sample("a.png", -1)])


def test_a_given_test_part_that_lacks_a_class_is_noted():
    samples = [Sample(f"a{i}.png", i % 2, "train") for i in range(20)] + [Sample("b.png", 0, "test")]
    notes = make_split(source_of(samples, ("cat", "dog")), audit_of(samples)).notes
    assert notes == ("The data set's test part has no picture of the class 'dog'.",)


def test_an_exact_copy_across_given_parts_is_a_leak():
    samples = given_parts(train=20, test=10)
    copies = [("train/000.png", "test/003.png"), ("train/001.png", "test/004.png"), ("test/005.png", "test/006.png")]
    split = split_of(samples, copies)
    (leak,) = split.leaks
    assert (leak.kind, leak.parts, leak.count) == ("duplicate", ("train", "test"), 2)
    assert leak.sentence == "2 of 10 test pictures are exact copies of training pictures."
    assert leaked_keys(split) == {"test/003.png", "test/004.png"}
    assert leaked_keys(split, "validation") == frozenset()


def test_a_near_copy_across_given_parts_is_a_leak_with_a_sentence_of_its_own():
    samples = given_parts(train=20, test=10)
    near = [("train/000.png", "test/003.png", "test/004.png"), ("test/005.png", "test/006.png")]
    (leak,) = find_leaks(source_of(samples), audit_of(samples, near=near))
    assert (leak.kind, leak.parts, leak.keys) == ("near", ("train", "test"), ("test/003.png", "test/004.png"))
    assert leak.sentence == (
        "2 of 10 test pictures are near copies (re-encoded, resized, cropped or mirrored) of training pictures."
    )
    assert leaked_keys([leak]) == {"test/003.png", "test/004.png"}


def test_an_exact_copy_is_not_said_again_as_a_near_one():
    samples = given_parts(train=20, test=10)
    exact = ("train/000.png", "test/003.png")
    leaks = find_leaks(source_of(samples), audit_of(samples, [exact], near=[(*exact, "test/004.png")]))
    assert [(leak.kind, leak.keys) for leak in leaks] == [("duplicate", ("test/003.png",)), ("near", ("test/004.png",))]
    assert leaks[1].sentence.startswith("1 of 10 test pictures is a near copy ")


@given(grouped_rows, st.lists(st.lists(st.integers(0, 59), min_size=2, max_size=4), max_size=5), st.integers(0, 3))
def test_no_cluster_of_near_copies_straddles_two_parts_or_two_units(rows, clusters, seed):
    samples = grouped(rows)
    near = [tuple({samples[i].key for i in cluster if i < len(rows)}) for cluster in clusters]
    audit = audit_of(samples, near=[cluster for cluster in near if len(cluster) > 1])
    part_of = make_split(source_of(samples), audit, seed=seed).part_of
    unit_of = dict(zip((sample.key for sample in samples), unit_names(samples, audit), strict=True))
    for cluster in audit.near:
        assert len({part_of[key] for key in cluster}) == len({unit_of[key] for key in cluster}) == 1


def test_units_are_named_by_their_first_key_whatever_the_order():
    samples = [Sample("d", 0), Sample("c", 0, group="g"), Sample("b", 0, group="g"), Sample("a", 0)]
    assert unit_names(samples, audit_of(samples, near=[("a", "d")])) == ["a", "b", "b", "a"]


def test_near_copies_are_found_by_the_audit_and_kept_together():
    originals = [scene(seed) for seed in range(20)]
    pictures = {f"{i:02d}": picture for i, picture in enumerate(originals)}
    pictures |= {f"{i:02d} copy": resized(reencoded(picture, 75), 0.75) for i, picture in enumerate(originals)}
    samples = tuple(Sample(key, i % 2) for i, key in enumerate(sorted(pictures)))
    source = Source("pairs", ("even", "odd"), samples, pictures.__getitem__)
    found = audit(source)
    assert found.near == tuple((f"{i:02d}", f"{i:02d} copy") for i in range(20))
    part_of = make_split(source, found).part_of
    assert all(part_of[f"{i:02d}"] == part_of[f"{i:02d} copy"] for i in range(20))


def test_without_near_copies_the_split_is_what_it_always_was():
    # Taken from the version that did not look for near copies: its runs must stay reproducible.
    before = "00438630326fe596385eea8c6d83ed24349fa15c989d903ee56a077f31c4bd8c"
    assert split_of(ungrouped([30, 20]), seed=5).fingerprint == before


def test_a_group_across_given_parts_is_a_leak():
    samples = [
        Sample("a.png", 0, "train", "patient 1"),
        Sample("b.png", 1, "train", "patient 2"),
        Sample("c.png", 0, "validation", "patient 2"),
        Sample("d.png", 1, "test", "patient 1"),
        Sample("e.png", 1, "test", "patient 3"),
    ]
    leaks = find_leaks(source_of(samples), audit_of(samples))
    assert [(leak.kind, leak.parts, leak.keys) for leak in leaks] == [
        ("group", ("train", "test"), ("d.png",)),
        ("group", ("train", "validation"), ("c.png",)),
    ]
    assert leaks[0].sentence == "1 of 2 test pictures belongs to a group (patient, camera, track) also in train."
    assert leaked_keys(leaks, "validation") == {"c.png"}


def test_a_leak_between_validation_and_test_is_found_too():
    samples = given_parts(train=4, validation=4, test=4)
    leaks = find_leaks(source_of(samples), audit_of(samples, [("validation/000.png", "test/000.png")]))
    assert [leak.sentence for leak in leaks] == ["1 of 4 test pictures is an exact copy of validation pictures."]


def test_a_copy_of_a_given_validation_picture_in_a_test_part_that_we_drew_is_a_leak_of_the_test_part():
    samples = given_parts(train=40, validation=4, calibration=4)
    copies = [(f"train/{number:03d}.png", f"validation/{number % 4:03d}.png") for number in range(4)]
    for seed in range(5):
        split = make_split(source_of(samples), audit_of(samples, near=copies), seed=seed, test=0.5)
        drawn = {first for first, _ in copies} & set(split.parts["test"])
        assert leaked_keys(split, "test") == drawn
        if drawn:
            return
    pytest.fail("no copy was drawn in five seeds")


def test_a_split_of_ours_has_no_leaks():
    samples = [Sample(f"{i:02d}.png", i % 2, group=f"g{i % 7}") for i in range(40)]
    assert split_of(samples, [("00.png", "01.png")]).leaks == ()


def test_copied_pixels_are_found_by_the_audit_and_kept_together():
    pictures = {f"{i:02d}": np.full((4, 4, 3), i // 2, dtype=np.uint8) for i in range(40)}  # each picture twice
    samples = tuple(Sample(key, i // 2 % 2) for i, key in enumerate(pictures))
    source = Source("pairs", ("even", "odd"), samples, pictures.__getitem__)
    part_of = make_split(source, audit(source)).part_of
    assert all(part_of[f"{i:02d}"] == part_of[f"{i + 1:02d}"] for i in range(0, 40, 2))


def test_a_split_survives_json():
    split = split_of(given_parts(train=20, test=10), [("train/000.png", "test/003.png")], seed=3)
    assert split_from_json(json.loads(json.dumps(split_to_json(split)))) == split


def test_a_split_that_was_edited_is_refused():
    value = split_to_json(split_of(ungrouped([20, 20])))
    value["parts"]["test"].append(value["parts"]["train"].pop())
    with pytest.raises(DataError, match="was changed"):
        split_from_json(value)
    with pytest.raises(DataError, match="not a split"):
        split_from_json({"schema": 1})


def test_a_fingerprint_tells_which_key_is_where_and_nothing_else():
    samples = ungrouped([20, 20])
    split = split_of(samples)
    assert len(split.fingerprint) == 64
    assert split.fingerprint == split_from_json({**split_to_json(split), "how": "otherwise"}).fingerprint


def test_a_hashed_split_gives_the_parts_back_without_naming_a_key():
    samples = ungrouped([20, 20])
    split = split_of(samples)
    audit = audit_of(samples)
    hashed = json.loads(json.dumps(hashed_split(split, audit)))
    assert "00001.png" not in json.dumps(hashed)
    assert hashed["fingerprint"] == split.fingerprint
    assert known_pictures(hashed, audit).parts == split.parts


def test_a_picture_the_bundle_has_never_seen_is_in_no_part():
    samples = ungrouped([20])
    split = split_of(samples)
    held_out = split.parts["test"][0]
    known = known_pictures(hashed_split(split, audit_of(samples)), audit_of([Sample("new.png", 0), Sample(held_out, 0)]))
    assert known.parts == {"train": (), "validation": (), "calibration": (), "test": (held_out,)}
    assert known.seen == frozenset()


def test_a_training_picture_under_another_name_is_known_by_its_pixels():
    samples = ungrouped([20])
    split = split_of(samples)
    trained = split.parts["train"][0]
    moved = Audit({"moved/here.png": Scanned(digest_of(trained), 8, 8, "RGB", "PNG")}, {}, ())
    known = known_pictures(hashed_split(split, audit_of(samples)), moved)
    assert known.parts["train"] == ("moved/here.png",)
    assert known.seen == known.leaked == {"moved/here.png"}


def test_a_near_copy_that_leaked_is_known_as_such_under_another_name():
    samples = given_parts(train=4, test=4)
    audit = audit_of(samples, near=[("train/000.png", "test/000.png")])
    hashed = hashed_split(make_split(source_of(samples), audit), audit)
    moved = Audit({"moved.png": Scanned(digest_of("test/000.png"), 8, 8, "RGB", "PNG")}, {}, ())
    known = known_pictures(hashed, moved)
    assert (known.parts["test"], known.leaked) == (("moved.png",), {"moved.png"})


def test_another_picture_under_a_training_pictures_name_is_not_taken_for_it():
    samples = ungrouped([20])
    split = split_of(samples)
    impostor = Audit({split.parts["train"][0]: Scanned(digest_of("another"), 8, 8, "RGB", "PNG")}, {}, ())
    known = known_pictures(hashed_split(split, audit_of(samples)), impostor)
    assert not any(known.parts.values())


@pytest.mark.parametrize("hashed", [{}, {"parts": {}}, {"parts": {part: ["short"] for part in PARTS}}, {"parts": 3}])
def test_a_hashed_split_of_another_kind_is_refused(hashed):
    with pytest.raises(ModelError, match=r"split\.json"):
        known_pictures(hashed, audit_of([Sample("a.png", 0)]))


@pytest.mark.skipif(not os.environ.get("EYEBRIGHT_DATA"), reason="EYEBRIGHT_DATA is not set: no real data sets here")
def test_the_tracks_of_real_traffic_signs_stay_together():
    from eyebright.data.open import open_source

    # Track numbers restart in each class, so that the group is class and track: train/00006/00017_00029.jpg
    home, track = Path(os.environ["EYEBRIGHT_DATA"]), r"train/(?P<group>\d+/\d+)_"
    source = open_source("gtsrb", data_home=home, group=track)
    split = make_split(source, audit_of(source.samples))
    part_of = split.part_of
    parts_of_track = {}
    for sample in source.part("train"):
        parts_of_track.setdefault(sample.group, set()).add(part_of[sample.key])
    assert len(parts_of_track) < len(source.part("train"))
    assert all(len(parts) == 1 for parts in parts_of_track.values())
    assert not split.leaks
