"""Our own dialect: ``/api``. What ``eyebright predict --json`` prints is what ``POST /api/predict`` answers, key for key.

A body is a multipart form whose fields ``file`` are pictures, or one picture as it is; its content is judged, not its
declared type.
"""

import urllib.parse
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response

from eyebright.core.registry import unknown
from eyebright.serving.answers import About, Answered, HeatMap, PictureAnswer, RefusalError
from eyebright.serving.bodies import FORM, quoted, read_file, refuse_many, short
from eyebright.serving.dialects import shared
from eyebright.serving.dialects.shared import NUMBER, PROBLEM, TEXT, WHOLE, json_response, list_of, object_of
from eyebright.serving.problems import PROBLEM as PROBLEM_TYPE
from eyebright.verbs.predict import PredictResult

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

DIALECT = "ours"
FIELD, BODY = "file", "body"  # a form's field for a picture; the key of a picture that is the body
TOP_K, MOST_TOP_K = 5, 1000  # as the flag of `eyebright predict`
MAP_DECIMALS = 4

_SAYS = {"name": TEXT, "sha256": TEXT, "title": TEXT, "summary": TEXT}
_SAYS |= {"classes": WHOLE, "height": WHOLE, "width": WHOLE, "form": TEXT}
_MODEL = object_of(_SAYS)
_ONE_MODEL = object_of({"schema": WHOLE, **_SAYS, "labels": list_of(TEXT), "card": TEXT})
_MODELS = object_of({"schema": WHOLE, "models": list_of(_MODEL)})
_EDGES = dict.fromkeys(("left", "top", "right", "bottom"), NUMBER)
_MAP = object_of(
    {
        "schema": WHOLE,
        "model": object_of({"name": TEXT, "sha256": TEXT}),
        "label": TEXT,
        "method": TEXT,
        "rows": WHOLE,
        "columns": WHOLE,
        "values": list_of(NUMBER),
        **_EDGES,
    }
)
_PICTURE = {"image/jpeg": shared.BINARY, "image/png": shared.BINARY, "application/octet-stream": shared.BINARY}


def router(desk: "Desk") -> APIRouter:
    """``/api``: predict, explain, the models there are, and loading one again."""
    routes = APIRouter(prefix="/api", tags=[DIALECT], default_response_class=Response)
    named = _key("model", shared.one_of(desk.names), _MODEL_SAID)
    to_predict = _asks([named, _key("top_k", _TOP_K, "How many classes to name.")], list_of(shared.BINARY))
    to_explain = _asks([named, _key("label", TEXT, _LABEL_SAID)], shared.BINARY)

    @routes.post("/predict", responses=_predicts(), openapi_extra=to_predict)
    async def predict(request: Request) -> Response:
        """What a model sees in each picture, most probable class first."""
        query = _query(request, ("model", "top_k"))
        top_k = _top_k(query.get("top_k"))
        name = desk.about(query.get("model")).name
        pictures = await _pictures(request)
        answered = await desk.classify(name, [content for _, content in pictures])
        return _predicted(request, answered, [key for key, _ in pictures], top_k)

    @routes.post("/explain", responses=_answers(_MAP, "The heat map."), openapi_extra=to_explain)
    async def explain(request: Request) -> Response:
        """What in one picture speaks for ``label``, or for the most probable class where none is named."""
        query = _query(request, ("model", "label"))
        name = desk.about(query.get("model")).name
        pictures = await _pictures(request)
        if len(pictures) != 1:
            detail = f"The request holds {len(pictures)} pictures; one is explained at a time. Send one."
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        return json_response(_mapped(await desk.explain(name, pictures[0][1], query.get("label"))))

    @routes.get("/models", responses=_answers(_MODELS, "The models, the default one first."))
    async def models(request: Request) -> Response:
        """The models that are served; the first answers where none is named."""
        _query(request, ())
        return json_response({"schema": 1, "models": [_model(desk.about(name)) for name in desk.names]})

    async def model(request: Request) -> Response:
        """One model, with its labels and its card."""
        _query(request, ())
        about = desk.about(request.path_params["name"])
        return json_response({"schema": 1, **_model(about), "labels": about.classes, "card": desk.card(about.name)})

    async def reload(request: Request) -> Response:
        """Loads a model again from its folder. The old one stays where the new one does not answer its own probe."""
        _query(request, ())
        return json_response({"schema": 1, **_model(await desk.reload(request.path_params["name"]))})

    reloaded = _answers(object_of({"schema": WHOLE, **_SAYS}), "The model as it is now.")
    shared.add(routes, desk, "GET", "/models/{name}", model, _answers(_ONE_MODEL, "The model."))
    shared.add(routes, desk, "POST", "/models/{name}/reload", reload, reloaded)
    return routes


