"""Random numbers by name and counter, not by turn.

Each number is a function of (seed, stream, epoch, key): nothing is global and nothing is consumed, so the order of samples,
the number of workers and a restart do not change what is drawn. Mixing is SplitMix64's finaliser (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014), applied to the counters in turn.
"""

import hashlib

import numpy as np
from jaxtyping import Float32, Int64

from eyebright.core.arrays import KeyHashes

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def key_hash(key: str) -> int:
    """A key's 64-bit hash, the same on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def key_hashes(keys: list[str] | tuple[str, ...]) -> KeyHashes:
    """``key_hash`` of each key."""
    return np.array([key_hash(key) for key in keys], dtype=np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = values + _GOLDEN
        values = (values ^ (values >> np.uint64(30))) * _FIRST
        values = (values ^ (values >> np.uint64(27))) * _SECOND
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def _bits(seed: int, stream: str, epoch: int, hashes: KeyHashes, columns: int) -> np.ndarray:
    state = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
    for counter in (key_hash(stream), epoch):
        state = _mix(state ^ np.uint64(counter & 0xFFFFFFFFFFFFFFFF))
    rows = _mix(state ^ hashes)[:, None]  # n -> n 1
    return _mix(rows ^ _mix(np.arange(columns, dtype=np.uint64))[None, :])  # n 1 -> n columns


def uniform(seed: int, stream: str, epoch: int, hashes: KeyHashes, columns: int = 1) -> Float32[np.ndarray, "n columns"]:
    """Numbers in [0, 1), ``columns`` for each key."""
    return ((_bits(seed, stream, epoch, hashes, columns) >> np.uint64(40)).astype(np.float64) / 2**24).astype(np.float32)


def order(seed: int, stream: str, epoch: int, hashes: KeyHashes) -> Int64[np.ndarray, "n"]:
    """A permutation of the keys: sorting by each key's own number, so that it does not depend on the order given."""
    bits = _bits(seed, stream, epoch, hashes, 1)[:, 0]
    return np.lexsort((hashes, bits)).astype(np.int64)


def integer(seed: int, stream: str, epoch: int = 0) -> int:
    """One number in [0, 2**63): a seed for a library that wants one."""
    return int(_bits(seed, stream, epoch, np.zeros(1, dtype=np.uint64), 1)[0, 0] >> np.uint64(1))
