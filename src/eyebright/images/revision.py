"""A name for the way in which this program decodes and prepares pictures, for caches of what came of it."""

import functools
import hashlib
from importlib import metadata
from pathlib import Path

import PIL
from PIL import features

CODECS = ("jpg", "zlib", "libtiff", "webp", "avif", "littlecms2")


@functools.cache
def revision() -> str:
    """A hash of this room's own source, and of the versions of Pillow, of its codecs and of the reader of HEIC.

    With another one of them, the same file may give other bytes.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    versions = [PIL.__version__, *map(_version, CODECS), _heif()]
    digest.update(repr(versions).encode())
    return digest.hexdigest()[:16]


def _version(name: str) -> str | None:
    module = name in features.modules
    return features.version_module(name) if module else features.version_codec(name) if name in features.codecs else None


def _heif() -> str | None:
    try:
        return metadata.version("pillow-heif")
    except metadata.PackageNotFoundError:
        return None
