"""The Open Inference Protocol: Triton's own client over a real connection, the forms of input and output, what is refused."""

import base64
import json

import numpy as np
import pytest
import tritonclient.http as triton
from pictures import jpeg, noise, png
from tritonclient.utils import InferenceServerException

from eyebright.serving.dialects.inference_inputs import HEAD_LENGTH

from .desks import CLASSES, HEIGHT, WIDTH, PlainDesk, asking, write_bundle
from .server import running

INFER = "/v2/models/animals/infer"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return PlainDesk(write_bundle(tmp_path_factory.mktemp("v2") / "animals"))


@pytest.fixture(scope="module")
def client(desk):
    with asking(desk) as client:
        yield client


@pytest.fixture(scope="module")
def tritons(desk):
    """Triton's client, asking a server on a port of its own."""
    with running(desk) as server, triton.InferenceServerClient("{}:{}".format(*server.address)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(client):
    """The probabilities of two pictures, [2, classes], as our own dialect rounds them."""
    return np.stack([by_class(client, content) for content in (jpeg(), png(noise(30, 20, 1)))])


def by_class(client, content):
    (result,) = client.post("/api/predict?top_k=1000", content=content).json()["results"]
    found = {one["label"]: one["probability"] for one in result["predictions"]}
    return np.array([found[label] for label in CLASSES])


def images(*contents):
    tensor = triton.InferInput("image", [len(contents)], "BYTES")
    return tensor.set_data_from_numpy(np.array(contents, dtype=np.object_))


def in_json(*contents, **changes):
    data = [base64.b64encode(content).decode() for content in contents]
    tensor = {"name": "image", "shape": [len(contents)], "datatype": "BYTES", "data": data, **changes}
    return {"inputs": [tensor]}


def outputs(response):
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def error(response, status=400):
    assert (response.status_code, list(response.json())) == (status, ["error"]), response.text
    return response.json()["error"]


def test_tritons_client_finds_a_live_server_with_a_described_model(tritons, desk):
    assert tritons.is_server_live()
    assert tritons.is_server_ready()
    assert tritons.is_model_ready("animals")
    version = desk.about(None).sha256[:12]
    assert tritons.is_model_ready("animals", version)
    assert tritons.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
    metadata = tritons.get_model_metadata("animals", version)
    assert (metadata["name"], metadata["versions"], metadata["platform"]) == ("animals", [version], "eyebright_onnx")
    assert {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"] + metadata["outputs"]} == {
        "image": ("BYTES", [-1]),
        "pixels": ("FP32", [-1, 3, HEIGHT, WIDTH]),
        "probabilities": ("FP32", [-1, len(CLASSES)]),
        "label": ("BYTES", [-1]),
    }


def test_tritons_client_asks_with_binary_pictures_and_gets_binary_tensors(tritons, expected):
    result = tritons.infer("animals", [images(jpeg(), png(noise(30, 20, 1)))], request_id="42")
    probabilities = result.as_numpy("probabilities")
    assert (probabilities.shape, probabilities.dtype) == ((2, len(CLASSES)), np.float32)
    np.testing.assert_allclose(probabilities, expected, atol=5.1e-7)  # half of the sixth decimal
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert [label.decode() for label in result.as_numpy("label")] == [CLASSES[index] for index in expected.argmax(axis=1)]
    assert result.get_response()["id"] == "42"


def test_tritons_client_gets_what_it_asks_for_as_it_asks_for_it(tritons, expected):
    wanted = [triton.InferRequestedOutput("label", binary_data=False), triton.InferRequestedOutput("probabilities")]
    result = tritons.infer("animals", [images(jpeg())], outputs=wanted)
    assert result.as_numpy("label").tolist() == [CLASSES[expected[0].argmax()]]
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected[:1], atol=5.1e-7)
    only = tritons.infer("animals", [images(jpeg())], outputs=[triton.InferRequestedOutput("label", binary_data=True)])
    assert only.as_numpy("probabilities") is None
    assert only.as_numpy("label").tolist() == [CLASSES[expected[0].argmax()].encode()]


