"""The contact sheet of a data set: which pictures are on it, and what is said when some cannot be."""

import io

import numpy as np
import pytest
from pictures import png
from PIL import Image as Pillow

from eyebright.core.errors import DataError, SettingsError
from eyebright.core.events import Note
from eyebright.core.preprocess import Preprocess
from eyebright.data.open import open_source
from eyebright.data.source import Sample, Source
from eyebright.training.augment import OFF, dial
from eyebright.verbs.making import sheet as room
from eyebright.verbs.making.sheet import ROWS, ROWS_A_CLASS, make_sheet

SPEC = Preprocess(height=16, width=16)


def source_of(classes, count=6, broken=(), part=None):
    """Plain pictures whose grey is their class, but for the keys in ``broken``."""
    samples = tuple(
        Sample(f"{name}/{number}.png", label, part=part(number) if part else None)
        for label, name in enumerate(classes)
        for number in range(count)
    )
    greys = {sample.key: 10 + sample.label for sample in samples}

    def read(key):
        return b"not a picture" if key in broken else png(np.full((16, 16, 3), greys[key], dtype=np.uint8))

    return Source("toys", tuple(classes), samples, read)


@pytest.fixture
def shown(monkeypatch):
    """The keys' hashes and labels that reach the sheet, call by call."""
    calls = []

    def sheet(pictures, labels, class_names, augment, *, hashes, seed):
        calls.append((labels.tolist(), hashes.tolist(), pictures[:, 0, 0, 0].tolist()))
        return np.zeros((4, 4, 3), dtype=np.uint8)

    monkeypatch.setattr(room, "contact_sheet", sheet)
    return calls


def notes_of(source, tmp_path, **options):
    said = []
    make_sheet(source, SPEC, OFF, tmp_path / "sheet.png", on_event=said.append, **options)
    return [event.text for event in said if isinstance(event, Note)]


def test_a_sheet_is_a_png_where_it_was_asked_for_and_the_same_for_the_same_seed(data, tmp_path):
    source = open_source(str(data))
    paths = [tmp_path / "deep" / name for name in ("one.png", "two.PNG", "three.png")]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        assert make_sheet(source, SPEC, dial("strong", flip=True), path, seed=seed) == path
    one, two, three = (path.read_bytes() for path in paths)
    assert one == two
    assert one != three
    assert Pillow.open(io.BytesIO(one)).format == "PNG"
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["one.png", "three.png", "two.PNG"]


def test_each_class_has_as_many_rows(shown, tmp_path):
    notes = notes_of(source_of(["a", "b", "c"], count=9), tmp_path)
    assert shown[0][0] == [0] * 4 + [1] * 4 + [2] * 4
    assert shown[0][2] == [10] * 4 + [11] * 4 + [12] * 4
    assert notes == [f"The contact sheet is in {tmp_path / 'sheet.png'}."]


def test_one_class_has_no_more_rows_than_one_wants_to_see(shown, tmp_path):
    make_sheet(source_of(["a"], count=50), SPEC, OFF, tmp_path / "sheet.png")
    assert len(shown[0][0]) == ROWS_A_CLASS


def test_of_many_classes_some_are_shown_and_it_is_said(shown, tmp_path):
    notes = notes_of(source_of([f"{number:02}" for number in range(43)]), tmp_path)
    assert len(set(shown[0][0])) == len(shown[0][0]) == ROWS
    assert (min(shown[0][0]), max(shown[0][0])) == (0, 42)
    assert "The contact sheet shows 12 of 43 classes." in notes


def test_a_picture_that_cannot_be_read_is_named_and_another_takes_its_place(shown, tmp_path):
    broken = {f"a/{number}.png" for number in range(5)}
    notes = notes_of(source_of(["a", "b"], broken=broken), tmp_path)
    assert shown[0][0] == [0, 1, 1, 1, 1]
    assert {note.split(" ", 1)[0] for note in notes if "is not on the contact sheet" in note} == broken


def test_only_the_train_part_is_shown_where_there_is_one(shown, tmp_path):
    source = source_of(["a", "b"], part=lambda number: "train" if number < 2 else "test")
    make_sheet(source, SPEC, OFF, tmp_path / "sheet.png")
    train = room.seeds.key_hashes([f"{name}/{number}.png" for name in "ab" for number in range(2)])
    assert sorted(shown[0][1]) == sorted(train.tolist())


def test_a_class_without_pictures_and_a_picture_without_a_label_are_left_out(shown, tmp_path):
    full = source_of(["a", "b"])
    samples = (*full.samples[:6], Sample("b/0.png", -1))
    make_sheet(Source("toys", ("a", "b"), samples, full.read), SPEC, OFF, tmp_path / "sheet.png")
    assert shown[0][0] == [0] * ROWS_A_CLASS


def test_nothing_to_show_is_an_error_and_leaves_no_file(tmp_path):
    broken = {f"a/{number}.png" for number in range(6)}
    for source in (source_of(["a"], broken=broken), source_of(["a"], count=0)):
        with pytest.raises(DataError, match="toys has no labelled picture that can be read"):
            make_sheet(source, SPEC, OFF, tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", ".png"])
def test_another_kind_of_file_is_refused_before_anything_is_read(name, tmp_path):
    with pytest.raises(SettingsError, match=r"Choose a name that ends in \.png"):
        make_sheet(source_of(["a"]), SPEC, OFF, tmp_path / name)
