"""Sets known by name, read from their publishers' own files in the data home. Nothing is downloaded here.

The data home is ``data_home``, else the environment variable ``EYEBRIGHT_DATA``, else ``data`` in the cache folder. Any
archive, ``.npz``, table or folder that lies in it can be called by its name too.
"""

import gzip
import os
import shlex
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from jaxtyping import UInt8

from eyebright.core.errors import DataError, MissingExtraError
from eyebright.core.files import cache_home
from eyebright.core.registry import Registry
from eyebright.data import medmnist
from eyebright.data.archive import SUFFIXES as ARCHIVE_SUFFIXES
from eyebright.data.arrays import Part, array_source
from eyebright.data.npz import SUFFIX as NPZ_SUFFIX
from eyebright.data.npz import npz_source
from eyebright.data.publishers import PUBLISHERS
from eyebright.data.source import Source

DATASETS = Registry(
    "data set",
    {
        "cifar10": "eyebright.data.catalogue:cifar10",
        "digits": "eyebright.data.catalogue:digits",
        "fashion-mnist": "eyebright.data.catalogue:fashion_mnist",
        "mnist": "eyebright.data.catalogue:mnist",
        **{name: f"eyebright.data.catalogue:{name}" for name in medmnist.SETS},
    },
    group="eyebright.datasets",
)
ABOUT = {
    "cifar10": "60,000 colour photographs of 32 x 32 pixels in 10 classes (Krizhevsky 2009), binary version",
    "digits": "1,797 handwritten digits of 8 x 8 pixels (scikit-learn carries them; nothing to fetch)",
    "fashion-mnist": "70,000 grey pictures of clothes, 28 x 28 pixels, 10 classes (Xiao et al. 2017)",
    "mnist": "70,000 handwritten digits, grey, 28 x 28 pixels (LeCun et al. 1998)",
    **{
        name: f"{facts.about}: {facts.count:,} pictures of 28 x 28 pixels in {len(facts.classes)} classes (Yang et al. 2023)"
        for name, facts in medmnist.SETS.items()
    },
}
# The endings of files in the data home that can be called by their name; the first one there is taken.
OWN_SUFFIXES = (*ARCHIVE_SUFFIXES, NPZ_SUFFIX, ".csv")

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
    **dict.fromkeys(medmnist.SETS, ("medmnist", "")),
}
# Where a system's own packages put a set: looked at last. Debian's is called dataset-fashion-mnist.
SYSTEM_FOLDERS = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
_IDX_NAMES = tuple(name for names in IDX_FILES.values() for name in names)
_FILES = {
    "cifar10": ("batches.meta.txt", *CIFAR_FILES["train"], *CIFAR_FILES["test"]),
    "fashion-mnist": _IDX_NAMES,
    "mnist": _IDX_NAMES,
    **{name: (f"{name}{NPZ_SUFFIX}",) for name in medmnist.SETS},
}
_PACKED = ("fashion-mnist", "mnist")

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
    return next((folder for folder in _places(name, home) if all(_present(name, folder / file) for file in files)), None)


def own_name(path: Path) -> str | None:
    """What a file in the data home can be called, or None for one that is no data set.

    >>> own_name(Path("data/pets.tar.gz")), own_name(Path("data/notes.md"))
    ('pets', None)
    """
    suffix = max((suffix for suffix in OWN_SUFFIXES if path.name.lower().endswith(suffix)), key=len, default="")
    return path.name[: -len(suffix)] or None if suffix else None


def cifar10(home: Path) -> Source:
    """CIFAR-10 in the publisher's binary version, with its own train and test parts."""
    folder = _folder("cifar10", home)
    classes = tuple(_read(folder / "batches.meta.txt", 4096).decode("ascii", "replace").split())
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


def __getattr__(name: str) -> Any:
    """The loaders of the MedMNIST sets, which differ in their name alone."""
    if name in medmnist.SETS:
        return partial(_medmnist, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _medmnist(name: str, home: Path) -> Source:
    folder = _folder(name, home)
    return npz_source(folder / f"{name}{NPZ_SUFFIX}", names=medmnist.SETS[name].classes)


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
    return array_source(
        name, classes, [Part(part or name, part, labels, images.__getitem__) for part, (images, labels) in parts]
    )


def _cifar_part(files: list[Path]) -> _Part:
    expected = CIFAR_RECORDS * CIFAR_RECORD_BYTES
    images = np.empty((len(files) * CIFAR_RECORDS, CIFAR_SIDE, CIFAR_SIDE, 3), dtype=np.uint8)
    labels = np.empty(len(images), dtype=np.uint8)
    for number, file in enumerate(files):
        content = _read(file, expected)
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
    folder = _folder(name, home)
    return _source(name, classes, [(part, _idx_part(folder, *files, name)) for part, files in IDX_FILES.items()])


def _idx_part(folder: Path, images_name: str, labels_name: str, name: str) -> _Part:
    images_file, labels_file = (_present(name, folder / file) or folder / file for file in (images_name, labels_name))
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


def _places(name: str, home: Path) -> list[Path]:
    """The folders in which the set called ``name`` is looked for."""
    system = [SYSTEM_FOLDERS[name]] if name in SYSTEM_FOLDERS else []
    return [*(home / inner for inner in FOLDERS.get(name, ())), *system]


def _present(name: str, file: Path) -> Path | None:
    """``file``, or what stands for it packed by gzip where the set is published so; None where neither is there."""
    packed = [file.with_name(f"{file.name}.gz")] if name in _PACKED else []
    return next((candidate for candidate in (file, *packed) if candidate.is_file()), None)


def _folder(name: str, home: Path) -> Path:
    """The first place that holds the set's first file, all others beside it. Raises ``DataError`` naming what is missing."""
    places, files = _places(name, home), _FILES[name]
    folder = next((place for place in places if _present(name, place / files[0])), places[0])
    for file in (folder / file for file in files):
        if not _present(name, file):
            raise DataError(_missing(name, f"{file} (or {file.name}.gz)" if name in _PACKED else str(file), home))
    return folder


def _missing(name: str, file: str, home: Path) -> str:
    where = "" if home == resolve_home() else f" --data-home {shlex.quote(str(home))}"
    remedy = f"Fetch it: eyebright download {name}{where}. Or put" if name in PUBLISHERS else "Put"
    return (
        f"The data set {name} was not found: {file} does not exist. {remedy} its files there, or set the environment variable "
        f"EYEBRIGHT_DATA (or --data-home) to the folder that holds them; looked in {home}."
    )


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
