"""A few encoded pictures of our own that travel with a bundle, so that decoding can be verified too.

They are drawn here, from nothing: never the user's data. Between them they are JPEG and PNG, colour and grey, 8 and 16 bit,
turned by EXIF and transparent, so that each rule of the decoder is replayed.
"""

import io

import numpy as np
from PIL import Image as Pillow

SIDE = 96  # pixels: small files; every model size is a resize away


def probe_pictures() -> dict[str, bytes]:
    """File name and encoded bytes of each picture, always the same."""
    across, down = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    rings = 0.5 + 0.5 * np.sin(40 * np.hypot(across - 0.4, down - 0.6))
    checks = ((across * 8).astype(int) + (down * 8).astype(int)) % 2
    colour = (255 * np.stack([across, rings, checks], axis=-1)).astype(np.uint8)
    turned = Pillow.fromarray(colour[: SIDE // 2])
    exif = turned.getexif()
    exif[0x0112] = 6  # orientation: turned a quarter to the right
    alpha = np.dstack([colour, (255 * down).astype(np.uint8)])
    return {
        "probe/turned.jpg": _encoded(turned, "JPEG", quality=90, exif=exif),
        "probe/transparent.png": _encoded(Pillow.fromarray(alpha), "PNG"),
        "probe/grey16.png": _encoded(Pillow.fromarray((65535 * rings * across).astype(np.uint16)), "PNG"),
        "probe/grey.jpg": _encoded(Pillow.fromarray((255 * rings).astype(np.uint8)), "JPEG", quality=75),
    }


def _encoded(picture: Pillow.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
