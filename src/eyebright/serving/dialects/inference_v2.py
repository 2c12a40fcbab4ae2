"""The Open Inference Protocol, version 2 (KServe, Triton), with Triton's extensions for binary tensors and classification.

A request has one input: ``image``, type BYTES, shape [n], each element a picture's file; or ``pixels``, type FP32,
shape [n, 3, height, width], RGB in [0, 1]. In JSON an element of type BYTES is base64 text, as no picture's file is
text. Answers: ``probabilities``, FP32 [n, classes], and ``label``, BYTES [n]; both where no output is named, as the
protocol has it.
Sources: https://github.com/kserve/open-inference-protocol (inference_rest.md), and in Triton's documentation
``extension_binary_data.md`` and ``extension_classification.md``.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

import eyebright
from eyebright.core.arrays import Pixels, Probabilities
from eyebright.core.registry import unknown
from eyebright.serving.answers import About, Answered
from eyebright.serving.bodies import JSON, json_kind, read_body, short
from eyebright.serving.dialects import shared
from eyebright.serving.dialects.inference_inputs import HEAD_LENGTH, IMAGE, PIXELS, input_of, parameters_of, taken_apart
from eyebright.serving.dialects.shared import ERROR, TEXT, json_response, list_of, object_of
from eyebright.serving.tensors import FP32, bad, join_strings

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

DIALECT = "inference_v2"
PROBABILITIES, LABEL = "probabilities", "label"
OUTPUTS = (PROBABILITIES, LABEL)
BINARY_TYPE = "application/octet-stream"
EXTENSIONS = ["binary_tensor_data", "classification"]


def router(desk: "Desk") -> APIRouter:
    """``/v2``: server and model metadata, health, and ``infer``."""
    routes = APIRouter(prefix="/v2", tags=[DIALECT], default_response_class=Response)

    @routes.get("", responses=_answers(_SERVER, "The server."))
    async def server() -> Response:
        """The server's name, version and extensions."""
        return json_response({"name": "eyebright", "version": eyebright.__version__, "extensions": EXTENSIONS})

    @routes.get("/health/live", responses=_answers(_HEALTH, "The server answers."))
    async def live() -> Response:
        """Whether the server answers at all."""
        return json_response({"live": True, "ready": desk.ready})

    @routes.get("/health/ready", responses=_ready(_HEALTH))
    async def ready() -> Response:
        """Whether every model can answer. The protocol's text has the key ``live`` here, its servers have ``ready``."""
        return _said({"live": desk.ready, "ready": desk.ready}, desk.ready)

    async def metadata(request: Request) -> Response:
        """The model's inputs and outputs. A request has one of the two inputs."""
        return json_response(_metadata(shared.model_in(request, desk)))

    async def model_ready(request: Request) -> Response:
        """Whether this model can answer."""
        return _said({"name": shared.model_in(request, desk).name, "ready": desk.ready}, desk.ready)

    async def infer(request: Request) -> Response:
        """The class probabilities of one batch."""
        about = shared.model_in(request, desk)
        asked, tail = taken_apart(request, await read_body(request))
        identity, wanted = _identity(asked), _wanted(asked)
        answered = await _ask(desk, about.name, input_of(asked, tail, about))
        shared.of_version(request, answered.about)
        return _put_together(identity, wanted, answered)

    for place in ("/models/{name}", "/models/{name}/versions/{version}"):
        shared.add(routes, desk, "GET", place, metadata, _answers(_METADATA, "The model's metadata."))
        shared.add(routes, desk, "GET", place + "/ready", model_ready, _ready(object_of({"name": TEXT, "ready": _TRUTH})))
        shared.add(routes, desk, "POST", place + "/infer", infer, _infers(), _ASKS)
    return routes


async def _ask(desk: "Desk", name: str, given: list[bytes] | Pixels) -> Answered:
    if isinstance(given, list):
        return await desk.classify(name, given)
    return await desk.classify_pixels(name, given)


def _said(state: Mapping[str, Any], ready: bool) -> Response:
    return json_response(state, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)


def _metadata(about: About) -> dict[str, Any]:
    pixels = [-1, 3, about.height, about.width]
    return {
        "name": about.name,
        "versions": [shared.version_of(about)],
        "platform": f"eyebright_{about.form}",  # <project>_<format>, as the protocol asks of platforms it does not list
        "inputs": [_tensor(IMAGE, "BYTES", [-1]), _tensor(PIXELS, "FP32", pixels)],
        "outputs": [_tensor(PROBABILITIES, "FP32", [-1, len(about.classes)]), _tensor(LABEL, "BYTES", [-1])],
    }


def _tensor(name: str, datatype: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _wanted(asked: Mapping[str, Any]) -> list[tuple[str, bool, int]]:
    """The outputs that were asked for: name, whether as binary data, and how many classes to name (0: the tensor itself)."""
    binary = parameters_of(asked).get("binary_data_output", False) is True
    given = asked.get("outputs")
    if given is None or given == []:
        return [(name, binary, 0) for name in OUTPUTS]
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given) or len(given) > len(OUTPUTS):
        raise bad(f"'outputs' has to be a list of objects, each output at most once. There are {' and '.join(OUTPUTS)}.")
    names = [short(one.get("name")) for one in given]
    for name in names:
        if name not in OUTPUTS or names.count(name) > 1:
            raise bad(unknown("output", name, OUTPUTS) if name not in OUTPUTS else f"Output {name!r} is asked for twice.")
    return [(name, *_how(name, parameters_of(one), binary)) for name, one in zip(names, given, strict=True)]


