"""Memory that training uses again at each step, rather than giving it back to the system and fetching it anew.

glibc asks the system for each large block by itself and gives it back when it is freed. The tensors between two layers are such
blocks: at each step the system clears their pages anew, which took two fifths of a step on small pictures (NOTES.md).
"""

import ctypes
import functools

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # parameters of mallopt(3)
_NEVER = -1
_PAD = 64 * 2**20  # bytes by which the heap grows


@functools.cache
def keep_memory() -> bool:
    """From now on freed memory stays with this process; returns whether that could be had, which takes glibc.

    The process's resident memory then stays near its peak until ``release_memory``.
    """
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def release_memory() -> None:
    """Gives what is free back to the system."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@functools.cache
def _libc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows has no such handle
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
