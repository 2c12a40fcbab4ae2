"""What the audit found in files that were slow to read, kept between runs by the hash of the file's bytes."""

import contextlib
import dataclasses
import hashlib
import os
import secrets
import threading
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from eyebright.core.errors import ResourceError
from eyebright.core.files import forget_oldest, private_directory, sha256_of_json, write_bytes
from eyebright.data.near import LEAST_SIDE
from eyebright.data.scanned import Scanned
from eyebright.images.phash import SIDE, Thumbprint
from eyebright.images.revision import revision

FOLDER = "scans"  # within the cache's home
LIMIT = 128 * 2**20  # bytes: some 25,000 pictures, read in a fifth of a second
FRAME = 4096  # bytes of them for what a file has around its rows and thumbprints
Scan = tuple[Scanned, Thumbprint | None]


@dataclasses.dataclass(frozen=True)
class _Row:
    digest: str
    thumb: int | None  # its row among the thumbprints
    scanned: Scanned

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="constants")


_ROWS = TypeAdapter(list[_Row])
_ROW = TypeAdapter(_Row)
# What is known of a picture, and from which side on near copies are looked for: where either changes, nothing is found.
_SCHEMA = sha256_of_json([[field.name for field in dataclasses.fields(Scanned)], LEAST_SIDE])[:8]


class ScanCache:
    """Scans in full depth, by the sha256 of the encoded file. What cannot be read is thrown away, what cannot be written is
    done without."""

    def __init__(self, folder: Path) -> None:
        self._root, self._folder = folder, folder / f"{revision()}-{_SCHEMA}"
        self._known: dict[str, Scan] = {}
        self._new: dict[str, Scan] = {}
        self._bytes = 0  # of the new ones, once they are written
        self._lock = threading.Lock()
        self._file_of: dict[str, Path] = {}
        self._used: set[Path] = set()
        with contextlib.suppress(OSError):  # another user's folder
            for file in sorted(self._folder.glob("*.safetensors")):
                self._open(file)

    def _open(self, file: Path) -> None:
        try:
            arrays = load_file(file)
            thumbs, text = arrays["thumbs"], arrays["rows"].tobytes()
            if arrays["sum"].tobytes() != _sum(text, thumbs):
                raise KeyError("sum")
            for row in _ROWS.validate_json(text):
                self._known[row.digest] = row.scanned, None if row.thumb is None else thumbs[row.thumb]
                self._file_of[row.digest] = file
        except OSError:
            return
        except (SafetensorError, KeyError, IndexError, ValidationError):  # damaged
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)

    def get(self, content: bytes, *, cues: bool) -> tuple[str, Scan | None]:
        """The sha256 of ``content``, and its scan if it is known, with cues where ``cues`` are wanted."""
        digest = hashlib.sha256(content).hexdigest()
        found = self._known.get(digest)
        if found is None or (cues and found[0].cues is None):
            return digest, None
        self._used.add(self._file_of[digest])
        return digest, found

    def put(self, digest: str, scan: Scan) -> None:
        """Remembers ``scan`` until ``flush``; what would not fit into the cache any more is let go of. Safe to call from many
        threads."""
        scanned, thumb = scan
        row = _Row(digest, None if thumb is None else LIMIT, scanned)  # no row among the thumbprints has a longer number
        weight = len(_ROW.dump_json(row)) + 1 + (0 if thumb is None else thumb.nbytes)
        with self._lock:
            if digest not in self._new and self._bytes + weight <= LIMIT - FRAME:
                self._new[digest] = scan
                self._bytes += weight

    def flush(self, *, new: bool = True) -> None:
        """Marks the files that were used, and writes what is ``new`` to one file more."""
        for file in self._used:
            with contextlib.suppress(OSError):
                os.utime(file)
        with self._lock:
            found, self._new, self._bytes = self._new, {}, 0
        if not new or not found:
            return
        rows: list[_Row] = []
        thumbs: list[Thumbprint] = []
        for digest, (scanned, thumb) in found.items():
            rows.append(_Row(digest, None if thumb is None else len(thumbs), scanned))
            if thumb is not None:
                thumbs.append(thumb)
        stacked = np.stack(thumbs) if thumbs else np.zeros((0, SIDE, SIDE), dtype=np.uint8)
        text = _ROWS.dump_json(rows)
        arrays = {"rows": _bytes(text), "thumbs": stacked, "sum": _bytes(_sum(text, stacked))}
        with contextlib.suppress(ResourceError, OSError):
            private_directory(self._root)  # thumbprints are small pictures
            write_bytes(self._folder / f"{secrets.token_hex(8)}.safetensors", save(arrays))
            forget_oldest(self._root.rglob("*.safetensors"), LIMIT)


def _sum(text: bytes, thumbs: np.ndarray) -> bytes:
    return hashlib.sha256(text + thumbs.tobytes()).digest()


def _bytes(content: bytes) -> np.ndarray:
    return np.frombuffer(content, dtype=np.uint8)
