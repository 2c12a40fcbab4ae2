"""TensorFlow Serving's REST interface: model status, metadata and ``:predict``.

Two signatures. ``serving_default`` takes ``image_bytes``, a picture's file as ``{"b64": ...}``; ``pixels`` takes
``pixels``, [height, width, 3] an instance, RGB in [0, 1] at the model's size, channels last as TensorFlow has them.
Where none is named, the form of the input decides. The answer has one output, so its name is left out: a list of class
probabilities an instance.

``:classify`` and ``:regress`` take the features of a ``tf.Example``, which is no picture; they are not here. Versions
are whole numbers there: ours is the beginning of the manifest's sha256, read as one.
Source: https://github.com/tensorflow/serving, tensorflow_serving/g3doc/api_rest.md.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response

from eyebright.core.registry import unknown
from eyebright.serving.answers import About, Answered
from eyebright.serving.bodies import JSON, json_kind, quoted, read_json, refuse_many, short
from eyebright.serving.dialects import shared
from eyebright.serving.dialects.shared import ERROR, NUMBER, TEXT, json_response, list_of, object_of
from eyebright.serving.tensors import bad, from_lists, picture_of, pixels_nhwc

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

DIALECT = "tensorflow"
IMAGE, PIXELS = "image_bytes", "pixels"  # TensorFlow reads the ending _bytes as "binary"
SIGNATURES = {"serving_default": IMAGE, "pixels": PIXELS}
ROWS, COLUMNS = "instances", "inputs"
ANSWERS = {ROWS: "predictions", COLUMNS: "outputs"}


def router(desk: "Desk") -> APIRouter:
    """``/v1/models/NAME``: status, ``/metadata`` and ``:predict``, each also below ``/versions/NUMBER``."""
    routes = APIRouter(prefix="/v1", tags=[DIALECT], default_response_class=Response)

    async def predict(request: Request) -> Response:
        """The class probabilities of each instance."""
        about = shared.model_in(request, desk, _version)
        form, name, given = _input(await read_json(request))
        answered = await _answered(desk, about, name, given, form)
        shared.of_version(request, answered.about, _version)
        return json_response({ANSWERS[form]: shared.table(answered).tolist()})

    async def metadata(request: Request) -> Response:
        """The model's signatures."""
        return json_response(_metadata(shared.model_in(request, desk, _version)))

    async def status(request: Request) -> Response:
        """Whether the model can answer, and which version it is."""
        about = shared.model_in(request, desk, _version)
        state = {"version": _version(about), "state": "AVAILABLE" if desk.ready else "UNLOADING"}
        return json_response({"model_version_status": [{**state, "status": {"error_code": "OK", "error_message": ""}}]})

    for place in ("/models/{name}/versions/{version}", "/models/{name}"):
        shared.add(
            routes, desk, "POST", place + ":predict", predict, shared.answers(_RESPONSE, "The probabilities.", ERROR), _ASKS
        )
        shared.add(routes, desk, "GET", place + "/metadata", metadata, shared.answers(_METADATA, "The signatures.", ERROR))
        shared.add(routes, desk, "GET", place, status, shared.answers(_STATUS, "The status.", ERROR))
    return routes


def _version(about: About) -> str:
    return str(int(shared.version_of(about), 16))


def _input(asked: Mapping[str, Any]) -> tuple[str, str, object]:
    """How the input is laid out (rows or columns), which one it is, and it."""
    if (ROWS in asked) == (COLUMNS in asked):
        found = "both" if ROWS in asked else f"keys {quoted(', '.join(list(asked)[:5]))}"
        raise bad(f"The JSON has {found}; either {ROWS!r} (in rows) or {COLUMNS!r} (in columns) was expected.")
    form = ROWS if ROWS in asked else COLUMNS
    name, given = _row_input(asked[ROWS]) if form == ROWS else _column_input(asked[COLUMNS])
    _check_signature(asked.get("signature_name", ""), name)
    return form, name, given