def test_tritons_classification_names_the_best_classes(tritons, expected):
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
        found = tritons.infer("animals", [images(jpeg(), png(noise(30, 20, 1)))], outputs=wanted).as_numpy("probabilities")
        assert found.shape == (2, 2)
        texts = [text.decode() if isinstance(text, bytes) else text for text in found[:, 0]]
        best = expected.argmax(axis=1)
        assert texts == [f"{row[index]:.6f}:{index}:{CLASSES[index]}" for row, index in zip(expected, best, strict=True)]


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_asks_with_pixels(tritons, desk, binary):
    pixels = np.random.default_rng(0).random((2, 3, HEIGHT, WIDTH), dtype=np.float32)
    tensor = triton.InferInput("pixels", list(pixels.shape), "FP32").set_data_from_numpy(pixels, binary_data=binary)
    found = tritons.infer("animals", [tensor]).as_numpy("probabilities")
    bundle, predictor = desk._bundle, desk._predictor
    np.testing.assert_array_equal(found, bundle.decision().probabilities(predictor(pixels).logits))


def test_tritons_client_is_told_what_is_wrong(tritons):
    with pytest.raises(InferenceServerException, match="Did you mean animals") as caught:
        tritons.infer("animal", [images(jpeg())])
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="The picture cannot be read"):
        tritons.infer("animals", [images(b"text")])
    with pytest.raises(InferenceServerException, match="Picture 1 of 2, counted from 0, cannot be read"):
        tritons.infer("animals", [images(jpeg(), b"text")])
    with pytest.raises(InferenceServerException, match="no version 'v9'"):
        tritons.infer("animals", [images(jpeg())], model_version="v9")
    with pytest.raises(InferenceServerException, match="Send it without a content-encoding"):
        tritons.infer("animals", [images(jpeg())], request_compression_algorithm="gzip")


def test_a_picture_in_json_is_base64_and_the_answer_json(client, expected):
    for changes in ({}, {"shape": [2, 1]}, {"parameters": {"content_type": "base64"}}):
        asked = {**in_json(jpeg(), png(noise(30, 20, 1)), **changes), "id": "\ud800"}
        response = client.post(INFER, content=json.dumps(asked))
        found = outputs(response)
        assert list(found) == ["probabilities", "label"]
        assert (found["probabilities"]["datatype"], found["probabilities"]["shape"]) == ("FP32", [2, len(CLASSES)])
        np.testing.assert_allclose(found["probabilities"]["data"], expected.ravel(), atol=5.1e-7)
        assert found["label"]["data"] == [CLASSES[index] for index in expected.argmax(axis=1)]
        assert response.json()["id"] == "\ud800"
        assert HEAD_LENGTH not in response.headers


def test_the_numbers_in_json_are_every_bit_of_the_binary_ones(client):
    asked = in_json(jpeg())
    in_text = np.array(outputs(client.post(INFER, json=asked))["probabilities"]["data"], dtype=np.float32)
    response = client.post(INFER, json={**asked, "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]})
    head = int(response.headers[HEAD_LENGTH])
    assert json.loads(response.content[:head])["outputs"][0]["parameters"] == {"binary_data_size": 4 * len(CLASSES)}
    np.testing.assert_array_equal(np.frombuffer(response.content[head:], "<f4"), in_text)


def test_pixels_in_json_may_be_flat_or_nested(client):
    pixels = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), dtype=np.float32)
    asked = [
        {"inputs": [{"name": "pixels", "shape": [1, 3, HEIGHT, WIDTH], "datatype": "FP32", "data": data}]}
        for data in (pixels.ravel().tolist(), pixels.tolist())
    ]
    flat, nested = (outputs(client.post(INFER, json=one))["probabilities"]["data"] for one in asked)
    assert flat == nested


def test_health_answers_with_both_keys_and_says_when_it_is_not_ready(tmp_path):
    desk = PlainDesk(write_bundle(tmp_path / "animals"))
    with asking(desk) as client:
        assert client.get("/v2/health/live").json() == {"live": True, "ready": True}
        assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
        desk.ready = False
        assert client.get("/v2/health/live").status_code == 200
        for path in ("/v2/health/ready", "/v2/models/animals/ready"):
            assert (client.get(path).status_code, client.get(path).json()["ready"]) == (503, False)


