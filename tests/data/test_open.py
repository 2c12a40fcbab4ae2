"""One door: what is given decides how it is read."""

import tarfile

import pytest
from pictures import class_folders, png, real_data_home, zip_of

from eyebright.core.errors import DataError, SettingsError
from eyebright.data.open import open_source


@pytest.fixture
def pets(tmp_path):
    return class_folders(tmp_path / "pets", {"cat": 2, "dog": 2})


def packed(pets, path):
    return zip_of(path, {str(file.relative_to(pets)): file.read_bytes() for file in pets.rglob("*.png")})


def test_a_folder_a_zip_and_a_table_of_the_same_pictures_agree(pets):
    (pets / "labels.csv").write_text("path,label\ncat/0.png,cat\ncat/1.png,cat\ndog/0.png,dog\ndog/1.png,dog\n")
    sources = [open_source(pets), open_source(pets / "labels.csv"), open_source(packed(pets, pets.parent / "p.zip"))]
    assert sources[0].samples == sources[1].samples == sources[2].samples
    assert sources[0].classes == sources[1].classes == sources[2].classes


def test_a_zip_is_known_by_its_content(pets):
    assert len(open_source(packed(pets, pets.parent / "download")).samples) == 4


def test_text_paths_and_the_current_folder_are_accepted(pets, monkeypatch):
    assert open_source(str(pets)).name == "pets"
    monkeypatch.chdir(pets)
    assert open_source(".").name == "pets"


def test_a_zip_or_folder_in_the_data_home_has_a_name(pets, monkeypatch):
    home = pets.parent
    packed(pets, home / "animals.zip")
    assert open_source("pets", data_home=home).samples == open_source("animals", data_home=home).samples
    monkeypatch.setenv("EYEBRIGHT_DATA", str(home))
    assert open_source("animals").name == "animals"


def test_a_folder_here_goes_before_a_known_name_and_this_is_said(pets, monkeypatch):
    pets.rename(pets.parent / "digits")
    monkeypatch.chdir(pets.parent)
    source = open_source("digits")
    assert len(source.samples) == 4
    assert "hides the set known by that name" in source.notes[0]


def test_a_known_name_is_looked_up(tmp_path):
    assert len(open_source("digits", data_home=tmp_path).samples) == 1797


def test_what_does_not_exist_is_answered_with_near_names_and_what_is_accepted(pets):
    with pytest.raises(DataError, match=r"expected a folder .*mnist.* Did you mean pets\?"):
        open_source(pets.parent / "petz")
    with pytest.raises(DataError, match=r"Did you mean .*mnist"):
        open_source("mnits", data_home=pets.parent)
    packed(pets, pets.parent / "animals.zip")
    with pytest.raises(DataError, match=r"Did you mean animals\?"):
        open_source("animal", data_home=pets.parent)


@pytest.mark.parametrize("text", ["", "no/such/folder"])
def test_nothing_is_found_under_an_odd_name(tmp_path, monkeypatch, text):
    monkeypatch.chdir(class_folders(tmp_path, {"": 1}))
    with pytest.raises(DataError):
        open_source(text)


def test_a_single_picture_is_no_data_set(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(DataError, match=r"one picture \(PNG\)"):
        open_source(tmp_path / "a.png")


@pytest.mark.parametrize(("suffix", "mode"), [("tar", "w"), ("tar.gz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")])
def test_a_tar_is_known_by_its_content_and_named_by_its_stem(pets, suffix, mode):
    path = pets.parent / f"animals.{suffix}"
    with tarfile.open(path, mode) as archive:
        archive.add(pets, "pets")
    assert open_source(path).samples == open_source(pets).samples
    assert open_source("animals", data_home=pets.parent).name == "animals"
    assert open_source(path.rename(pets.parent / "download")).samples == open_source(pets).samples


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07\x01", "a RAR archive"),
        (b"\x28\xb5\x2f\xfd", "packed by zstd"),
        (b"\x93NUMPY\x01\x00", "a single array"),
        (b"words", "no data set that is known"),
    ],
)
def test_what_is_not_read_is_named_with_what_is(tmp_path, content, word):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(DataError, match=rf"is {word}; expected .*a zip or tar of either, an \.npz.* Unpack it"):
        open_source(tmp_path / "a.bin")


def test_groups_are_found_in_the_keys(tmp_path):
    root = class_folders(tmp_path, {"a": 0, "b": 0})
    for name in ("a/person1_1.png", "a/person1_2.png", "b/person2_1.png", "b/other.png"):
        (root / name).write_bytes(png())
    source = open_source(root, group=r"(?P<group>person\d+)_")
    assert [sample.group for sample in source.samples] == ["person1", "person1", None, "person2"]
    assert "matches 3 of 4 keys" in source.notes[0]
    assert "b/other.png" in source.notes[0]


def test_a_pattern_that_matches_nothing_is_noted_with_a_key_to_look_at(pets):
    source = open_source(pets, group="(?P<group>person)")
    assert all(sample.group is None for sample in source.samples)
    assert "matches none of the 4 keys; the first key is cat/0.png" in source.notes[0]


def test_the_pattern_goes_before_the_tables_own_groups(pets):
    (pets / "t.csv").write_text("path,label,patient\ncat/0.png,cat,p1\ndog/0.png,dog,p2\n")
    assert [s.group for s in open_source(pets / "t.csv").samples] == ["p1", "p2"]
    source = open_source(pets / "t.csv", group="(?P<group>cat|dog)")
    assert [s.group for s in source.samples] == ["cat", "dog"]
    assert source.notes == ("--group replaces the groups that the data itself gives.",)


def test_a_pattern_that_matches_nothing_of_a_key_makes_no_group_of_all_such_keys(tmp_path):
    root = class_folders(tmp_path, {"a": 2, "b": 2})
    source = open_source(root, group=r"(?P<group>\d*)")  # it matches before the first letter, with nothing
    assert {sample.group for sample in source.samples} == {None}
    assert "matches none of the 4 keys" in source.notes[0]


@pytest.mark.parametrize(("pattern", "word"), [("(", "not a regular expression"), ("(person)", "a group named 'group'")])
def test_a_pattern_that_cannot_be_used_is_a_settings_error(pets, pattern, word):
    with pytest.raises(SettingsError, match=word):
        open_source(pets, group=pattern)


def test_the_chest_x_rays_are_grouped_by_patient():
    source = open_source("chest_xray", data_home=real_data_home(), group=r"(?P<group>person\d+|IM-\d+)")
    assert source.classes == ("NORMAL", "PNEUMONIA")
    assert len(source.samples) == 862
    assert all(sample.group for sample in source.samples)
    assert source.notes == ()