def _check_signature(signature: object, name: str) -> None:
    """Raises ``RefusalError`` where a named signature is not the one that takes the input ``name``; empty text names none."""
    if not isinstance(signature, str) or (signature and signature not in SIGNATURES):
        raise bad(unknown("signature", short(signature), SIGNATURES))
    if signature and SIGNATURES[signature] != name:
        raise bad(f"The signature {signature!r} takes {SIGNATURES[signature]!r}; the request holds {name!r}.")


def _row_input(rows: object) -> tuple[str, object]:
    if not isinstance(rows, list) or not rows:
        found = "empty" if rows == [] else f"a JSON {json_kind(rows)}"
        raise bad(f'{ROWS!r} is {found}; a list of pictures as {{"b64": "..."}} was expected.')
    if isinstance(rows[0], list):
        return PIXELS, rows
    if isinstance(rows[0], dict) and PIXELS in rows[0]:
        return PIXELS, [row.get(PIXELS) if isinstance(row, dict) else row for row in rows]
    return IMAGE, rows


def _column_input(columns: object) -> tuple[str, object]:
    if isinstance(columns, dict) and "b64" not in columns:
        if len(columns) != 1:
            raise bad(f"{COLUMNS!r} holds {len(columns)} inputs; one was expected, {IMAGE!r} or {PIXELS!r}.")
        ((name, given),) = columns.items()
        if name not in (IMAGE, PIXELS):
            raise bad(unknown("input", short(name), (IMAGE, PIXELS)))
        return name, given
    if isinstance(columns, list) and columns and isinstance(columns[0], list):
        return PIXELS, columns
    return IMAGE, columns


async def _answered(desk: "Desk", about: About, name: str, given: object, form: str) -> Answered:
    if name == PIXELS:
        return await desk.classify_pixels(about.name, _pixels(given, form, about))
    rows = given if isinstance(given, list) else [given]
    if not rows:
        raise bad(f"{form!r} holds no picture; one to 32 were expected.")
    refuse_many(len(rows))
    return await desk.classify(
        about.name, [picture_of(row, f"Picture {number} of {form!r}") for number, row in enumerate(rows)]
    )


def _pixels(given: object, form: str, about: About) -> np.ndarray:
    where = f"{PIXELS!r} in {form!r}"
    return pixels_nhwc(from_lists(given, where), about, where)


def _metadata(about: About) -> dict[str, Any]:
    image = _tensor("DT_STRING", -1)
    pixels = _tensor("DT_FLOAT", -1, about.height, about.width, 3)
    outputs = {"probabilities": _tensor("DT_FLOAT", -1, len(about.classes))}
    signatures = {
        signature: {"inputs": {name: image if name == IMAGE else pixels}, "outputs": outputs, "method_name": _METHOD}
        for signature, name in SIGNATURES.items()
    }
    return {
        "model_spec": {"name": about.name, "signature_name": "", "version": _version(about)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _tensor(dtype: str, *sides: int) -> dict[str, Any]:
    dim = [{"size": str(side), "name": ""} for side in sides]
    return {"dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": False}, "name": ""}


_METHOD = "tensorflow/serving/predict"
_TABLE = list_of(list_of(NUMBER))
_RESPONSE = object_of({"predictions": _TABLE, "outputs": _TABLE}, optional=("predictions", "outputs"))
_STATUS = object_of(
    {"model_version_status": list_of(object_of({"version": TEXT, "state": TEXT, "status": {"type": "object"}}))}
)
_METADATA = object_of({"model_spec": {"type": "object"}, "metadata": {"type": "object"}})
_FILE = object_of({"b64": {"type": "string", "format": "byte"}})
_INSTANCE = {"anyOf": [_FILE, object_of({IMAGE: _FILE}), object_of({PIXELS: {"type": "array"}}), {"type": "array"}]}
_REQUEST = {
    "type": "object",
    "properties": {
        "signature_name": {"enum": list(SIGNATURES)},
        ROWS: {**list_of(_INSTANCE), "minItems": 1},
        COLUMNS: {"anyOf": [{**list_of(_FILE), "minItems": 1}, {"type": "array"}, {"type": "object"}]},
    },
    "oneOf": [{"required": [ROWS]}, {"required": [COLUMNS]}],
}
_ASKS = shared.requires({JSON: _REQUEST}, "Pictures or pixels, in rows or in columns.")
