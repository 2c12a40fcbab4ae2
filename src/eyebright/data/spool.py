"""Bytes that many threads read by place: a file as it lies, or what was unpacked once and has no name on the disk."""

import errno
import io
import tempfile
import threading
import weakref
from typing import IO, cast

from eyebright.core.errors import ResourceError
from eyebright.core.files import cache_home

MEMORY = 256 * 2**20  # bytes kept in memory; what is larger goes to the disk


class ByteFile:
    """An open file of bytes. ``read`` is safe from many threads; the file is closed when nobody holds this any more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        # One lock for all: copying a picture's bytes takes a small part of the time that decoding it takes.
        self._lock = threading.Lock()
        weakref.finalize(self, file.close)

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset`` on; fewer where the file ends. Raises ``OSError`` where the disk fails."""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)


class Spool(ByteFile):
    """Bytes appended once, then read by place: in memory while they are few, else in a file that no name leads to.

    Such a file is gone with the process, however that ends.
    """

    def __init__(self, *, memory: int = MEMORY) -> None:
        super().__init__(io.BytesIO())
        self.size = 0
        self.on_disk = False
        self._memory = memory

    def append(self, piece: bytes) -> None:
        """Adds ``piece`` at the end. Raises ``ResourceError`` where the disk has no room for it."""
        try:
            with self._lock:
                if not self.on_disk and self.size + len(piece) > self._memory:
                    self._move_to_disk()
                self._file.seek(self.size)
                self._file.write(piece)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise ResourceError(
                f"{'The disk is full' if full else 'The disk failed'} while data were unpacked ({error.strerror}, after "
                f"{self.size / 2**30:.1f} GiB). Unpack them yourself, or set EYEBRIGHT_CACHE to a folder on a larger disk."
            ) from None
        self.size += len(piece)

    def _move_to_disk(self) -> None:
        # To the cache, not the system's folder for temporary files: that is in memory on many systems.
        folder = cache_home()
        folder.mkdir(parents=True, exist_ok=True)
        file = cast("IO[bytes]", tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - closed with this object
        weakref.finalize(self, file.close)
        self._file.seek(0)
        file.write(self._file.read())
        self._file, self.on_disk = file, True
