"""Pictures and pixels inside JSON and binary tensors: base64 text, nested lists, and byte strings behind their lengths.

Whatever a client claims (a count, a length, a shape) is compared with what it sent before anything is allocated for it.
"""

import binascii
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import numpy as np

from eyebright.core.arrays import Pixels
from eyebright.serving.answers import About, RefusalError
from eyebright.serving.bodies import json_kind, quoted, refuse_many

LENGTH = 4  # bytes of the little-endian number in front of an element of type BYTES
FP32 = np.dtype("<f4")


def from_base64(text: object, where: str) -> bytes:
    """The bytes that ``text`` is the base64 of (RFC 4648, section 4; line breaks are allowed). ``where`` names it in the error.

    >>> from_base64("AQI=", "instance 0")
    b'\\x01\\x02'
    """
    if not isinstance(text, str):
        raise bad(f"{where} is a JSON {json_kind(text)}; a picture's file as base64 text was expected.")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    try:  # as the tool `base64` writes it, in lines
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError as error:
        raise bad(
            f"{where} is not base64: {str(error)[:100]}. Send the picture's file in the standard alphabet, without 'data:'."
        ) from None


def from_lists(numbers: object, where: str) -> np.ndarray:
    """Nested lists of numbers as float32, in the shape they are nested in."""
    if not isinstance(numbers, list):
        raise bad(f"{where} is a JSON {json_kind(numbers)}; a list of numbers was expected.")
    try:
        found = np.asarray(numbers, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise bad(f"{where} is not numbers in lists of equal lengths. Send the tensor row by row.") from None
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and so refused where pixels are judged
        return found.astype(np.float32)


def flat(nested: object, where: str) -> list[Any]:
    """The elements of a list, or of a list of one-element lists: the shapes [n] and [n, 1]."""
    if not isinstance(nested, list):
        raise bad(f"{where} is a JSON {json_kind(nested)}; a list was expected.")
    return [one[0] if isinstance(one, list) and len(one) == 1 else one for one in nested]


def byte_strings(content: memoryview, where: str) -> list[bytes]:
    """The elements of a binary tensor of type BYTES: each is a length of four bytes, little-endian, and that many bytes."""
    found: list[bytes] = []
    at = 0
    while at < len(content):
        refuse_many(len(found) + 1)
        length = int.from_bytes(content[at : at + LENGTH], "little")
        at += LENGTH
        if at + length > len(content):
            left = max(0, len(content) - at)
            raise bad(f"Element {len(found)} of {where} says it is {length} bytes long; {left} are left.")
        found.append(bytes(content[at : at + length]))
        at += length
    return found


def join_strings(texts: Sequence[str]) -> bytes:
    """A binary tensor of type BYTES, the inverse of ``byte_strings``.

    >>> join_strings(["cat"])
    b'\\x03\\x00\\x00\\x00cat'
    """
    encoded = [text.encode("utf-8", "replace") for text in texts]
    return b"".join(len(text).to_bytes(LENGTH, "little") + text for text in encoded)


def from_buffer(content: memoryview, shape: Sequence[int], where: str) -> np.ndarray:
    """A binary tensor of type FP32, of a ``shape`` that was judged; not copied where it lies aligned in the body."""
    expected = math.prod(shape) * FP32.itemsize
    if len(content) != expected:
        raise bad(f"{where} has {len(content)} bytes; its shape {list(shape)} of FP32 has {expected}.")
    return np.require(np.frombuffer(content, FP32).reshape(shape), np.float32, ["C", "A"])


def read_shape(shape: object, where: str, *, most: int = 8) -> list[int]:
    """A list of whole numbers from 0 on, at most ``most`` of them."""
    whole = isinstance(shape, list) and all(type(side) is int and 0 <= side < 2**31 for side in shape)
    if not isinstance(shape, list) or not whole or not 1 <= len(shape) <= most:
        raise bad(f"The shape of {where} is not a list of 1 to {most} whole numbers. Say it as [n], or [n, 3, height, width].")
    return shape


def check_nchw(shape: Sequence[int], about: About, where: str) -> None:
    """Refuses a shape that is not [n, 3, height, width] at the model's size, n from 1 to what a request may hold.

    To be asked before anything takes that shape: one with a zero in it may be too large for numpy, though it holds nothing.
    """
    _check_shape(shape, (3, about.height, about.width), where)


def pixels_nhwc(pixels: np.ndarray, about: About, where: str) -> Pixels:
    """``pixels`` of [n, height, width, 3], as TensorFlow orders them, in our order.

    Refuses another shape, and other sides than the model's. Their range is judged by who asks the model.
    """
    _check_shape(pixels.shape, (about.height, about.width, 3), where)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))  # n h w 3 -> n 3 h w


def _check_shape(shape: Sequence[int], expected: tuple[int, int, int], where: str) -> None:
    if len(shape) != 4 or tuple(shape[1:]) != expected or not shape[0]:
        sides = ", ".join(map(str, expected))
        raise bad(f"{where} has the shape {list(shape)}; this model takes [n, {sides}], n from 1, RGB in [0, 1].")
    refuse_many(shape[0])


def picture_of(instance: object, where: str) -> bytes:
    """The picture's file in one instance, as base64.

    ``{"b64": TEXT}``, ``{"image_bytes": {"b64": TEXT}}``, or Vertex AI's ``{"content": TEXT}``.
    """
    if isinstance(instance, dict):
        held = instance.get("image_bytes", instance)
        text = held.get("b64") if isinstance(held, dict) else held
        if text is None:
            text = instance.get("content")
        if text is not None:
            return from_base64(text, where)
    keys = quoted(", ".join(list(instance)[:5])) if isinstance(instance, dict) else "no keys"
    raise bad(f'{where} is a JSON {json_kind(instance)} with {keys}; {{"b64": "..."}} with the picture\'s file was expected.')


def bad(detail: str) -> RefusalError:
    """The refusal of a request that says something wrong."""
    return RefusalError(HTTPStatus.BAD_REQUEST, detail)
