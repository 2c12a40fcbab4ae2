"""Five dialects over one desk: the same numbers for the same picture, and those of ``eyebright predict``; one healthy ping."""

import base64

import numpy as np
import pytest
import skimage.data
from pictures import jpeg

import eyebright
from eyebright.serving.desk import Desk
from eyebright.serving.dialects import containers, inference_v2, ours, tensorflow, torchserve
from eyebright.serving.problems import DIALECTS
from eyebright.serving.shelf import open_shelf

from .desks import CLASSES, asking, write_bundle

MOST = len(CLASSES)
CAT = jpeg(skimage.data.chelsea(), quality=90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("dialects") / "animals")


@pytest.fixture(scope="module")
def client(folder):
    with asking(Desk(open_shelf([str(folder)])), {"AIP_PREDICT_ROUTE": "/vertex"}) as client:
        yield client


def by_label(pairs):
    found = dict(pairs)
    return [found[label] for label in CLASSES]


def asked_in_ours(client, picture):
    (result,) = client.post(f"/api/predict?top_k={MOST}", files={"file": picture}).json()["results"]
    return by_label((one["label"], one["probability"]) for one in result["predictions"])


def asked_in_inference_v2(client, picture):
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(picture).decode()]}
    value = client.post("/v2/models/animals/infer", json={"inputs": [tensor], "outputs": [{"name": "probabilities"}]}).json()
    return np.round(value["outputs"][0]["data"], 6).tolist()


def asked_in_tensorflow(client, picture):
    asked = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
    return np.round(client.post("/v1/models/animals:predict", json=asked).json()["predictions"][0], 6).tolist()


def asked_in_containers(client, picture, path="/invocations"):
    asked = {"instances": [{"content": base64.b64encode(picture).decode()}]}
    (one,) = client.post(path, json=asked).json()["predictions"]
    return by_label(zip(one["displayNames"], one["confidences"], strict=True))


def test_all_five_give_the_numbers_of_the_command(client, folder, tmp_path):
    (tmp_path / "cat.jpg").write_bytes(CAT)
    (result,) = eyebright.predict(folder, tmp_path / "cat.jpg", top_k=MOST).results
    expected = by_label((one.label, one.probability) for one in result.predictions)
    assert asked_in_ours(client, CAT) == expected
    assert asked_in_inference_v2(client, CAT) == expected
    assert asked_in_tensorflow(client, CAT) == expected
    assert asked_in_containers(client, CAT) == expected
    assert asked_in_containers(client, CAT, "/vertex") == expected
    first_five = {one.label: one.probability for one in result.predictions[:5]}
    assert client.post("/predictions/animals", content=CAT).json() == first_five


def test_a_picture_gets_the_same_answer_in_company_as_alone(client):
    alone = asked_in_ours(client, CAT)
    form = [("file", jpeg()), ("file", CAT), ("file", b"text"), ("file", CAT)]
    results = client.post(f"/api/predict?top_k={MOST}", files=form).json()["results"]
    for number in (1, 3):
        found = by_label((one["label"], one["probability"]) for one in results[number]["predictions"])
        np.testing.assert_allclose(found, alone, atol=2e-6)
    assert results[2]["error"]


def test_every_dialect_knows_the_same_version(client):
    sha256 = client.get("/api/models/animals").json()["sha256"]
    (version,) = client.get("/v2/models/animals").json()["versions"]
    number = client.get("/v1/models/animals").json()["model_version_status"][0]["version"]
    assert sha256.startswith(version)
    assert int(number) == int(version, 16)


def test_both_ways_of_asking_for_an_explanation_give_the_same_map(client):
    value = client.post("/api/explain?label=emu", content=CAT).json()
    form = {"data": ("cat.jpg", CAT), "target": (None, str(CLASSES.index("emu")))}
    (rows,) = client.post("/explanations/animals", files=form).json()
    assert value["label"] == "emu"
    assert (len(rows), len(rows[0])) == (value["rows"], value["columns"])
    assert [number for row in rows for number in row] == value["values"]
    assert max(map(abs, value["values"])) <= 1


def test_ping_is_what_torchserve_and_sagemaker_expect(client):
    response = client.get("/ping")
    assert (response.status_code, response.json()) == (200, {"status": "Healthy"})


def test_the_dialects_are_those_that_refusals_are_worded_for():
    assert {one.DIALECT for one in (ours, inference_v2, tensorflow, torchserve, containers)} < set(DIALECTS)


def test_a_reload_keeps_the_numbers(client):
    before = asked_in_ours(client, CAT)
    assert client.post("/api/models/animals/reload").status_code == 200
    assert asked_in_ours(client, CAT) == before
