"""A decoded picture at a model's own size. Training, caches, evaluation, command line and server call these same functions."""

import numpy as np
from PIL import Image as Pillow

from eyebright.core.arrays import ByteBatch, Image, Pixels
from eyebright.core.preprocess import Preprocess

_RESAMPLERS = {"pillow-bicubic": Pillow.Resampling.BICUBIC, "pillow-bilinear": Pillow.Resampling.BILINEAR}
_Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the source


def prepare(image: Image, spec: Preprocess) -> np.ndarray:
    """The picture as ``spec`` wants it: uint8, 3 x height x width. Nothing is resampled where the size is right already.

    Pillow's resampler widens its filter when it shrinks (antialiasing) and is the same on every machine.
    """
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    if spec.colour == "grey":
        picture = picture.convert("L")  # leaves a picture that was decoded as grey just as it is
    if spec.resize == "letterbox":
        fitted = _letterbox(picture, spec)
    else:
        box = _centre_box(picture, spec) if spec.resize == "crop" else (0.0, 0.0, *picture.size)
        fitted = _resize(picture, spec.width, spec.height, box, spec)
    return np.ascontiguousarray(np.asarray(fitted.convert("RGB")).transpose(2, 0, 1))  # h w 3 -> 3 h w


def to_pixels(batch: ByteBatch) -> Pixels:
    """The bytes as float32 in [0, 1]: what every predictor takes.

    >>> to_pixels(np.full((1, 3, 1, 1), 255, dtype=np.uint8)).ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    pixels = batch.astype(np.float32)
    pixels /= np.float32(255.0)
    return pixels


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


def _letterbox(picture: Pillow.Image, spec: Preprocess) -> Pillow.Image:
    scale = min(spec.width / picture.width, spec.height / picture.height)
    width = min(spec.width, max(1, round(picture.width * scale)))
    height = min(spec.height, max(1, round(picture.height * scale)))
    fitted = _resize(picture, width, height, (0.0, 0.0, *picture.size), spec)
    if fitted.size == (spec.width, spec.height):
        return fitted
    sheet = Pillow.new(picture.mode, (spec.width, spec.height))
    sheet.paste(fitted, ((spec.width - width) // 2, (spec.height - height) // 2))
    return sheet
