"""Arrays in an .npz: their headers are believed only as far as the bytes bear them out."""

import io
import pickle
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import noise, real_data_home

from eyebright.core.errors import DataError, ImageError
from eyebright.data import npz
from eyebright.data.catalogue import load_named
from eyebright.data.npz import is_npz, npz_source
from eyebright.data.open import open_source
from eyebright.images.decode import decode_any


def grey(count, seed=0, side=5):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side + 1), dtype=np.uint8)


def colour(count, seed=0):
    return np.stack([noise(4, 6, seed + index) for index in range(count)])


def medmnist(**changes):
    arrays = {
        "train_images": grey(4, 1),
        "train_labels": np.array([[0], [1], [2], [1]], dtype=np.uint8),
        "val_images": grey(2, 2),
        "val_labels": np.array([[2], [0]], dtype=np.uint8),
        "test_images": grey(3, 3),
        "test_labels": np.array([[1], [1], [0]], dtype=np.uint8),
    }
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def saved(path, arrays, save=np.savez_compressed):
    save(path, **arrays)
    return path


@pytest.fixture
def source_from(tmp_path):
    return lambda arrays, **options: npz_source(saved(tmp_path / "set.npz", arrays), **options)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_medmnist_s_layout_gives_parts_labels_and_pictures(tmp_path, save):
    arrays = medmnist()
    source = npz_source(saved(tmp_path / "leaves.npz", arrays, save))
    assert (source.name, source.classes) == ("leaves", ("0", "1", "2"))
    assert [(s.key, s.label) for s in source.part("train")] == [
        ("train/00000", 0),
        ("train/00001", 1),
        ("train/00002", 2),
        ("train/00003", 1),
    ]
    assert [len(source.part(part)) for part in ("train", "validation", "test")] == [4, 2, 3]
    for sample in source.samples:
        part, _, index = sample.key.partition("/")
        expected = arrays[f"{ {'validation': 'val'}.get(part, part) }_images"][int(index)]
        picture = decode_any(source.read(sample.key)).image
        assert picture.tolist() == np.repeat(expected[..., None], 3, axis=2).tolist()


def test_colour_pictures_are_read_as_they_are(source_from):
    arrays = {"images": colour(3), "labels": np.array([1, 0, 1])}
    source = source_from(arrays)
    assert not source.has_parts
    assert (source.read("images/00002") == arrays["images"][2]).all()


def test_keras_layout_is_read(source_from):
    source = source_from(
        {"x_train": colour(2), "y_train": np.array([[3], [12]]), "x_test": colour(2, 9), "y_test": np.array([12, 3])}
    )
    assert source.classes == ("12", "3")  # by name, so that they are in the order of every other source
    assert [(s.key, source.classes[s.label]) for s in source.samples] == [
        ("test/00000", "12"),
        ("test/00001", "3"),
        ("train/00000", "3"),
        ("train/00001", "12"),
    ]


@pytest.mark.parametrize("name", ["class_names", "label_names"])
@pytest.mark.parametrize("kind", ["U", "S"])
def test_classes_are_called_as_the_file_says(source_from, name, kind):
    names = np.array(["rust", "ash", "fir"], dtype=kind)
    source = source_from({**medmnist(), name: names})
    assert source.classes == ("ash", "fir", "rust")
    assert [source.classes[s.label] for s in source.part("train")] == ["rust", "ash", "fir", "ash"]


def test_labels_may_be_names_themselves(source_from):
    source = source_from({"images": grey(3), "labels": np.array(["oak", "elm", "oak"])})
    assert [source.classes[s.label] for s in source.samples] == ["oak", "elm", "oak"]


def test_numbers_in_one_part_and_names_in_another_are_compared_as_text(source_from):
    labels = {"train_labels": np.array(["0", "1", "2", "1"])}
    assert source_from(medmnist(**labels)).samples == source_from(medmnist()).samples


def test_names_from_outside_serve_where_the_file_has_none(source_from):
    assert source_from(medmnist(), names=("x", "y", "z")).classes == ("x", "y", "z")
    assert source_from({**medmnist(), "class_names": np.array(list("abc"))}, names=("x", "y", "z")).classes == ("a", "b", "c")


def test_a_class_without_a_picture_is_no_class(source_from):
    assert source_from({**medmnist(), "class_names": np.array(list("abcd"))}).classes == ("a", "b", "c")


def test_a_lone_train_part_is_split_by_us_and_a_lone_val_is_the_test(source_from):
    only = {name: array for name, array in medmnist().items() if name.startswith("train")}
    assert not source_from(only).has_parts
    two = source_from(medmnist(test_images=None, test_labels=None))
    assert [s.key for s in two.part("test")] == ["validation/00000", "validation/00001"]
    assert "val is held out as the test set" in two.notes[0]


