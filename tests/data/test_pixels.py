"""The pictures of a source at a model's size: in order, by all cores, in memory or in a file."""

import threading
import time

import numpy as np
import pytest
from pictures import class_folders, noise, png

from eyebright.core.errors import ImageError, ResourceError
from eyebright.core.events import Phase, Progress
from eyebright.core.preprocess import Preprocess
from eyebright.data import in_order, pixels
from eyebright.data.folder import folder_source
from eyebright.data.pixels import prepare_all
from eyebright.data.source import Source
from eyebright.images.decode import decode
from eyebright.images.kernels import resample
from eyebright.images.preprocess import prepare

SPEC = Preprocess(height=6, width=5)


def source_of(read):
    return Source("made", ("a", "b"), (), read)


def number_source():
    """Key "17" is a picture of the one level 17."""
    return source_of(lambda key: np.full((6, 5, 3), int(key), dtype=np.uint8))


def test_pictures_come_in_the_order_of_the_keys_whatever_the_threads():
    keys = [str(number) for number in (*range(255, -1, -1), 3, 3, 7)]
    for threads in (1, 3, 8):
        batch = prepare_all(number_source(), keys, SPEC, threads=threads)
        assert batch.shape == (259, 3, 6, 5)
        assert batch[:, 0, 0, 0].tolist() == [int(key) for key in keys]


def test_encoded_pictures_are_decoded_and_prepared(tmp_path):
    source = folder_source(class_folders(tmp_path, {"a": 20, "b": 20}))
    keys = [sample.key for sample in source.samples]
    expected = np.stack([prepare(decode(source.read(key)).image, SPEC) for key in keys])
    assert np.array_equal(prepare_all(source, keys, SPEC), expected)


def test_a_grey_spec_is_obeyed():
    spec = Preprocess(height=12, width=16, colour="grey")
    batch = prepare_all(source_of(lambda key: png(noise())), ["x"], spec)
    assert np.array_equal(batch[0], decode(png(noise()), colour="grey").image.transpose(2, 0, 1))


def test_no_keys_give_an_empty_batch():
    assert prepare_all(number_source(), [], SPEC).shape == (0, 3, 6, 5)


def test_an_unreadable_picture_is_named_and_stops_the_work():
    read = []

    def reading(key):
        read.append(key)
        return b"<html>" if key == "40" else np.zeros((6, 5, 3), dtype=np.uint8)

    with pytest.raises(ImageError, match=r"^40: The content is an HTML page"):
        prepare_all(source_of(reading), [str(number) for number in range(100_000)], SPEC, threads=2)
    assert len(read) < 1_000


def test_events_tell_the_phase_and_end_with_the_total():
    events = []
    prepare_all(number_source(), ["1"] * 100, SPEC, on_event=events.append)
    assert events[0] == Phase("Preparing pictures", 100)
    assert events[-1] == Progress(100)


def test_events_come_at_most_ten_times_a_second_and_from_the_calling_thread():
    seen = []

    def slow(key):
        time.sleep(0.001)
        return np.zeros((6, 5, 3), dtype=np.uint8)

    started = time.monotonic()
    prepare_all(source_of(slow), ["x"] * 400, SPEC, threads=2, on_event=lambda event: seen.append(threading.current_thread()))
    assert set(seen) == {threading.main_thread()}
    assert 3 <= len(seen) <= 2 + (time.monotonic() - started) / 0.1


def test_few_pictures_are_in_flight_at_a_time(monkeypatch):
    monkeypatch.setattr(in_order, "CHUNK", 1)
    reading, most, lock = [0], [0], threading.Lock()

    def counted(key):
        with lock:
            reading[0] += 1
            most[0] = max(most[0], reading[0])
        time.sleep(0.0005)
        with lock:
            reading[0] -= 1
        return np.zeros((6, 5, 3), dtype=np.uint8)

    prepare_all(source_of(counted), ["x"] * 100, SPEC, threads=3)
    assert most[0] <= 3


