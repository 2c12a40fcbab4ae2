"""White balance, equalisation and sharpening of a picture at the model's size: bytes in, bytes out, the same on every machine.

All take and give uint8 of height x width x 3; three equal channels stay equal, one colour stays one colour.
"""

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image as Pillow
from PIL import ImageFilter

from eyebright.core.arrays import Image
from eyebright.core.preprocess import Preprocess, WhiteBalance

# The share of a channel's pixels that may become 0, and 255: with none, one bright speck decides. Limare et al. 2011,
# "Simplest Color Balance" (IPOL); 1 % in all is the value in use there.
SATURATED = 0.005
MIN_REGION = 8  # pixels a side: a region of fewer than 64 pixels tells little about 256 levels
HALVINGS = 20  # of the limit, to a millionth, when the growth of the other levels is sought
RADIUS = 1.0  # pixels: scikit-image's unsharp_mask

Grey = UInt8[np.ndarray, "height width"]
Levels = Float64[np.ndarray, "... 256"]


def enhance(image: Image, spec: Preprocess) -> Image:
    """The picture as ``spec`` wants it balanced, equalised and sharpened, in this order."""
    image = balanced(image, spec.white_balance)
    if spec.equalise != "none":
        clip, grid = (spec.clahe_clip, spec.clahe_grid) if spec.equalise == "clahe" else (None, 1)
        image = _with_luminance(image, equalised(luminance(image), clip=clip, grid=grid))
    if spec.sharpen > 0:
        image = sharpened(image, spec.sharpen)
    return image


def balanced(image: Image, way: WhiteBalance) -> Image:
    """The picture with its colour cast removed: by equal means, or by equal ranges of the channels.

    Grey-world (Buchsbaum 1980) takes the average of a scene for grey, and scales each channel to the mean of the three.
    A channel that is black throughout stays black. Per-channel (Limare et al. 2011) takes the darkest and the brightest value
    of each channel for black and white. Both work on the bytes as they are stored, so with the display's gamma in them.
    """
    if way == "none":
        return image
    levels = np.arange(256.0)
    channels = image.reshape(-1, 3)
    if way == "grey-world":
        means = channels.mean(axis=0, dtype=np.float64)
        curves = [levels * (means.mean() / mean) if mean > 0 else levels for mean in means]
    else:
        curves = [_stretch(channels[:, channel], levels) for channel in range(3)]
    tables = np.rint(np.stack(curves)).clip(0, 255).astype(np.uint8)
    return np.stack([tables[channel][image[..., channel]] for channel in range(3)], axis=-1)


def _stretch(channel: UInt8[np.ndarray, "n"], levels: Levels) -> Levels:
    counts = np.bincount(channel, minlength=256).cumsum()
    low, high = np.searchsorted(counts, (SATURATED * len(channel), (1.0 - SATURATED) * len(channel)), side="left")
    return np.asarray((levels - low) * (255.0 / (high - low)) if high > low else levels)


def luminance(image: Image) -> Grey:
    """ITU-R 601 luminance as Pillow rounds it."""
    return np.asarray(Pillow.fromarray(np.ascontiguousarray(image)).convert("L"))


def _with_luminance(image: Image, wanted: Grey) -> Image:
    """The picture with another luminance and the same colour differences: each channel moves as luminance does."""
    moved: np.ndarray = image.astype(np.int16) + (wanted.astype(np.int16) - luminance(image))[..., None]
    return np.asarray(moved.clip(0, 255), dtype=np.uint8)


def equalised(grey: Grey, *, clip: float | None = None, grid: int = 1) -> Grey:
    """Luminance spread over the full range by the histograms of ``grid`` x ``grid`` regions.

    With ``clip`` no level counts for more than ``clip`` times the average level of its region, so contrast is raised no more
    than that; what is cut off goes to the other levels alike (Pizer et al. 1987). Between the centres of regions the curves
    are interpolated (Zuiderveld 1994). Small pictures get fewer regions. One level stays as it is.
    """
    if grey.min() == grey.max():
        return grey
    rows, columns = (max(1, min(grid, side // MIN_REGION)) for side in grey.shape)
    curves = _curves(_histograms(grey, rows, columns), clip)
    if len(curves) == 1:
        return np.asarray(np.rint(curves[0]).astype(np.uint8)[grey])
    return _interpolated(grey, curves.reshape(rows, columns, 256))


def _histograms(grey: Grey, rows: int, columns: int) -> Levels:
    """How often each level occurs in each region, row by row. Regions differ in size by a pixel where they must."""
    height, width = grey.shape
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    region = row[:, None] * columns + column[None, :]
    counts = np.bincount((region * 256 + grey).ravel(), minlength=rows * columns * 256)
    return np.asarray(counts.reshape(rows * columns, 256), dtype=np.float64)


def _curves(counts: Levels, clip: float | None) -> Levels:
    """For each region what each level becomes: the share of its pixels up to that level, from 0 to 255."""
    pixels = counts.sum(axis=1, keepdims=True)
    if clip is None:
        first = np.take_along_axis(counts, (counts > 0).argmax(axis=1)[:, None], axis=1)
        spread = np.maximum(pixels - first, 1.0)
        return np.asarray((counts.cumsum(axis=1) - first).clip(0) * (255.0 / spread))
    kept = _limited(counts, clip * pixels / 256)
    return np.asarray(kept.cumsum(axis=1) * (255.0 / pixels))


def _limited(counts: Levels, limit: Float64[np.ndarray, "regions 1"]) -> Levels:
    """The counts with none above ``limit``; all others grow by the same amount, up to the limit, so that the sum is kept."""
    pixels = counts.sum(axis=1, keepdims=True)
    low, high = np.zeros_like(limit), limit
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        too_few = np.minimum(counts + middle, limit).sum(axis=1, keepdims=True) < pixels
        low, high = np.where(too_few, middle, low), np.where(too_few, high, middle)
    return np.asarray(np.minimum(counts + high, limit))


def _interpolated(grey: Grey, curves: Float64[np.ndarray, "rows columns 256"]) -> Grey:
    """Each pixel by the curves of the four regions whose centres are around it."""
    rows, columns = curves.shape[:2]
    above, below, down = _neighbours(grey.shape[0], rows)
    left, right, across = _neighbours(grey.shape[1], columns)
    table = curves.astype(np.float32)

    def along(row: np.ndarray) -> np.ndarray:
        here, there = table[row[:, None], left[None, :], grey], table[row[:, None], right[None, :], grey]
        return np.asarray(here + (there - here) * across[None, :])

    upper = along(above)
    mixed = upper + (along(below) - upper) * down[:, None]
    return np.asarray(np.rint(mixed).clip(0, 255), dtype=np.uint8)


def _neighbours(side: int, regions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel along a side the region before, the region behind, and how far it is from the one to the other."""
    place = (np.arange(side) + 0.5) * regions / side - 0.5
    before = np.floor(place)
    share = (place - before).astype(np.float32)
    return before.clip(0).astype(int), (before + 1).clip(max=regions - 1).astype(int), share


def sharpened(image: Image, amount: float) -> Image:
    """The picture plus ``amount`` times its difference from a copy blurred by ``RADIUS``, to a hundredth of ``amount``."""
    mask = ImageFilter.UnsharpMask(RADIUS, percent=round(100 * amount), threshold=0)
    return np.asarray(Pillow.fromarray(np.ascontiguousarray(image)).filter(mask))
