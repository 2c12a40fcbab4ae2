"""Pictures that look like photographs to a hash: shades of all sizes, no two alike; and what people do to their copies.

from scenes import scene, COPIES
"""

import io

import numpy as np
from PIL import Image


def scene(seed, height=120, width=160):
    """A colour picture whose shades have all sizes, the coarse ones strongest, as in photographs."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, strength in ((3, 60), (6, 40), (12, 25), (24, 12), (48, 6)):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        shades = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
        total += (shades - 128) / 128 * strength
    return np.clip(128 + total, 0, 255).astype(np.uint8)


def reencoded(picture, quality=50):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def resized(picture, factor):
    height, width = (round(factor * side) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def cropped(picture, top, bottom, left, right):
    """Without these shares of the height and width."""
    height, width = picture.shape[:2]
    rows = slice(round(top * height), height - round(bottom * height))
    return np.ascontiguousarray(picture[rows, round(left * width) : width - round(right * width)])


def brighter(picture, factor=1.1):
    return np.minimum(picture * factor, 255).astype(np.uint8)


COPIES = {
    "re-encoded": reencoded,
    "smaller": lambda picture: resized(picture, 0.6),
    "larger": lambda picture: resized(picture, 1.5),
    "brighter": brighter,
    "cropped by 2 % a side": lambda picture: cropped(picture, 0.02, 0.02, 0.02, 0.02),
    "cropped by 5 % a side": lambda picture: cropped(picture, 0.05, 0.05, 0.05, 0.05),
    "cropped at one corner": lambda picture: cropped(picture, 0.05, 0, 0, 0.05),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "all at once": lambda picture: reencoded(resized(brighter(cropped(picture[:, ::-1], 0.02, 0.02, 0.02, 0.02)), 0.8), 75),
}
