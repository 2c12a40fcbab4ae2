"""Small functions that make pictures: arrays, encoded bytes and folders of them. Tests of any room may use them.

from pictures import png, noise, class_folders
"""

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def noise(height=12, width=16, seed=0):
    """A colour picture of random bytes."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(colour, height=8, width=8):
    """A picture of one colour, e.g. ``plain((255, 0, 0))``."""
    return np.broadcast_to(np.array(colour, dtype=np.uint8), (height, width, 3)).copy()


def encoded(picture, kind, **options):
    """The bytes of an array or Pillow picture in the format ``kind``."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(picture=None, **options):
    return encoded(noise() if picture is None else picture, "PNG", **options)


def jpeg(picture=None, **options):
    return encoded(noise() if picture is None else picture, "JPEG", **options)


def gif(frames, **options):
    """An animation of arrays."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    return encoded(first, "GIF", save_all=True, append_images=rest, **options)


def as_stored(upright, orientation):
    """What the sensor of a turned camera stores of a picture: EXIF 2.32, tag 0x0112, from 1 to 8."""
    turned = upright.transpose(1, 0, 2)
    # Row 0 and column 0 of the stored picture are which visual sides of the upright one.
    sides = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: turned,
        6: turned[::-1],
        7: turned[::-1, ::-1],
        8: turned[:, ::-1],
    }
    return np.ascontiguousarray(sides[orientation])


def png_claiming(width, height):
    """A whole, small PNG of one grey whose header and data truly hold ``width`` x ``height`` pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*c) for c in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))


def _chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def class_folders(root, layout):
    """Writes ``{"train/cat": 3, "test/dog": 1}`` as folders of distinct PNGs ``0.png``, ``1.png`` ... below ``root``."""
    seed = 0
    for folder, count in layout.items():
        (Path(root) / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            seed += 1
            (Path(root) / folder / f"{number}.png").write_bytes(png(noise(8, 8, seed)))
    return Path(root)


def zip_of(path, files):
    """A zip at ``path`` with the members ``{name: bytes}``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def real_data_home():
    """The folder of real data sets, or a plain skip."""
    home = os.environ.get("EYEBRIGHT_DATA")
    if not home:
        pytest.skip("EYEBRIGHT_DATA is not set")
    return Path(home)