def test_further_arrays_are_stray_and_not_read(source_from):
    poison = np.array([{"a": 1}], dtype=object)
    assert source_from({**medmnist(), "meta": poison}).stray == ("meta.npy",)


def test_keys_sort_as_the_rows_lie_also_beyond_five_digits(tmp_path):
    count = 100_001
    source = npz_source(
        saved(tmp_path / "a.npz", {"images": np.zeros((count, 1, 1), np.uint8), "labels": np.arange(count) % 2})
    )
    assert (source.samples[0].key, source.samples[-1].key) == ("images/000000", "images/100000")
    assert [s.label for s in source.samples[-2:]] == [1, 0]


def test_no_picture_is_unpacked_before_one_is_asked_for(source_from, monkeypatch):
    made = []

    class Counted(npz.Spool):
        def __init__(self, **options):
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr(npz, "Spool", Counted)
    source = source_from(medmnist())
    assert made == []
    for key in ("train/00000", "train/00001", "test/00001"):
        source.read(key)
    assert len(made) == 2  # each of the two parts once


def test_parts_beyond_the_memory_are_read_from_the_disk(source_from, tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(npz, "MEMORY", 10)
    assert (source_from(medmnist()).read("test/00002")[..., 0] == grey(3, 3)[2]).all()
    assert list((tmp_path / "cache").iterdir()) == []


def test_many_threads_read_the_right_rows(source_from):
    images = colour(50)
    source = source_from({"images": images, "labels": np.arange(50) % 2})
    wanted = [sample.key for sample in source.samples] * 4
    with ThreadPoolExecutor(8) as pool:
        assert all((got == want).all() for got, want in zip(pool.map(source.read, wanted), [*images] * 4, strict=True))


def test_changing_a_read_picture_does_not_change_the_set(source_from):
    source = source_from({"images": colour(2), "labels": np.array([0, 1])})
    source.read("images/00000")[:] = 0
    assert source.read("images/00000").any()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"train_labels": np.zeros((4, 14), np.uint8)}, r"14 labels for each picture\. One was expected"),
        (
            {"train_labels": np.array([0.0, 1.0, 2.0, 1.0])},
            r"float64; whole numbers or names were expected\. Save labels\.astype",
        ),
        ({"train_labels": np.array([0, 1, -1, 1])}, "the label -1"),
        ({"train_labels": np.array([0, 1, 2])}, r"shape \(3,\) beside 4 pictures"),
        ({"train_labels": np.array(0)}, r"shape \(\) beside"),
        ({"train_labels": None}, "holds no train_labels beside train_images"),
        ({"train_labels": np.array([0, "a", 1, 2], dtype=object)}, "Python objects, which are not read"),
        ({"train_images": np.array([object()] * 4, dtype=object)}, "Python objects, which are not read"),
        ({"train_images": grey(4) / 255}, r"float64; uint8 was expected, 0 to 255\. Scale"),
        ({"train_images": np.zeros((4, 3, 9, 9), np.uint8)}, r"channels seem to come first: save images\.transpose"),
        ({"train_images": np.zeros((4, 9, 9, 4), np.uint8)}, r"\(n, height, width\) or"),
        ({"train_images": np.zeros((4, 9, 9, 9), np.uint8)}, r"\(n, height, width\) or"),
        ({"train_images": np.zeros((4, 81), np.uint8)}, r"\(n, height, width\) or"),
        ({"train_images": np.zeros((4, 0, 9), np.uint8)}, "pictures of 1 to"),
        ({"train_images": np.asfortranarray(grey(4))}, "stored column by column"),
        ({"class_names": np.array(["a", "b"])}, r"label 2 and 2 names of classes \(a, b\)"),
        ({"class_names": np.array(["a", "b", "a"])}, "a name twice"),
        ({"class_names": np.array([1, 2, 3])}, "a list of names was expected"),
        ({"class_names": np.array([b"\xff", b"a", b"b"])}, "names that are no text"),
        ({"class_names": np.array(["\ud800", "a", "b"])}, "names that are no text"),
        ({"class_names": np.array([2**31, 97, 98], "<u4").view("<U1")}, "names that are no text"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_what_helps(source_from, changes, word):
    with pytest.raises(DataError, match=word):
        source_from(medmnist(**changes))


def test_one_class_is_refused_as_everywhere(source_from):
    with pytest.raises(DataError, match="one class only"):
        source_from({"images": grey(3), "labels": np.zeros(3, int)})


def test_an_unknown_layout_names_what_is_there_and_what_was_expected(source_from):
    with pytest.raises(
        DataError, match="holds pixels, targets; expected train_images and train_labels, or x_train and y_train"
    ):
        source_from({"pixels": grey(3), "targets": np.arange(3)})


def npy(shape="(4, 5, 6)", descr="'|u1'", body=b"", order="False", version=(1, 0)):
    """The bytes of an array whose header says what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (npy(body=bytes(119)), "announces 120 bytes and holds 119"),
        (npy(body=bytes(121)), "announces 120 bytes and holds 121"),
        (npy(shape="(1099511627776, 1, 1)"), "announces 1,099,511,627,776 bytes and holds 0"),
        (npy(shape="(-4, -5, 6)", body=bytes(120)), "no array has such a shape"),
        (npy(shape="(" + "9" * 60 + ",)"), "no array has such a shape"),
        (npy(shape="__import__('os')"), "no array that can be read"),
        (npy(descr="'|O'", body=pickle.dumps("x")), "Python objects"),
        (npy(version=(3, 0), body=bytes(120)), "version"),
        (b"", "no array that can be read"),
        (b"\x93NUMPY\x01\x00\xff\xff", "no array that can be read"),
        (npy(shape="(" * 3000), "no array that can be read"),
    ],
)
def test_headers_that_lie_are_refused_before_memory_is_taken(tmp_path, content, word):
    labels = io.BytesIO()
    np.save(labels, np.array([0, 1, 0, 1]))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("images.npy", content)
        packed.writestr("labels.npy", labels.getvalue())
    with pytest.raises(DataError, match=word):
        npz_source(tmp_path / "a.npz")


def test_labels_that_are_no_list_of_labels_are_not_read(source_from, monkeypatch):
    monkeypatch.setattr(npz, "MAX_LABEL_BYTES", 100)
    with pytest.raises(DataError, match="labels or names were expected"):
        source_from(medmnist())
    with pytest.raises(DataError, match="bytes for each value"):
        source_from({"images": grey(2), "labels": np.array(["a" * 2000, "b"])})


def test_damaged_pixels_are_an_image_error_of_their_part(tmp_path):
    large = grey(4, 1, side=100)
    path = saved(tmp_path / "a.npz", medmnist(train_images=large), np.savez)
    content = bytearray(path.read_bytes())
    content[content.index(large[3].tobytes())] ^= 0xFF
    path.write_bytes(content)
    source = npz_source(path)
    for key in ("train/00000", "train/00001"):
        with pytest.raises(ImageError, match="CRC"):
            source.read(key)
    assert source.read("test/00000").shape == (5, 6, 3)


def test_a_zip_of_arrays_is_told_from_a_zip_of_pictures_by_its_content(tmp_path):
    path = saved(tmp_path / "download.npz", medmnist())
    assert is_npz(path, path.read_bytes()[:512])
    path = path.rename(tmp_path / "download.zip")
    assert len(open_source(path).samples) == 9
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("readme.txt", "words")
    assert not is_npz(path, path.read_bytes()[:512])


def test_an_npz_in_the_data_home_has_a_name(tmp_path):
    saved(tmp_path / "leaves.npz", medmnist())
    assert open_source("leaves", data_home=tmp_path).name == "leaves"


@pytest.mark.parametrize("folder", ["medmnist", "."])
def test_a_medmnist_set_is_found_by_its_name_and_its_classes_have_names(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    labels = {f"{part}_labels": medmnist()[f"{part}_labels"] % 2 for part in ("train", "val", "test")}
    saved(tmp_path / folder / "pneumoniamnist.npz", medmnist(**labels))
    assert load_named("pneumoniamnist", tmp_path).classes == ("normal", "pneumonia")
    assert open_source("pneumoniamnist", data_home=tmp_path).classes == ("normal", "pneumonia")


def _whole():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **medmnist(), class_names=np.array(list("abc")))
    return buffer.getvalue()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(_whole()) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_npz_gives_a_source_or_a_data_error(tmp_path_factory, changes):
    content = bytearray(_whole())
    for place, value in changes:
        content[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    try:
        source = npz_source(path)
        for sample in source.samples:
            source.read(sample.key)
    except DataError:
        return


def test_the_real_mnist_as_keras_ships_it_is_the_same_set(tmp_path):
    original = load_named("mnist", real_data_home())
    arrays = {}
    for part in ("train", "test"):
        samples = original.part(part)[:2000]
        arrays[f"x_{part}"] = np.stack([original.read(s.key)[..., 0] for s in samples])
        arrays[f"y_{part}"] = np.array([s.label for s in samples], dtype=np.uint8)
    source = npz_source(saved(tmp_path / "mnist.npz", arrays))
    assert source.classes == original.classes
    assert [s.label for s in source.part("train")] == [s.label for s in original.part("train")[:2000]]
    assert (source.read("train/01999") == original.read("train/01999")).all()
