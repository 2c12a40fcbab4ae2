"""A Pillow picture's own memory as an array, nothing copied: a copy of a large picture costs as much as shrinking it.

Pillow lends it by the Arrow PyCapsule interface (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html):
pixels of four bytes, the fourth unused.
"""

import contextlib
import ctypes
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt32
from PIL import Image as Pillow

Pixels = UInt32[np.ndarray, "height width"]


class _Array(ctypes.Structure):
    """``struct ArrowArray`` of the Arrow C data interface."""


_Array._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    *((name, ctypes.c_void_p) for name in ("dictionary", "release", "private_data")),
]


_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))


@contextlib.contextmanager
def lent(picture: Pillow.Image) -> Iterator[Pixels]:
    """The pixels of an RGB ``picture``, red first in memory, to be read within the block only.

    A copy where they do not lie together, which is so of pictures of more than 16 MiB, or where Pillow lends in another way.
    """
    try:
        capsules = picture.__arrow_c_array__()
        pixels = _behind(capsules[1], picture)
    except (AttributeError, ValueError):
        capsules, pixels = None, np.frombuffer(picture.tobytes("raw", "RGBX"), dtype=np.uint32)
    try:
        yield pixels.reshape(picture.height, picture.width)
    finally:
        del capsules  # from now on Pillow may do with the memory as it likes


def _behind(capsule: object, picture: Pillow.Image) -> np.ndarray:
    """The pixels that the capsule of an Arrow array holds. Raises ``ValueError`` where they are not those of an RGB picture."""
    outer = _Array.from_address(_pointer(capsule, b"arrow_array"))
    count = picture.width * picture.height
    if (outer.length, outer.offset, outer.n_children) != (count, 0, 1):
        raise ValueError("another layout")
    inner = outer.children[0].contents
    if (inner.length, inner.offset, inner.n_buffers) != (4 * count, 0, 2) or not inner.buffers[1]:
        raise ValueError("another layout")
    pixels: np.ndarray = np.ctypeslib.as_array((ctypes.c_uint32 * count).from_address(inner.buffers[1]))
    pixels.flags.writeable = False
    return pixels
