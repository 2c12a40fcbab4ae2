"""A directory a class: what counts as a picture, a class and a part, and what is refused aloud."""

import os
import sys
import unicodedata

import pytest
from images.dicoms import dicom, ramp
from pictures import class_folders, jpeg, png

from eyebright.core.errors import DataError, ImageError, MissingExtraError
from eyebright.data import folder
from eyebright.data.folder import folder_source, pictures_in
from eyebright.data.source import Sample
from eyebright.images.decode import decode


def keys(source):
    return [sample.key for sample in source.samples]


def counts(source):
    return {part: len(source.part(part)) for part in ("train", "validation", "calibration", "test") if source.part(part)}


def test_a_directory_is_a_class_and_its_pictures_have_their_path_as_key(tmp_path):
    source = folder_source(class_folders(tmp_path / "pets", {"dog": 2, "cat": 1}))
    assert source.name == "pets"
    assert source.classes == ("cat", "dog")
    assert source.samples == (Sample("cat/0.png", 0), Sample("dog/0.png", 1), Sample("dog/1.png", 1))
    assert not source.has_parts
    assert source.notes == source.stray == ()
    assert decode(source.read("dog/1.png")).image.shape == (8, 8, 3)


def test_deeper_pictures_belong_to_the_first_directory(tmp_path):
    source = folder_source(class_folders(tmp_path, {"cat/indoors/sofa": 1, "dog": 1}))
    assert keys(source) == ["cat/indoors/sofa/0.png", "dog/0.png"]
    assert source.classes == ("cat", "dog")


def test_parts_are_known_by_their_names_in_any_case(tmp_path):
    layout = {f"{part}/{label}": 1 for part in ("Train", "VALID", "calibration", "test") for label in "ab"}
    source = folder_source(class_folders(tmp_path, layout))
    assert counts(source) == {"train": 2, "validation": 2, "calibration": 2, "test": 2}
    assert source.notes == ()
    assert source.samples[0] == Sample("Train/a/0.png", 0, "train")


@pytest.mark.parametrize("word", ["val", "valid", "validation", "dev", "Val"])
def test_train_and_val_alone_mean_that_val_is_held_out_and_this_is_said(tmp_path, word):
    source = folder_source(class_folders(tmp_path, {"train/a": 2, "train/b": 2, f"{word}/a": 1, f"{word}/b": 1}))
    assert counts(source) == {"train": 4, "test": 2}
    assert source.notes == (
        "Only train and val were given: val is held out as the test set, validation pictures come out of train.",
    )


def test_training_and_testing_are_parts_too(tmp_path):
    layout = {f"{part}/{tumour}": 1 for part in ("Training", "Testing") for tumour in ("glioma", "none")}
    source = folder_source(class_folders(tmp_path, layout))
    assert source.classes == ("glioma", "none")
    assert counts(source) == {"train": 2, "test": 2}


def test_the_pictures_in_a_folder_are_known_by_extension_or_first_bytes_and_litter_is_passed_over(tmp_path):
    class_folders(tmp_path, {"deeper": 1})
    for name, content in {"b.JPG": b"", "a": png(), ".hidden.png": png(), "Thumbs.db": png(), "README": b"words"}.items():
        (tmp_path / name).write_bytes(content)
    assert pictures_in(tmp_path) == [tmp_path / "a", tmp_path / "b.JPG"]


def test_a_folder_without_pictures_is_answered_with_what_it_has(tmp_path):
    with pytest.raises(DataError, match="holds no picture; it is empty"):
        pictures_in(tmp_path)
    (tmp_path / "README").write_text("soon")
    with pytest.raises(DataError, match=r"only other files were found \(README\)"):
        pictures_in(tmp_path)


def test_train_alone_is_no_split(tmp_path):
    source = folder_source(class_folders(tmp_path, {"train/a": 2, "train/b": 2}))
    assert not source.has_parts
    assert "Only train was given" in source.notes[0]


def test_a_class_missing_in_a_part_is_noted_and_labels_do_not_shift(tmp_path):
    source = folder_source(class_folders(tmp_path, {"train/a": 1, "train/b": 1, "train/c": 1, "test/a": 1, "test/c": 1}))
    assert source.classes == ("a", "b", "c")
    assert [sample.label for sample in source.part("test")] == [0, 2]
    assert source.notes == ("The folder of the test part has no picture of: b.",)


def test_an_empty_class_folder_is_an_error_that_names_it(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1, "c": 0})
    (tmp_path / "c" / "README.txt").write_text("soon")
    with pytest.raises(DataError, match="without a picture: c"):
        folder_source(tmp_path)


def test_a_class_that_is_empty_in_one_part_only_is_noted(tmp_path):
    source = folder_source(class_folders(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 0}))
    assert source.notes == ("The folder of the test part has no picture of: b.",)


def test_an_empty_class_inside_a_part_is_an_error(tmp_path):
    with pytest.raises(DataError, match="train/c"):
        folder_source(class_folders(tmp_path, {"train/a": 1, "train/b": 1, "train/c": 0, "test/a": 1}))


