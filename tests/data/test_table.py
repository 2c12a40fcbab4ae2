"""A CSV of pictures: columns by name, row numbers in every complaint."""

import unicodedata

import pytest
from images.dicoms import dicom, ramp
from pictures import class_folders, png

from eyebright.core.errors import DataError, ImageError, MissingExtraError
from eyebright.data import layout, table
from eyebright.data.source import Sample
from eyebright.data.table import has_columns, parse_table, rows_named, table_source


def write(folder, text, *, pictures=4, encoding="utf-8"):
    class_folders(folder, {"": pictures})
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_rows_become_samples_with_names_for_labels(tmp_path):
    source = table_source(write(tmp_path, "path,label\n0.png,3\n1.png,10\n"))
    assert source.name == "labels"
    assert source.classes == ("10", "3")
    assert source.samples == (Sample("0.png", 1), Sample("1.png", 0))
    assert source.read("1.png").startswith(b"\x89PNG")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_any_usual_delimiter_and_mark_is_understood(tmp_path, delimiter, encoding):
    text = "Path,Label,Split\r\n0.png,kätzchen,train\r\n1.png,hund,test\r\n".replace(",", delimiter)
    source = table_source(write(tmp_path, text, encoding=encoding))
    assert source.classes == ("hund", "kätzchen")
    assert [sample.part for sample in source.samples] == ["train", "test"]


@pytest.mark.parametrize("path", ["path", "FILE", "filename", "image", " FilePath "])
@pytest.mark.parametrize(
    ("label", "group", "part"),
    [("label", "group", "part"), ("Class", "Patient", "Set"), ("target", "subject", "split")],
)
def test_columns_are_known_by_their_synonyms_in_any_order(tmp_path, path, label, group, part):
    text = f"{group},{label},extra,{path},{part}\np1,a,x,0.png,train\np2,b,y,1.png,test\n"
    source = table_source(write(tmp_path, text))
    assert source.samples == (Sample("0.png", 0, "train", "p1"), Sample("1.png", 1, "test", "p2"))


def test_quoted_cells_may_hold_delimiters_and_line_ends(tmp_path):
    source = table_source(write(tmp_path, 'path,label\n"0.png","a, or\nso"\n1.png,b\n'))
    assert source.classes == ("a, or\nso", "b")


def test_missing_labels_are_named_by_row_the_first_ten_of_them(tmp_path):
    rows = "".join(f"{number}.png,\n" for number in range(12))
    with pytest.raises(DataError, match=r"no label in rows 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 2 more"):
        table_source(write(tmp_path, f"path,label\nx.png,a\n{rows}"))


def test_blank_lines_are_passed_over_and_still_counted(tmp_path):
    with pytest.raises(DataError, match=r"no label in row 5\."):
        table_source(write(tmp_path, "path,label\n0.png,a\n\n1.png,b\n2.png\n"))


def test_a_row_without_a_path_is_named():
    with pytest.raises(DataError, match=r"no path in row 3"):
        parse_table(b"path,label\n0.png,a\n,b\n", "t.csv")


def test_a_row_with_too_many_cells_is_named():
    with pytest.raises(DataError, match=r"more cells than the header in row 2"):
        parse_table(b"path,label\n0.png,a,b\n", "t.csv")


def test_missing_columns_show_what_was_found(tmp_path):
    with pytest.raises(DataError, match=r"columns picture, label; expected also path \(or file, filename"):
        table_source(write(tmp_path, "picture,label\n0.png,a\n"))


def test_two_columns_of_one_meaning_are_settled_aloud():
    parsed = parse_table(b"path,label,class\n0.png,a,x\n1.png,b,y\n", "t.csv")
    assert [row.label for row in parsed.rows] == ["a", "b"]
    assert parsed.notes == ("The column 'label' is used as the label; left aside: class.",)


