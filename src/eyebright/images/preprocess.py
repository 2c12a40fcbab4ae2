"""A decoded picture at a model's own size. Training, caches, evaluation, command line and server call these same functions."""

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image as Pillow

from eyebright.core.arrays import ByteBatch, Image, Pixels
from eyebright.core.preprocess import Preprocess
from eyebright.images.enhance import enhance

_RESAMPLERS = {"pillow-bicubic": Pillow.Resampling.BICUBIC, "pillow-bilinear": Pillow.Resampling.BILINEAR}
MOST_PIXELS, MOST_SIDE = 4_000_000, 16_384  # of larger pictures so much is copied that Pillow is as quick (NOTES.md)
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the source
Resample = Callable[[Pillow.Image, int, int, Pillow.Resampling, Box], Image]


def prepare(image: Image | Pillow.Image, spec: Preprocess, *, resample: Resample | None = None) -> np.ndarray:
    """The picture as ``spec`` wants it: uint8, 3 x height x width. Nothing is resampled where the size is right already.

    ``image`` is an array, or a picture in mode RGB or L, which spares a large one being copied. Pillow's resampler widens its
    filter when it shrinks (antialiasing); of one release it is the same on every machine. ``resample`` is what
    ``quick_resample`` gave, and changes nothing but the time.
    """
    picture = _cut(image if isinstance(image, Pillow.Image) else Pillow.fromarray(np.ascontiguousarray(image)), spec)
    if spec.colour == "grey" and picture.mode != "L":
        picture = picture.convert("L")
    width, height, box = _fit(picture.width, picture.height, spec)
    fitted = _resized(picture, width, height, box, spec, resample)
    prepared = _filled(enhance(fitted, spec), spec)
    return np.ascontiguousarray(prepared.transpose(2, 0, 1))  # h w 3 -> 3 h w


def gains(picture: Pillow.Image, spec: Preprocess) -> bool:
    """Whether ``prepare`` would be quicker with what ``quick_resample`` gives."""
    width, height = (side - 2 * _margin(side, spec) for side in picture.size)
    if picture.mode != "RGB" or spec.colour == "grey" or not _is_small((width, height)):
        return False
    return _is_resized((width, height), *_fit(width, height, spec))


@functools.cache
def quick_resample() -> Resample | None:
    """Pillow's resampling in half of its time, compiled; None where numba is not here, or not one that gives the same bytes.

    Loading it takes half a second, the first time on a computer four, so it is for thousands of pictures.
    """
    try:
        from eyebright.images.kernels import agrees, resample

        return resample if agrees() else None
    except Exception:  # numba has many ways to fail, on a system that it does not know too; Pillow does it then
        return None


def to_pixels(batch: ByteBatch) -> Pixels:
    """The bytes as float32 in [0, 1]: what every predictor takes.

    >>> to_pixels(np.full((1, 3, 1, 1), 255, dtype=np.uint8)).ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    pixels = batch.astype(np.float32)
    pixels /= np.float32(255.0)
    return pixels


def seen_box(height: int, width: int, spec: Preprocess) -> tuple[float, float, float, float]:
    """Where the prepared picture lies on an upright one of ``height`` x ``width`` pixels, which ``prepare`` made it from.

    Left, top, right and bottom as shares of the upright picture's width and height: within 0 to 1 where something is cut off,
    below 0 and above 1 where a border is filled in.

    >>> seen_box(100, 200, Preprocess(height=10, width=10, resize="crop"))
    (0.25, 0.0, 0.75, 1.0)
    >>> seen_box(100, 200, Preprocess(height=16, width=16, resize="letterbox"))
    (0.0, -0.5, 1.0, 1.5)
    """
    cut_top, cut_left = _margin(height, spec), _margin(width, spec)
    fitted_width, fitted_height, box = _fit(width - 2 * cut_left, height - 2 * cut_top, spec)
    left, right = _span(box[0], box[2], fitted_width, spec.width)
    top, bottom = _span(box[1], box[3], fitted_height, spec.height)
    return (cut_left + left) / width, (cut_top + top) / height, (cut_left + right) / width, (cut_top + bottom) / height


def _span(start: float, end: float, fitted: int, side: int) -> tuple[float, float]:
    """Which stretch of the source a sheet's whole ``side`` stands for, when the middle ``fitted`` pixels show start to end."""
    scale = (end - start) / fitted  # source pixels a pixel of the sheet
    before = start - (side - fitted) // 2 * scale
    return before, before + side * scale


def _cut(picture: Pillow.Image, spec: Preprocess) -> Pillow.Image:
    """The picture without its border, then its centre. Whole pixels are cut, and at least one is left."""
    width, height = picture.size
    top, left = _margin(height, spec), _margin(width, spec)
    return picture if top == left == 0 else picture.crop((left, top, width - left, height - top))


def _margin(side: int, spec: Preprocess) -> int:
    """Pixels that are cut off at each end of a ``side``: first the border, then what is not the centre of the rest."""
    margin = 0
    for cut in (spec.cut_border, (1.0 - spec.centre_crop) / 2):
        rest = side - 2 * margin
        margin += min(round(cut * rest), (rest - 1) // 2)
    return margin


def _fit(picture_width: int, picture_height: int, spec: Preprocess) -> tuple[int, int, Box]:
    """Width and height that the picture gets, and which part of it."""
    if spec.resize == "crop":
        return spec.width, spec.height, _centre_box(picture_width, picture_height, spec)
    whole = (0.0, 0.0, float(picture_width), float(picture_height))
    if spec.resize == "squash":
        return spec.width, spec.height, whole
    scale = min(spec.width / picture_width, spec.height / picture_height)
    width, height = (max(1, round(side * scale)) for side in (picture_width, picture_height))
    return min(spec.width, width), min(spec.height, height), whole


def _resized(picture: Pillow.Image, width: int, height: int, box: Box, spec: Preprocess, resample: Resample | None) -> Image:
    if _is_resized(picture.size, width, height, box):
        resampler = _RESAMPLERS[spec.resampler]
        if resample is not None and picture.mode == "RGB" and _is_small(picture.size):
            return resample(picture, width, height, resampler, box)
        picture = picture.resize((width, height), resampler, box)
    return np.asarray(picture.convert("RGB"))


def _is_resized(size: tuple[int, int], width: int, height: int, box: Box) -> bool:
    return size != (width, height) or box != (0, 0, width, height)


def _is_small(size: tuple[int, int]) -> bool:
    return size[0] * size[1] <= MOST_PIXELS and max(size) <= MOST_SIDE


def _centre_box(picture_width: int, picture_height: int, spec: Preprocess) -> Box:
    """The part of the source that lands in the target when the short side is fitted and the centre is cut.

    Cutting the source first is the same as cutting the enlarged picture, and costs no memory for a very long one.
    """
    scale = max(
        round(spec.width / spec.crop_fraction) / picture_width,
        round(spec.height / spec.crop_fraction) / picture_height,
    )
    width = min(spec.width / scale, picture_width)
    height = min(spec.height / scale, picture_height)
    left, top = (picture_width - width) / 2, (picture_height - height) / 2
    return left, top, left + width, top + height


def _filled(image: Image, spec: Preprocess) -> Image:
    """The picture in the middle of a black sheet, where it is smaller than the model's size."""
    height, width = image.shape[:2]
    if (height, width) == spec.size:
        return image
    sheet = np.zeros((*spec.size, 3), dtype=np.uint8)
    top, left = (spec.height - height) // 2, (spec.width - width) // 2
    sheet[top : top + height, left : left + width] = image
    return sheet