def test_a_version_that_was_replaced_while_it_was_asked_is_not_answered_by_the_next(tmp_path):
    desk = PlainDesk(write_bundle(tmp_path / "animals"))
    other = PlainDesk(write_bundle(tmp_path / "next", temperature=3.0))
    desk.classify = other.classify  # as if the model had been loaded again after the path was read
    version = desk.about(None).sha256[:12]
    with asking(desk) as client:
        assert "no version" in error(client.post(f"/v2/models/animals/versions/{version}/infer", json=in_json(jpeg())), 404)
        assert client.post(INFER, json=in_json(jpeg())).json()["model_version"] == other.about(None).sha256[:12]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "'inputs' is null"),
        ({"inputs": []}, "0 of them"),
        ({"inputs": [1]}, "1 of them"),
        ({"inputs": [{"name": "images"}]}, "Did you mean image?"),
        ({"inputs": [{"name": None}]}, "Unknown input"),
        (in_json(b"x", datatype="FP32"), "'FP32'; BYTES was expected"),
        (in_json(b"x", shape=[2]), "1 elements; its shape [2] says 2"),
        (in_json(b"x", shape=[2**31 - 1]), "at most 32"),
        (in_json(b"x", shape=[0]), "[n] was expected"),
        (in_json(b"x", shape="1"), "list of 1 to 8 whole numbers"),
        (in_json(b"x", data="eA=="), "a list was expected"),
        (in_json(b"x", data=["%"]), "is not base64"),
        (in_json(b"x", data=[None]), "a JSON null"),
        (in_json(b"x", parameters={"content_type": "pil"}), "'base64' was expected"),
        (in_json(b"x", parameters=[]), "'parameters' is a JSON list"),
        (in_json(b"x", parameters={"binary_data_size": 3}), "either 'data' or"),
        ({**in_json(b"x"), "id": 3}, "'id' is a JSON number"),
        ({**in_json(b"x"), "outputs": [{"name": "logits"}]}, "Unknown output 'logits'"),
        ({**in_json(b"x"), "outputs": [{"name": "label"}] * 2}, "asked for twice"),
        ({**in_json(b"x"), "outputs": [{"name": "label"}] * 999}, "each output at most once"),
        ({**in_json(b"x"), "outputs": {}}, "a list of objects"),
        ({**in_json(b"x"), "outputs": [{"name": "label", "parameters": {"classification": 1}}]}, "'classification'"),
        ({**in_json(b"x"), "outputs": [{"name": "label", "parameters": {"shared_memory_region": "a"}}]}, "shared memory"),
        ({"inputs": [{"name": "pixels", "shape": [1, 3, 10, 12], "datatype": "FP32", "data": [1.0]}]}, "has 360"),
        ({"inputs": [{"name": "pixels", "shape": [1], "datatype": "FP32", "data": [1.0]}]}, "takes [n, 3, 10, 12]"),
        ({"inputs": [{"name": "pixels", "shape": [1, 3, 10, 12], "datatype": "FP32", "data": ["a"]}]}, "numbers in"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(client, asked, words):
    response = client.post(INFER, json=asked)
    assert words in error(response, 413 if words == "at most 32" else 400)


@pytest.mark.parametrize("shape", [[2**31 - 1, 2**31 - 1, 2**31 - 1, 0], [0, 2**31 - 1, 2**31 - 1, 2**31 - 1], [2**31 - 1] * 8])
@pytest.mark.parametrize("binary", [True, False])
def test_a_shape_that_no_array_could_have_is_refused_though_it_says_it_holds_nothing(client, shape, binary):
    held = {"parameters": {"binary_data_size": 0}} if binary else {"data": []}
    asked = json.dumps({"inputs": [{"name": "pixels", "shape": shape, "datatype": "FP32", **held}]}).encode()
    headers = {HEAD_LENGTH: str(len(asked))} if binary else {}
    assert "takes [n, 3, 10, 12]" in error(client.post(INFER, content=asked, headers=headers))


def test_pixels_beyond_their_range_are_refused(client):
    pixels = np.full((1, 3, HEIGHT, WIDTH), 255.0)
    asked = {"inputs": [{"name": "pixels", "shape": list(pixels.shape), "datatype": "FP32", "data": pixels.ravel().tolist()}]}
    assert "[0, 1]" in error(client.post(INFER, json=asked), 422)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        ("x", "the length of the JSON was expected"),
        ("-1", "was expected"),
        ("9999999", "was expected"),
        ("0", "is not JSON"),
        ("5", ""),
    ],
)
def test_a_wrong_length_of_the_json_is_refused(client, length, words):
    body = json.dumps(in_json(b"x")).encode()
    assert words in error(client.post(INFER, content=body, headers={HEAD_LENGTH: length}))


@pytest.mark.parametrize(
    ("size", "tail"), [(4, b""), (5, b"abcd"), (4.0, b"abcd"), (None, b"abcd"), (True, b"a"), (2, b"\x01\x02")]
)
def test_binary_data_that_is_not_as_it_says_is_refused(client, size, tail):
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    error(client.post(INFER, content=head + tail, headers={HEAD_LENGTH: str(len(head))}))
