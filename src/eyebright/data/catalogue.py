"""Sets known by name, read from their publishers' own files in the data home. Nothing is downloaded.

The data home is ``data_home``, else the environment variable ``EYEBRIGHT_DATA``, else ``data`` in the cache folder. Any zip
or folder that lies in it can be called by its name too.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, cast

import numpy as np
from jaxtyping import UInt8

from eyebright.core.arrays import Image
from eyebright.core.errors import DataError, MissingExtraError
from eyebright.core.files import cache_home
from eyebright.core.registry import Registry
from eyebright.data.source import Sample, Source

DATASETS = Registry(
    "data set",
    {
        "cifar10": "eyebright.data.catalogue:cifar10",
        "digits": "eyebright.data.catalogue:digits",
        "fashion-mnist": "eyebright.data.catalogue:fashion_mnist",
        "mnist": "eyebright.data.catalogue:mnist",
    },
    group="eyebright.datasets",
)
ABOUT = {
    "cifar10": "60,000 colour photographs of 32 x 32 pixels in 10 classes (Krizhevsky 2009), binary version",
    "digits": "1,797 handwritten digits of 8 x 8 pixels (scikit-learn carries them; nothing to fetch)",
    "fashion-mnist": "70,000 grey pictures of clothes, 28 x 28 pixels, 10 classes (Xiao et al. 2017)",
    "mnist": "70,000 handwritten digits, grey, 28 x 28 pixels (LeCun et al. 1998)",
}

CIFAR_RECORDS = 10_000  # in each of the six files, https://www.cs.toronto.edu/~kriz/cifar.html
CIFAR_SIDE = 32
CIFAR_RECORD_BYTES = 1 + 3 * CIFAR_SIDE * CIFAR_SIDE  # the label, then planar RGB
CIFAR_FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}

IDX_IMAGES, IDX_LABELS = 0x00000803, 0x00000801  # unsigned bytes in three and in one dimension
IDX_MAX_COUNT = 1_000_000
IDX_MAX_SIDE = 1_024
IDX_MAX_BYTES = 2 * 2**30
IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

FOLDERS = {  # of the data home, in the order in which they are looked at
    "cifar10": ("cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar10"),
    "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw"),
    "mnist": ("mnist", "MNIST/raw"),
}
_IDX_NAMES = tuple(name for names in IDX_FILES.values() for name in names)
_FILES = {
    "cifar10": ("batches.meta.txt", *CIFAR_FILES["train"], *CIFAR_FILES["test"]),
    "fashion-mnist": _IDX_NAMES,
    "mnist": _IDX_NAMES,
}

_DIGIT_NAMES = tuple(str(digit) for digit in range(10))
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

Loader = Callable[[Path], Source]
_Part = tuple[UInt8[np.ndarray, "n height width channels"], UInt8[np.ndarray, "n"]]


def resolve_home(data_home: Path | None = None) -> Path:
    """The folder in which sets are looked up by name."""
    if data_home is not None:
        return data_home.expanduser()
    own = os.environ.get("EYEBRIGHT_DATA")
    return Path(own).expanduser() if own else cache_home() / "data"


def load_named(name: str, home: Path) -> Source:
    """The set called ``name``. Raises ``SettingsError`` with the nearest names where none is."""
    loader: Loader = DATASETS.load(name)
    return loader(home)


def located(name: str, home: Path) -> Path | None:
    """The folder that holds every file of the set called ``name``; only looked for, not opened.

    None where a file is missing, and for a set that has no files in the data home.
    """
    files = _FILES.get(name, ())
    for folder in (home / inner for inner in FOLDERS.get(name, ())):
        if all((folder / file).is_file() or (folder / f"{file}.gz").is_file() for file in files):
            return folder
    return None


def cifar10(home: Path) -> Source:
    """CIFAR-10 in the publisher's binary version, with its own train and test parts."""
    folder = _folder(home, FOLDERS["cifar10"], "batches.meta.txt", "CIFAR-10")
    classes = tuple(_read(folder / "batches.meta.txt", 4096, "CIFAR-10").decode("ascii", "replace").split())
    if len(classes) != 10 or len(set(classes)) != 10:
        raise DataError(f"{folder / 'batches.meta.txt'} names {len(classes)} classes; 10 were expected. Fetch the set again.")
    parts = [(part, _cifar_part([folder / name for name in names])) for part, names in CIFAR_FILES.items()]
    return _source("cifar10", classes, parts)


def mnist(home: Path) -> Source:
    """MNIST's four idx files, with its own train and test parts."""
    return _idx_set("mnist", _DIGIT_NAMES, home)


def fashion_mnist(home: Path) -> Source:
    """Fashion-MNIST's four idx files, with its own train and test parts."""
    return _idx_set("fashion-mnist", _CLOTHES, home)


def digits(home: Path) -> Source:
    """scikit-learn's digits, their 17 levels spread over 0..255, without parts. ``home`` is not needed."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError.for_extra("demo", "The data set digits") from None
    bunch = load_digits()
    images = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)[..., None]  # n h w -> n h w 1
    return _source("digits", _DIGIT_NAMES, [(None, (images, bunch.target.astype(np.uint8)))])


def _source(name: str, classes: tuple[str, ...], parts: Iterable[tuple[str | None, _Part]]) -> Source:
    """Samples with keys such as ``train/00041``, the place in the publisher's order; pictures stay in one array a part."""
    order = np.argsort(np.array(classes))  # the position of each class's name when sorted
    rank = np.empty(len(classes), dtype=np.int64)
    rank[order] = np.arange(len(classes))
    pictures: dict[str, tuple[np.ndarray, int]] = {}
    samples: list[Sample] = []
    for part, (images, labels) in parts:
        for index, label in enumerate(rank[labels].tolist()):
            key = f"{part or name}/{index:05d}"
            pictures[key] = (images, index)
            samples.append(Sample(key, label, part))

    def read(key: str) -> Image:
        images, index = pictures[key]
        return np.repeat(images[index], 3, axis=2) if images.shape[3] == 1 else images[index].copy()

    samples.sort(key=lambda sample: sample.key)
    return Source(name, tuple(sorted(classes)), tuple(samples), read)


