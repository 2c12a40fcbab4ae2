"""Where the named sets are published, and how their files are known to be the right ones.

A file is judged by the sha256 of its unpacked bytes, which is the same however a mirror packed it, or, where that is not known,
by the sum that the publisher gives for the packed file. ``most`` bounds what is taken from a server before any of this.
"""

import dataclasses
from typing import Literal

from eyebright.data.medmnist import RECORD, SETS, SIDE

SLACK = 2**20  # bytes by which packing may enlarge what cannot be packed


@dataclasses.dataclass(frozen=True)
class Content:
    """One unpacked file of a set: at most ``size`` bytes; its ``sha256``, or ``words`` where only blank lines may differ."""

    name: str
    size: int
    sha256: str = ""
    words: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Offer:
    """One file to download: where it is, at most how many bytes it has, how it is packed, and what it must hold.

    ``md5`` is the publisher's sum of the file as it is, for files whose unpacked contents are not known.
    """

    file: str
    urls: tuple[str, ...]
    most: int
    packing: Literal["gzip", "tar", "none"]
    contents: tuple[Content, ...] = ()
    md5: str = ""


@dataclasses.dataclass(frozen=True)
class Publisher:
    """A set's files, the ``folder`` of the data home they go to, the ``page`` to cite, and the licence it states."""

    folder: str
    page: str
    licence: str
    offers: tuple[Offer, ...]


def _idx_offers(urls: tuple[str, ...], sums: dict[str, str]) -> tuple[Offer, ...]:
    """The four idx files of MNIST and what is built like it, each packed by gzip."""
    sizes = {"train-images": 47_040_016, "train-labels": 60_008, "t10k-images": 7_840_016, "t10k-labels": 10_008}
    offers = []
    for start, size in sizes.items():
        name = f"{start}-idx{3 if 'images' in start else 1}-ubyte"
        packed = f"{name}.gz"
        content = Content(name, size, sums[start])
        offers.append(Offer(packed, tuple(url + packed for url in urls), size + SLACK, "gzip", (content,)))
    return tuple(offers)


# The unpacked bytes of the complete set, whose packed label and test files have the md5 sums known from torchvision.
_MNIST_SUMS = {
    "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# The unpacked bytes of files whose packed form has the md5 sums in the publisher's README.
_FASHION_SUMS = {
    "train-images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
# The same bytes as the pickled version's, whose md5 sums are known from torchvision.
_CIFAR_SUMS = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
_CIFAR_BATCH_BYTES = 30_730_000
_CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_CIFAR = Offer(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    6 * _CIFAR_BATCH_BYTES + SLACK,
    "tar",
    (
        *(Content(name, _CIFAR_BATCH_BYTES, sha256) for name, sha256 in _CIFAR_SUMS.items()),
        Content("batches.meta.txt", 4_096, words=_CIFAR_CLASSES),
    ),
)


def _medmnist(name: str) -> Publisher:
    facts = SETS[name]
    # The pixels, and eight bytes at most for a label.
    most = facts.count * (SIDE * SIDE * facts.channels + 8) + SLACK
    offer = Offer(f"{name}.npz", (f"{RECORD}{name}.npz?download=1",), most, "none", md5=facts.md5)
    return Publisher("medmnist", "https://medmnist.com", facts.licence, (offer,))


PUBLISHERS: dict[str, Publisher] = {
    "cifar10": Publisher(
        "cifar10/cifar-10-batches-bin",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated; cite Krizhevsky 2009",
        (_CIFAR,),
    ),
    "fashion-mnist": Publisher(
        "fashion-mnist",
        "https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
        _idx_offers(
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            ),
            _FASHION_SUMS,
        ),
    ),
    "mnist": Publisher(
        "mnist",
        "http://yann.lecun.com/exdb/mnist/",
        "CC BY-SA 3.0",
        _idx_offers(
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
            _MNIST_SUMS,
        ),
    ),
    **{name: _medmnist(name) for name in SETS},
}
