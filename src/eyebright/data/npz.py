"""Pictures in the arrays of one ``.npz`` file, in the layout of MedMNIST, of Keras, or as plain images and labels.

train_images, train_labels, val_images, val_labels, test_images, test_labels      (MedMNIST, Yang et al. 2023)
x_train, y_train, x_test, y_test                                                  (keras.datasets)
images, labels

Pictures are uint8, n x h x w or n x h x w x 3; labels are whole numbers or names, one a picture. Nothing is unpickled. Each
array's header is read from its zip entry and its shape is bounded before memory is taken. Pictures are unpacked when the first
of a part is asked for, and large parts onto the disk.
"""

import dataclasses
import io
import math
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from eyebright.core.errors import DataError, ImageError
from eyebright.data.archive import Archive
from eyebright.data.arrays import Part, array_source
from eyebright.data.layout import class_names, settle_parts
from eyebright.data.names import shown
from eyebright.data.source import Source
from eyebright.data.spool import Spool
from eyebright.data.zip_ import open_zip
from eyebright.images.limits import MAX_PIXELS, MAX_SIDE

LAYOUTS: tuple[dict[str | None, tuple[str, str]], ...] = (
    {
        "train": ("train_images", "train_labels"),
        "validation": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
    {"train": ("x_train", "y_train"), "validation": ("x_val", "y_val"), "test": ("x_test", "y_test")},
    {None: ("images", "labels")},
)
CLASS_NAMES = ("class_names", "label_names")
SUFFIX = ".npz"

MAX_PICTURES = 10_000_000
MAX_SIZE = 2**40  # of an axis; what claims more is damaged
MAX_HEADER = 10_000  # characters, numpy's own limit for a header that is not trusted
MAX_NAME = 1_000  # characters of one class's name
MAX_LABEL_BYTES = 2 * 2**30
MEMORY = 2**30  # bytes of a part that are kept in memory; a larger one goes to the disk

_MEMBER = ".npy"


@dataclasses.dataclass(frozen=True)
class Header:
    """What an array announces: ``begin`` is where its first byte is in the zip entry."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    begin: int


def is_npz(path: Path, head: bytes) -> bool:
    """Whether the zip ``path``, which begins with ``head``, holds arrays and nothing else."""
    # A zip's first entry tells most of them apart without reading the directory: its name stands at byte 30.
    length = int.from_bytes(head[26:28], "little")
    if length <= len(head) - 30 and not head[30 : 30 + length].endswith(_MEMBER.encode()):
        return False
    names = open_zip(path).sizes
    return bool(names) and all(name.endswith(_MEMBER) for name in names)


def npz_source(path: Path, *, names: Sequence[str] = ()) -> Source:
    """The pictures in ``path``, with keys such as ``train/00012`` and the parts that the file gives.

    Classes are called as the file's own ``class_names`` or ``label_names`` say, else by ``names``, else by their number.
    Reads are safe from many threads. Raises ``DataError`` for arrays of another layout, kind or size, and for several labels
    a picture.
    """
    archive = open_zip(path)
    members = {name.removesuffix(_MEMBER): name for name in archive.sizes if name.endswith(_MEMBER)}
    layout = _layout(members, path)
    pictures = {part: read_header(archive, members[images]) for part, (images, _) in layout.items()}
    for header in pictures.values():
        _check_pictures(header, path)
    said = {part: _labels(archive, read_header(archive, members[name]), pictures[part]) for part, (_, name) in layout.items()}
    labels, classes = _numbered(said, _class_names(archive, members) or tuple(names), path)
    class_names(classes, str(path))
    parts = [Part(part or "images", part, labels[part], _Rows(archive, header).row) for part, header in pictures.items()]
    source = array_source(path.name.removesuffix(SUFFIX), classes, parts)
    samples, notes = settle_parts(source.samples)
    used = {name for pair in layout.values() for name in pair} | set(CLASS_NAMES)
    stray = (name for name in archive.sizes if name.removesuffix(_MEMBER) not in used)
    return dataclasses.replace(source, samples=tuple(samples), stray=tuple(sorted(stray)), notes=notes)


def _layout(members: Mapping[str, str], path: Path) -> dict[str | None, tuple[str, str]]:
    """The names of pictures and labels by part: the layout of which the file holds most."""
    found = [{part: pair for part, pair in layout.items() if set(pair) & set(members)} for layout in LAYOUTS]
    layout = max(found, key=len)
    if not layout:
        wanted = ", or ".join(" and ".join(next(iter(layout.values()))) for layout in LAYOUTS)
        raise DataError(f"{path} holds {shown(sorted(members)) or 'no arrays'}; expected {wanted}. Save them under such names.")
    for pair in layout.values():
        if missing := [name for name in pair if name not in members]:
            beside = next(name for name in pair if name in members)
            raise DataError(f"{path} holds no {missing[0]} beside {beside}; both were expected. Add it.")
    return layout


def read_header(archive: Archive, member: str) -> Header:
    """The header of one array; its announced size must be that of the entry. Raises ``DataError`` for one that is not read."""
    where = f"{member} in {archive.path}"
    content = io.BytesIO(_fetch(archive, member, 2 * MAX_HEADER))
    try:
        version = np.lib.format.read_magic(content)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format is not read")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(content, max_header_size=MAX_HEADER)
        if not all(0 <= side <= MAX_SIZE for side in shape):
            raise ValueError("no array has such a shape")
    except Exception as error:  # a parser on hostile bytes may raise anything
        raise DataError(f"{where} is no array that can be read: {error}. Save it again with numpy.savez.") from None
    if dtype.hasobject:
        raise DataError(
            f"{where} holds Python objects, which are not read: unpickling them can run any program. Plain numbers or text "
            "were expected; save array.astype(int) or array.astype(str)."
        )
    if fortran and len(shape) > 1:
        raise DataError(f"{where} is stored column by column; rows were expected. Save numpy.ascontiguousarray(array).")
    size, found = math.prod(shape) * dtype.itemsize, archive.sizes[member] - content.tell()
    if size != found:
        raise DataError(f"{where} announces {size:,} bytes and holds {found:,}. It is damaged; copy or save it again.")
    return Header(member, shape, dtype, content.tell())


def _fetch(archive: Archive, member: str, count: int) -> bytes:
    try:
        return archive.fetch(member, count)
    except ImageError as error:
        raise DataError(f"{member} in {archive.path}: {error}") from None


def _check_pictures(header: Header, path: Path) -> None:
    where = f"{header.name} in {path}"
    shape = header.shape
    if header.dtype != np.uint8:
        raise DataError(
            f"{where} has the type {header.dtype}; uint8 was expected, 0 to 255. Scale and convert it, for pixels in 0 to 1: "
            "(255 * images).round().astype('uint8')."
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        hint = " The channels seem to come first: save images.transpose(0, 2, 3, 1)." if shape[1:2] in ((1,), (3,)) else ""
        raise DataError(f"{where} has the shape {shape}; (n, height, width) or (n, height, width, 3) was expected.{hint}")
    count, height, width = shape[:3]
    if not 1 <= count <= MAX_PICTURES or min(height, width) < 1 or max(height, width) > MAX_SIDE:
        raise DataError(
            f"{where} has the shape {shape}; 1 to {MAX_PICTURES:,} pictures of 1 to {MAX_SIDE} a side were expected."
        )
    if height * width > MAX_PIXELS:
        raise DataError(f"{where} has pictures of {height} x {width}; at most {MAX_PIXELS / 1e6:.0f} megapixels are read.")


def _labels(archive: Archive, header: Header, pictures: Header) -> np.ndarray:
    """The labels of one part as they are in the file, [n]."""
    where = f"{header.name} in {archive.path}"
    if header.shape[:1] != pictures.shape[:1]:
        raise DataError(
            f"{where} has the shape {header.shape} beside {pictures.shape[0]:,} pictures in {pictures.name}; one label a "
            "picture was expected. Save both again."
        )
    each = math.prod(header.shape[1:])
    if each != 1:
        raise DataError(
            f"{where} has the shape {header.shape}: {each} labels for each picture. One was expected, because a classifier "
            "names one class. Choose one column; for one-hot labels save labels.argmax(1)."
        )
    if header.dtype.kind not in "iuUS":
        raise DataError(f"{where} has the type {header.dtype}; whole numbers or names were expected. Save labels.astype(int).")
    labels = _array(archive, header).reshape(-1)  # n or n 1 -> n
    if header.dtype.kind in "iu" and (labels.min() < 0 or labels.max() >= 2**31):
        raise DataError(
            f"{where} holds the label {labels.min() if labels.min() < 0 else labels.max()}; 0 and more were expected."
        )
    return labels.astype(np.int64) if header.dtype.kind in "iu" else _as_text(labels, where)


def _class_names(archive: Archive, members: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the classes by their number; empty where the file has none."""
    member = next((members[name] for name in CLASS_NAMES if name in members), None)
    if member is None:
        return ()
    header = read_header(archive, member)
    where = f"{header.name} in {archive.path}"
    if header.dtype.kind not in "US" or len(header.shape) != 1:
        raise DataError(f"{where} has the type {header.dtype} and the shape {header.shape}; a list of names was expected.")
    names = tuple(_as_text(_array(archive, header), where).tolist())
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise DataError(f"{where} holds a name twice or an empty one: {shown(names)}. One name for each class was expected.")
    return names


def _array(archive: Archive, header: Header) -> np.ndarray:
    size, each = archive.sizes[header.name], header.dtype.itemsize
    if not 1 <= each <= 4 * MAX_NAME or size > MAX_LABEL_BYTES:
        raise DataError(
            f"{header.name} in {archive.path} has {size / 2**20:,.0f} MiB, {each:,} bytes for each value; labels or names were "
            "expected. Save it again."
        )
    content = _fetch(archive, header.name, size)[header.begin :]
    return np.frombuffer(content, dtype=header.dtype).reshape(header.shape)


def _as_text(values: np.ndarray, where: str) -> np.ndarray:
    try:
        _require_characters(values)
        names = [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]
        "".join(names).encode()  # a lone half of a pair of code units could not be written into any report
    except ValueError as error:
        raise DataError(f"{where} holds names that are no text: {error}. Save them again as text.") from None
    return np.array(names, dtype=np.str_)


def _require_characters(values: np.ndarray) -> None:
    """Raises ``ValueError`` where text holds numbers that are no characters: Python itself would fail on them."""
    codes = np.frombuffer(
        values.tobytes() if values.dtype.kind == "U" else b"", np.dtype("u4").newbyteorder(values.dtype.byteorder)
    )
    if codes.size and codes.max() > sys.maxunicode:
        raise ValueError(f"{codes.max()} is no character")


def _numbered(
    labels: dict[str | None, np.ndarray], names: tuple[str, ...], path: Path
) -> tuple[dict[str | None, Integer[np.ndarray, "n"]], tuple[str, ...]]:
    """The labels as numbers of the classes, which are those that occur, and the classes' names."""
    if len({part.dtype.kind for part in labels.values()}) > 1:  # names in one part, numbers in another
        labels = {part: part_labels.astype(np.str_) for part, part_labels in labels.items()}
    values = np.unique(np.concatenate(list(labels.values())))
    if values.dtype.kind in "iu" and names:
        if values[-1] >= len(names):
            raise DataError(
                f"{path} holds the label {values[-1]} and {len(names)} names of classes ({shown(names)}); labels from 0 to "
                f"{len(names) - 1} were expected. Correct the names."
            )
        classes = tuple(names[value] for value in values)
    else:
        classes = tuple(str(value) for value in values)
    return {part: np.searchsorted(values, part_labels) for part, part_labels in labels.items()}, classes


class _Rows:
    """The pictures of one part, unpacked when the first one is asked for."""

    def __init__(self, archive: Archive, header: Header) -> None:
        self._archive = archive
        self._header = header
        self._shape = header.shape[1:]
        self._bytes = math.prod(self._shape)
        self._spool: Spool | None = None
        self._damage = ""
        self._lock = threading.Lock()

    def row(self, index: int) -> UInt8[np.ndarray, "..."]:
        """One picture, h x w or h x w x c. Raises ``ImageError`` where the file is damaged."""
        begin = self._header.begin + index * self._bytes
        return np.frombuffer(self._unpacked().read(begin, self._bytes), dtype=np.uint8).reshape(self._shape)

    def _unpacked(self) -> Spool:
        with self._lock:
            if self._damage:  # each of many thousand rows asks; the array is unpacked once all the same
                raise ImageError(self._damage)
            if self._spool is None:
                try:
                    self._spool = self._unpack()
                except ImageError as error:
                    self._damage = str(error)
                    raise
            return self._spool

    def _unpack(self) -> Spool:
        spool = Spool(memory=MEMORY)
        for piece in self._archive.pieces(self._header.name):
            spool.append(piece)
        if spool.size != self._archive.sizes[self._header.name]:
            raise ImageError("The array is shorter than it announces. Copy or download the file again.")
        return spool
