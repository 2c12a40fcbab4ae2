"""``inspect`` on folders with planted faults: each one must be said, and nothing that is not there."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from scenes import reencoded, scene

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
        *("unreadable", "duplicates", "conflicts", "near_duplicates", "near_pairs", "near_conflicts", "look_alikes"),
        *("leaks", "shortcuts", "stray", "sheet", "warnings", "notes"),
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


def save_scenes(root, folders):
    """One picture that looks like a photograph for each seed: ``{"cat": [1, 2]}``."""
    for folder, seeds in folders.items():
        (root / folder).mkdir(parents=True)
        for seed in seeds:
            Pillow.fromarray(scene(seed)).save(root / folder / f"{seed}.png")


def test_a_near_copy_across_given_parts_is_a_leak_and_in_another_class_a_conflict(tmp_path):
    save_scenes(tmp_path, {"train/cat": [0, 1], "train/dog": [2, 3], "test/cat": [4, 5], "test/dog": [6, 7]})
    Pillow.fromarray(reencoded(scene(1))).save(tmp_path / "test" / "dog" / "again.jpg")
    found = inspect(tmp_path)
    assert found.near_duplicates == found.near_conflicts == [["test/dog/again.jpg", "train/cat/1.png"]]
    assert found.near_pairs[0].correlation > 0.95
    assert found.leaks == [
        "1 of 5 test pictures is a near copy (re-encoded, resized, cropped or mirrored) of training pictures."
    ]
    assert found.duplicates == found.look_alikes == found.warnings == []
    assert "Near copies of other pictures: 1. A split keeps them in one part." in found.notes


def test_pictures_too_small_for_near_copies_are_counted_in_a_note(clean):
    assert inspect(clean).notes == ["Pictures under 64 pixels: 9. Only exact copies are looked for among them."]


def test_a_film_is_a_warning(tmp_path):
    save_scenes(tmp_path, {"cat": [0, 1], "dog": [2, 3]})
    random = np.random.default_rng(0)
    for i in range(12):
        frame = np.clip(scene(9) + random.normal(0, 2, (120, 160, 3)), 0, 255).astype(np.uint8)
        Pillow.fromarray(frame).save(tmp_path / "cat" / f"frame{i:02d}.png")
    found = inspect(tmp_path)
    assert found.look_alikes == [[f"cat/frame{i:02d}.png" for i in range(12)]]
    assert found.near_duplicates == []
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("12 pictures resemble one another in a chain")


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


@pytest.mark.skipif(not os.environ.get("EYEBRIGHT_DATA"), reason="EYEBRIGHT_DATA is not set: no real data sets here")
def test_published_sets_hold_near_copies_across_their_parts_and_no_two_patients_are_confused():
    home = Path(os.environ["EYEBRIGHT_DATA"])
    assert inspect("trashnet", data_home=home).leaks == [
        "3 of 203 test pictures are near copies (re-encoded, resized, cropped or mirrored) of training pictures."
    ]
    patient = r"(?P<group>person\d+|IM-\d+)"
    chests = inspect("chest_xray", data_home=home, group=patient)
    for pair in chests.near_pairs:
        assert re.search(patient, pair.first).group() == re.search(patient, pair.second).group()
