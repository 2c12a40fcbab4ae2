"""Named sets from a server on this computer: taken where their bytes are right, deleted and named where they are not."""

import dataclasses
import gzip
import hashlib
import io
import lzma
import re
import shutil
import struct
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from archives import tar_of
from pictures import real_data_home
from servers import file, running, status

from eyebright.core.errors import DataError, ResourceError, SettingsError
from eyebright.core.events import Note
from eyebright.data import catalogue, download
from eyebright.data.catalogue import load_named, located
from eyebright.data.download import download_set
from eyebright.data.fetch import Patience
from eyebright.data.publishers import PUBLISHERS, SLACK, Content, Offer, Publisher

IMAGES = struct.pack(">IIII", 0x803, 3, 4, 4) + bytes(range(48))
LABELS = struct.pack(">II", 0x801, 3) + bytes((7, 0, 9))
IDX = {
    f"{part}-{kind}": content
    for part in ("train", "t10k")
    for kind, content in (("images-idx3-ubyte", IMAGES), ("labels-idx1-ubyte", LABELS))
}
CLASSES = PUBLISHERS["cifar10"].offers[0].contents[-1].words
BATCHES = {
    name: (bytes([number]) + bytes(3072)) * 2
    for number, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"])
}
QUICK = Patience(stall_seconds=5.0, tries=2, wait=lambda seconds: None)


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture
def small(server, monkeypatch):
    """MNIST, CIFAR-10 and a MedMNIST set, so small that they can be made here, on a server and its mirror."""

    def content(name, data):
        return Content(name, len(data), hashlib.sha256(data).hexdigest())

    def urls(name):
        return f"{server.url}first/{name}", f"{server.url}second/{name}"

    idx = tuple(Offer(f"{n}.gz", urls(f"{n}.gz"), len(d) + SLACK, "gzip", (content(n, d),)) for n, d in IDX.items())
    contents = (*(content(n, d) for n, d in BATCHES.items()), Content("batches.meta.txt", 4096, words=CLASSES))
    cifar = Offer("cifar-10-binary.tar.gz", urls("cifar-10-binary.tar.gz"), SLACK, "tar", contents)
    npz = Offer("pathmnist.npz", urls("pathmnist.npz"), SLACK, "none", md5=hashlib.md5(path_mnist()).hexdigest())
    for name, offers in {"mnist": idx, "cifar10": (cifar,), "pathmnist": (npz,)}.items():
        monkeypatch.setitem(PUBLISHERS, name, dataclasses.replace(PUBLISHERS[name], offers=offers))
    monkeypatch.setattr(catalogue, "CIFAR_RECORDS", 2)
    return server


def path_mnist():
    buffer = io.BytesIO()
    arrays = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = np.zeros((9, 28, 28, 3), np.uint8)
        arrays[f"{part}_labels"] = np.arange(9, dtype=np.uint8)[:, None]
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def serve_idx(server, place="first", **changed):
    for name, content in IDX.items():
        server.serve(
            f"{place}/{name}.gz", file(changed.get(name.partition("-idx")[0].replace("-", "_"), gzip.compress(content)))
        )


def cifar_tar(tmp_path, **changed):
    files = {**BATCHES, "batches.meta.txt": "\n".join([*CLASSES, "", ""]).encode(), "readme.html": b"words"}
    files = {f"cifar-10-batches-bin/{name}": content for name, content in {**files, **changed}.items() if content is not None}
    return tar_of(tmp_path / "served.tar.gz", files, mode="w:gz").read_bytes()


def get(name, home, **options):
    return download_set(name, home, patience=QUICK, **options)


def leftovers(home):
    return sorted(path.name for path in home.rglob("*.part*"))


def test_mnist_is_fetched_checked_and_can_be_read(small, tmp_path):
    serve_idx(small)
    obtained = get("mnist", tmp_path)
    assert located("mnist", tmp_path) == tmp_path / "mnist"
    assert [item.url for item in obtained] == [f"{small.url}first/{name}.gz" for name in IDX]
    assert {item.proof for item in obtained} == {"sha256 of the unpacked bytes"}
    assert [s.label for s in load_named("mnist", tmp_path).part("train")] == [7, 0, 9]
    assert leftovers(tmp_path) == []


def test_cifar_10_is_unpacked_from_its_tar_and_nothing_else_is(small, tmp_path):
    small.serve("first/cifar-10-binary.tar.gz", file(cifar_tar(tmp_path)))
    (item,) = get("cifar10", tmp_path / "home")
    folder = tmp_path / "home/cifar10/cifar-10-batches-bin"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*BATCHES, "batches.meta.txt"])
    assert set(item.paths) == set(folder.iterdir())
    assert len(load_named("cifar10", tmp_path / "home").samples) == 12


def test_medmnist_is_known_by_its_publishers_md5(small, tmp_path):
    small.serve("first/pathmnist.npz", file(path_mnist()))
    (item,) = get("pathmnist", tmp_path)
    assert item.paths == (tmp_path / "medmnist/pathmnist.npz",)
    assert load_named("pathmnist", tmp_path).classes[0] == "adipose"


