"""What several dialects say alike: JSON, the best classes, the version of a model, and the pieces of the OpenAPI document."""

import json
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response

from eyebright.core.arrays import Probabilities
from eyebright.serving.answers import About, Answered, RefusalError
from eyebright.serving.bodies import JSON, quoted

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

DECIMALS = 6  # of a probability beside its label, as `eyebright predict` rounds it
VERSION_DIGITS = 12  # of the manifest's sha256: short enough to be read, and 48 bits are not met twice


def json_response(value: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as JSON. Text beyond ASCII is escaped, which holds for anything that a client may have sent to be repeated."""
    return Response(json_bytes(value), status, headers, JSON)


def json_bytes(value: object) -> bytes:
    """``value`` as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def best(probabilities: np.ndarray, count: int) -> list[int]:
    """The ``count`` most probable classes, most probable first; of equal ones, the first.

    >>> best(np.array([0.2, 0.5, 0.2]), 2)
    [1, 0]
    """
    ranked: list[int] = np.argsort(-probabilities, kind="stable")[:count].tolist()
    return ranked


def rounded(probability: float) -> float:
    """A probability as it stands beside its label."""
    return round(float(probability), DECIMALS)


def table(answered: Answered) -> Probabilities:
    """The probabilities of all pictures, [n, classes].

    Raises ``RefusalError`` 400 where one could not be read, saying which and why.
    """
    for number, answer in enumerate(answered.answers):
        if answer.probabilities is None:
            which = (
                f"Picture {number} of {len(answered.answers)}, counted from 0," if len(answered.answers) > 1 else "The picture"
            )
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"{which} cannot be read: {answer.error}")
    return np.stack([answer.probabilities for answer in answered.answers if answer.probabilities is not None])


def version_of(about: About) -> str:
    """Which version of a model this is: the beginning of its manifest's sha256."""
    return about.sha256[:VERSION_DIGITS]


def model_in(request: Request, desk: "Desk", version: Callable[[About], str] = version_of) -> About:
    """The model that the path names, and at its version if it names one. Raises ``RefusalError`` 404 where it is not served."""
    return of_version(request, desk.about(request.path_params["name"]), version)


def of_version(request: Request, about: About, version: Callable[[About], str] = version_of) -> About:
    """``about``, where the path names no other version. Asked of an answer too: a model may be reloaded meanwhile."""
    wanted, served = request.path_params.get("version"), version(about)
    if wanted is not None and wanted != served:
        detail = (
            f"Model {about.name!r} has no version {quoted(wanted)}; its one version is {served}. Ask for that, or for none."
        )
        raise RefusalError(HTTPStatus.NOT_FOUND, detail)
    return about


def add(
    routes: APIRouter,
    desk: "Desk",
    method: str,
    path: str,
    endpoint: Callable[[Request], Coroutine[Any, Any, Response]],
    responses: dict[int | str, Any],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Adds a route whose endpoint reads the path itself: one endpoint then serves a model with and without its version.

    In the OpenAPI document ``{name}`` is one of the desk's.
    """
    schemas = {"name": one_of(desk.names), "version": TEXT}
    places = [{"name": name, "in": "path", "required": True, "schema": schemas[name]} for name in re.findall(r"{(\w+)}", path)]
    routes.add_api_route(
        path, endpoint, methods=[method], responses=responses, openapi_extra={"parameters": places, **(extra or {})}
    )


def one_of(names: Sequence[str]) -> dict[str, Any]:
    """The schema of a text that is one of ``names``."""
    return {"type": "string", "enum": list(names)}


def requires(content: Mapping[str, Any], description: str) -> dict[str, Any]:
    """A body that a route needs, for OpenAPI: media type to schema."""
    described = {media_type: {"schema": schema} for media_type, schema in content.items()}
    return {"requestBody": {"required": True, "description": description, "content": described}}


def answers(
    schema: Mapping[str, Any], description: str, refusal: Mapping[str, Any], media_type: str = JSON
) -> dict[int | str, Any]:
    """What a route may answer, for OpenAPI: JSON of ``schema``, or a refusal of any 4xx or 5xx status."""
    refused = {"description": "Refused; the text says why.", "content": {media_type: {"schema": refusal}}}
    return {200: {"description": description, "content": {JSON: {"schema": schema}}}, "4XX": refused, "5XX": refused}


def object_of(properties: Mapping[str, Any], *, optional: Sequence[str] = ()) -> dict[str, Any]:
    """The schema of an object with these members."""
    return {"type": "object", "properties": dict(properties), "required": [name for name in properties if name not in optional]}


def list_of(items: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a list."""
    return {"type": "array", "items": dict(items)}


TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}
WHOLE: dict[str, Any] = {"type": "integer"}
BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
ERROR = object_of({"error": TEXT})
PROBLEM = object_of({"type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "request_id": TEXT})