async def _pictures(request: Request) -> list[tuple[str, bytes]]:
    """The keys and files of the pictures in the body, in their order."""
    parts = await read_file(request, FIELD)
    if isinstance(parts, bytes):
        return [(BODY, parts)]
    for part in parts:
        if part.field != FIELD:
            named = quoted(part.field)
            detail = f"The form has a field {named}; pictures are fields {FIELD!r}. Options belong into the address."
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    if not parts:
        raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, f"The form is empty; pictures as fields {FIELD!r} were expected.")
    refuse_many(len(parts))
    return [(part.filename or FIELD, part.content) for part in parts]


def _predicted(request: Request, answered: Answered, keys: Sequence[str], top_k: int) -> Response:
    about = answered.about
    results = [_result(key, answer, about.classes, top_k) for key, answer in zip(keys, answered.answers, strict=True)]
    if any(answer.probabilities is not None for answer in answered.answers):
        return json_response({"schema": 1, "model": _named(about), "results": results})
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": f"No picture could be read: {answered.answers[0].error}",
        "request_id": getattr(request.state, "request_id", ""),
        "results": results,
    }
    return Response(shared.json_bytes(problem), status, media_type=PROBLEM_TYPE)


def _result(key: str, answer: PictureAnswer, classes: Sequence[str], top_k: int) -> dict[str, Any]:
    """One of ``verbs.predict.PictureResult``'s, without the cost of making the model."""
    predictions = [] if answer.probabilities is None else _top(answer.probabilities, classes, top_k)
    warnings = list(answer.warnings)
    return {"key": key, "predictions": predictions, "verdict": answer.verdict, "warnings": warnings, "error": answer.error}


def _top(probabilities: np.ndarray, classes: Sequence[str], top_k: int) -> list[dict[str, Any]]:
    best = shared.best(probabilities, top_k)
    return [{"label": classes[index], "probability": shared.rounded(probabilities[index])} for index in best]


def _mapped(found: HeatMap) -> dict[str, Any]:
    rows, columns = found.values.shape
    return {
        "schema": 1,
        "model": _named(found.about),
        "label": found.label,
        "method": found.method,
        "rows": rows,
        "columns": columns,
        "values": [round(value, MAP_DECIMALS) for value in found.values.ravel().tolist()],  # rows columns -> row by row
        "left": found.left,
        "top": found.top,
        "right": found.right,
        "bottom": found.bottom,
    }


def _named(about: About) -> dict[str, str]:
    return {"name": about.name, "sha256": about.sha256}


def _model(about: About) -> dict[str, Any]:
    return {
        **_named(about),
        "title": about.title,
        "summary": about.summary,
        "classes": len(about.classes),
        "height": about.height,
        "width": about.width,
        "form": about.form,
    }


def _query(request: Request, known: Sequence[str]) -> Mapping[str, str]:
    """What the address asks for behind its question mark: each known key at most once, and no other."""
    pairs = urllib.parse.parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    asked: dict[str, str] = {}
    for key, value in pairs:
        if key not in known:
            detail = unknown("key", short(key), known) if known else f"This address takes no key; {quoted(key)} was found."
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        if key in asked:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, f"The key {key!r} is given twice. Give it once.")
        asked[key] = value
    return asked


def _top_k(text: str | None) -> int:
    if text is None:
        return TOP_K
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MOST_TOP_K):
        detail = f"top_k is {quoted(text)}; a whole number from 1 to {MOST_TOP_K} was expected."
        raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return int(text)


_MODEL_SAID = "Which model answers; the first one where none is named."
_TOP_K = {"type": "integer", "minimum": 1, "maximum": MOST_TOP_K, "default": TOP_K}
_LABEL_SAID = "Which class to explain; the most probable one where none is named."


def _key(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _asks(query: Sequence[Mapping[str, Any]], file: Mapping[str, Any]) -> dict[str, Any]:
    body = {FORM: object_of({FIELD: file}), **_PICTURE}
    return {"parameters": list(query), **shared.requires(body, "Pictures as fields of a form, or one picture as it is.")}


def _answers(schema: Mapping[str, Any], description: str) -> dict[int | str, Any]:
    return shared.answers(schema, description, PROBLEM, PROBLEM_TYPE)


def _predicts() -> dict[int | str, Any]:
    answered = {"description": "The answers, in the order of the pictures.", "model": PredictResult}
    return {**_answers({}, ""), 200: answered}
