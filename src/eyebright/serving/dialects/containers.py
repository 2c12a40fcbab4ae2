"""The contracts of SageMaker's and Vertex AI's containers. They name no model: the first one answers.

SageMaker asks ``/invocations`` (and ``/ping``, which is TorchServe's) with a picture as the body, or with JSON. Vertex
AI says by ``AIP_HEALTH_ROUTE`` and ``AIP_PREDICT_ROUTE`` where it will ask. JSON is ``{"instances": [...]}``, answered
by ``{"predictions": [...]}``.

What an instance and a prediction look like, both leave open. Here it is Vertex AI's own schema for image
classification, as neither platform lets a client ask which class a column of numbers is. An instance is ``{"content":
BASE64}``, or ``{"b64": BASE64}``; a prediction is ``{"ids": [...], "displayNames": [...], "confidences": [...]}``, most
probable first, the ids being the classes' numbers. ``parameters`` may have ``maxPredictions`` (10) and
``confidenceThreshold`` (0). ``/invocations`` answers in ``application/jsonlines``, a prediction a line, where that is
accepted and JSON is not.
Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html,
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements, and
google/cloud/aiplatform/v1/schema/predict/{instance,params,prediction}/image_classification.proto.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response

from eyebright.core.errors import SettingsError
from eyebright.serving.answers import About, RefusalError
from eyebright.serving.bodies import JSON, json_kind, media_type, quoted, read_body, read_json, refuse_many
from eyebright.serving.dialects import shared
from eyebright.serving.dialects.shared import BINARY, NUMBER, TEXT, json_bytes, json_response, list_of, object_of
from eyebright.serving.problems import dialect_of, media_type_of
from eyebright.serving.tensors import bad, picture_of

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

DIALECT = "containers"
INVOCATIONS = "/invocations"
HEALTH_ROUTE, PREDICT_ROUTE = "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"
JSON_LINES = "application/jsonlines"
MAX_PREDICTIONS = 10  # params/image_classification.proto
NO_PARAMETERS: Mapping[str, Any] = {}
_PICTURE_TYPES = ("application/x-image", "application/octet-stream")


def router(desk: "Desk", environment: Mapping[str, str]) -> APIRouter:
    """``/invocations``, and the routes that Vertex AI names in ``environment``.

    An app includes it before the other routers, so that a route named there is answered as Vertex AI expects. Raises
    ``SettingsError`` where such a route is no plain path.
    """
    routes = APIRouter(tags=[DIALECT], default_response_class=Response)

    async def invocations(request: Request) -> Response:
        """SageMaker's question: a picture, or JSON of several."""
        lines = _wants_lines(request)
        declared = media_type(request)
        if declared.startswith("image/") or declared in _PICTURE_TYPES:
            pictures, parameters = [await read_body(request)], NO_PARAMETERS
        elif declared in (JSON, ""):
            pictures, parameters = _asked(await read_json(request))
        else:
            detail = f"The body is declared as {quoted(declared)}; image/*, {_PICTURE_TYPES[0]} or {JSON} was expected."
            raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
        predictions = await _predictions(desk, pictures, parameters)
        if not lines:
            return json_response({"predictions": predictions})
        return Response(b"".join(json_bytes(one) + b"\n" for one in predictions), media_type=JSON_LINES)

    async def predict(request: Request) -> Response:
        """Vertex AI's question."""
        return json_response({"predictions": await _predictions(desk, *_asked(await read_json(request)))})

    async def health(request: Request) -> Response:
        """Whether every model can answer."""
        return Response(status_code=HTTPStatus.OK if desk.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    shared.add(
        routes, desk, "POST", INVOCATIONS, invocations, _invoked(), shared.requires({**_FILE, JSON: _REQUEST}, "Pictures.")
    )
    place = _route(environment, PREDICT_ROUTE)
    if place not in (None, INVOCATIONS):
        shared.add(routes, desk, "POST", place, predict, _answers(place), shared.requires({JSON: _REQUEST}, "Pictures."))
    place = _route(environment, HEALTH_ROUTE)
    if place is not None:
        shared.add(routes, desk, "GET", place, health, {200: {"description": "Ready."}, 503: {"description": "Not ready."}})
    return routes


def _route(environment: Mapping[str, str], key: str) -> str | None:
    route = environment.get(key)
    if route is not None and not re.fullmatch(r"/[A-Za-z0-9._~:@!$&'()*+,;=/-]*", route):
        raise SettingsError(
            f"{key} is {route!r}; a path was expected, such as /predict. Set it as Vertex AI does, or unset it."
        )
    return route


def _wants_lines(request: Request) -> bool:
    """Whether the answer is to be JSON lines. Raises ``RefusalError`` 406 where neither they nor JSON are accepted."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "*/*").split(",")]
    if any(kind in (JSON, "application/*", "*/*", "") for kind in accepted):
        return False
    if JSON_LINES in accepted:
        return True
    detail = (
        f"The answer would have to be {quoted(', '.join(accepted))}; there are {JSON} and {JSON_LINES}. Accept one of them."
    )
    raise RefusalError(HTTPStatus.NOT_ACCEPTABLE, detail)


def _asked(body: Mapping[str, Any]) -> tuple[list[bytes], Mapping[str, Any]]:
    instances = body.get("instances")
    if not isinstance(instances, list) or not instances:
        found = "empty" if instances == [] else f"a JSON {json_kind(instances)}"
        raise bad(f'\'instances\' is {found}; a list of pictures as {{"content": "..."}}, in base64, was expected.')
    refuse_many(len(instances))
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise bad(f"'parameters' is a JSON {json_kind(parameters)}; an object was expected.")
    return [picture_of(instance, f"Instance {number}") for number, instance in enumerate(instances)], parameters


async def _predictions(desk: "Desk", pictures: list[bytes], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    most = _number(parameters, "maxPredictions", MAX_PREDICTIONS)
    threshold = _number(parameters, "confidenceThreshold", 0.0)
    answered = await desk.classify(None, pictures)
    return [_prediction(row, answered.about, int(most), threshold) for row in shared.table(answered)]


def _prediction(row: np.ndarray, about: About, most: int, threshold: float) -> dict[str, Any]:
    named = [index for index in shared.best(row, most) if row[index] >= threshold]
    return {
        "ids": [str(index) for index in named],  # int64, which is text in JSON (protobuf's mapping)
        "displayNames": [about.classes[index] for index in named],
        "confidences": [shared.rounded(row[index]) for index in named],
    }


def _number(parameters: Mapping[str, Any], name: str, default: float) -> float:
    value = parameters.get(name, default)
    if type(value) not in (int, float) or not 0 <= value < 2**31:
        raise bad(f"The parameter {name!r} is not a number from 0 on.")
    return float(value)


_FILE = {"image/jpeg": BINARY, _PICTURE_TYPES[0]: BINARY}
_INSTANCE = {"anyOf": [object_of({key: {"type": "string", "format": "byte"}}) for key in ("content", "b64")]}
_LIMITS = {"maxPredictions": {"type": "integer", "minimum": 0}, "confidenceThreshold": {"type": "number", "minimum": 0}}
_REQUEST = object_of(
    {"instances": {**list_of(_INSTANCE), "minItems": 1}, "parameters": {"type": "object", "properties": _LIMITS}},
    optional=("parameters",),
)
_PREDICTION = object_of({"ids": list_of(TEXT), "displayNames": list_of(TEXT), "confidences": list_of(NUMBER)})


def _answers(path: str) -> dict[int | str, Any]:
    """The shape of a refusal follows the path, which Vertex AI may have put among another dialect's."""
    refusal, kind = {"type": "object"}, media_type_of(dialect_of(path))
    return shared.answers(object_of({"predictions": list_of(_PREDICTION)}), "The predictions.", refusal, kind)


def _invoked() -> dict[int | str, Any]:
    described = _answers(INVOCATIONS)
    described[200]["content"][JSON_LINES] = {"schema": TEXT}
    return described
