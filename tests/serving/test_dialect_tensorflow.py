"""TensorFlow Serving's REST interface: rows and columns, pictures and pixels, status and metadata, what is refused."""

import base64

import numpy as np
import pytest
from pictures import jpeg, noise, png

from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels

from .desks import CLASSES, HEIGHT, WIDTH, PlainDesk, asking, write_bundle

PREDICT = "/v1/models/animals:predict"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return PlainDesk(write_bundle(tmp_path_factory.mktemp("tf") / "animals"))


@pytest.fixture(scope="module")
def client(desk):
    with asking(desk) as client:
        yield client


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def said(response, key="predictions"):
    assert (response.status_code, list(response.json())) == (200, [key]), response.text
    return np.array(response.json()[key])


def error(response, status=400):
    assert (response.status_code, list(response.json())) == (status, ["error"]), response.text
    return response.json()["error"]


def test_pictures_in_rows_and_in_columns_are_answered_alike(client):
    one, two = b64(jpeg()), b64(png(noise(30, 20, 1)))
    found = said(client.post(PREDICT, json={"instances": [one, two]}))
    assert found.shape == (2, len(CLASSES))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    named = said(client.post(PREDICT, json={"instances": [{"image_bytes": one}, {"image_bytes": two}]}))
    columns = said(client.post(PREDICT, json={"inputs": [one, two]}), "outputs")
    named_columns = said(client.post(PREDICT, json={"inputs": {"image_bytes": [one, two]}}), "outputs")
    scalar = said(client.post(PREDICT, json={"inputs": {"image_bytes": one}}), "outputs")
    for other in (named, columns, named_columns):
        np.testing.assert_array_equal(other, found)
    np.testing.assert_array_equal(scalar, found[:1])


def test_pixels_are_channels_last_and_give_what_their_picture_gives(client, desk):
    picture = png(noise(30, 20, 1))
    pixels = to_pixels(prepare(decode(picture).image, desk._bundle.manifest.preprocess)[None])
    rows = pixels.transpose(0, 2, 3, 1).tolist()  # n 3 h w -> n h w 3
    expected = said(client.post(PREDICT, json={"instances": [b64(picture)]}))
    for asked, key in (
        ({"instances": rows}, "predictions"),
        ({"instances": [{"pixels": rows[0]}], "signature_name": "pixels"}, "predictions"),
        ({"inputs": rows}, "outputs"),
        ({"inputs": {"pixels": rows}}, "outputs"),
    ):
        np.testing.assert_array_equal(said(client.post(PREDICT, json=asked), key), expected)


def test_a_request_may_name_signature_and_version(client, desk):
    version = str(int(desk.about(None).sha256[:12], 16))
    path = f"/v1/models/animals/versions/{version}"
    asked = {"signature_name": "serving_default", "instances": [b64(jpeg())]}
    assert said(client.post(f"{path}:predict", json=asked)).shape == (1, len(CLASSES))
    (status,) = client.get(path).json()["model_version_status"]
    assert status == {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert client.get("/v1/models/animals").json() == client.get(path).json()
    assert "its one version is" in error(client.get("/v1/models/animals/versions/1"), 404)
    assert int(version) < 2**53  # also as a number in JSON it is exact


def test_the_metadata_describe_both_signatures(client):
    value = client.get("/v1/models/animals/metadata").json()
    assert value["model_spec"]["name"] == "animals"
    signatures = value["metadata"]["signature_def"]["signature_def"]

    def tensor(side, signature):
        ((name, info),) = signatures[signature][side].items()
        return name, info["dtype"], [int(dim["size"]) for dim in info["tensor_shape"]["dim"]]

    assert tensor("inputs", "serving_default") == ("image_bytes", "DT_STRING", [-1])
    assert tensor("inputs", "pixels") == ("pixels", "DT_FLOAT", [-1, HEIGHT, WIDTH, 3])
    for signature in signatures:
        assert tensor("outputs", signature) == ("probabilities", "DT_FLOAT", [-1, len(CLASSES)])


def test_a_server_that_stops_says_so(tmp_path):
    desk = PlainDesk(write_bundle(tmp_path / "animals"))
    with asking(desk) as client:
        desk.ready = False
        assert client.get("/v1/models/animals").json()["model_version_status"][0]["state"] == "UNLOADING"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "either 'instances' (in rows) or"),
        ({"instances": [], "inputs": []}, "has both"),
        ({"instances": []}, "'instances' is empty"),
        ({"instances": {}}, "a JSON object"),
        ({"instances": [b64(b"x"), 3]}, "Picture 1 of 'instances' is a JSON number"),
        ({"instances": [{"b64": "%"}]}, "is not base64"),
        ({"instances": [{"b64": "eA=="}]}, "The picture cannot be read"),
        ({"instances": [{"url": "http://example.org/cat.jpg"}]}, "with 'url'"),
        ({"instances": [1.0, 2.0]}, "a JSON number"),
        ({"instances": [b64(b"x")] * 33}, "at most 32"),
        ({"instances": [[[[0.0, 0.0, 0.0]]]]}, "takes [n, 10, 12, 3]"),
        ({"instances": [[1.0], 2.0]}, "numbers in lists of equal lengths"),
        ({"instances": [{"pixels": [1.0]}, 3]}, "numbers in lists of equal lengths"),
        ({"inputs": {}}, "holds 0 inputs"),
        ({"inputs": {"image": []}}, "Did you mean image_bytes?"),
        ({"inputs": []}, "holds no picture"),
        ({"inputs": {"image_bytes": []}}, "holds no picture"),
        ({"inputs": 3}, "a JSON number"),
        ({"instances": [b64(b"x")], "signature_name": "classify"}, "Unknown signature"),
        ({"instances": [b64(b"x")], "signature_name": {}}, "Unknown signature"),
        ({"instances": [b64(b"x")], "signature_name": ["pixels"]}, "Unknown signature"),
        ({"instances": [b64(b"x")], "signature_name": "pixels"}, "takes 'pixels'; the request holds 'image_bytes'"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(client, asked, words):
    assert words in error(client.post(PREDICT, json=asked), 413 if words == "at most 32" else 400)


def test_bytes_where_pixels_were_expected_are_told_apart_by_their_range(client):
    rows = np.full((1, HEIGHT, WIDTH, 3), 200).tolist()
    assert "[0, 1]" in error(client.post(PREDICT, json={"instances": rows}), 422)


def test_what_is_no_json_or_no_known_model_is_refused(client):
    assert "is not JSON" in error(client.post(PREDICT, content=b"{"))
    assert "JSON was expected" in error(client.post(PREDICT, files={"file": jpeg()}), 415)
    assert "Did you mean animals?" in error(client.post("/v1/models/animal:predict", json={}), 404)
    error(client.post("/v1/models/animals:classify", json={}), 405)