def _cifar_part(files: list[Path]) -> _Part:
    expected = CIFAR_RECORDS * CIFAR_RECORD_BYTES
    images = np.empty((len(files) * CIFAR_RECORDS, CIFAR_SIDE, CIFAR_SIDE, 3), dtype=np.uint8)
    labels = np.empty(len(images), dtype=np.uint8)
    for number, file in enumerate(files):
        content = _read(file, expected, "CIFAR-10")
        if len(content) != expected or file.stat().st_size != expected:
            raise DataError(
                f"{file} has {file.stat().st_size:,} bytes; {expected:,} were expected ({CIFAR_RECORDS:,} pictures of "
                f"{CIFAR_RECORD_BYTES:,} bytes). It is truncated or another file; fetch the set again."
            )
        records = np.frombuffer(content, dtype=np.uint8).reshape(CIFAR_RECORDS, CIFAR_RECORD_BYTES)
        rows = slice(number * CIFAR_RECORDS, (number + 1) * CIFAR_RECORDS)
        labels[rows] = records[:, 0]
        planar = records[:, 1:].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE)
        images[rows] = planar.transpose(0, 2, 3, 1)  # n 3 h w -> n h w 3
        _check_labels(labels[rows], file)
    return images, labels


def _idx_set(name: str, classes: tuple[str, ...], home: Path) -> Source:
    first = IDX_FILES["train"][0]
    folder = _folder(home, FOLDERS[name], first, name, also=f"{first}.gz")
    return _source(name, classes, [(part, _idx_part(folder, *files, name)) for part, files in IDX_FILES.items()])


def _idx_part(folder: Path, images_name: str, labels_name: str, name: str) -> _Part:
    images_file, labels_file = _plain_or_gz(folder / images_name, name), _plain_or_gz(folder / labels_name, name)
    images = _idx_array(images_file, IDX_IMAGES, 3)
    labels = _idx_array(labels_file, IDX_LABELS, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_file} holds {len(images):,} pictures and {labels_file} {len(labels):,} labels; "
            "as many of each were expected. Fetch both again."
        )
    _check_labels(labels, labels_file)
    return images[..., None], labels  # n h w -> n h w 1


def _idx_array(file: Path, magic: int, dimensions: int) -> np.ndarray:
    """The array in an idx file; its announced size is bounded before memory is taken for it."""
    try:
        with _unpacked(file) as stream:
            header = stream.read(4 + 4 * dimensions)
            shape = _idx_shape(header, magic, dimensions, file)
            count = int(np.prod(shape, dtype=np.int64))
            content = stream.read(count + 1)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}. Fetch it again.") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{file} is truncated or damaged: {error}. Fetch it again.") from None
    if len(content) != count:
        found = "more" if len(content) > count else f"{len(content):,}"
        raise DataError(f"{file} announces {count:,} bytes and holds {found}. It is damaged; fetch it again.")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _unpacked(file: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _idx_shape(header: bytes, magic: int, dimensions: int, file: Path) -> tuple[int, ...]:
    numbers = np.frombuffer(header[: len(header) // 4 * 4], dtype=">u4").tolist()
    if len(numbers) != 1 + dimensions or numbers[0] != magic:
        found = f"{numbers[0]:#010x}" if numbers else "nothing"
        raise DataError(f"{file} begins with {found}; the idx header {magic:#010x} was expected. Fetch the file again.")
    count, *sides = numbers[1:]
    if not 1 <= count <= IDX_MAX_COUNT or any(not 1 <= side <= IDX_MAX_SIDE for side in sides):
        raise DataError(
            f"{file} announces the shape {tuple(numbers[1:])}; at most {IDX_MAX_COUNT:,} pictures of {IDX_MAX_SIDE} a side "
            "were expected. Fetch the file again."
        )
    if int(np.prod(numbers[1:], dtype=np.int64)) > IDX_MAX_BYTES:
        raise DataError(f"{file} announces more than {IDX_MAX_BYTES >> 30} GiB; it is damaged. Fetch it again.")
    return tuple(numbers[1:])


def _check_labels(labels: np.ndarray, file: Path) -> None:
    if labels.max() > 9:
        raise DataError(f"{file} holds the label {labels.max()}; 0 to 9 were expected. It is damaged; fetch it again.")


def _plain_or_gz(path: Path, name: str) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    found = next((candidate for candidate in (path, packed) if candidate.is_file()), None)
    if found is None:
        raise DataError(_missing(name, f"{path} (or {packed.name})", path.parent))
    return found


def _folder(home: Path, folders: tuple[str, ...], marker: str, name: str, *, also: str = "") -> Path:
    """The first of ``folders`` in ``home`` that holds the file ``marker`` (or ``also``)."""
    for folder in folders:
        if any((home / folder / file).is_file() for file in (marker, also) if file):
            return home / folder
    wanted = home / folders[0] / marker
    raise DataError(_missing(name, f"{wanted} (or {also})" if also else str(wanted), home))


def _missing(name: str, file: str, home: Path) -> str:
    return (
        f"The data set {name} was not found: {file} does not exist. Put its files there, or set the environment variable "
        f"EYEBRIGHT_DATA (or --data-home) to the folder that holds them; looked in {home}."
    )


def _read(path: Path, limit: int, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        raise DataError(_missing(name, str(path), path.parent)) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