def test_some_missing_files_are_noted_and_fail_when_they_are_read(tmp_path):
    source = table_source(write(tmp_path, "path,label\n0.png,a\ngone.png,b\n"))
    assert source.notes == ("1 of 2 listed files are missing (row 3); they count as unreadable.",)
    with pytest.raises(ImageError, match="cannot be read"):
        source.read("gone.png")


def test_all_files_missing_is_an_error_with_the_rows(tmp_path):
    with pytest.raises(DataError, match=r"None of the 2 files .* \(rows 2, 3\); the first is x/0\.png\. Paths are relative"):
        table_source(write(tmp_path, "path,label\nx/0.png,a\nx/1.png,b\n"))


def test_a_picture_listed_twice_is_an_error_with_both_rows(tmp_path):
    with pytest.raises(DataError, match=r"lists 0\.png twice, in rows 2 and 4"):
        table_source(write(tmp_path, "path,label\n0.png,a\n1.png,b\n./0.png,b\n"))


def test_an_unknown_part_is_named_with_its_row_and_a_suggestion(tmp_path):
    with pytest.raises(DataError, match=r"unknown part 'tests' in row 3; .* Did you mean test\?"):
        table_source(write(tmp_path, "path,label,part\n0.png,a,train\n1.png,b,tests\n"))


def test_parts_for_some_rows_only_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no part \(other rows have one\) in row 3"):
        table_source(write(tmp_path, "path,label,part\n0.png,a,train\n1.png,b,\n"))


def test_train_and_val_alone_are_settled_as_in_a_folder(tmp_path):
    source = table_source(write(tmp_path, "path,label,part\n0.png,a,train\n1.png,b,train\n2.png,a,val\n3.png,b,dev\n"))
    assert [sample.part for sample in source.samples] == ["train", "train", "test", "test"]
    assert "val is held out as the test set" in source.notes[0]


def test_one_class_is_refused(tmp_path):
    with pytest.raises(DataError, match="one class only, 'a'"):
        table_source(write(tmp_path, "path,label\n0.png,a\n1.png,a\n"))


def test_absolute_paths_inside_the_folder_get_keys_that_survive_a_move(tmp_path):
    source = table_source(write(tmp_path, f"path,label\n{tmp_path}/0.png,a\n1.png,b\n"))
    assert [sample.key for sample in source.samples] == ["0.png", "1.png"]


def test_absolute_paths_elsewhere_are_read(tmp_path):
    elsewhere = class_folders(tmp_path / "elsewhere", {"": 1}) / "0.png"
    (tmp_path / "set").mkdir()
    source = table_source(write(tmp_path / "set", f"path,label\n{elsewhere},a\n1.png,b\n"))
    assert source.read(str(elsewhere)).startswith(b"\x89PNG")


def test_backslashes_of_a_table_from_windows_are_understood(tmp_path):
    class_folders(tmp_path, {"a": 2})
    source = table_source(write(tmp_path, "path,label\na\\0.png,a\na\\1.png,b\n"))
    assert [sample.key for sample in source.samples] == ["a/0.png", "a/1.png"]


def test_a_composed_path_finds_a_decomposed_file(tmp_path):
    (tmp_path / f"{unicodedata.normalize('NFD', 'é')}.png").write_bytes(png())
    source = table_source(write(tmp_path, "path,label\né.png,a\n1.png,b\n"))
    assert source.notes == ()
    assert source.read("é.png") == png()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty"),
        (b"path,label\n", "no rows"),
        (b"path,label\n\n \n", "no rows"),
        ("path,label\nä.png,a\n".encode("latin-1"), "UTF-8"),
        ("path,label\n".encode("utf-16"), "UTF-8"),
        (b'path,label\n"0.png,a\n', "not a CSV"),
        (b"\x00\x01\x02", "expected"),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(content, word):
    with pytest.raises(DataError, match=word):
        parse_table(content, "t.csv")


def test_a_table_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MAX_BYTES", 20)
    with pytest.raises(DataError, match="larger than"):
        table_source(write(tmp_path, "path,label\n0.png,a\n1.png,b\n"))


