"""TorchServe's inference interface: ``/ping``, ``/predictions/NAME`` and ``/explanations/NAME``.

One picture a request, as the body or as the form's field ``data``; by POST, or by PUT as ``curl -T`` sends it. A
prediction is the five most probable labels with their probabilities, as TorchServe's image classifier gives them. An
explanation is a list [channels, rows, columns] of one channel: what decided is not told apart by colour. A form's field
``target`` is the number of the class to explain; TorchServe takes class 0 where there is none, and this server the most
probable one. ``/ping`` is SageMaker's too, which reads its status alone.
Sources: https://github.com/pytorch/serve, docs/inference_api.md and ts/torch_handler/{image_classifier,vision_handler}.py.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from eyebright.serving.answers import About
from eyebright.serving.bodies import FORM, JSON, Part, quoted, read_file
from eyebright.serving.dialects import shared
from eyebright.serving.dialects.shared import BINARY, NUMBER, TEXT, WHOLE, json_response, list_of, object_of
from eyebright.serving.tensors import bad

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

DIALECT = "torchserve"
TOP_K = 5  # ts/torch_handler/image_classifier.py, topk
FIELDS = ("data", "body")  # ts/torch_handler/vision_handler.py reads either
TARGET = "target"
MAP_DECIMALS = 4


def router(desk: "Desk") -> APIRouter:
    """``/ping``, and ``/predictions`` and ``/explanations`` of a model, each also of its version."""
    routes = APIRouter(tags=[DIALECT], default_response_class=Response)

    @routes.get("/ping", responses={200: _state("The server answers."), 503: _state("Not ready yet, or not any more.")})
    async def ping() -> Response:
        """Whether every model can answer."""
        status = HTTPStatus.OK if desk.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return json_response({"status": "Healthy" if desk.ready else "Unhealthy"}, status)

    async def predictions(request: Request) -> Response:
        """The most probable labels with their probabilities, most probable first."""
        about = shared.model_in(request, desk)
        picture, _ = await _picture(request)
        answered = await desk.classify(about.name, [picture])
        classes = shared.of_version(request, answered.about).classes
        (row,) = shared.table(answered)
        best = shared.best(row, TOP_K)
        return json_response({classes[index]: shared.rounded(row[index]) for index in best})

    async def explanations(request: Request) -> Response:
        """What decided: [1, rows, columns], in [-1, 1]."""
        about = shared.model_in(request, desk)
        picture, target = await _picture(request)
        found = await desk.explain(about.name, picture, _label(about, target))
        shared.of_version(request, found.about)
        return json_response([[[round(value, MAP_DECIMALS) for value in row] for row in found.values.tolist()]])

    labels, heat = shared.answers(_TABLE, "The labels.", _ERROR), shared.answers(_MAP, "The heat map.", _ERROR)
    for place in ("/{name}", "/{name}/{version}"):
        for method in ("POST", "PUT"):
            shared.add(routes, desk, method, "/predictions" + place, predictions, labels, _ASKS)
            shared.add(routes, desk, method, "/explanations" + place, explanations, heat, _ASKS)
    return routes


async def _picture(request: Request) -> tuple[bytes, str | None]:
    """The picture's file, and the text of the field ``target`` if there is one."""
    parts = await read_file(request, FIELDS[0])
    if isinstance(parts, bytes):
        return parts, None
    pictures = [part for part in parts if part.field in FIELDS]
    if len(pictures) != 1:
        found = quoted(", ".join(part.field for part in parts[:5]))
        raise bad(f"The form has the fields {found}; one field {FIELDS[0]!r} with a picture was expected.")
    return pictures[0].content, _target(parts)


def _target(parts: list[Part]) -> str | None:
    texts = [part.content[:20].decode("utf-8", "replace") for part in parts if part.field == TARGET]
    return texts[-1] if texts else None


def _label(about: About, target: str | None) -> str | None:
    if not target:
        return None
    if not (target.isascii() and target.isdecimal() and int(target) < len(about.classes)):
        raise bad(f"{TARGET!r} is {quoted(target)}; the number of a class from 0 to {len(about.classes) - 1} was expected.")
    return about.classes[int(target)]


def _state(description: str) -> dict[str, object]:
    return {"description": description, "content": {JSON: {"schema": object_of({"status": TEXT})}}}


_ERROR = object_of({"code": WHOLE, "type": TEXT, "message": TEXT})
_TABLE = {"type": "object", "additionalProperties": NUMBER}
_MAP = list_of(list_of(list_of(NUMBER)))
_BODY = {
    "image/jpeg": BINARY,
    "application/octet-stream": BINARY,
    FORM: object_of({FIELDS[0]: BINARY, TARGET: WHOLE}, optional=(TARGET,)),
}
_ASKS = shared.requires(_BODY, "A picture, as it is or as the field 'data' of a form.")
