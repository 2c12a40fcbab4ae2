"""What a request of the Open Inference Protocol puts in: its JSON, the binary tensor behind it, and its one input."""

import math
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from eyebright.core.arrays import Pixels
from eyebright.core.registry import unknown
from eyebright.serving.answers import About
from eyebright.serving.bodies import json_kind, parse_object, quoted, refuse_many, short
from eyebright.serving.tensors import bad, byte_strings, check_nchw, flat, from_base64, from_buffer, from_lists, read_shape

IMAGE, PIXELS = "image", "pixels"
HEAD_LENGTH = "inference-header-content-length"


def taken_apart(request: Request, body: bytes) -> tuple[dict[str, Any], memoryview]:
    """The JSON in front, and the binary tensors behind it."""
    length = request.headers.get(HEAD_LENGTH)
    if length is None:
        return parse_object(body), memoryview(b"")
    if not (length.isascii() and length.isdecimal() and len(length) <= 12 and int(length) <= len(body)):
        raise bad(
            f"Inference-Header-Content-Length is {quoted(length)}; the length of the JSON was expected, at most {len(body)}."
        )
    return parse_object(body[: int(length)]), memoryview(body)[int(length) :]


def input_of(asked: Mapping[str, Any], tail: memoryview, about: About) -> list[bytes] | Pixels:
    """The pictures' files, or the pixels [n, 3, height, width], that a request puts in."""
    given = asked.get("inputs")
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        found = f"{len(given)} of them" if isinstance(given, list) else json_kind(given)
        raise bad(f"'inputs' is {found}; a list of one was expected, {IMAGE!r} or {PIXELS!r}.")
    tensor = given[0]
    name = tensor.get("name")
    if name not in (IMAGE, PIXELS):
        raise bad(unknown("input", short(name), (IMAGE, PIXELS)))
    expected = "BYTES" if name == IMAGE else "FP32"
    if tensor.get("datatype") != expected:
        raise bad(f"Input {name!r} has the datatype {quoted(tensor.get('datatype'))}; {expected} was expected.")
    content = _binary(tensor, tail)
    return _pictures(tensor, content, asked) if name == IMAGE else _pixels(tensor, content, about)


def parameters_of(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a request, an input or an output; empty where it has none."""
    found = holder.get("parameters", {})
    if not isinstance(found, dict):
        raise bad(f"'parameters' is a JSON {json_kind(found)}; an object was expected.")
    return found


def _binary(tensor: Mapping[str, Any], tail: memoryview) -> memoryview | None:
    """The input's binary data, or None where it is in the JSON."""
    size = parameters_of(tensor).get("binary_data_size")
    if (size is None) == ("data" not in tensor):
        raise bad(
            f"Input {quoted(tensor['name'])} has to have either 'data' or the parameter 'binary_data_size', and not both."
        )
    if size is None and len(tail):
        raise bad(f"{len(tail)} bytes follow the JSON, and no input has the parameter 'binary_data_size'.")
    if size is not None and (type(size) is not int or size != len(tail)):
        raise bad(f"The parameter 'binary_data_size' does not say the {len(tail)} bytes that follow the JSON.")
    return None if size is None else tail


def _pictures(tensor: Mapping[str, Any], content: memoryview | None, asked: Mapping[str, Any]) -> list[bytes]:
    shape = read_shape(tensor.get("shape"), f"input {IMAGE!r}")
    if len(shape) > 2 or shape[0] < 1 or shape[1:] not in ([], [1]):
        raise bad(f"Input {IMAGE!r} has the shape {shape}; [n] was expected, n from 1: a picture's file an element.")
    refuse_many(shape[0])
    found = _from_text(tensor, asked) if content is None else byte_strings(content, f"input {IMAGE!r}")
    if len(found) != shape[0]:
        raise bad(f"Input {IMAGE!r} has {len(found)} elements; its shape {shape} says {shape[0]}.")
    return found


def _from_text(tensor: Mapping[str, Any], asked: Mapping[str, Any]) -> list[bytes]:
    kind = parameters_of(tensor).get("content_type", parameters_of(asked).get("content_type", "base64"))
    if kind != "base64":
        raise bad(f"Input {IMAGE!r} has the content_type {quoted(kind)}; 'base64' was expected. Send that, or binary data.")
    texts = flat(tensor["data"], f"'data' of input {IMAGE!r}")
    refuse_many(len(texts))
    return [from_base64(text, f"Element {number} of input {IMAGE!r}") for number, text in enumerate(texts)]


def _pixels(tensor: Mapping[str, Any], content: memoryview | None, about: About) -> Pixels:
    where = f"Input {PIXELS!r}"
    shape = read_shape(tensor.get("shape"), f"input {PIXELS!r}")
    check_nchw(shape, about, where)
    if content is not None:
        return from_buffer(content, shape, where)
    numbers = from_lists(tensor["data"], f"'data' of input {PIXELS!r}")
    if numbers.size != math.prod(shape):
        raise bad(f"{where} has {numbers.size} numbers; its shape {shape} has {math.prod(shape)}.")
    return numbers.reshape(shape)
