"""The contracts of SageMaker and Vertex AI: one model, a picture or instances, predictions with their labels."""

import base64
import json

import pytest
from fastapi import FastAPI
from pictures import jpeg, noise, png

from eyebright.core.errors import SettingsError
from eyebright.serving.dialects import containers

from .desks import CLASSES, PlainDesk, asking, write_bundle

VERTEX = {
    "AIP_HTTP_PORT": "8080",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/12/deployedModels/34",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/12/deployedModels/34:predict",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return PlainDesk(write_bundle(tmp_path_factory.mktemp("containers") / "animals"), ("animals", "others"))


@pytest.fixture(scope="module")
def client(desk):
    with asking(desk, VERTEX) as client:
        yield client


def instances(*contents, key="content"):
    return {"instances": [{key: base64.b64encode(content).decode()} for content in contents]}


def predictions(response):
    assert (response.status_code, list(response.json())) == (200, ["predictions"]), response.text
    return response.json()["predictions"]


@pytest.fixture(scope="module")
def expected(client):
    (result,) = client.post("/api/predict?top_k=1000", content=jpeg()).json()["results"]
    return [(one["label"], one["probability"]) for one in result["predictions"]]


def test_sagemaker_asks_with_a_picture_and_learns_labels(client, expected):
    for declared in ("image/jpeg", "application/x-image", "application/octet-stream"):
        (one,) = predictions(client.post("/invocations", content=jpeg(), headers={"content-type": declared}))
        assert list(zip(one["displayNames"], one["confidences"], strict=True)) == expected
        assert [CLASSES[int(number)] for number in one["ids"]] == one["displayNames"]


def test_sagemaker_and_vertex_ask_with_instances(client, expected):
    for path in ("/invocations", VERTEX["AIP_PREDICT_ROUTE"]):
        for key in ("content", "b64"):
            found = predictions(client.post(path, json=instances(jpeg(), png(noise(30, 20, 1)), key=key)))
            assert len(found) == 2
            assert list(zip(found[0]["displayNames"], found[0]["confidences"], strict=True)) == expected


def test_parameters_limit_what_is_named(client, expected):
    def named(**parameters):
        (one,) = predictions(client.post("/invocations", json={**instances(jpeg()), "parameters": parameters}))
        return list(zip(one["displayNames"], one["confidences"], strict=True))

    assert named(maxPredictions=2) == expected[:2]
    assert named(maxPredictions=0) == []
    assert named(confidenceThreshold=expected[1][1] + 1e-6) == expected[:1]
    assert named(maxPredictions=1e9) == expected


def test_sagemaker_gets_json_lines_where_it_accepts_those_alone(client):
    two = instances(jpeg(), png())
    lines = client.post("/invocations", json=two, headers={"accept": "application/jsonlines"})
    assert lines.headers["content-type"] == "application/jsonlines"
    whole = predictions(client.post("/invocations", json=two, headers={"accept": "application/jsonlines;q=0.5, */*"}))
    assert [json.loads(line) for line in lines.text.splitlines()] == whole
    refused = client.post("/invocations", json=two, headers={"accept": "text/csv"})
    assert (refused.status_code, "'text/csv'" in refused.json()["detail"]) == (406, True)


def test_vertex_asks_for_health_where_it_said_it_would(client, desk):
    assert client.get(VERTEX["AIP_HEALTH_ROUTE"]).status_code == 200
    desk.ready = False
    try:
        assert client.get(VERTEX["AIP_HEALTH_ROUTE"]).status_code == 503
    finally:
        desk.ready = True


def test_without_vertex_there_are_no_routes_of_it(desk):
    with asking(desk) as client:
        assert client.get(VERTEX["AIP_HEALTH_ROUTE"]).status_code == 404
        assert client.post("/invocations", json=instances(jpeg())).status_code == 200


def test_a_route_of_vertex_that_another_dialect_has_is_answered_as_vertex_expects(desk):
    with asking(desk, {"AIP_PREDICT_ROUTE": "/v1/models/animals:predict", "AIP_HEALTH_ROUTE": "/ping"}) as client:
        (one,) = predictions(client.post("/v1/models/animals:predict", json=instances(jpeg())))
        assert set(one) == {"ids", "displayNames", "confidences"}
        assert client.get("/ping").status_code == 200


@pytest.mark.parametrize("route", ["", "predict", "/{name}", "/a b", "/predict?x=1", "/a\n"])
def test_a_route_that_is_no_path_stops_the_server_from_starting(desk, route):
    with pytest.raises(SettingsError, match="AIP_PREDICT_ROUTE"):
        containers.router(desk, {"AIP_PREDICT_ROUTE": route})


def test_vertex_may_name_sagemakers_route(desk):
    app = FastAPI()
    app.include_router(containers.router(desk, {"AIP_PREDICT_ROUTE": "/invocations"}))
    assert list(app.openapi()["paths"]) == ["/invocations"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "'instances' is a JSON null"),
        ({"instances": []}, "'instances' is empty"),
        ({"instances": ["AQI="]}, "Instance 0 is a JSON text"),
        ({"instances": [{"content": 3}]}, "a JSON number"),
        ({"instances": [{"content": "AQI="}]}, "The picture cannot be read"),
        ({"instances": [{"gcsUri": "gs://bucket/cat.jpg"}]}, "with 'gcsUri'"),
        ({"instances": [{}] * 33}, "at most 32"),
        ({**instances(b"x"), "parameters": []}, "The picture cannot be read"),
        ({**instances(b"x"), "parameters": [1]}, "'parameters' is a JSON list"),
        ({**instances(b"x"), "parameters": {"maxPredictions": "5"}}, "'maxPredictions' is not a number"),
        ({**instances(b"x"), "parameters": {"confidenceThreshold": -1}}, "'confidenceThreshold'"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(client, asked, words):
    response = client.post("/invocations", json=asked)
    assert response.status_code == (413 if words == "at most 32" else 400)
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.json()["detail"]


def test_a_body_of_another_type_is_refused(client):
    response = client.post("/invocations", content=b"1,2", headers={"content-type": "text/csv"})
    assert (response.status_code, "'text/csv'" in response.json()["detail"]) == (415, True)
