"""Sets known by name: their publishers' files are checked before a byte is believed."""

import gzip
import struct
import sys

import numpy as np
import pytest
from pictures import real_data_home

from eyebright.core.errors import DataError, MissingExtraError, SettingsError
from eyebright.data import catalogue
from eyebright.data.catalogue import ABOUT, DATASETS, load_named, located, own_name, resolve_home
from eyebright.data.publishers import PUBLISHERS

NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905 - as the publisher's file has them


def idx_images(count=3, side=4, *, magic=0x803, announced=None):
    head = struct.pack(">IIII", magic, count if announced is None else announced, side, side)
    return head + bytes(index % 256 for index in range(count * side * side))


def idx_labels(labels=(7, 0, 9), *, magic=0x801):
    return struct.pack(">II", magic, len(labels)) + bytes(labels)


def mnist_home(tmp_path, *, packed=False, folder="mnist", **replaced):
    folder = tmp_path / folder
    folder.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        for kind, whole in (("images-idx3", idx_images()), ("labels-idx1", idx_labels())):
            name = f"{prefix}-{kind}-ubyte"
            content = replaced.get(f"{prefix}_{kind[:6]}", whole)
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return tmp_path


def cifar_home(tmp_path, monkeypatch, records=2):
    monkeypatch.setattr(catalogue, "CIFAR_RECORDS", records)
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    for number, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        planes = bytes([10 + number]) * 1024 + bytes([20 + number]) * 1024 + bytes([30 + number]) * 1024
        (folder / name).write_bytes((bytes([number]) + planes) * records)
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_is_located_where_each_of_its_files_is_without_reading_one(tmp_path, packed):
    home = mnist_home(tmp_path, packed=packed, train_images=b"no idx file")
    assert located("mnist", home) == home / "mnist"
    next(home.glob("mnist/t10k-labels*")).unlink()
    assert located("mnist", home) is None


def test_cifar_is_located_in_any_of_its_folders(tmp_path, monkeypatch):
    home = cifar_home(tmp_path, monkeypatch)
    assert located("cifar10", home) == home / "cifar10" / "cifar-10-batches-bin"
    assert located("cifar10", home / "cifar10") == home / "cifar10" / "cifar-10-batches-bin"


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_from_its_idx_files(tmp_path, packed):
    source = load_named("mnist", mnist_home(tmp_path, packed=packed))
    assert source.classes == tuple("0123456789")
    assert [(s.key, s.label, s.part) for s in source.part("train")] == [
        ("train/00000", 7, "train"),
        ("train/00001", 0, "train"),
        ("train/00002", 9, "train"),
    ]
    picture = source.read("train/00001")
    # the second 4 x 4 picture of a counter begins at 16
    assert (picture.shape, picture.dtype) == ((4, 4, 3), np.uint8)
    assert picture[:, :, 2].ravel().tolist() == list(range(16, 32))