def test_many_pictures_go_to_a_file_and_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MEMORY_LIMIT", 1000)
    keys = [str(number) for number in range(50)]
    batch = prepare_all(number_source(), keys, SPEC, scratch=tmp_path / "new")
    assert isinstance(batch, np.memmap)
    assert batch[:, 2, 5, 4].tolist() == list(range(50))
    (file,) = (tmp_path / "new").iterdir()
    batch.flush()
    assert np.array_equal(np.load(file), batch)


def test_without_scratch_too_many_pictures_are_a_resource_error(monkeypatch):
    monkeypatch.setattr(pixels, "MEMORY_LIMIT", 1000)
    with pytest.raises(ResourceError, match="50 pictures of 6 x 5 pixels"):
        prepare_all(number_source(), ["1"] * 50, SPEC)


def test_a_full_disk_is_a_resource_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MEMORY_LIMIT", 1000)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixels.os, "posix_fallocate", full)
    with pytest.raises(ResourceError, match="No space left"):
        prepare_all(number_source(), ["1"] * 50, SPEC, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MEMORY_LIMIT", 1000)
    with pytest.raises(ImageError):
        prepare_all(source_of(lambda key: b""), ["1"] * 50, SPEC, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_in_a_listener_stops_the_work():
    def interrupt(event):
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_all(number_source(), ["1"] * 50, SPEC, on_event=interrupt)


@pytest.fixture
def impatient(monkeypatch):
    """Progress is told after every picture, and loading a quicker way is worth it from the first."""
    monkeypatch.setattr(pixels, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(pixels, "WORTH_LOADING", 0.0)


def test_where_much_is_left_to_do_a_quicker_way_is_loaded_which_gives_the_same_bytes(impatient, monkeypatch):
    used = []

    def quick(*given):
        used.append(given)
        return resample(*given)

    monkeypatch.setattr(pixels, "quick_resample", lambda: quick)
    keys = [str(number) for number in range(80)]

    def slowly(key):
        time.sleep(0.002)
        return noise(20 + int(key), 31)

    found = prepare_all(source_of(slowly), keys, SPEC, threads=1)
    assert 0 < len(used) <= len(keys) - pixels.SEEN
    assert np.array_equal(found, np.stack([prepare(noise(20 + int(key), 31), SPEC) for key in keys]))


@pytest.fixture
def loaded(monkeypatch):
    """How often the quicker way was loaded; it cannot be had."""
    times = []
    monkeypatch.setattr(pixels, "quick_resample", lambda: times.append(1))
    return times


def large_source():
    return source_of(lambda key: np.full((20, 20, 3), int(key), dtype=np.uint8))


def test_it_is_loaded_once_and_where_it_cannot_be_had_pillow_goes_on(impatient, loaded):
    assert prepare_all(large_source(), ["7"] * 80, SPEC, threads=1)[:, 0, 0, 0].tolist() == [7] * 80
    assert loaded == [1]


def test_it_is_not_loaded_where_little_is_left(impatient, loaded, monkeypatch):
    monkeypatch.setattr(pixels, "WORTH_LOADING", 60.0)
    prepare_all(large_source(), ["7"] * 80, SPEC, threads=1)
    assert not loaded


def test_it_is_not_loaded_for_a_few_pictures_however_slow(impatient, loaded):
    prepare_all(large_source(), ["7"] * pixels.SEEN, SPEC, threads=1)
    assert not loaded


def test_it_is_not_loaded_where_nothing_is_resampled_by_it(impatient, loaded):
    prepare_all(number_source(), ["7"] * 80, SPEC, threads=1)  # of the right size already
    prepare_all(large_source(), ["7"] * 80, SPEC.model_copy(update={"colour": "grey"}), threads=1)
    assert not loaded


def test_an_error_waits_for_what_is_being_loaded(impatient, monkeypatch):
    done = threading.Event()

    def load():
        time.sleep(0.1)
        done.set()

    monkeypatch.setattr(pixels, "quick_resample", load)
    keys = [*["7"] * 79, "no number"]
    with pytest.raises(ValueError, match="no number"):
        prepare_all(large_source(), keys, SPEC, threads=1)
    assert done.is_set()
