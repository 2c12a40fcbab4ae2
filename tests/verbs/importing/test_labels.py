"""Class names from files in every common form, from a list, from known sets; a class without a name of its own is refused."""

import json

import pytest

from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.verbs.importing.labels import read_labels, require_outputs

NAMES = ("cat", "dog", "great white shark, man-eater")
FORMS = {
    "lines": "cat\ndog\ngreat white shark, man-eater\n",
    "lines of Windows": "\ufeffcat\r\ndog\r\n\r\ngreat white shark, man-eater\r\n",
    "numbers and colons": "0: cat\n1: dog\n2: great white shark, man-eater",
    "numbers out of order": "2: great white shark, man-eater\n0: cat\n1: dog",
    "csv": '0,cat\n1,dog\n2,"great white shark, man-eater"\n',
    "csv with a heading": 'id,name\n0,cat\n1,dog\n2,"great white shark, man-eater"\n',
    "tabs": "0\tcat\n1\tdog\n2\tgreat white shark, man-eater\n",
    "spaces": "0 cat\n1 dog\n2 great white shark, man-eater\n",
    "a list": json.dumps(NAMES),
    "a table": json.dumps(dict(enumerate(NAMES))),
    "a table the other way": json.dumps({name: number for number, name in enumerate(NAMES)}),
    "a configuration": json.dumps({"model_type": "vit", "id2label": dict(enumerate(NAMES))}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_file_gives_the_same_names(form, tmp_path):
    path = tmp_path / "labels"
    path.write_text(FORMS[form], encoding="utf-8")
    assert read_labels(str(path)) == (NAMES, "labels")


def test_a_list_with_commas_and_a_known_set_need_no_file():
    assert read_labels("cat, dog")[0] == ("cat", "dog")
    assert read_labels("cifar10")[0][3] == "cat"
    assert read_labels("breastmnist")[0] == ("malignant", "normal, benign")


def test_imagenet_has_a_form_with_the_background_first():
    plain, more = read_labels("imagenet")[0], read_labels("imagenet-1001")[0]
    assert (len(plain), len(more), more[0], more[1:]) == (1000, 1001, "background", plain)


@pytest.mark.parametrize("text", ["3 apples\n4 pears\n4 plums\n", "7 up\n7 eleven\n"])
def test_numbers_that_are_a_part_of_the_names_stay(text, tmp_path):
    (tmp_path / "labels").write_text(text)
    assert read_labels(str(tmp_path / "labels"))[0] == tuple(text.splitlines())


def test_numbers_from_one_would_shift_every_class_and_are_refused(tmp_path):
    (tmp_path / "labels").write_text("1: cat\n2: dog\n")
    with pytest.raises(DataError, match="numbers its names from 1 to 2; 0 to 1, each once"):
        read_labels(str(tmp_path / "labels"))


def test_a_name_that_stands_twice_is_refused_or_numbered(tmp_path):
    (tmp_path / "labels").write_text("crane\ncat\ncrane\n")
    with pytest.raises(SettingsError, match=r"names 'crane' for the classes 0 and 2.*--repeated-names number"):
        read_labels(str(tmp_path / "labels"))
    assert read_labels(str(tmp_path / "labels"), repeated="number")[0] == ("crane (0)", "cat", "crane (2)")


def test_a_number_that_makes_a_name_of_another_class_is_refused():
    with pytest.raises(SettingsError, match="stay the same"):
        read_labels("crane,crane,crane (0)", repeated="number")


@pytest.mark.parametrize(("given", "message"), [
    ("cat,", "the name of class 1"), ("cat\x1b[31m,dog", "printable"), ("cat," + "x" * 501, "1 to 500"),
    ("cifar", r"is 'cifar', which is no file.*Did you mean cifar10\?"), ("nothing like it", "no known data set. Give a file"),
])  # fmt: skip
def test_what_gives_no_names_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        read_labels(given)


@pytest.mark.parametrize(("content", "message"), [
    (b"\xff\xfe\x00", "no text in UTF-8"), (b'{"a": ', "begins as JSON and is none"), (b'{"0": "a", "2": "b"}', "another form"),
    (b"[1, 2]", "another form"), (b"[" * 100_000, "begins as JSON and is none"),
])  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused(content, message, tmp_path):
    (tmp_path / "labels").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(str(tmp_path / "labels"))


def test_a_file_with_one_name_is_no_list_of_classes(tmp_path):
    (tmp_path / "labels").write_text("cat\n")
    with pytest.raises(SettingsError, match="gives 1 names; 2 to"):
        read_labels(str(tmp_path / "labels"))


@pytest.mark.parametrize(("outputs", "names", "hint"), [
    (1001, 1000, "give --classes imagenet-1001"), (1000, 1001, "give --classes imagenet,"), (1, 2, "answers yes or no"),
    (12, 10, "all of them"),
])  # fmt: skip
def test_another_number_of_outputs_is_refused_with_what_it_may_mean(outputs, names, hint):
    with pytest.raises(ModelError, match=rf"m.onnx tells {outputs:,} classes apart, and --classes names {names:,}. .*{hint}"):
        require_outputs(outputs, [str(number) for number in range(names)], "m.onnx")