def test_one_class_is_refused_with_the_reason(tmp_path):
    with pytest.raises(DataError, match=r"one class only, 'cat'.*something to choose between"):
        folder_source(class_folders(tmp_path, {"cat": 3}))


def test_no_pictures_at_all_shows_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"holds no pictures; one folder for each class"):
        folder_source(tmp_path)


def test_loose_pictures_beside_a_table_point_to_the_table(tmp_path):
    class_folders(tmp_path, {"": 3})
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"3 pictures, none of them in a class folder.*give the table itself: labels\.csv"):
        folder_source(tmp_path)


def test_parts_beside_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"parts \(test, train\) beside other folders with pictures \(cat\)"):
        folder_source(class_folders(tmp_path, {"train/a": 1, "test/a": 1, "cat": 1}))


def test_a_class_may_be_called_train_beside_other_vehicles(tmp_path):
    source = folder_source(class_folders(tmp_path, {"bus": 1, "car": 1, "train": 1}))
    assert source.classes == ("bus", "car", "train")
    assert not source.has_parts


def test_parts_without_class_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="none of them in a class folder"):
        folder_source(class_folders(tmp_path, {"train": 2, "test": 2}))


def test_stray_and_hidden_files_are_left_out_and_reported(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1, "__MACOSX/a": 1, ".cache/a": 1})
    for name in ("README.txt", "a/Thumbs.db", "a/.DS_Store", "a/._0.png", "b/notes.md", "loose.png"):
        (tmp_path / name).write_bytes(png() if name.endswith("png") else b"words")
    source = folder_source(tmp_path)
    assert keys(source) == ["a/0.png", "b/0.png"]
    assert source.stray == (
        ".cache", "README.txt", "__MACOSX", "a/.DS_Store", "a/._0.png", "a/Thumbs.db", "b/notes.md", "loose.png",
    )  # fmt: skip


def test_a_picture_without_an_extension_is_known_by_its_content(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "0042").write_bytes(jpeg())
    (tmp_path / "a" / "photo.download").write_bytes(jpeg())
    (tmp_path / "a" / "0043").write_bytes(b"words")
    source = folder_source(tmp_path)
    assert keys(source) == ["a/0.png", "a/0042", "a/photo.download", "b/0.png"]
    assert source.stray == ("a/0043",)


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "scan.dcm", "scan.DICOM", "photo.hif", "old.jp2"])
def test_a_damaged_picture_of_any_kind_counts_as_a_picture_so_that_it_is_not_overlooked(tmp_path, name):
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / name).write_bytes(b"\x00\x00\x00\x18ftypheic")
    source = folder_source(tmp_path)
    with pytest.raises(ImageError):
        decode(source.read(f"a/{name}"))


def patients(tmp_path, layout):
    """A folder of DICOM files ``{"ill/scan.dcm": "MRN-1"}`` by patient."""
    for number, (name, patient) in enumerate(layout.items()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(dicom(ramp(8, 8, 1000 + number), PatientID=patient))
    return tmp_path


def test_patients_are_groups_numbered_in_the_order_of_the_keys(tmp_path):
    source = folder_source(patients(tmp_path, {"ill/1": "Roe", "well/2.dcm": "Doe", "ill/2.dcm": "Doe", "well/1.DCM": "Roe"}))
    assert {sample.key: sample.group for sample in source.samples} == {
        "ill/1": "patient-1",
        "ill/2.dcm": "patient-2",
        "well/1.DCM": "patient-1",
        "well/2.dcm": "patient-2",
    }
    assert source.notes == ("4 DICOM files are of 2 patients; each patient is a group.",)
    assert "Roe" not in repr(source)
    assert decode(source.read("ill/1")).format == "DICOM"


def test_pictures_without_a_patient_are_groups_of_their_own(tmp_path):
    class_folders(tmp_path, {"ill": 1, "well": 1})
    source = folder_source(patients(tmp_path, {"ill/1.dcm": "Roe", "ill/2.dcm": "", "well/1.dcm": "Doe"}))
    assert [sample.group for sample in source.samples] == [None, "patient-1", None, None, "patient-2"]
    assert source.notes[0] == "No patient was found in 1 of 3 DICOM files; each is a group of its own."


def test_one_number_for_all_makes_no_group(tmp_path):
    source = folder_source(patients(tmp_path, {"ill/1.dcm": "ANON", "well/1.dcm": "ANON", "well/2.dcm": "ANON"}))
    assert {sample.group for sample in source.samples} == {None}
    assert "as after blanking" in source.notes[0]


def test_the_directory_of_a_medical_disc_is_litter(tmp_path):
    source = folder_source(patients(tmp_path, {"ill/1": "Roe", "well/1": "Doe", "ill/DICOMDIR": "Roe"}))
    assert source.stray == ("ill/DICOMDIR",)


def test_a_package_that_is_missing_is_said_once_for_all_pictures(tmp_path, monkeypatch):
    root = patients(tmp_path, {f"{label}/{number}.dcm": str(number) for label in ("ill", "well") for number in range(5)})
    (root / "ill" / "photo.png").write_bytes(png())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"10 of the 11 pictures of .* are DICOM: .*pip install 'eyebright\[medical\]'"):
        folder_source(root)


