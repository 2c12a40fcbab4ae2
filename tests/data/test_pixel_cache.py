"""Prepared pictures kept between runs: the same bytes, found by content, and never a reason for a run to stop."""

import errno
import os
import shutil
import subprocess
import sys
from threading import Event

import numpy as np
import pytest

from eyebright.core.events import Phase, Progress
from eyebright.core.preprocess import Preprocess
from eyebright.data import pixel_cache as room
from eyebright.data import pixels
from eyebright.data.pixel_cache import NoRoomError, PixelCache, place_for, settle
from eyebright.data.pixels import prepare_all
from eyebright.data.scanned import Scanned
from eyebright.data.source import Source

SPEC = Preprocess(height=6, width=5)


def name(number):
    """The sha256 of a content, made up."""
    return f"{int(number):064x}"


@pytest.fixture
def read(monkeypatch):
    """The keys that a source was asked for; everything counts as slow enough to be kept, and as worth a file."""
    monkeypatch.setattr(pixels, "WORTH_KEEPING", 0.0)
    monkeypatch.setattr(room, "LEAST", 0)
    return []


def prepared(tmp_path, read, keys, spec=SPEC, **options):
    """Pictures of one level each, the key's number."""

    def reading(key):
        read.append(key)
        return np.full((6, 5, 3), int(key), dtype=np.uint8)

    keys = [str(key) for key in keys]
    source = Source("made", ("a", "b"), (), reading)
    found = prepare_all(source, keys, spec, contents=[name(key) for key in keys], cache=tmp_path / "cache", **options)
    settle()
    return found


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

    class Refused(np.memmap):
        def __new__(cls, *given, **named):
            raise OSError(errno.EMFILE, "Too many open files")

    prepared(tmp_path, read, range(4))
    with monkeypatch.context() as patch:
        patch.setattr(room.np, "memmap", Refused)
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


def test_it_is_written_behind_the_callers_back_and_the_next_look_waits_for_it(tmp_path, read, monkeypatch):
    begun, go_on = Event(), Event()
    write = room.write_blocks

    def slowly(*given):
        begun.set()
        assert go_on.wait(10)
        write(*given)

    monkeypatch.setattr(room, "write_blocks", slowly)
    cache = PixelCache(tmp_path / "cache", SPEC)
    cache.add([name(5)], np.full((1, 3, 6, 5), 5, np.uint8), [0])
    assert begun.wait(10)
    assert not list((tmp_path / "cache").rglob("*.sha256"))
    go_on.set()
    assert PixelCache(tmp_path / "cache", SPEC).places([name(5)]) != [None]


