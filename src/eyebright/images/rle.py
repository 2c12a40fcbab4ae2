"""DICOM's run-length coding (PS3.5, annex G), unpacked into no more memory than the picture takes.

Each segment holds one byte of every sample: the highest bytes of all red samples, then the next lower ones, and so on.
"""

import struct

import numpy as np

_HEADER = struct.Struct("<16L")


def unpack_rle(frame: bytes, pixels: int, samples: int, sample_bytes: int) -> bytes:
    """The samples of one frame, little-endian, one channel after the other. Raises ``ValueError`` where they do not fit."""
    count, *offsets = _HEADER.unpack_from(frame)
    if count != samples * sample_bytes or not 1 <= count <= 15:
        raise ValueError("another number of segments")
    ends = [*offsets[1:count], len(frame)]
    planes = np.empty((samples, sample_bytes, pixels), dtype=np.uint8)
    for segment in range(count):
        plane = _unpack_bits(frame[offsets[segment] : ends[segment]], pixels)
        sample, place = divmod(segment, sample_bytes)
        planes[sample, sample_bytes - 1 - place] = np.frombuffer(plane, dtype=np.uint8)  # highest byte first -> last
    return np.ascontiguousarray(planes.transpose(0, 2, 1)).tobytes()  # samples bytes pixels -> samples pixels bytes


def _unpack_bits(segment: bytes, count: int) -> bytearray:
    """Exactly ``count`` bytes: n up to 127 announces n + 1 bytes as they are, n above 128 one byte to repeat 257 - n times."""
    plain = bytearray()
    place = 0
    while len(plain) < count:
        if place + 1 >= len(segment):
            raise ValueError("a segment ends too early")
        step = segment[place]
        if step < 128:
            plain += segment[place + 1 : place + 2 + step]
            place += 2 + step
        else:
            if step > 128:
                plain += segment[place + 1 : place + 2] * (257 - step)
                place += 1
            place += 1
    return plain[:count]