@pytest.mark.parametrize("folder", ["fashion-mnist", "FashionMNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_is_read_from_its_idx_files(tmp_path, folder, packed):
    source = load_named("fashion-mnist", mnist_home(tmp_path, packed=packed, folder=folder))
    assert (source.classes[0], source.classes[-1]) == ("Ankle boot", "Trouser")  # sorted by name
    assert [source.classes[s.label] for s in source.part("train")] == ["Sneaker", "T-shirt/top", "Ankle boot"]  # 7, 0, 9


def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path, monkeypatch):
    system = mnist_home(tmp_path / "usr/share/datasets", packed=True, folder="fashion-mnist") / "fashion-mnist"
    monkeypatch.setitem(catalogue.SYSTEM_FOLDERS, "fashion-mnist", system)
    (tmp_path / "home").mkdir()
    assert located("fashion-mnist", tmp_path / "home") == system
    assert len(load_named("fashion-mnist", tmp_path / "home").samples) == 6
    # One's own copy goes first.
    own = mnist_home(tmp_path / "home", folder="fashion-mnist")
    assert located("fashion-mnist", own) == own / "fashion-mnist"


def test_cifar_10_is_planar_rgb_with_the_label_in_front(tmp_path, monkeypatch):
    source = load_named("cifar10", cifar_home(tmp_path, monkeypatch))
    assert source.classes == tuple(NAMES)
    assert [s.label for s in source.part("train")] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [s.key for s in source.part("test")] == ["test/00000", "test/00001"]
    assert (source.read("train/00003") == [11, 21, 31]).all()
    assert source.read("test/00000").shape == (32, 32, 3)


def test_classes_follow_their_names_and_not_their_numbers(tmp_path, monkeypatch):
    home = cifar_home(tmp_path, monkeypatch)
    (home / "cifar10/cifar-10-batches-bin/batches.meta.txt").write_text("\n".join(reversed(NAMES)))
    source = load_named("cifar10", home)
    assert source.classes == tuple(NAMES)
    assert source.classes[source.part("train")[0].label] == "truck"  # label 0 is now the first of the reversed names


def test_changing_a_read_picture_does_not_change_the_set(tmp_path, monkeypatch):
    for source, key in (
        (load_named("cifar10", cifar_home(tmp_path, monkeypatch)), "test/00000"),
        (load_named("mnist", mnist_home(tmp_path)), "test/00001"),
    ):
        source.read(key)[:] = 0
        assert source.read(key).any()


def test_a_missing_file_says_where_to_put_it(tmp_path):
    with pytest.raises(DataError) as caught:
        load_named("mnist", tmp_path)
    assert str(tmp_path / "mnist" / "train-images-idx3-ubyte") in str(caught.value)
    assert "EYEBRIGHT_DATA" in str(caught.value)
    assert f"Fetch it: eyebright download mnist --data-home {tmp_path}." in str(caught.value)
    home = mnist_home(tmp_path)
    (home / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"mnist/t10k-labels-idx1-ubyte \(or t10k-labels-idx1-ubyte\.gz\) does not exist"):
        load_named("mnist", home)


def test_the_command_that_fetches_a_set_is_short_where_the_home_is_the_usual_one(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"Fetch it: eyebright download cifar10\. Or put"):
        load_named("cifar10", tmp_path)


def test_what_is_in_the_data_home_is_called_by_its_name_without_any_ending(tmp_path):
    names = ("a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.TAR.XZ", "a.npz", "a.csv", "a.md", "a", ".zip")
    assert [own_name(tmp_path / name) for name in names] == ["a"] * 7 + [None] * 3


def test_every_set_that_can_be_fetched_is_known_and_put_where_it_is_looked_for():
    assert set(PUBLISHERS) == set(DATASETS.targets()) - {"digits"}
    assert all(publisher.folder in catalogue.FOLDERS[name] for name, publisher in PUBLISHERS.items())


def test_a_missing_cifar_file_says_where_to_put_it(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"cifar10/cifar-10-batches-bin/batches\.meta\.txt does not exist"):
        load_named("cifar10", tmp_path)
    home = cifar_home(tmp_path, monkeypatch)
    (home / "cifar10/cifar-10-batches-bin/data_batch_4.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_4\.bin does not exist"):
        load_named("cifar10", home)


@pytest.mark.parametrize(
    ("replaced", "word"),
    [
        ({"train_images": idx_images()[:-1]}, "announces 48 bytes and holds 47"),
        ({"train_images": idx_images() + b"x"}, "holds more"),
        ({"train_images": b""}, "begins with nothing"),
        ({"train_images": idx_images(magic=0x801)}, "0x00000803 was expected"),
        ({"train_images": idx_images(announced=2**32 - 1)}, "announces the shape"),
        ({"train_images": idx_images(announced=1_000_000)}, "announces 16,000,000 bytes"),
        ({"train_images": struct.pack(">IIII", 0x803, 1_000_000, 1024, 1024)}, "more than 2 GiB"),
        ({"train_images": idx_images(count=2)}, "2 pictures and .* 3 labels"),
        ({"train_labels": idx_labels((7, 0, 10))}, "holds the label 10"),
        ({"train_labels": idx_labels(())}, "announces the shape"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, replaced, word):
    with pytest.raises(DataError, match=word):
        load_named("mnist", mnist_home(tmp_path, **replaced))


@pytest.mark.parametrize("damage", [lambda c: c[:-12], lambda c: b"no gzip", lambda c: c[:15] + b"\xff\xff\xff" + c[18:]])
def test_damaged_gzip_files_are_refused(tmp_path, damage):
    home = mnist_home(tmp_path, packed=True)
    file = home / "mnist" / "train-images-idx3-ubyte.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="Fetch"):
        load_named("mnist", home)


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c + b"x", lambda c: c[:3073]])
def test_a_cifar_file_of_another_length_is_refused(tmp_path, monkeypatch, damage):
    home = cifar_home(tmp_path, monkeypatch)
    file = home / "cifar10/cifar-10-batches-bin/data_batch_2.bin"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="6,146 were expected"):
        load_named("cifar10", home)


def test_a_cifar_label_beyond_nine_is_refused(tmp_path, monkeypatch):
    home = cifar_home(tmp_path, monkeypatch)
    (home / "cifar10/cifar-10-batches-bin/test_batch.bin").write_bytes(bytes([10] * 6146))
    with pytest.raises(DataError, match="label 10"):
        load_named("cifar10", home)


def test_digits_come_with_scikit_learn_and_fill_the_range(tmp_path):
    source = load_named("digits", tmp_path)
    assert len(source.samples) == 1797
    assert not source.has_parts
    everything = np.stack([source.read(sample.key) for sample in source.samples])
    assert everything.shape == (1797, 8, 8, 3)
    # 16 levels up: 16 -> 255, 8 -> 127.5 -> 128 (to even), 1 -> 15.94 -> 16
    assert {0, 16, 128, 255} <= set(np.unique(everything).tolist())


def test_digits_without_scikit_learn_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eyebright\[demo\]'"):
        load_named("digits", tmp_path)


def test_every_name_has_a_line_about_it_and_an_unknown_one_a_suggestion(tmp_path):
    assert set(ABOUT) == set(DATASETS.targets())
    with pytest.raises(SettingsError, match=r"Did you mean mnist"):
        load_named("mnits", tmp_path)


def test_the_data_home_is_the_argument_then_the_environment_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path / "env"))
    assert resolve_home(tmp_path) == tmp_path
    assert resolve_home() == tmp_path / "env"
    monkeypatch.delenv("EYEBRIGHT_DATA")
    assert resolve_home() == tmp_path / "cache" / "data"


def test_the_real_mnist_is_whole():
    source = load_named("mnist", real_data_home())
    assert (len(source.part("train")), len(source.part("test"))) == (60_000, 10_000)
    # the first ten training labels, as every introduction shows them
    assert [s.label for s in source.part("train")[:10]] == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_the_real_cifar_10_is_whole():
    source = load_named("cifar10", real_data_home())
    assert (len(source.part("train")), len(source.part("test"))) == (50_000, 10_000)
    assert [source.classes[s.label] for s in source.part("train")[:3]] == ["frog", "truck", "truck"]
    labels = np.array([s.label for s in source.part("test")])
    assert np.bincount(labels).tolist() == [1000] * 10