def test_a_table_that_does_not_exist_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        table_source(tmp_path / "none.csv")


def test_a_header_is_recognised_without_its_rows():
    assert has_columns(b"file;category\nanything")
    assert not has_columns(b"name,age\n")
    assert not has_columns(b"")


def test_row_numbers_are_shortened_after_ten():
    assert rows_named([7]) == "row 7"
    assert rows_named(list(range(2, 14))) == "rows 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"


def test_further_columns_are_kept_for_figures_by_subgroup(tmp_path):
    text = "site,path,label,age band,,site\nNorth ,0.png,a,old,x,1\nSouth,1.png,b,,y,2\n"
    source = table_source(write(tmp_path, text))
    assert source.columns == {"site": {"0.png": "North", "1.png": "South"}, "age band": {"0.png": "old", "1.png": ""}}


def test_the_columns_with_a_meaning_of_their_own_are_no_subgroups(tmp_path):
    source = table_source(write(tmp_path, "path,label,patient,split\n0.png,a,p1,train\n1.png,b,p2,test\n"))
    assert source.columns == {}


@pytest.mark.parametrize("column", ["patient_id", "PatientID", "Subject ID", "group_id", "lesion_id", "track"])
def test_groups_are_known_by_the_names_that_tables_use_for_them(tmp_path, column):
    source = table_source(write(tmp_path, f"path,label,{column}\n0.png,a,p1\n1.png,b,p1\n"))
    assert [sample.group for sample in source.samples] == ["p1", "p1"]


def test_the_patient_goes_before_the_lesion(tmp_path):
    source = table_source(write(tmp_path, "path,label,lesion_id,patient_id\n0.png,a,l1,p1\n1.png,b,l2,p1\n"))
    assert [sample.group for sample in source.samples] == ["p1", "p1"]
    assert source.notes == ("The column 'patient_id' is used as the group; left aside: lesion_id.",)


def test_a_column_that_may_say_what_belongs_together_is_named_where_nothing_else_does(tmp_path):
    rows = "0.png,a,s1,i0,north\n1.png,b,s1,i1,north\n2.png,b,s2,i2,south\n"
    found = table_source(write(tmp_path, f"path,label,slide id,image_id,site\n{rows}"))
    (note,) = found.notes
    assert note.startswith("The column 'slide id' has 2 values in 3 rows and is not read as a group")
    assert table_source(write(tmp_path, f"path,label,slide id,image_id,group\n{rows}")).notes == ()


def test_dicom_files_of_a_table_are_grouped_by_patient_unless_a_column_does_it(tmp_path):
    for number, patient in enumerate(("Roe", "Doe", "Roe")):
        (tmp_path / f"{number}.dcm").write_bytes(dicom(ramp(8, 8, 1000 + number), PatientID=patient))
    (tmp_path / "t.csv").write_text("path,label\n0.dcm,ill\n1.dcm,well\n2.dcm,well\n")
    source = table_source(tmp_path / "t.csv")
    assert [sample.group for sample in source.samples] == ["patient-1", "patient-2", "patient-1"]
    assert source.notes == ("3 DICOM files are of 2 patients; each patient is a group.",)
    (tmp_path / "t.csv").write_text("path,label,group\n0.dcm,ill,x\n1.dcm,well,y\n2.dcm,well,z\n")
    assert [sample.group for sample in table_source(tmp_path / "t.csv").samples] == ["x", "y", "z"]


def test_a_table_of_pictures_whose_package_is_missing_says_so_once(tmp_path, monkeypatch):
    (tmp_path / "0.dcm").write_bytes(dicom(ramp(8, 8)))
    monkeypatch.setitem(layout._EXTRAS, "DICOM", ("medical", lambda: False))
    with pytest.raises(MissingExtraError, match=r"1 of the 2 pictures of .* are DICOM"):
        table_source(write(tmp_path, "path,label\n0.dcm,a\n1.png,b\n"))
