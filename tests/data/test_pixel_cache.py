"""Prepared pictures kept between runs: the same bytes, found by content, and never a reason for a run to stop."""

import errno
import os

import numpy as np
import pytest

from eyebright.core.events import Progress
from eyebright.core.preprocess import Preprocess
from eyebright.data import pixel_cache as room
from eyebright.data import pixels
from eyebright.data.pixel_cache import PixelCache, place_for
from eyebright.data.pixels import prepare_all
from eyebright.data.scanned import Scanned
from eyebright.data.source import Source

SPEC = Preprocess(height=6, width=5)


def name(number):
    """The sha256 of a content, made up."""
    return f"{int(number):064x}"


@pytest.fixture
def read(monkeypatch):
    """The keys that a source was asked for; everything counts as slow enough to be kept."""
    monkeypatch.setattr(pixels, "WORTH_KEEPING", 0.0)
    return []


def prepared(tmp_path, read, keys, spec=SPEC, **options):
    """Pictures of one level each, the key's number."""

    def reading(key):
        read.append(key)
        return np.full((6, 5, 3), int(key), dtype=np.uint8)

    keys = [str(key) for key in keys]
    source = Source("made", ("a", "b"), (), reading)
    return prepare_all(source, keys, spec, contents=[name(key) for key in keys], cache=tmp_path / "cache", **options)


def test_a_second_run_reads_nothing_and_gets_the_same_bytes(tmp_path, read):
    first = prepared(tmp_path, read, range(9)).copy()
    second = prepared(tmp_path, read, range(9))
    assert sorted(read) == sorted(str(number) for number in range(9))
    np.testing.assert_array_equal(first, second)


def test_what_lies_together_is_not_copied_and_what_is_written_to_it_stays_with_the_process(tmp_path, read):
    prepared(tmp_path, read, range(9))
    again = prepared(tmp_path, read, range(9))
    assert isinstance(again, np.memmap)
    again[:] = 255
    assert prepared(tmp_path, read, range(9))[:, 0, 0, 0].tolist() == list(range(9))


def test_a_new_picture_is_prepared_alone_and_joins_the_others(tmp_path, read):
    prepared(tmp_path, read, range(4))
    read.clear()
    found = prepared(tmp_path, read, [3, 9, 0])
    assert read == ["9"]
    assert found[:, 0, 0, 0].tolist() == [3, 9, 0]
    read.clear()
    assert prepared(tmp_path, read, [9, 1])[:, 0, 0, 0].tolist() == [9, 1]
    assert not read


def test_another_way_of_preparing_never_gets_these_pictures(tmp_path, read):
    prepared(tmp_path, read, range(4))
    assert prepared(tmp_path, read, range(4), SPEC.model_copy(update={"colour": "grey"})).shape == (4, 3, 6, 5)
    assert len(read) == 8


def test_another_way_of_decoding_prepares_anew(tmp_path, read, monkeypatch):
    prepared(tmp_path, read, range(4))
    monkeypatch.setattr(room, "revision", lambda: "another")
    prepared(tmp_path, read, range(4))
    assert len(read) == 8


def test_what_is_soon_done_again_is_not_kept(tmp_path):
    read = []
    prepared(tmp_path, read, range(4))
    prepared(tmp_path, read, range(4))
    assert len(read) == 8
    assert not list((tmp_path / "cache").rglob("*.pixels"))


@pytest.mark.parametrize("harm", [
    lambda file: file.write_bytes(file.read_bytes()[:-7]),
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(file.read_bytes() * 2),
    lambda file: file.unlink(),
])  # fmt: skip
def test_a_damaged_pack_is_passed_over_and_made_again(tmp_path, read, harm):
    prepared(tmp_path, read, range(4))
    (file,) = (tmp_path / "cache").rglob("*.pixels")
    harm(file)
    assert prepared(tmp_path, read, range(4))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert len(read) == 8
    assert not list((tmp_path / "cache").rglob("*.part"))
    prepared(tmp_path, read, range(4))
    assert len(read) == 8


def test_a_pack_that_cannot_be_opened_now_is_kept_for_later(tmp_path, read, monkeypatch):
    """As where a process has too many files open."""
    prepared(tmp_path, read, range(4))
    with monkeypatch.context() as patch:
        patch.setattr(room.np, "memmap", lambda *given, **named: (_ for _ in ()).throw(OSError(errno.EMFILE, "Too many")))
        assert prepared(tmp_path, read, range(4))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert len(read) == 8
    prepared(tmp_path, read, range(4))
    assert len(read) == 8


def test_packs_that_are_not_asked_for_are_not_opened(tmp_path, read, monkeypatch):
    for first in (0, 10, 20):
        prepared(tmp_path, read, range(first, first + 4))
    opened = []
    real = np.memmap
    monkeypatch.setattr(room.np, "memmap", lambda *given, **named: opened.append(1) or real(*given, **named))
    assert prepared(tmp_path, read, [11])[0, 0, 0, 0] == 11
    assert opened == [1]