def test_the_end_of_the_process_waits_for_it(tmp_path):
    program = f"""
import numpy as np
from pathlib import Path
from eyebright.core.preprocess import Preprocess
from eyebright.data.pixel_cache import PixelCache
pictures = np.zeros((2000, 3, 60, 50), np.uint8)
PixelCache(Path({str(tmp_path / "cache")!r}), Preprocess(height=60, width=50)).add(["{name(1)}"] * 2000, pictures, range(2000))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert len(list((tmp_path / "cache").rglob("*.sha256"))) == 1


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [1, 2], [3, 0, 2], [0, 2, 1, 3], [2, 2, 0]])
def test_rows_in_any_order_are_kept_under_their_own_names(tmp_path, rows):
    pictures = np.arange(4, dtype=np.uint8)[:, None, None, None].repeat(90, axis=1).reshape(4, 3, 6, 5)
    PixelCache(tmp_path / "cache", SPEC).add([name(row) for row in rows], pictures, rows)
    for row, place in zip(rows, PixelCache(tmp_path / "cache", SPEC).places([name(row) for row in rows]), strict=True):
        pack, within = place
        assert (pack.pictures[within] == row).all()


def test_where_no_thread_can_be_had_it_is_written_at_once(tmp_path, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(room.Thread, "start", refuse)
    PixelCache(tmp_path / "cache", SPEC).add([name(5)], np.full((1, 3, 6, 5), 5, np.uint8), [0])
    assert len(list((tmp_path / "cache").rglob("*.sha256"))) == 1


def test_what_lies_in_a_file_is_written_at_once(tmp_path):
    pictures = np.memmap(tmp_path / "scratch", np.uint8, "w+", shape=(1, 3, 6, 5))
    PixelCache(tmp_path / "cache", SPEC).add([name(0)], pictures, [0])
    assert not room._writing
    assert len(list((tmp_path / "cache").rglob("*.sha256"))) == 1


def files_in(folder):
    return [file for file in folder.rglob("*") if file.is_file()]


def test_what_is_prepared_is_written_once_and_never_lies_in_memory(tmp_path, read):
    assert isinstance(prepared(tmp_path, read, range(9)), np.memmap)
    assert sorted(file.suffix for file in files_in(tmp_path)) == [".pixels", ".sha256"]


def test_a_pack_is_found_by_nobody_before_it_is_kept(tmp_path, read):
    draft = PixelCache(tmp_path / "cache", SPEC).draft(2)
    for row in (1, 0):
        draft.put(row, np.full((3, 6, 5), row, np.uint8))
    assert PixelCache(tmp_path / "cache", SPEC).places([name(0)]) == [None]
    draft.keep([name(0), name(1)])
    again = PixelCache(tmp_path / "cache", SPEC)
    assert again.whole([name(0), name(1)], again.places([name(0), name(1)]))[:, 0, 0, 0].tolist() == [0, 1]


def test_what_is_soon_done_again_can_be_used_though_its_file_is_gone(tmp_path, read, monkeypatch):
    monkeypatch.setattr(pixels, "WORTH_KEEPING", 60.0)
    found = prepared(tmp_path, read, range(9))
    assert not files_in(tmp_path)
    assert found[:, 2, 5, 4].tolist() == list(range(9))


def no_room(*given, **named):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_meanwhile_costs_the_cache_only(tmp_path, read, monkeypatch):
    heard = []
    with monkeypatch.context() as patch:
        patch.setattr(room.os, "pwrite", no_room)
        patch.setattr(pixels, "WORTH_KEEPING", 60.0)
        found = prepared(tmp_path, read, range(9), on_event=heard.append)
    assert [event.name for event in heard if isinstance(event, Phase)] == [
        "Preparing pictures",
        "Preparing pictures in memory, as the cache cannot be written to",
    ]
    assert not isinstance(found, np.memmap)
    assert found[:, 0, 0, 0].tolist() == list(range(9))
    assert not files_in(tmp_path)


def test_what_is_written_in_pieces_is_whole(tmp_path, read, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(room.os, "pwrite", lambda handle, content, place: write(handle, content[:7], place))
    assert (prepared(tmp_path, read, range(9)) == np.arange(9)[:, None, None, None]).all()


def test_a_picture_that_cannot_be_read_leaves_no_half_pack(tmp_path, read):
    with pytest.raises(ValueError, match="seven"):
        prepare_all(
            Source("made", ("a", "b"), (), lambda key: np.full((6, 5, 3), int(key), np.uint8)),
            ["1", "seven"], SPEC, contents=[name(1), name(7)], cache=tmp_path / "cache",
        )  # fmt: skip
    assert not files_in(tmp_path)


def test_where_files_cannot_be_written_in_any_order_it_is_prepared_in_memory(tmp_path, read, monkeypatch):
    """As on Windows."""
    monkeypatch.delattr(room.os, "pwrite")
    assert not isinstance(prepared(tmp_path, read, range(9)), np.memmap)
    assert isinstance(prepared(tmp_path, read, range(9)), np.memmap)


def test_a_few_small_pictures_are_not_worth_a_file(tmp_path, read, monkeypatch):
    monkeypatch.setattr(room, "LEAST", 9 * 90 + 1)
    assert not isinstance(prepared(tmp_path, read, range(9)), np.memmap)
    assert isinstance(prepared(tmp_path, read, range(10, 20)), np.memmap)


def test_a_folder_that_is_deleted_meanwhile_does_not_come_back(tmp_path, read):
    draft = PixelCache(tmp_path / "cache", SPEC).draft(1)
    draft.put(0, np.zeros((3, 6, 5), np.uint8))
    shutil.rmtree(tmp_path / "cache")
    draft.keep([name(0)])
    room.settle()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_found_in_the_end_leaves_nothing(tmp_path, read, monkeypatch):
    monkeypatch.setattr(room, "forget_oldest", no_room)
    assert prepared(tmp_path, read, range(9))[:, 0, 0, 0].tolist() == list(range(9))
    assert not files_in(tmp_path)


def test_a_draft_that_was_discarded_takes_no_more_pictures(tmp_path, read):
    draft = PixelCache(tmp_path / "cache", SPEC).draft(1)
    draft.discard()
    with pytest.raises(NoRoomError):
        draft.put(0, np.zeros((3, 6, 5), np.uint8))


@pytest.mark.parametrize("picture", [np.zeros((3, 6, 6), np.uint8), np.zeros((3, 6, 5), np.float32)])
def test_a_draft_takes_pictures_of_its_own_kind_only(tmp_path, read, picture):
    draft = PixelCache(tmp_path / "cache", SPEC).draft(1)
    with pytest.raises(ValueError, match="for a pack of"):
        draft.put(0, picture)
    draft.discard()


def test_more_than_fits_into_memory_is_not_copied_there(tmp_path, read, monkeypatch):
    monkeypatch.setattr(room, "COPIED", 0)
    draft = PixelCache(tmp_path / "cache", SPEC).draft(1)
    draft.put(0, np.zeros((3, 6, 5), np.uint8))
    with pytest.raises(NoRoomError, match="too many"):
        draft._copied()
    draft.discard()
