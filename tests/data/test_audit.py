"""The audit, with faults planted: cut files, copies in another format, copies with another label."""

import dataclasses
import io
import time

import numpy as np
import pytest
from PIL import Image as Pillow
from scenes import cropped, reencoded, scene

from eyebright.core.errors import DataError, ImageError
from eyebright.core.events import Phase, Progress
from eyebright.data.audit import (
    Audit,
    Scanned,
    audit,
    class_counts,
    format_counts,
    imbalance,
    mode_counts,
    near_count,
    part_counts,
    refuse_unfit,
    size_summary,
    small_count,
    warning_counts,
)
from eyebright.data.source import Sample, Source


def picture(seed, height=6, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(array, format_name):
    file = io.BytesIO()
    Pillow.fromarray(array).save(file, format_name)
    return file.getvalue()


def source_of(contents, labels=None, classes=("cat", "dog")):
    """A source of ``contents`` (key: bytes or array); the label is 0 unless ``labels`` says otherwise."""
    samples = tuple(Sample(key, (labels or {}).get(key, 0)) for key in sorted(contents))
    return Source("pets", classes, samples, contents.__getitem__)


def source_of_bad(bad, total):
    """``total`` pictures of two classes, of which the first ``bad`` are cut in half."""
    whole = [encoded(picture(i), "PNG") for i in range(total)]
    contents = {f"{i:03d}.png": content[: len(content) // 2] if i < bad else content for i, content in enumerate(whole)}
    return source_of(contents, {f"{i:03d}.png": i % 2 for i in range(total)})


def test_every_picture_is_read_and_described():
    found = audit(source_of({"a.png": encoded(picture(1), "PNG"), "b.bmp": encoded(picture(2, 4, 5), "BMP")}))
    assert not found.unreadable
    assert (found.scanned["a.png"].height, found.scanned["a.png"].width) == (6, 8)
    assert found.scanned["b.bmp"].format == "BMP"
    assert mode_counts(found) == {"RGB": 2}
    assert format_counts(found) == {"PNG": 1, "BMP": 1}
    assert size_summary(found) == {"smallest": (4, 5), "median": (4, 5), "largest": (6, 8)}


def test_an_exact_audit_knows_all_but_near_copies_and_cues():
    large = scene(0, 128, 96)
    cut = encoded(picture(1, 64, 64), "JPEG")[:300]
    contents = {"a": large, "b": large.copy(), "c": reencoded(large, 90), "d": cut}
    source = source_of(contents, {"b": 1})
    full, exact = audit(source), audit(source, depth="exact")
    assert full.near == (("a", "b", "c"),)
    assert exact == Audit(
        {key: dataclasses.replace(found, cues=None) for key, found in full.scanned.items()},
        full.unreadable,
        duplicates=(("a", "b"),),
        conflicts=(("a", "b"),),
    )
    assert list(exact.unreadable) == ["d"]


def test_a_file_that_was_cut_in_half_is_unreadable_with_a_reason():
    content = encoded(picture(1, 64, 64), "JPEG")
    found = audit(source_of({"cut.jpg": content[: len(content) // 2], "whole.jpg": content}))
    assert list(found.scanned) == ["whole.jpg"]
    assert list(found.unreadable) == ["cut.jpg"]
    assert found.unreadable["cut.jpg"]


def test_a_file_that_cannot_be_opened_is_unreadable_and_not_raised():
    def read(key):
        raise PermissionError(13, "Permission denied")

    found = audit(Source("pets", ("cat", "dog"), (Sample("a.png", 0),), read))
    assert found.unreadable == {"a.png": "Permission denied"}


def test_copies_in_another_file_format_are_duplicates():
    same = picture(1)
    contents = {"a.png": encoded(same, "PNG"), "b.bmp": encoded(same, "BMP"), "c.png": encoded(picture(2), "PNG"), "d": same}
    assert audit(source_of(contents)).duplicates == (("a.png", "b.bmp", "d"),)


def test_the_same_bytes_in_another_shape_are_no_duplicate():
    flat = np.zeros((2, 8, 3), dtype=np.uint8)
    assert audit(source_of({"wide": flat, "tall": flat.reshape(8, 2, 3)})).duplicates == ()


def test_a_copy_with_another_label_is_a_conflict():
    contents = {"a": picture(1), "b": picture(1), "c": picture(2), "d": picture(2)}
    found = audit(source_of(contents, {"b": 1}))
    assert found.duplicates == (("a", "b"), ("c", "d"))
    assert found.conflicts == (("a", "b"),)


def test_near_copies_are_found_by_content_whatever_the_file():
    contents = {f"{seed}.png": encoded(scene(seed), "PNG") for seed in range(6)}
    contents["again.jpg"] = encoded(cropped(scene(2), 0.02, 0.02, 0.02, 0.02), "JPEG")
    found = audit(source_of(contents))
    assert found.near == (("2.png", "again.jpg"),)
    (pair,) = found.near_pairs
    assert (pair.first, pair.second, pair.mirrored) == ("2.png", "again.jpg", False)
    assert found.duplicates == found.reported == found.near_notes == ()
    assert near_count(found) == 1


def test_exact_copies_of_near_copies_are_in_the_cluster_and_counted_once():
    near = reencoded(scene(0))
    contents = {"a.png": encoded(scene(0), "PNG"), "b.png": encoded(near, "PNG"), "c.bmp": encoded(near, "BMP")}
    contents |= {f"{seed}.png": encoded(scene(seed), "PNG") for seed in range(1, 4)}
    found = audit(source_of(contents))
    assert found.duplicates == (("b.png", "c.bmp"),)
    assert found.near == (("a.png", "b.png", "c.bmp"),)
    assert len(found.near_pairs) == 1
    assert near_count(found) == 1  # b.png; c.bmp is its exact copy


def test_exact_copies_alone_are_no_near_copies():
    found = audit(source_of({"a": scene(0), "b": scene(0), "c": scene(1)}))
    assert found.duplicates == (("a", "b"),)
    assert found.near == found.near_pairs == ()


def test_pictures_under_64_pixels_take_part_with_exact_copies_only():
    def pair_at(height):
        large = scene(0, height, 100)
        return audit(source_of({"a": large, "b": reencoded(large, 90), "c": scene(1, height, 100)}))

    assert pair_at(64).near == (("a", "b"),)
    assert pair_at(63).near == ()
    assert (small_count(pair_at(64)), small_count(pair_at(63))) == (0, 3)


def test_a_film_is_reported_with_the_parts_it_lies_in_and_not_merged():
    random = np.random.default_rng(0)
    frames = {
        f"frame {i:02d}": np.clip(scene(9) + random.normal(0, 2, (120, 160, 3)), 0, 255).astype(np.uint8) for i in range(12)
    }
    contents = frames | {f"{seed}": scene(seed) for seed in range(3)}
    samples = tuple(Sample(key, 0, "test" if key == "frame 03" else "train") for key in sorted(contents))
    found = audit(Source("film", ("cat", "dog"), samples, contents.__getitem__))
    assert found.near == ()
    assert found.reported == (tuple(sorted(frames)),)
    (note,) = found.near_notes
    assert note.startswith("12 pictures resemble one another in a chain (frame 00, frame 01 ...), in train and test: ")
    assert "--group" in note


def test_a_set_too_large_for_the_search_says_so(monkeypatch):
    monkeypatch.setattr("eyebright.data.near.MOST_PICTURES", 3)
    found = audit(source_of({f"{i}": scene(i // 2) // (1 + i % 2) for i in range(4)}))
    assert found.near == ()
    assert any("near copies were not looked for" in note for note in found.near_notes)


def test_the_result_does_not_depend_on_the_number_of_threads():
    contents = {f"{i:03d}": picture(i % 90) for i in range(100)}
    one, many = audit(source_of(contents), threads=1), audit(source_of(contents), threads=7)
    assert one == many
    assert list(one.scanned) == sorted(contents)
    assert len(one.duplicates) == 10  # 90..99 repeat 0..9


def test_near_copies_do_not_depend_on_the_number_of_threads():
    contents = {f"{i:02d}": reencoded(scene(i % 10), 90 - i) for i in range(30)}
    source = source_of(contents)
    one = audit(source, threads=1)
    assert one == audit(source, threads=4)
    assert len(one.near) == 10


def test_progress_begins_with_the_total_and_ends_at_it():
    events = []
    audit(source_of({f"{i}": picture(i) for i in range(30)}), on_event=events.append)
    assert events[0] == Phase("Reading every picture", 30)
    assert events[-1] == Progress(30)


def test_a_slow_listener_holds_the_scan_back_so_that_memory_stays_bounded():
    begun, ahead = [], []

    def read(key):
        begun.append(key)
        time.sleep(0.002)
        return picture(0)

    def dawdle(event):
        if isinstance(event, Progress) and not ahead:
            time.sleep(0.5)  # time enough for two threads to read all 1,000 pictures, were they let
            ahead.append(len(begun) - event.done)

    audit(Source("pets", ("cat", "dog"), tuple(Sample(f"{i:04d}", 0) for i in range(1000)), read), threads=2, on_event=dawdle)
    assert len(begun) == 1000
    assert ahead[0] <= 4 * 2 * 8  # four tasks a thread, eight pictures a task


def test_an_interruption_stops_the_scan_after_the_pictures_that_are_being_read():
    begun = []

    def read(key):
        begun.append(key)
        time.sleep(0.02)
        return picture(0)

    def interrupt(event):
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    source = Source("pets", ("cat", "dog"), tuple(Sample(f"{i:04d}", 0) for i in range(2000)), read)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        audit(source, threads=2, on_event=interrupt)
    # 2,000 pictures of 20 ms on two threads would take 20 s.
    assert time.monotonic() - started < 5
    assert len(begun) < 500


def test_one_per_cent_unreadable_is_allowed_and_more_is_refused():
    source = source_of_bad(1, 100)
    refuse_unfit(source, audit(source))
    source = source_of_bad(2, 100)
    with pytest.raises(DataError, match=r"2 of 100 pictures .* \(2\.0%\).*000\.png .*001\.png .*--allow-bad"):
        refuse_unfit(source, audit(source))
    refuse_unfit(source, audit(source), allow_bad=0.02)


def test_at_most_ten_unreadable_pictures_are_named_and_the_rest_counted():
    source = source_of_bad(12, 100)
    with pytest.raises(DataError, match="and 2 more") as refusal:
        refuse_unfit(source, audit(source))
    assert "009.png" in str(refusal.value)
    assert "010.png" not in str(refusal.value)


def test_a_class_without_a_readable_picture_is_refused_by_name():
    source = source_of({"a": picture(1), "b": b"nothing"}, {"b": 1})
    with pytest.raises(DataError, match="the class 'dog' of pets has no readable picture"):
        refuse_unfit(source, audit(source), allow_bad=1.0)


def test_a_single_class_is_refused():
    source = source_of({"a": picture(1)}, classes=("cat",))
    with pytest.raises(DataError, match="pets has the class 'cat'; at least two were expected"):
        refuse_unfit(source, audit(source))


def test_counts_by_class_leave_out_what_cannot_be_read_only_when_an_audit_says_so():
    source = source_of({"a": picture(1), "b": picture(2), "c": b"nothing"}, {"b": 1, "c": 1})
    assert class_counts(source) == {"cat": 1, "dog": 2}
    assert class_counts(source, audit(source)) == {"cat": 1, "dog": 1}


def test_parts_are_counted_by_class_where_the_source_gives_them():
    samples = (Sample("a", 0, "train"), Sample("b", 1, "train"), Sample("c", 1, "test"))
    assert part_counts(Source("pets", ("cat", "dog"), samples, lambda key: b"")) == {
        "train": {"cat": 1, "dog": 1},
        "test": {"cat": 0, "dog": 1},
    }


def test_imbalance_is_the_largest_class_over_the_smallest_that_has_any():
    assert imbalance({"a": 100, "b": 8, "c": 0}) == 12.5
    assert imbalance({}) == 1.0


def test_the_sizes_of_no_picture_are_empty():
    assert size_summary(Audit({}, {})) == {}


def test_warnings_of_the_decoder_are_counted_with_their_first_picture():
    quiet, loud = Scanned("0", 1, 1, "RGB", "PNG"), Scanned("1", 1, 1, "RGB", "GIF", ("First frame only.",))
    assert warning_counts(Audit({"a": quiet, "b": loud, "c": loud}, {})) == {"First frame only.": (2, "b")}


def test_an_error_that_is_ours_is_not_hidden_as_an_unreadable_picture():
    def read(key):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        audit(Source("pets", ("cat", "dog"), (Sample("a", 0),), read))


def test_a_picture_that_the_source_itself_refuses_is_unreadable():
    def read(key):
        raise ImageError("The archive's entry is damaged.")

    found = audit(Source("pets", ("cat", "dog"), (Sample("a", 0),), read))
    assert found.unreadable == {"a": "The archive's entry is damaged."}