def test_equal_pictures_in_a_set_do_not_keep_it_from_being_mapped(tmp_path, read):
    prepared(tmp_path, read, [1, 2, 1, 3])
    found = prepared(tmp_path, read, [1, 2, 1, 3])
    assert isinstance(found, np.memmap)
    assert found[:, 0, 0, 0].tolist() == [1, 2, 1, 3]


def test_another_users_folder_is_done_without(tmp_path, read, monkeypatch):
    def refuse(self, pattern):
        raise PermissionError(errno.EACCES, "Permission denied")

    prepared(tmp_path, read, range(4))
    monkeypatch.setattr("pathlib.Path.glob", refuse)
    monkeypatch.setattr("pathlib.Path.rglob", refuse)
    assert prepared(tmp_path, read, range(4))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_what_a_killed_run_left_behind_goes_after_a_day(tmp_path, read):
    prepared(tmp_path, read, range(4))
    (folder,) = (one for one in (tmp_path / "cache").iterdir())
    old, young = [folder / "old.pixels", folder / "old.sha256.part"], folder / "young.pixels"
    for file in (*old, young):
        file.write_bytes(b"half")
    for file in old:
        os.utime(file, (1000, 1000))
    prepared(tmp_path, read, range(10, 12))
    assert not any(file.exists() for file in old)
    assert young.exists()
    assert len(list(folder.glob("*.pixels"))) == 3


def test_hashes_that_are_cut_short_make_no_wrong_pictures(tmp_path, read):
    prepared(tmp_path, read, range(4))
    (file,) = (tmp_path / "cache").rglob("*.sha256")
    file.write_bytes(file.read_bytes()[:-5])
    assert prepared(tmp_path, read, range(4))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_a_full_disk_costs_the_cache_only(tmp_path, read, monkeypatch):
    def refuse(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room.os, "fsync", refuse)
    assert prepared(tmp_path, read, range(4))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_a_disk_with_little_room_is_left_alone(tmp_path, read, monkeypatch):
    monkeypatch.setattr(room, "FREE", 10**12)
    prepared(tmp_path, read, range(4))
    assert not list((tmp_path / "cache").rglob("*.pixels"))


def test_packs_not_used_for_longest_go_first(tmp_path, read, monkeypatch):
    pack = 4 * 3 * 6 * 5 + 4 * 32  # bytes: the pictures and their hashes
    monkeypatch.setattr(room, "LIMIT", 2 * pack)
    for first in (0, 10):
        prepared(tmp_path, read, range(first, first + 4))
    for file in (tmp_path / "cache").rglob("*.sha256"):
        os.utime(file, (1000, 1000))
    prepared(tmp_path, read, range(4))  # used now
    prepared(tmp_path, read, range(20, 24))
    cache = PixelCache(tmp_path / "cache", SPEC)
    kept = {number for number in range(30) if cache.places([name(number)])[0]}
    assert kept == {*range(4), *range(20, 24)}


def test_progress_counts_what_was_known_too(tmp_path, read):
    prepared(tmp_path, read, range(4))
    heard = []
    prepared(tmp_path, read, range(6), on_event=heard.append)
    assert heard[-1] == Progress(6)


def test_without_a_cache_nothing_is_written(tmp_path, read):
    source = Source("made", ("a", "b"), (), lambda key: np.zeros((6, 5, 3), np.uint8))
    prepare_all(source, ["1"], SPEC, contents=[name(1)])
    assert not list(tmp_path.iterdir())


def test_the_folder_is_its_owners_alone(tmp_path, read):
    prepared(tmp_path, read, range(2))
    assert oct((tmp_path / "cache").stat().st_mode)[-3:] == "700"


def test_no_copy_of_a_patients_picture_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path))
    photograph = Scanned("0" * 64, 6, 5, "RGB", "JPEG")
    assert place_for([photograph]) == tmp_path / "pixels"
    assert place_for([photograph, Scanned("1" * 64, 6, 5, "L", "DICOM")]) is None


def test_of_a_set_that_is_partly_known_only_the_new_rows_are_kept_a_block_at_a_time(tmp_path, read, monkeypatch):
    monkeypatch.setattr(room, "BLOCK", 2)
    prepared(tmp_path, read, range(3))
    prepared(tmp_path, read, range(8))
    sizes = sorted(file.stat().st_size for file in (tmp_path / "cache").rglob("*.pixels"))
    assert sizes == [3 * 90, 5 * 90]
    read.clear()
    assert prepared(tmp_path, read, [7, 0, 5])[:, 0, 0, 0].tolist() == [7, 0, 5]
    assert not read
