"""What a file of a model holds, judged by its content. Its name and ending are never asked."""

import dataclasses
import os
import zipfile
from pathlib import Path
from typing import BinaryIO, Literal

from eyebright.core.errors import DataError, ModelError
from eyebright.core.files import sha256

Kind = Literal["litert", "onnx", "keras", "h5", "safetensors", "npz", "torch-zip", "torch-legacy"]

CALLED: dict[Kind, str] = {
    "litert": "a LiteRT (TensorFlow Lite) graph",
    "onnx": "an ONNX graph",
    "keras": "a Keras model",
    "h5": "an HDF5 file, as older Keras writes models",
    "safetensors": "weights in safetensors",
    "npz": "weights in numpy arrays",
    "torch-zip": "a torch checkpoint",
    "torch-legacy": "a torch checkpoint in the format before torch 1.6",
}
WEIGHTS: tuple[Kind, ...] = ("safetensors", "npz", "torch-zip", "torch-legacy")  # tensors without a graph

MAX_BYTES = 16 * 2**30
MAX_ENTRIES = 100_000  # of a zip
MAX_FIELDS = 100_000  # at the top of an ONNX file; a model has some ten
HEAD = 512

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19."  # torch.serialization.MAGIC_NUMBER, 0x1950a86a20f9469cfc6c, as pickle writes it
_SAFETENSORS_HEADER = 100_000_000  # bytes, the most that safetensors itself reads
_ONNX_GRAPH, _ONNX_OPSETS = 7, 8  # ModelProto's fields, onnx/onnx.proto


@dataclasses.dataclass(frozen=True)
class Sniffed:
    """A file and what was found in it."""

    path: Path
    kind: Kind
    bytes: int
    sha256: str

    @property
    def called(self) -> str:
        """The kind in words."""
        return CALLED[self.kind]


def sniff(path: Path) -> Sniffed:
    """What ``path`` holds. Raises ``DataError`` where there is no such file, ``ModelError`` for what is refused."""
    if path.is_dir():
        raise ModelError(_of_folder(path))
    if not path.is_file():
        raise DataError(f"{path} does not exist. Give the file of a model: LiteRT, ONNX, Keras, or weights.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelError(f"{path} has {size / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB are read.")
    try:
        with path.open("rb") as file:
            kind = _kind(file, size, path)
        return Sniffed(path, kind, size, sha256(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _of_folder(path: Path) -> str:
    if (path / "bundle.json").is_file():
        return f"{path} is a bundle already; use it as it is: eyebright predict {path} photo.jpg."
    if (path / "saved_model.pb").is_file():
        return (
            f"{path} is a TensorFlow SavedModel, whose graph may read and write files when it runs, so it is not opened. "
            "Convert it where it was made: tf.lite.TFLiteConverter.from_saved_model gives a .tflite, tf2onnx.convert an .onnx."
        )
    return f"{path} is a folder; the file of a model was expected. Give the file itself."


def _kind(file: BinaryIO, size: int, path: Path) -> Kind:
    head = file.read(HEAD)
    if not head:
        raise ModelError(f"{path} is empty. Copy it again.")
    if head[4:8] == b"TFL3":
        return "litert"
    if _is_hdf5(file, size):
        return "h5"
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if _is_safetensors(head, size):
        return "safetensors"
    if _LEGACY in head[:64]:
        return "torch-legacy"
    _refuse_known(head, path)
    fields = _protobuf_fields(file, size)
    if {_ONNX_GRAPH, _ONNX_OPSETS} <= fields:
        return "onnx"
    if fields:
        raise ModelError(
            f"{path} is a protobuf, but no ONNX model; it may be a TensorFlow graph or a part of an ONNX file. A whole ONNX "
            "model was expected: convert it where it was made (tf2onnx), or copy it again."
        )
    raise ModelError(
        f"{path} is of no kind that is known, or damaged at its beginning. LiteRT, ONNX, Keras, safetensors, .npz or a torch "
        "checkpoint was expected."
    )


def _is_hdf5(file: BinaryIO, size: int) -> bool:
    """Whether the signature stands at 0, 512, 1024, 2048 ..., as the format allows for a block of the user's own before it."""
    place = 0
    while place < size:
        file.seek(place)
        if file.read(len(_HDF5)) == _HDF5:
            return True
        place = 2 * place or 512
    return False


def _kind_of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise ModelError(f"{path} begins as a zip and cannot be read: {error}. It is cut off; copy it again.") from None
    if len(names) > MAX_ENTRIES:
        raise ModelError(f"{path} is a zip of {len(names):,} entries; at most {MAX_ENTRIES:,} are read.")
    if {"config.json", "model.weights.h5"} <= set(names):
        return "keras"
    leaves = {name.partition("/")[2] for name in names}
    if "constants.pkl" in leaves or any(leaf.startswith("code/") for leaf in leaves):
        raise ModelError(
            f"{path} is a TorchScript program, which runs code of its own, so it is not opened. Where it was made, write "
            "torch.save(model.state_dict(), FILE) and give --architecture, or torch.onnx.export the model."
        )
    if "data.pkl" in leaves:
        return "torch-zip"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    shown = ", ".join(name[:60] for name in names[:3]) or "nothing"
    raise ModelError(f"{path} is a zip that holds {shown}; a .keras, an .npz or a torch checkpoint was expected.")


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= _SAFETENSORS_HEADER and 8 + length <= size


def _refuse_known(head: bytes, path: Path) -> None:
    if head.startswith(b"\x93NUMPY"):
        raise ModelError(f"{path} is one numpy array; weights are many, by name. Save them with numpy.savez.")
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise ModelError(
            f"{path} is a pickle, and reading one can run any program. Where it was made, write the weights with "
            "safetensors.torch.save_file, numpy.savez or torch.save(model.state_dict(), FILE)."
        )
    if head[257:262] == b"ustar":
        raise ModelError(f"{path} is a tar archive. Unpack it and give the file of the model.")


def _protobuf_fields(file: BinaryIO, size: int) -> set[int]:
    """The numbers of the fields at the top of a protobuf that fills the file exactly; empty for anything else.

    Contents are stepped over, not read, so that a file of gigabytes costs no more than a small one.
    """
    fields: set[int] = set()
    file.seek(0)
    for _ in range(MAX_FIELDS):
        if file.tell() == size:
            return fields
        tag = _varint(file)
        length = _length(file, tag & 7) if tag else None
        if not tag or length is None or file.tell() + length > size:
            return set()
        fields.add(tag >> 3)
        file.seek(length, os.SEEK_CUR)
    return set()


def _length(file: BinaryIO, wire: int) -> int | None:
    """How many bytes of a field's content are still ahead, by its wire type; None for a type that there is not."""
    if wire == 0:
        return None if _varint(file) is None else 0
    return {1: 8, 2: _varint(file) if wire == 2 else None, 5: 4}.get(wire)


def _varint(file: BinaryIO) -> int | None:
    value = 0
    for place in range(10):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << (7 * place)
        if not byte[0] & 0x80:
            return value
    return None