def test_a_mirror_may_pack_as_it_likes(small, tmp_path):
    """The sum is of the unpacked bytes: other levels, and a file in several members."""
    members = gzip.compress(IMAGES[:20], 1) + gzip.compress(IMAGES[20:], 9)
    serve_idx(small, train_images=members)
    get("mnist", tmp_path)
    assert (tmp_path / "mnist/train-images-idx3-ubyte.gz").read_bytes() == members


WRONG = {
    "other bytes": (gzip.compress(IMAGES[:-1] + b"x"), "have the sha256 .*was expected; it was deleted"),
    "a truncated file": (gzip.compress(IMAGES)[:-9], "truncated or damaged"),
    "fewer bytes": (gzip.compress(IMAGES[:-1]), "the 63 bytes of .* have the sha256"),
    "more bytes": (gzip.compress(IMAGES + b"x"), "more than the 64 bytes"),
    "a bomb": (gzip.compress(bytes(50_000_000)), "more than the 64 bytes"),
    "no gzip": (b"these are words", "truncated or damaged"),
    "xz": (lzma.compress(IMAGES), "truncated or damaged"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_of_other_bytes_is_deleted_and_named(small, tmp_path, wrong):
    content, words = WRONG[wrong]
    serve_idx(small, train_images=content)
    with pytest.raises(DataError, match=rf"train-images-idx3-ubyte\.gz could not be had: .*{words}"):
        get("mnist", tmp_path)
    assert list(tmp_path.rglob("train-images*")) == []


def test_the_next_mirror_is_asked_where_the_first_has_other_bytes_or_none(small, tmp_path):
    events = []
    serve_idx(small, train_images=gzip.compress(b"wrong"))
    serve_idx(small, "second")
    small.serve("first/train-labels-idx1-ubyte.gz", status(404))
    obtained = get("mnist", tmp_path, on_event=events.append)
    assert [item.url.removeprefix(small.url).split("/")[0] for item in obtained] == ["second", "second", "first", "first"]
    said = [event.text for event in events if isinstance(event, Note)]
    assert ["sha256" in said[0], "HTTP 404" in said[1]] == [True, True]
    assert leftovers(tmp_path) == []


def test_every_address_that_failed_is_named_with_its_reason(small, tmp_path):
    serve_idx(small, train_images=b"wrong")
    with pytest.raises(DataError) as caught:
        get("mnist", tmp_path)
    for words in (
        "first/train-images-idx3-ubyte.gz: train-images",
        "second/train-images-idx3-ubyte.gz: it answers HTTP 404",
        "--from",
    ):
        assert words in str(caught.value)


def test_a_tar_with_a_wrong_file_writes_none_of_them(small, tmp_path):
    small.serve("first/cifar-10-binary.tar.gz", file(cifar_tar(tmp_path, **{"test_batch.bin": bytes(6146)})))
    with pytest.raises(DataError, match=r"6,146 bytes of test_batch\.bin have the sha256"):
        get("cifar10", tmp_path / "home")
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data_batch_3.bin": None}, r"holds 0 files called data_batch_3\.bin"),
        ({"copy/data_batch_3.bin": b""}, r"holds 2 files called data_batch_3\.bin"),
        ({"batches.meta.txt": "\n".join(reversed(CLASSES)).encode()}, r"batches\.meta\.txt does not hold the words airplane"),
        ({"../data_batch_9.bin": b""}, "leads out of the archive"),
    ],
)
def test_a_tar_of_other_files_is_refused(small, tmp_path, changed, words):
    small.serve("first/cifar-10-binary.tar.gz", file(cifar_tar(tmp_path, **changed)))
    with pytest.raises(DataError, match=words):
        get("cifar10", tmp_path / "home")


def test_a_wrong_md5_is_named(small, tmp_path):
    small.serve("first/pathmnist.npz", file(b"PK something else"))
    with pytest.raises(DataError, match=r"pathmnist\.npz has the md5 [0-9a-f]{32}; [0-9a-f]{32} was expected; it was deleted"):
        get("pathmnist", tmp_path)


def test_what_is_there_is_checked_and_not_fetched_again(small, tmp_path):
    serve_idx(small)
    get("mnist", tmp_path)
    asked = len(small.seen)
    assert [item.url for item in get("mnist", tmp_path)] == [None] * 4
    assert len(small.seen) == asked


@pytest.mark.parametrize("packed", [True, False])
def test_only_what_is_missing_is_fetched(small, tmp_path, packed):
    serve_idx(small)
    (tmp_path / "mnist").mkdir()
    name = "t10k-images-idx3-ubyte"
    (tmp_path / "mnist" / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(IMAGES) if packed else IMAGES)
    assert [item.url is None for item in get("mnist", tmp_path)] == [False, False, True, False]
    assert located("mnist", tmp_path)


