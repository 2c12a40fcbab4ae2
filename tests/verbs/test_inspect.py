"""``inspect`` on folders with planted faults: each one must be said, and nothing that is not there."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import eyebright
from eyebright.core.errors import DataError, SettingsError
from eyebright.core.events import Phase
from eyebright.verbs.inspect import Inspection, InspectSettings, inspect, run


def save_picture(path, seed, size=(8, 6)):
    """A picture of noise, ``size`` is width and height; the same seed gives the same pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(path)


def save_class(folder, n, first_seed, size=(8, 6)):
    for i in range(n):
        save_picture(folder / f"{i:03d}.png", first_seed + i, size)


@pytest.fixture
def clean(tmp_path):
    """Two classes of 5 and 4 pictures; the dogs are larger."""
    save_class(tmp_path / "cat", 5, 0)
    save_class(tmp_path / "dog", 4, 100, size=(20, 10))
    return tmp_path


def test_a_clean_folder_is_described_without_a_warning(clean):
    found = inspect(clean)
    assert found.n == 9
    assert found.classes == {"cat": 5, "dog": 4}
    assert found.imbalance == 1.25
    assert found.sizes == {"smallest": (6, 8), "median": (6, 8), "largest": (10, 20)}  # height, width; 5 of 9 are small
    assert found.modes == {"RGB": 9}
    assert found.formats == {"PNG": 9}
    assert found.parts == {}
    assert found.groups == 0
    assert (found.unreadable, found.duplicates, found.conflicts, found.leaks, found.warnings) == ([], [], [], [], [])


def test_the_json_has_the_documented_keys(clean):
    value = json.loads(inspect(clean).model_dump_json(by_alias=True))
    assert value["schema"] == 1
    assert list(value) == [
        *("schema", "name", "n", "classes", "parts", "groups", "sizes", "modes", "formats", "imbalance"),
        *("unreadable", "duplicates", "conflicts", "leaks", "stray", "warnings", "notes"),
    ]
    assert Inspection.model_validate(value) == inspect(clean)


def test_a_cut_file_is_named_with_its_reason_and_still_counted(clean):
    cut = clean / "dog" / "002.png"
    cut.write_bytes(cut.read_bytes()[:60])
    found = inspect(clean)
    assert [bad.key for bad in found.unreadable] == ["dog/002.png"]
    assert found.unreadable[0].reason
    assert found.n == 9
    assert found.classes["dog"] == 4
    assert found.imbalance == pytest.approx(5 / 3)  # of the readable ones
    assert any("with train --allow-bad" in warning for warning in found.warnings)  # 1 of 9 is more than 1 %


def test_a_copy_in_another_format_and_class_is_a_duplicate_and_a_conflict(clean):
    save_picture(clean / "dog" / "copy.bmp", seed=3)  # the pixels of cat/003.png
    found = inspect(clean)
    assert found.duplicates == found.conflicts == [["cat/003.png", "dog/copy.bmp"]]
    assert found.warnings == []  # said once


def test_a_copy_across_given_parts_is_a_leak(tmp_path):
    for part, first in (("train", 0), ("test", 50)):
        save_class(tmp_path / part / "cat", 4, first)
        save_class(tmp_path / part / "dog", 4, first + 20)
    save_picture(tmp_path / "test" / "cat" / "again.png", seed=2)  # the pixels of train/cat/002.png
    found = inspect(tmp_path)
    assert found.parts == {"train": {"cat": 4, "dog": 4}, "test": {"cat": 5, "dog": 4}}
    assert found.leaks == ["1 of 9 test pictures is an exact copy of training pictures."]
    assert found.warnings == []  # said once


def test_groups_are_read_from_names_and_counted(clean):
    found = inspect(clean, group=r"(?P<group>\d)\.png$")  # 000 to 004 end in 0 to 4
    assert found.groups == 5


def test_imbalance_over_ten_to_one_is_said_and_ten_is_not(tmp_path):
    save_class(tmp_path / "cat", 20, 0)
    save_class(tmp_path / "dog", 2, 100)
    assert inspect(tmp_path).warnings == []
    save_picture(tmp_path / "cat" / "one-more.png", seed=99)
    (warning,) = inspect(tmp_path).warnings
    assert "10.5 to 1: 'cat' has 21 pictures, 'dog' has 2" in warning


def test_events_tell_the_total(clean):
    events = []
    inspect(clean, on_event=events.append)
    assert events[0] == Phase("Reading every picture", 9)


def test_the_public_name_is_this_function(clean):
    assert eyebright.inspect is inspect
    assert run(InspectSettings.resolve({"data": str(clean)})) == eyebright.inspect(str(clean))


def test_a_data_set_that_is_not_there_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        inspect(tmp_path / "nowhere")


def test_an_unknown_setting_is_refused_with_the_nearest_name(clean):
    with pytest.raises(SettingsError, match="Did you mean group"):
        inspect(clean, groups="x")


@pytest.mark.skipif(not os.environ.get("EYEBRIGHT_DATA"), reason="EYEBRIGHT_DATA is not set: no real data sets here")
def test_the_chest_xrays_are_read_whole_with_their_patients():
    home, patient = Path(os.environ["EYEBRIGHT_DATA"]), r"(?P<group>person\d+|IM-\d+)"
    found = inspect("chest_xray", data_home=home, group=patient)
    assert found.n == 862
    assert sum(sum(counts.values()) for counts in found.parts.values()) == 862
    assert found.unreadable == []
    assert 1 < found.groups < 862
