"""What schemathesis makes of our own OpenAPI document: no answer is a failure of the server, and each is as described."""

import base64
import copy
import itertools
import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pictures import jpeg, png
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from eyebright.serving.app import make_app
from eyebright.serving.desk import Desk
from eyebright.serving.options import Options
from eyebright.serving.shelf import open_shelf

from .desks import PlainDesk, asking, write_bundle
from .server import running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
VERTEX = {"AIP_PREDICT_ROUTE": "/vertex/predict", "AIP_HEALTH_ROUTE": "/vertex/health"}
FILES = st.sampled_from([jpeg(), png(), jpeg()[:300], b"", b"\xff\xd8\xff"]) | st.binary(max_size=200)


@pytest.fixture(scope="module", autouse=True)
def drawn_files():
    """Bodies and base64 texts are pictures, broken ones and noise."""
    for declared in ("image/jpeg", "image/png", "application/x-image", "application/octet-stream"):
        schemathesis.openapi.media_type(declared, FILES)
    schemathesis.openapi.format("byte", FILES.map(lambda content: base64.b64encode(content).decode()))
    schemathesis.openapi.format("binary", FILES)


class Names:
    """As much of a desk as the OpenAPI document is made of."""

    names, ready = ("animals",), True


PATHS = make_app(Names(), environment=VERTEX).openapi()["paths"]
OPERATIONS = [(method.upper(), path) for path, methods in PATHS.items() for method in methods]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("fuzz") / "animals")


@pytest.fixture(scope="module")
def client(folder):
    with asking(PlainDesk(folder)) as client:
        yield client


@pytest.fixture(scope="module")
def document(folder):
    app = make_app(PlainDesk(folder), Options(hosts=("*",)), environment=VERTEX)
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.fixture(scope="module")
def live_document(folder):
    """The same of a server on a port, with its queue and its threads."""
    with running(Desk(open_shelf([str(folder)])), environment=VERTEX) as server:
        yield schemathesis.openapi.from_url("http://{}:{}/openapi.json".format(*server.address))


def judged(operation, mode, count):
    """The statuses of ``count`` requests, drawn by the document or (negative) against it; each answer is judged."""
    statuses = []

    @seed(6)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def drawn(case):
        response = case.call()
        statuses.append(response.status_code)
        case.validate_response(response, checks=CHECKS)

    drawn()
    return statuses


def modes(operation):
    """Only what has a body or a parameter can be drawn against its description."""
    takes = operation.body or operation.query or operation.path_parameters
    return (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes else (GenerationMode.POSITIVE,)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_drawn_request_is_answered_as_described(document, method, path):
    operation = document[path][method]
    statuses = [status for mode in modes(operation) for status in judged(operation, mode, 8)]
    assert statuses


def test_drawn_requests_reach_right_answers_too(document):
    for path in ("/api/predict", "/invocations", "/predictions/{name}"):
        assert 200 in judged(document[path]["POST"], GenerationMode.POSITIVE, 30), path


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["image", "b64", "pixels"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
TEXT = base64.b64encode(jpeg()).decode()
PICTURE = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "base64"}, "data": [TEXT]}
PIXELS = {"name": "pixels", "shape": [1, 3, 10, 12], "datatype": "FP32", "parameters": {}, "data": [0.5] * 360}
OUTPUT = {"name": "probabilities", "parameters": {"binary_data": True, "classification": 2}}
RIGHT = [
    ("/v2/models/animals/infer", {"id": "1", "parameters": {}, "inputs": [PICTURE], "outputs": [OUTPUT]}),
    ("/v2/models/animals/infer", {"inputs": [PIXELS]}),
    ("/v1/models/animals:predict", {"signature_name": "serving_default", "instances": [{"b64": TEXT}]}),
    ("/v1/models/animals:predict", {"instances": [{"pixels": [[[0.5] * 3] * 12] * 10}]}),
    ("/v1/models/animals:predict", {"inputs": {"image_bytes": [{"b64": TEXT}]}}),
    ("/invocations", {"instances": [{"content": TEXT}], "parameters": {"maxPredictions": 3, "confidenceThreshold": 0.1}}),
]


def places(value, path=()):
    """Every place in a JSON value, by its keys."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in itertools.islice(inside, 4):
        yield from places(one, (*path, key))


def put(value, path, other):
    """``value`` with ``other`` at a place."""
    if not path:
        return other
    changed = copy.copy(value)
    changed[path[0]] = put(value[path[0]], path[1:], other)
    return changed


@pytest.mark.parametrize(("path", "right"), RIGHT)
def test_any_json_in_any_place_is_answered_or_refused_but_no_failure(client, path, right):
    assert client.post(path, json=right).status_code == 200

    @settings(max_examples=60, deadline=None, database=None)
    @given(place=st.sampled_from(list(places(right))), other=ANY)
    def changed(place, other):
        response = client.post(path, content=json.dumps(put(right, place, other)))
        assert response.status_code in (200, 400, 413, 422), response.text
        assert response.status_code == 200 or len(response.json().get("error") or response.json()["detail"]) > 20

    changed()


@pytest.mark.parametrize("deep", [60, 500, 900])
@pytest.mark.parametrize(("path", "right"), RIGHT)
def test_lists_in_lists_in_any_place_are_refused_but_no_failure(client, path, right, deep):
    for place in places(right):
        text = json.dumps(put(right, place, "HERE")).replace('"HERE"', "[" * deep + "]" * deep)
        assert client.post(path, content=text).status_code in (200, 400, 413, 422), (place, deep)


def binary_requests():
    """Path, headers and body of a picture as a binary tensor, and in forms."""
    packed = len(jpeg()).to_bytes(4, "little") + jpeg()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(packed)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    yield "/v2/models/animals/infer", {"inference-header-content-length": str(len(head))}, head + packed
    form = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + jpeg() + b"\r\n--XX--\r\n"
    for path in ("/api/predict", "/predictions/animals"):
        named = form.replace(b'"file"', b'"data"') if path.startswith("/pred") else form
        yield path, {"content-type": "multipart/form-data; boundary=XX"}, named


@pytest.mark.parametrize(("path", "headers", "body"), list(binary_requests()))
def test_a_bent_or_broken_body_is_answered_or_refused_but_no_failure(client, path, headers, body):
    assert client.post(path, content=body, headers=headers).status_code == 200

    @settings(max_examples=60, deadline=None, database=None)
    @given(
        flips=st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(1, 255)), max_size=4),
        cut=st.integers(0, len(body)) | st.just(len(body)),
    )
    def bent(flips, cut):
        changed = bytearray(body)
        for place, flip in flips:
            changed[place] ^= flip
        response = client.post(path, content=bytes(changed[:cut]), headers=headers)
        assert response.status_code in (200, 400, 413, 422), response.text

    bent()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_many_drawn_requests_to_a_server_are_answered_as_described(live_document, method, path):
    operation = live_document[path][method]
    for mode in modes(operation):
        assert judged(operation, mode, 100)
