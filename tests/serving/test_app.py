"""The application as a whole: what it describes is what it serves, and nothing of it comes from elsewhere."""

import json

import pytest

from eyebright.serving.options import Options

from .server import QUICK, EmptyDesk, running

TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def server():
    with running(EmptyDesk(names=("cats", "dogs"))) as running_server:
        yield running_server


def description(server, **headers):
    return json.loads(server.request("GET", "/openapi.json", **headers)[2])


def test_the_description_names_every_dialect_and_a_shape_for_each_answer(server):
    found = description(server)
    paths = found["paths"]
    for path in ("/api/predict", "/api/explain", "/api/models", "/api/models/{name}", "/api/models/{name}/reload"):
        assert path in paths
    for path in ("/v2/models/{name}/infer", "/predictions/{name}", "/invocations", "/ping", "/health/live", "/metrics"):
        assert path in paths
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["responses"], (path, method)
            assert "HTTPValidationError" not in json.dumps(operation), (path, method)
    assert "security" not in found


def test_where_a_token_is_asked_for_the_description_says_so():
    with running(options=Options(deadlines=QUICK, token=TOKEN)) as server:
        found = description(server, authorization=f"Bearer {TOKEN}")
    assert found["security"] == [{"token": []}]
    assert found["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}


def test_pages_that_would_load_from_another_origin_are_off(server):
    for path in ("/docs", "/redoc"):
        assert server.request("GET", path)[0] == 404


def test_no_address_redirects_to_the_host_that_a_client_named(server):
    for path in ("/api/models/", "/v2/", "/api/predict/", "//evil.example/", "/page"):
        status, headers, _ = server.request("GET", path)
        assert status == 404
        assert "location" not in headers


def test_health_says_when_the_desk_is_not_ready():
    desk = EmptyDesk()
    with running(desk) as server:
        assert server.request("GET", "/health/ready")[0] == 200
        desk.ready = False
        assert server.request("GET", "/health/ready")[::2] == (503, b'{"status":"starting"}')
        assert server.request("GET", "/health/live")[0] == 200


def test_the_route_that_vertex_ai_names_for_health_is_open_to_it():
    environment = {"AIP_HEALTH_ROUTE": "/alive", "AIP_PREDICT_ROUTE": "/guess"}
    options = Options(deadlines=QUICK, token=TOKEN, open_paths=("/alive",))
    with running(options=options, environment=environment) as server:
        assert server.request("GET", "/alive")[0] == 200
        assert server.request("POST", "/guess", b"{}")[0] == 401


def test_the_applications_own_lifespan_starts_the_desk_and_drains_it():
    from starlette.testclient import TestClient

    from eyebright.serving.app import make_app

    desk = EmptyDesk()
    desk.ready = False
    with TestClient(make_app(desk), "http://localhost") as client:
        assert client.get("/health/ready").status_code == 200
    assert not desk.ready
