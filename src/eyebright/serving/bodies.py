"""A request's body: raw bytes, the parts of a multipart form, or a JSON object; with as little copying as there can be.

Nothing is spooled to a disk: how long a body may be is counted by the server while it streams (``options.Bounds``), before
it comes here. What is wrong with a body is said by a ``RefusalError`` of a 4xx status.
"""

import dataclasses
import json
from http import HTTPStatus
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from eyebright.serving.answers import RefusalError
from eyebright.serving.desk import MOST_PICTURES

MOST_FIELDS = 8  # parts of a form beside its pictures
# Values in one JSON body. Each costs Python up to a hundred bytes of memory where the body spends two ("[]"): this keeps any
# body under 200 MB, and is still ten pictures of 224 x 224 pixels written out as numbers.
MOST_VALUES = 2_000_000
QUOTED = 80  # characters of what a client sent that are said back to it

FORM = "multipart/form-data"
JSON = "application/json"


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a multipart form; ``filename`` None where it has none."""

    field: str
    filename: str | None
    content: bytes


def media_type(request: Request) -> str:
    """The body's declared type in lower case, without parameters; empty where none is declared."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request) -> bytes:
    """The whole body, which is not empty."""
    _refuse_encoded(request)
    try:
        body = await request.body()
    except ClientDisconnect:
        raise _gone() from None
    if not body:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "The body is empty; a picture was expected in it. Send the file's bytes.")
    return body


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object that the body is."""
    declared = media_type(request)
    if declared.startswith(("multipart/", "image/")):
        detail = f"The body is declared as {quoted(declared)}; JSON was expected here. Send {JSON}."
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    return parse_object(await read_body(request))


def parse_object(text: bytes) -> dict[str, Any]:
    """The JSON object in ``text``. Refuses more than ``MOST_VALUES`` values before the parser makes anything of them.

    >>> parse_object(b'{"instances": []}')
    {'instances': []}
    """
    # Every value but the first stands behind one of these (a member's behind a colon, its object counted by brace and commas).
    values = text.count(b"[") + text.count(b"{") + text.count(b",")
    if values > MOST_VALUES:
        detail = (
            f"The JSON holds about {values} values; at most {MOST_VALUES} are read. Send the picture's file as base64, "
            "or fewer pictures a request, or a binary tensor."
        )
        raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        detail = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}. Send one JSON object."
        raise RefusalError(HTTPStatus.BAD_REQUEST, detail) from None
    except RecursionError:
        detail = "The JSON is nested too deeply to be read. Send lists of the tensor's own shape."
        raise RefusalError(HTTPStatus.BAD_REQUEST, detail) from None
    except ValueError:  # bytes that are no Unicode, or a whole number of thousands of digits
        detail = "The body is not JSON: its text is not UTF-8, or a number in it has thousands of digits. Send one JSON object."
        raise RefusalError(HTTPStatus.BAD_REQUEST, detail) from None
    if not isinstance(found, dict):
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"The body is a JSON {json_kind(found)}; an object was expected.")
    return found


async def read_file(request: Request, field: str) -> bytes | list[Part]:
    """The body as it is, or the parts of a form. JSON is refused: a picture is the body, or the form's ``field``."""
    declared = media_type(request)
    if declared == JSON:
        detail = f"The body is JSON; a picture, or a form with the field {field!r}, was expected. Send the file's bytes."
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    return await (read_parts(request) if declared == FORM else read_body(request))


async def read_parts(request: Request) -> list[Part]:
    """The parts of the multipart form that the body is, in their order."""
    _refuse_encoded(request)
    form = _Form()
    parser = _parser(request, form)
    try:
        async for chunk in request.stream():
            if chunk:
                parser.write(chunk)
    except ClientDisconnect:
        raise _gone() from None
    except FormParserError as error:
        detail = f"The multipart form cannot be read: {error}. Send it as RFC 7578 has it, or the picture alone as the body."
        raise RefusalError(HTTPStatus.BAD_REQUEST, detail) from None
    if not form.whole:
        detail = "The multipart form breaks off before its closing boundary. Send it whole, or the picture alone as the body."
        raise RefusalError(HTTPStatus.BAD_REQUEST, detail)
    return form.parts


def refuse_many(count: int) -> None:
    """Raises ``RefusalError`` 413 where ``count`` pictures are more than a request may hold."""
    if count > MOST_PICTURES:
        detail = f"The request holds {count} pictures; at most {MOST_PICTURES} are answered together. Send several requests."
        raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def quoted(value: object) -> str:
    """What a client sent, shortened and made plain for an error's sentence.

    >>> quoted("a" * 100) == repr("a" * 80 + "...")
    True
    """
    return repr(short(value))


def short(value: object) -> str:
    """Text that a client sent, shortened; of anything else the kind: it may be of any size and depth."""
    said = value if isinstance(value, str) else json_kind(value)
    return said if len(said) <= QUOTED else said[:QUOTED] + "..."


def json_kind(value: object) -> str:
    """What JSON calls the kind of ``value``.

    >>> [json_kind(value) for value in ({}, [], "", 1, 1.5, True, None)]
    ['object', 'list', 'text', 'number', 'number', 'truth value', 'null']
    """
    kinds = {dict: "object", list: "list", str: "text", bool: "truth value", type(None): "null"}
    return kinds.get(type(value), "number")


class _Form:
    """What the parser calls as it reads: it keeps the slices of each part, and joins them once."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.whole = False
        self._begin()

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._named,
            "on_part_data": self._content,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._name, self._value = b"", b""
        self._disposition = b""
        self._field: str = ""
        self._filename: str | None = None
        self._slices: list[bytes] = []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _named(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            detail = "A part of the multipart form has no name. Name it in its content-disposition header (RFC 7578, 4.2)."
            raise RefusalError(HTTPStatus.BAD_REQUEST, detail)
        if len(self.parts) >= MOST_PICTURES + MOST_FIELDS:
            refuse_many(len(self.parts) + 1)
        self._field = _text(options[b"name"])
        self._filename = _text(options[b"filename"]) if b"filename" in options else None

    def _content(self, data: bytes, start: int, end: int) -> None:
        # A slice of the whole is the same object: inside a large part nothing is copied until the join.
        self._slices.append(data[start:end])

    def _end(self) -> None:
        self.parts.append(Part(self._field, self._filename, b"".join(self._slices)))
        self._slices = []

    def _finish(self) -> None:
        self.whole = True


def _parser(request: Request, form: _Form) -> MultipartParser:
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not boundary:
        detail = "The multipart form has no boundary in its content-type. Let the HTTP library write that header."
        raise RefusalError(HTTPStatus.BAD_REQUEST, detail)
    try:
        return MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
    except FormParserError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"The multipart form cannot be read: {error}. Send a shorter one.") from None


def _refuse_encoded(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        detail = f"The body is packed as {quoted(encoding)}; it is read as it is only. Send it without a content-encoding."
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def _gone() -> RefusalError:
    return RefusalError(HTTPStatus.BAD_REQUEST, "The client left before the body was whole.")


def _text(raw: bytes) -> str:
    """A name in a part's header: UTF-8 as browsers send it, else byte by byte."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
