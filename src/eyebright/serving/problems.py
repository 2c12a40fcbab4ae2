"""A refusal in the words of whoever asked: problem details (RFC 9457), or the shape of the dialect that the path belongs to.

One function renders, from a path and a refusal to bytes, so that a request that never reaches a handler (too slow, too large,
for another host) is refused in the same shape as one that does. Nothing here names a path of this computer.
"""

import json
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from eyebright.serving.answers import RefusalError

Headers = list[tuple[bytes, bytes]]

PROBLEM, JSON = "application/problem+json", "application/json"
FAILED = "The server failed at this. Its log has the reason beside this request's id."

# Which dialect speaks at which path, by the beginning of the path; the first that fits.
_PREFIXES = (
    ("/api/", "ours"),
    ("/page/", "page"),
    ("/health/", "health"),
    ("/metrics", "metrics"),
    ("/v2", "inference_v2"),
    ("/v1", "tensorflow"),
    ("/predictions/", "torchserve"),
    ("/explanations/", "torchserve"),
    ("/ping", "containers"),
    ("/invocations", "containers"),
)
DIALECTS = (*dict.fromkeys(dialect for _, dialect in _PREFIXES), "other")

# TorchServe's own names (org.pytorch.serve.http), which its clients read.
_TORCHSERVE_TYPES = {
    400: "BadRequestException",
    404: "ModelNotFoundException",
    405: "MethodNotAllowedException",
    408: "RequestTimeoutException",
    409: "ConflictStatusException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
    504: "RequestTimeoutException",
}


class Refused(NamedTuple):
    """An answer that refuses, ready to be sent."""

    status: int
    headers: Headers
    body: bytes


def dialect_of(path: str) -> str:
    """Which dialect the path belongs to.

    >>> dialect_of("/v2/models/cats/infer"), dialect_of("/"), dialect_of("/elsewhere")
    ('inference_v2', 'page', 'other')
    """
    for prefix, dialect in _PREFIXES:
        if path.startswith(prefix):
            return dialect
    return "page" if path == "/" else "other"


def media_type_of(dialect: str) -> str:
    """In which media type a dialect refuses."""
    return JSON if dialect in ("inference_v2", "tensorflow", "torchserve") else PROBLEM


def refused(path: str, refusal: RefusalError, request_id: str) -> Refused:
    """What ``refusal`` is at ``path``: status, headers and body."""
    dialect, status = dialect_of(path), HTTPStatus(refusal.status)
    body = json.dumps(_words(dialect, status, refusal, request_id), ensure_ascii=False).encode("utf-8", "backslashreplace")
    headers = [(b"content-type", media_type_of(dialect).encode()), (b"content-length", str(len(body)).encode())]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    return Refused(int(status), headers, body)


def _words(dialect: str, status: HTTPStatus, refusal: RefusalError, request_id: str) -> dict[str, Any]:
    detail = refusal.detail
    if dialect in ("inference_v2", "tensorflow"):
        return {"error": detail}
    if dialect == "torchserve":
        kind = _TORCHSERVE_TYPES.get(int(status), f"{status.phrase.title().replace(' ', '')}Exception")
        return {"code": int(status), "type": kind, "message": detail}
    return {"type": refusal.kind, "title": status.phrase, "status": int(status), "detail": detail, "request_id": request_id}


def install(app: FastAPI) -> None:
    """Lets ``app`` answer every exception that is meant for a client in the shape of the path's dialect."""
    app.add_exception_handler(RefusalError, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)


# Starlette types handlers by Exception, and calls each with its own class only.
async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    return _response(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = str(error.detail)
    if detail == status.phrase:  # the framework's own: no route, or none for this method
        detail = _framework_words(status, request.method)
    response = _response(request, RefusalError(status, detail))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _framework_words(status: HTTPStatus, method: str) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "Nothing is served at this address. /openapi.json lists what is."
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"This address does not answer {method}. The header 'allow' says what it answers."
    return f"{status.phrase}."


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    sentences = [_invalid(detail) for detail in error.errors()]
    return _response(request, RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, " ".join(sentences)))


def _invalid(detail: dict[str, Any]) -> str:
    """One thing that is wrong with a request, without the value that was sent, which may be long or private.

    >>> _invalid({"loc": ("query", "top_k"), "msg": "Input should be a valid integer"})
    'query top_k: Input should be a valid integer.'
    """
    place = " ".join(str(part) for part in detail.get("loc", ()))
    return f"{place}: {str(detail.get('msg', 'not as expected')).rstrip('.')}."


def _response(request: Request, refusal: RefusalError) -> Response:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    status, headers, body = refused(path, refusal, getattr(request.state, "request_id", ""))
    response = Response(body, status)
    response.raw_headers = headers
    return response