def _how(name: str, parameters: Mapping[str, Any], binary: bool) -> tuple[bool, int]:
    if "shared_memory_region" in parameters:
        raise bad(f"Output {name!r} is asked for in shared memory, which this server has none of. Ask for binary data.")
    count = parameters.get("classification", 0)
    if type(count) is not int or count < 0 or (count and name != PROBABILITIES):
        raise bad(
            f"The parameter 'classification' of output {name!r} is wrong; a whole number was expected, for {PROBABILITIES!r}."
        )
    return parameters.get("binary_data", binary) is True, count


def _identity(asked: Mapping[str, Any]) -> dict[str, str]:
    """The request's own name, which the answer repeats; or nothing."""
    if "id" not in asked:
        return {}
    if not isinstance(asked["id"], str):
        raise bad(f"'id' is a JSON {json_kind(asked['id'])}; text was expected.")
    return {"id": asked["id"]}


def _put_together(identity: Mapping[str, str], wanted: Sequence[tuple[str, bool, int]], answered: Answered) -> Response:
    about, probabilities = answered.about, shared.table(answered)
    head = {"model_name": about.name, "model_version": shared.version_of(about), **identity}
    made = [_output(name, binary, count, probabilities, about) for name, binary, count in wanted]
    text = shared.json_bytes({**head, "outputs": [output for output, _ in made]})
    if not any(binary for _, binary, _ in wanted):
        return Response(text, media_type=JSON)
    body = b"".join([text, *(content for _, content in made)])
    return Response(body, media_type=BINARY_TYPE, headers={HEAD_LENGTH: str(len(text))})


def _output(name: str, binary: bool, count: int, probabilities: Probabilities, about: About) -> tuple[dict[str, Any], bytes]:
    """One output's JSON, and its binary data, empty where the data is in the JSON."""
    if name == PROBABILITIES and not count:
        described = _tensor(name, "FP32", probabilities.shape)
        if not binary:
            return {**described, "data": probabilities.ravel().tolist()}, b""
        content = probabilities.astype(FP32, copy=False).tobytes()
        return {**described, "parameters": {"binary_data_size": len(content)}}, content
    texts, shape = _labels(name, count, probabilities, about)
    described = _tensor(name, "BYTES", shape)
    if not binary:
        return {**described, "data": texts}, b""
    content = join_strings(texts)
    return {**described, "parameters": {"binary_data_size": len(content)}}, content


def _labels(name: str, count: int, probabilities: Probabilities, about: About) -> tuple[list[str], list[int]]:
    """The first class of each picture; or, of ``probabilities``, ``count`` times ``value:index:label`` each."""
    if name == LABEL:
        return [about.classes[index] for index in probabilities.argmax(axis=1)], [len(probabilities)]
    count = min(count, len(about.classes))
    ranked = [(row, index) for row in probabilities for index in shared.best(row, count)]
    return [f"{row[index]:.6f}:{index}:{about.classes[index]}" for row, index in ranked], [len(probabilities), count]


_TRUTH = {"type": "boolean"}
_SERVER = object_of({"name": TEXT, "version": TEXT, "extensions": list_of(TEXT)})
_HEALTH = object_of({"live": _TRUTH, "ready": _TRUTH})
_SIDES = list_of(shared.WHOLE)
_TENSOR = object_of({"name": TEXT, "datatype": TEXT, "shape": _SIDES})
_METADATA = object_of(
    {"name": TEXT, "versions": list_of(TEXT), "platform": TEXT, "inputs": list_of(_TENSOR), "outputs": list_of(_TENSOR)}
)
_ANYTHING: dict[str, Any] = {"type": "object"}


def _given(name: str, datatype: str, sides: int, items: Mapping[str, Any]) -> dict[str, Any]:
    shape = {**_SIDES, "minItems": 1, "maxItems": sides}
    described = {"name": {"enum": [name]}, "datatype": {"enum": [datatype]}, "shape": shape, "data": list_of(items)}
    return object_of({**described, "parameters": _ANYTHING}, optional=("data", "parameters"))


_FILES, _NUMBERS = _given(IMAGE, "BYTES", 2, {"type": "string", "format": "byte"}), _given(PIXELS, "FP32", 4, {})
_OUTPUT = object_of({"name": {"enum": list(OUTPUTS)}, "parameters": _ANYTHING}, optional=("parameters",))
_REQUEST = object_of(
    {
        "id": TEXT,
        "parameters": _ANYTHING,
        "inputs": {**list_of({"oneOf": [_FILES, _NUMBERS]}), "minItems": 1, "maxItems": 1},
        "outputs": list_of(_OUTPUT),
    },
    optional=("id", "parameters", "outputs"),
)
_RESULT = object_of(
    {"name": TEXT, "datatype": TEXT, "shape": _SIDES, "parameters": _ANYTHING, "data": {"type": "array"}},
    optional=("parameters", "data"),
)
_RESPONSE = object_of(
    {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": list_of(_RESULT)},
    optional=("id",),
)
_ASKS = shared.requires({JSON: _REQUEST, BINARY_TYPE: shared.BINARY}, "A request; binary tensors follow the JSON.")


def _answers(schema: Mapping[str, Any], description: str) -> dict[int | str, Any]:
    return shared.answers(schema, description, ERROR)


def _ready(schema: Mapping[str, Any]) -> dict[int | str, Any]:
    state = {"description": "Not ready yet, or not any more.", "content": {JSON: {"schema": schema}}}
    return {**_answers(schema, "Ready."), 503: state}


def _infers() -> dict[int | str, Any]:
    described = _answers(_RESPONSE, "The outputs; those asked for as binary data follow the JSON.")
    described[200]["content"][BINARY_TYPE] = {"schema": shared.BINARY}
    return described
