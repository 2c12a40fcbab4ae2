"""A decoded picture at a model's own size. Training, caches, evaluation, command line and server call these same functions."""

import numpy as np
from PIL import Image as Pillow

from eyebright.core.arrays import ByteBatch, Image, Pixels
from eyebright.core.preprocess import Preprocess
from eyebright.images.enhance import enhance

_RESAMPLERS = {"pillow-bicubic": Pillow.Resampling.BICUBIC, "pillow-bilinear": Pillow.Resampling.BILINEAR}
_Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the source


def prepare(image: Image, spec: Preprocess) -> np.ndarray:
    """The picture as ``spec`` wants it: uint8, 3 x height x width. Nothing is resampled where the size is right already.

    Pillow's resampler widens its filter when it shrinks (antialiasing) and is the same on every machine.
    """
    picture = Pillow.fromarray(np.ascontiguousarray(_cut(image, spec)))
    if spec.colour == "grey":
        picture = picture.convert("L")  # leaves a picture that was decoded as grey just as it is
    width, height, box = _fit(picture, spec)
    fitted = np.asarray(_resize(picture, width, height, box, spec).convert("RGB"))
    prepared = _filled(enhance(fitted, spec), spec)
    return np.ascontiguousarray(prepared.transpose(2, 0, 1))  # h w 3 -> 3 h w


def to_pixels(batch: ByteBatch) -> Pixels:
    """The bytes as float32 in [0, 1]: what every predictor takes.

    >>> to_pixels(np.full((1, 3, 1, 1), 255, dtype=np.uint8)).ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    pixels = batch.astype(np.float32)
    pixels /= np.float32(255.0)
    return pixels


def _cut(image: Image, spec: Preprocess) -> Image:
    """The picture without its border, then its centre. Whole pixels are cut, and at least one is left."""
    for cut in (spec.cut_border, (1.0 - spec.centre_crop) / 2):
        top, left = (min(round(cut * side), (side - 1) // 2) for side in image.shape[:2])
        image = image[top : image.shape[0] - top, left : image.shape[1] - left]
    return image


def _fit(picture: Pillow.Image, spec: Preprocess) -> tuple[int, int, _Box]:
    """Width and height that the picture gets, and which part of it."""
    if spec.resize == "crop":
        return spec.width, spec.height, _centre_box(picture, spec)
    whole = (0.0, 0.0, float(picture.width), float(picture.height))
    if spec.resize == "squash":
        return spec.width, spec.height, whole
    scale = min(spec.width / picture.width, spec.height / picture.height)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return min(spec.width, width), min(spec.height, height), whole


def _resize(picture: Pillow.Image, width: int, height: int, box: _Box, spec: Preprocess) -> Pillow.Image:
    if picture.size == (width, height) and box == (0, 0, width, height):
        return picture
    return picture.resize((width, height), _RESAMPLERS[spec.resampler], box)


def _centre_box(picture: Pillow.Image, spec: Preprocess) -> _Box:
    """The part of the source that lands in the target when the short side is fitted and the centre is cut.

    Cutting the source first is the same as cutting the enlarged picture, and costs no memory for a very long one.
    """
    scale = max(
        round(spec.width / spec.crop_fraction) / picture.width,
        round(spec.height / spec.crop_fraction) / picture.height,
    )
    width = min(spec.width / scale, picture.width)
    height = min(spec.height / scale, picture.height)
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
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
