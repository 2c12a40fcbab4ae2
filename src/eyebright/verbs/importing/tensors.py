"""The tensors of a file by name. Shapes are known, and judged, before memory is taken for a single value; no code is run."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eyebright.core.errors import DataError, ModelError
from eyebright.verbs.importing.sniffing import Sniffed

if TYPE_CHECKING:
    import torch

MAX_TENSORS = 100_000
_CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net", "weights", "params")

Shape = tuple[int, ...]
Read = Callable[[Iterable[str]], "dict[str, torch.Tensor]"]


@dataclasses.dataclass(frozen=True)
class Stored:
    """What a file holds: ``shapes`` by name, and ``read``, which gives the tensors of some names, real numbers as float32.

    ``notes`` say what else is in the file and was left out.
    """

    path: Path
    shapes: Mapping[str, Shape]
    read: Read
    notes: tuple[str, ...] = ()


def open_tensors(found: Sniffed) -> Stored:
    """The tensors of a file of weights. Raises ``ModelError`` where it is damaged, or holds more than numbers."""
    readers = {"safetensors": _safetensors, "npz": _npz, "torch-zip": _torch, "torch-legacy": _torch}
    try:
        stored = readers[found.kind](found.path)
    except DataError as error:  # of the readers of archives, which are those of data sets
        raise ModelError(str(error)) from None
    if not stored.shapes:
        raise ModelError(f"{found.path} holds no tensors. Give a table of weights by name.")
    if len(stored.shapes) > MAX_TENSORS:
        raise ModelError(f"{found.path} holds {len(stored.shapes):,} tensors; at most {MAX_TENSORS:,} are read.")
    return stored


def _safetensors(path: Path) -> Stored:
    from safetensors import SafetensorError, safe_open

    def read(names: Iterable[str]) -> "dict[str, torch.Tensor]":
        with safe_open(path, framework="pt") as file:
            return {name: _real(file.get_tensor(name), name, path) for name in names}

    try:
        with safe_open(path, framework="pt") as file:  # its header is judged against the file's length when it is opened
            names = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is no safetensors file that can be read: {error}. It is damaged; copy it again.") from None
    return Stored(path, shapes, read)


def _npz(path: Path) -> Stored:
    """Arrays as ``numpy.savez`` writes them. A header is checked against its entry; an entry is unpacked when it is wanted."""
    from eyebright.data.npz import read_header
    from eyebright.data.zip_ import open_zip

    archive = open_zip(path)
    headers = {name.removesuffix(".npy"): read_header(archive, name) for name in archive.sizes}

    def read(names: Iterable[str]) -> "dict[str, torch.Tensor]":
        return {name: one(name) for name in names}

    def one(name: str) -> "torch.Tensor":
        import torch

        header = headers[name]
        if header.dtype.kind not in "fiub":
            raise ModelError(f"{name} in {path} has the type {header.dtype}; numbers were expected.")
        try:
            content = archive.fetch(header.name, archive.sizes[header.name])[header.begin :]
        except DataError as error:
            raise ModelError(f"{name} in {path}: {error}") from None
        values = np.frombuffer(content, dtype=header.dtype).reshape(header.shape)
        return _real(torch.from_numpy(values.astype(header.dtype.newbyteorder("="))), name, path)

    return Stored(path, {name: header.shape for name, header in headers.items()}, read)


def _torch(path: Path) -> Stored:
    """A checkpoint, twice: first its table alone, without memory for values, then, when they are wanted, the values."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    _refuse_packed(path)
    with FakeTensorMode():  # tensors with shapes and without values
        table, notes = _table_in(_loaded(path), path)
        held = _bytes_held(table, path)
    if held > path.stat().st_size:
        raise ModelError(
            f"{path} announces {held:,} bytes of tensors and has {path.stat().st_size:,} in all. It is cut off; copy it again."
        )

    def read(names: Iterable[str]) -> "dict[str, torch.Tensor]":
        full, _ = _table_in(_loaded(path), path)
        return {name: _real(full[name], name, path) for name in names}

    return Stored(path, {name: tuple(tensor.shape) for name, tensor in table.items()}, read, notes)


def _bytes_held(table: "Mapping[str, torch.Tensor]", path: Path) -> int:
    """How much memory the tensors' values will take, those that share theirs counted once."""
    for name, tensor in table.items():
        if tensor.is_sparse or tensor.is_quantized or tensor.is_complex():
            raise ModelError(
                f"{name} in {path} is stored as {tensor.dtype}, {tensor.layout}; plain real numbers were expected."
            )
    storages = [tensor.untyped_storage() for tensor in table.values()]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def _refuse_packed(path: Path) -> None:
    """Raises ``ModelError`` for a zip whose entries unpack to more than the file: torch writes them as they are."""
    from eyebright.data.zip_ import MAGIC, open_zip

    with path.open("rb") as file:
        if not file.read(4).startswith(MAGIC):
            return
    unpacked = sum(open_zip(path).sizes.values())
    if unpacked > path.stat().st_size:
        raise ModelError(
            f"{path} unpacks to {unpacked:,} bytes from {path.stat().st_size:,}; torch packs nothing. Write it again with "
            "torch.save."
        )


def _loaded(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in any way: IndexError, struct.error, RuntimeError ...
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "Weights only load failed" in str(error) or "Unsupported" in reason:
            raise ModelError(
                f"{path} holds Python objects besides tensors, which are not read: unpickling them can run any program. Where "
                "it was made, write torch.save(model.state_dict(), FILE)."
            ) from None
        raise ModelError(f"{path} is no whole torch checkpoint ({reason[:200]}). It is damaged; copy it again.") from None


def _table_in(content: Any, path: Path) -> "tuple[dict[str, torch.Tensor], tuple[str, ...]]":
    """The table of tensors in a checkpoint, and a note about where it lay and what lies beside it."""
    import torch

    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds a {type(content).__name__}; a table of tensors by name was expected.")
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if tensors:
        return tensors, ()
    for key in _CONTAINERS:
        if isinstance(content.get(key), Mapping):
            table, _ = _table_in(content[key], path)
            rest = [str(other)[:40] for other in content if other != key]
            beside = f"; {', '.join(rest[:5])} beside it {'is' if len(rest) == 1 else 'are'} left out" if rest else ""
            return table, (f"The weights were taken from {key!r} in the checkpoint{beside}.",)
    shown = ", ".join(str(key)[:40] for key in list(content)[:5]) or "nothing"
    raise ModelError(
        f"{path} holds {shown}, and no table of tensors under {', '.join(_CONTAINERS)}. Write "
        "torch.save(model.state_dict(), FILE)."
    )


def _real(tensor: "torch.Tensor", name: str, path: Path) -> "torch.Tensor":
    """``tensor`` as float32 where it holds real numbers, whole ones as they are. Raises ``ModelError`` for NaN and others."""
    import torch

    if tensor.is_complex():
        raise ModelError(f"{name} in {path} is stored as {tensor.dtype}; plain real numbers were expected.")
    if not tensor.is_floating_point():
        return tensor.detach().clone()
    values = tensor.detach().to(torch.float32).contiguous()
    if not bool(torch.isfinite(values).all()):
        raise ModelError(f"{name} in {path} holds values that are not finite numbers. The model is broken; train it again.")
    return values
