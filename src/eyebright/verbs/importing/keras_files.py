"""A clean copy of a Keras file: the checked configuration and the numbers, and nothing else that was in it.

It is the copy that Keras opens. Links, values in other files, virtual and compressed-by-plug-in data of HDF5, and whatever else
a ``.keras`` archive carries, have no place in it. Needs h5py.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.core.errors import ModelError
from eyebright.verbs.importing.keras_config import MOST_CHARACTERS, checked_config

MOST_BYTES = 4 * 2**30  # of weights, unpacked
MOST_OBJECTS = 100_000
DEEPEST = 64
KINDS = "fiub"  # floats, integers, yes and no
FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, Fletcher's sum, h5py's LZF: all inside the library
NAMES = re.compile(r"(?:layer_names|weight_names)\d*|backend|keras_version|name")
CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"


def clean_copy(file: Path, folder: Path) -> tuple[Path, str]:
    """The clean copy in ``folder``, and the version of Keras that wrote the file, as it says.

    Raises ``ModelError`` with a sentence that goes on after the file's name, where the file is refused.
    """
    return _clean_archive(file, folder) if zipfile.is_zipfile(file) else _clean_h5(file, folder)


def _clean_h5(file: Path, folder: Path) -> tuple[Path, str]:
    copy = folder / "clean.h5"
    with _opened(file) as source, _opened(copy, "w") as target:
        text = source.attrs.get("model_config")
        if text is None:
            raise ModelError("holds weights without their model. Save the whole model: model.save('model.keras').")
        version = _text(source.attrs.get("keras_version", "unknown"))
        target.attrs["model_config"] = json.dumps(checked_config(_text(text)))
        target.attrs["keras_version"] = version
        weights = _member(source, "model_weights")
        if _is_dataset(weights):
            raise ModelError("has no group of weights. Save the whole model again.")
        _Copy().group(weights, target.create_group("model_weights"), 0)
    return copy, version


def _clean_archive(file: Path, folder: Path) -> tuple[Path, str]:
    copy, given, kept = folder / "clean.keras", folder / "given.h5", folder / WEIGHTS
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if len(names) > MOST_OBJECTS or any(names.count(one) != 1 for one in (CONFIG, WEIGHTS)):
                raise ModelError(f"is an archive without one {CONFIG} and one {WEIGHTS}. Save the model again as .keras.")
            config = checked_config(_read(archive, CONFIG, 4 * MOST_CHARACTERS).decode("utf-8"))
            version = "unknown"
            if METADATA in names:
                told = json.loads(_read(archive, METADATA, MOST_CHARACTERS))
                version = str(told.get("keras_version"))[:40] if isinstance(told, dict) else version
            _unpack(archive, WEIGHTS, given)
    except (zipfile.BadZipFile, EOFError, OSError, UnicodeDecodeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"is a damaged archive ({type(error).__name__}). Copy or save it again.") from None
    with _opened(given) as source, _opened(kept, "w") as target:
        _Copy().group(source, target, 0)
    with zipfile.ZipFile(copy, "w") as archive:
        archive.writestr(METADATA, json.dumps({"keras_version": version}))
        archive.writestr(CONFIG, json.dumps(config))
        archive.write(kept, WEIGHTS)
    return copy, version


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as member:
        content = member.read(most + 1)
    if len(content) > most:
        raise ModelError(f"holds a {name} of more than {most >> 20} MiB.")
    return content


def _unpack(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    written = 0
    with archive.open(name) as member, path.open("wb") as target:
        while part := member.read(2**20):
            written += len(part)
            if written > MOST_BYTES:
                raise ModelError(f"holds more than {MOST_BYTES >> 30} GiB of weights.")
            target.write(part)


class _Copy:
    """Groups and arrays copied one by one, counted as they go."""

    def __init__(self) -> None:
        self._bytes = self._objects = 0

    def group(self, source: Any, target: Any, depth: int) -> None:
        if depth > DEEPEST:
            raise ModelError(f"has groups that are more than {DEEPEST} deep; a model's are not.")
        for name, value in source.attrs.items():
            if NAMES.fullmatch(name):
                target.attrs[name] = value
        for name in source:
            self._objects += 1
            if self._objects > MOST_OBJECTS:
                raise ModelError(f"has more than {MOST_OBJECTS:,} groups and arrays; a model has fewer.")
            found = _member(source, name)
            if _is_dataset(found):
                target.create_dataset(name, data=self._values(found))
            else:
                self.group(found, target.create_group(name), depth + 1)

    def _values(self, data: Any) -> np.ndarray:
        where = str(data.name)[:100]
        made = data.id.get_create_plist()
        filters = {made.get_filter(number)[0] for number in range(made.get_nfilters())}
        if data.external or data.is_virtual or not filters <= FILTERS:
            raise ModelError(f"keeps {where} in another file, or packed by a plug-in; plain numbers were expected.")
        if data.dtype.kind not in KINDS:
            raise ModelError(f"keeps {data.dtype} in {where}; numbers were expected.")
        self._bytes += data.dtype.itemsize * int(np.prod(data.shape, dtype=object))
        if self._bytes > MOST_BYTES:
            raise ModelError(f"claims more than {MOST_BYTES >> 30} GiB of weights, at {where}.")
        return np.asarray(data[()])


def _member(group: Any, name: str) -> Any:
    """What lies under a name in a group; links, which may lead to other files, are refused."""
    import h5py

    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise ModelError(f"has {'no' if link is None else 'a link in the place of'} {str(name)[:60]!r}. Save the model again.")
    return group[name]


def _is_dataset(found: Any) -> bool:
    import h5py

    return isinstance(found, h5py.Dataset)


def _opened(path: Path, mode: str = "r") -> Any:
    import h5py

    try:
        return h5py.File(path, mode)
    except OSError as error:
        raise ModelError(f"is damaged, or no HDF5 file ({str(error).splitlines()[0][:120]}). Copy or save it again.") from None


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise ModelError("has a configuration that is not UTF-8. Save the model again.") from None