def test_a_file_that_is_there_with_other_bytes_is_neither_replaced_nor_passed_over(small, tmp_path):
    serve_idx(small)
    (tmp_path / "mnist").mkdir()
    mine = tmp_path / "mnist/t10k-labels-idx1-ubyte"
    mine.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte is there already and is not the published file.*move it away"):
        get("mnist", tmp_path)
    assert mine.read_bytes() == b"mine"
    assert small.seen == []


def test_batches_that_are_there_are_left_as_they_are(small, tmp_path):
    small.serve("first/cifar-10-binary.tar.gz", file(cifar_tar(tmp_path)))
    folder = tmp_path / "home/cifar10/cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "test_batch.bin").write_bytes(BATCHES["test_batch.bin"])
    before = (folder / "test_batch.bin").stat().st_mtime_ns
    get("cifar10", tmp_path / "home")
    assert (folder / "test_batch.bin").stat().st_mtime_ns == before
    assert located("cifar10", tmp_path / "home")


def test_another_address_may_be_a_folder_of_the_files_or_the_file_itself(small, tmp_path):
    serve_idx(small, "mine")
    small.serve("mine/c.tgz", file(cifar_tar(tmp_path)))
    small.serve("mine/pathmnist.npz", file(path_mnist()))
    home = tmp_path / "home"
    assert all(item.url.startswith(f"{small.url}mine/") for item in get("mnist", home, source=f"{small.url}mine"))
    assert get("cifar10", home, source=f"{small.url}mine/c.tgz")[0].url == f"{small.url}mine/c.tgz"
    assert get("pathmnist", home, source=f"{small.url}mine/")[0].url == f"{small.url}mine/pathmnist.npz"


def test_an_address_that_is_not_https_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="no https address"):
        get("mnist", tmp_path, source="http://example.org/mnist/")
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be_fetched_are_answered_with_those_that_can(tmp_path):
    with pytest.raises(SettingsError, match=r"Did you mean mnist.*Those that can be fetched: .*cifar10"):
        get("mnits", tmp_path)
    with pytest.raises(SettingsError, match="comes with scikit-learn"):
        get("digits", tmp_path)


def test_a_disk_without_room_is_said_before_anything_is_fetched(small, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: namedtuple("Usage", "total used free")(1, 1, 2**20))
    with pytest.raises(ResourceError, match=r"Up to 4 MiB are needed .* 1 MiB are free"):
        get("mnist", tmp_path / "home")
    assert small.seen == []


def test_a_set_that_failed_half_way_goes_on_with_the_file_it_was_at(small, tmp_path):
    serve_idx(small)
    small.serve("first/t10k-images-idx3-ubyte.gz", file(gzip.compress(IMAGES), sends=10), status(404))
    with pytest.raises(DataError, match="HTTP 404"):
        get("mnist", tmp_path)
    assert leftovers(tmp_path) == ["t10k-images-idx3-ubyte.gz.part", "t10k-images-idx3-ubyte.gz.part.json"]
    serve_idx(small)
    small.seen.clear()
    assert [item.url is None for item in get("mnist", tmp_path)] == [True, True, False, False]
    assert small.ranges() == ["bytes=10-", None]
    assert leftovers(tmp_path) == []


def test_the_published_facts_are_in_order():
    for name, publisher in PUBLISHERS.items():
        assert isinstance(publisher, Publisher)
        for offer in publisher.offers:
            assert offer.urls
            assert all(url.startswith("https://") for url in offer.urls), name
            assert bool(offer.contents) != bool(offer.md5)
            assert len(offer.md5) in (0, 32)
            assert all(len(content.sha256) == 64 or content.words for content in offer.contents)
            assert offer.most <= 2**30


@pytest.mark.parametrize("name", ["mnist", "cifar10", "fashion-mnist"])
def test_the_real_sets_have_the_published_sums(name):
    home = real_data_home()
    folder = located(name, home)
    if folder is None:
        pytest.skip(f"{name} is not in the data home")
    assert all(item.url is None for item in download_set(name, home))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "cifar10", "fashion-mnist", "breastmnist"])
def test_the_publishers_still_give_the_published_bytes(name, tmp_path):
    assert all(item.url for item in download_set(name, tmp_path))
    assert load_named(name, tmp_path).has_parts


def test_no_other_file_of_the_package_speaks_to_servers():
    root = Path(download.__file__).parents[1]
    speaks = re.compile(
        r"^\s*(import|from) (urllib\.request|urllib\.error|http\.client|socket|requests|ftplib)\b", re.MULTILINE
    )
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] != "serving"  # which is spoken to
        and speaks.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"data/address.py", "data/fetch.py"}
    calls = re.compile(r"^\s*(import|from) eyebright\.(data|verbs)(\.| import )(download|fetch)\b", re.MULTILINE)
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if calls.search(path.read_text(encoding="utf-8"))}
    assert found == {"data/download.py", "verbs/download.py"}