def test_a_folder_from_a_phone_asks_for_its_package(tmp_path, monkeypatch):
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "IMG_1.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=r"1 of the 3 pictures of .* are HEIF: .*pip install 'eyebright\[heic\]'"):
        folder_source(tmp_path)


def test_names_of_any_script_are_kept(tmp_path):
    source = folder_source(class_folders(tmp_path, {"バラ": 1, "café crème": 1, "<b>&\"'": 1}))
    assert set(source.classes) == {"バラ", "café crème", "<b>&\"'"}
    for key in keys(source):
        assert decode(source.read(key)).image.size


def test_a_decomposed_name_gets_the_composed_key_and_is_still_found(tmp_path):
    decomposed = unicodedata.normalize("NFD", "é")
    class_folders(tmp_path, {decomposed: 1, "b": 1})
    source = folder_source(tmp_path)
    assert source.classes == ("b", "é")
    assert keys(source) == ["b/0.png", "é/0.png"]
    assert source.read("é/0.png").startswith(b"\x89PNG")


def test_a_name_that_is_no_text_gets_a_key_that_can_be_written(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1})
    try:
        with open(os.fsencode(tmp_path / "a") + b"/caf\xe9.png", "wb") as file:
            file.write(png())
    except OSError:
        pytest.skip("this disk refuses names that are no UTF-8")
    source = folder_source(tmp_path)
    assert "a/caf\\udce9.png" in keys(source)
    assert source.read("a/caf\\udce9.png") == png()


def test_a_link_to_a_picture_or_a_class_is_followed(tmp_path):
    elsewhere = class_folders(tmp_path / "elsewhere", {"dog": 2})
    root = class_folders(tmp_path / "set", {"cat": 1})
    (root / "dog").symlink_to(elsewhere / "dog")
    (root / "cat" / "linked.png").symlink_to(elsewhere / "dog" / "0.png")
    assert keys(folder_source(root)) == ["cat/0.png", "cat/linked.png", "dog/0.png", "dog/1.png"]


def test_directory_loops_end_and_the_true_directory_keeps_its_pictures(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "again").symlink_to(tmp_path / "b")
    (tmp_path / "0").symlink_to(tmp_path / "b")
    source = folder_source(tmp_path)
    assert keys(source) == ["a/0.png", "b/0.png"]
    assert source.stray == ("0/", "a/again/", "a/loop/")


def test_other_links_to_nowhere_and_pipes_are_stray_and_never_opened(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert folder_source(tmp_path).stray == ("a/gone.txt", "a/pipe.png")


def test_pictures_that_were_not_fetched_are_unreadable_and_not_stray(tmp_path):
    # git-annex leaves links to nowhere in their place.
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / ".git" / "annex" / "gone.png")
    source = folder_source(tmp_path)
    assert source.stray == ()
    assert [sample.key for sample in source.samples] == ["a/0.png", "a/gone.png", "b/0.png"]
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        source.read("a/gone.png")
    assert [path.name for path in pictures_in(tmp_path / "a")] == ["0.png", "gone.png"]


def test_a_read_only_folder_is_enough(tmp_path):
    root = class_folders(tmp_path / "set", {"a": 1, "b": 1})
    before = sorted(root.rglob("*"))
    for path in [*before, root]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        source = folder_source(root)
        assert source.read("a/0.png").startswith(b"\x89PNG")
        assert sorted(root.rglob("*")) == before
    finally:
        for path in [root, *before]:
            path.chmod(0o755)


def test_a_file_that_vanished_is_an_image_error(tmp_path):
    source = folder_source(class_folders(tmp_path, {"a": 1, "b": 1}))
    (tmp_path / "a" / "0.png").unlink()
    with pytest.raises(ImageError, match="No such file"):
        source.read("a/0.png")


def test_what_grows_while_it_is_read_is_read_whole(tmp_path, monkeypatch):
    file = tmp_path / "grows.png"
    file.write_bytes(b"0123456789")
    monkeypatch.setattr(folder.os, "fstat", lambda handle: os.stat_result((0, 0, 0, 0, 0, 0, 4, 0, 0, 0)))  # 4 bytes, it says
    assert folder.read_file(file) == b"0123456789"
    monkeypatch.setattr(folder, "MAX_BYTES", 9)
    with pytest.raises(ImageError, match="larger than"):
        folder.read_file(file)


def test_a_file_that_is_too_large_is_refused_before_it_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_BYTES", 10)
    source = folder_source(class_folders(tmp_path, {"a": 1, "b": 1}))
    with pytest.raises(ImageError, match="larger than"):
        source.read("a/0.png")
