"""TorchServe's interface: ping, predictions and explanations, as curl sends them."""

import numpy as np
import pytest
from pictures import jpeg, png

from .desks import CLASSES, PlainDesk, asking, write_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("torchserve") / "animals")


@pytest.fixture
def desk(folder):
    return PlainDesk(folder)


@pytest.fixture
def client(desk):
    with asking(desk) as client:
        yield client


def error(response, status, kind):
    value = response.json()
    assert (response.status_code, value["code"], value["type"]) == (status, status, kind), response.text
    return value["message"]


def test_ping_is_healthy_while_the_desk_is_ready(client, desk):
    assert (client.get("/ping").status_code, client.get("/ping").json()) == (200, {"status": "Healthy"})
    desk.ready = False
    assert (client.get("/ping").status_code, client.get("/ping").json()) == (503, {"status": "Unhealthy"})


def test_five_labels_come_with_their_probabilities_most_probable_first(client):
    value = client.post("/predictions/animals", content=jpeg()).json()
    (result,) = client.post("/api/predict", content=jpeg()).json()["results"]
    assert list(value.items()) == [(one["label"], one["probability"]) for one in result["predictions"]]
    assert len(value) == 5


def test_curl_may_upload_the_file_or_send_a_form(client):
    expected = client.post("/predictions/animals", content=jpeg()).json()
    assert client.put("/predictions/animals", content=jpeg()).json() == expected  # curl -T
    assert client.post("/predictions/animals", files={"data": ("cat.jpg", jpeg())}).json() == expected  # curl -F data=@
    assert client.post("/predictions/animals", files={"body": jpeg()}).json() == expected


def test_a_version_may_be_named(client, desk):
    version = desk.about(None).sha256[:12]
    assert client.post(f"/predictions/animals/{version}", content=jpeg()).status_code == 200
    assert "1.0" in error(client.post("/predictions/animals/1.0", content=jpeg()), 404, "ModelNotFoundException")


def test_an_explanation_is_one_channel_of_rows_of_numbers(client):
    value = client.post("/explanations/animals", content=png()).json()
    np.testing.assert_allclose(value, np.linspace(-1, 1, 6).reshape(1, 2, 3), atol=5e-5)


def test_an_explanation_may_name_its_class_by_number(client, desk, monkeypatch):
    asked = []
    explain = desk.explain

    async def noted(name, picture, label):
        asked.append(label)
        return await explain(name, picture, label)

    monkeypatch.setattr(desk, "explain", noted)
    for target, label in (("4", CLASSES[4]), ("", None)):
        assert client.post("/explanations/animals", files={"data": png()}, data={"target": target}).status_code == 200
        assert asked.pop() == label
    for target in ("7", "-1", "emu", "٣"):
        response = client.post("/explanations/animals", files={"data": png()}, data={"target": target})
        assert "from 0 to 6" in error(response, 400, "BadRequestException")


def test_what_is_wrong_is_said_in_torchserves_shape(client):
    assert "cannot be read" in error(client.post("/predictions/animals", content=b"text"), 400, "BadRequestException")
    assert "animals" in error(client.post("/predictions/animal", content=jpeg()), 404, "ModelNotFoundException")
    assert "is empty" in error(client.post("/predictions/animals"), 400, "BadRequestException")
    assert "one field 'data'" in error(client.post("/predictions/animals", files={"image": jpeg()}), 400, "BadRequestException")
    both = [("data", jpeg()), ("data", jpeg())]
    assert "'data, data'" in error(client.post("/predictions/animals", files=both), 400, "BadRequestException")
    assert client.post("/predictions/animals", json={"data": ""}).status_code == 415
