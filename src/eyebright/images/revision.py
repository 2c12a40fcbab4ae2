"""A name for the way in which this program decodes and prepares pictures, for caches of what came of it."""

import functools
import hashlib
from pathlib import Path

import PIL


@functools.cache
def revision() -> str:
    """A hash of this room's own source and of Pillow's version: with another one, the same file may give other bytes."""
    digest = hashlib.sha256(PIL.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
