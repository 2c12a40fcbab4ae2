"""Our own dialect: the JSON of ``eyebright predict``, several pictures, explanations, models, and what is refused."""

import pytest
from pictures import gif, jpeg, noise, png

import eyebright
from eyebright.verbs.predict import PredictResult

from .desks import CLASSES, HEIGHT, WIDTH, PlainDesk, asking, write_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("ours") / "animals")


@pytest.fixture
def desk(folder):
    return PlainDesk(folder, ("animals", "others"))


@pytest.fixture
def client(desk):
    with asking(desk) as client:
        yield client


def problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    value = response.json()
    assert value["status"] == status
    assert value["request_id"] == response.headers["x-request-id"]
    return value["detail"]


def files(*contents, field="file"):
    return [(field, (f"{number}.jpg", content, "image/jpeg")) for number, content in enumerate(contents)]


def test_the_answer_is_that_of_the_command_key_for_key(client, folder, tmp_path):
    names = ("one.png", "two.jpg", "three.gif", "note.png")
    contents = (png(), jpeg(noise(30, 20, 1)), gif([noise(9, 9, 2), noise(9, 9, 3)]), b"not a picture")
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    printed = eyebright.predict(folder, *(tmp_path / name for name in names), top_k=3).model_dump(by_alias=True)
    form = [("file", (name, content)) for name, content in zip(names, contents, strict=True)]
    response = client.post("/api/predict?top_k=3", files=form)
    assert response.status_code == 200
    for result in printed["results"]:
        result["key"] = result["key"].rpartition("/")[2]
    assert response.json() == printed
    assert list(response.json()) == list(printed)  # in the same order, too
    assert response.json()["results"][2]["warnings"]
    PredictResult.model_validate(response.json())


def test_a_picture_alone_is_the_body_whatever_its_declared_type(client):
    expected = client.post("/api/predict", files=files(png())).json()["results"][0]["predictions"]
    for declared in ("image/png", "image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", ""):
        response = client.post("/api/predict", content=png(), headers={"content-type": declared} if declared else {})
        (result,) = response.json()["results"]
        assert (result["key"], result["predictions"]) == ("body", expected)


def test_five_classes_are_named_or_as_many_as_asked_for(client):
    def named(query):
        return len(client.post(f"/api/predict{query}", content=png()).json()["results"][0]["predictions"])

    assert [named(query) for query in ("", "?top_k=1", "?top_k=1000")] == [5, 1, len(CLASSES)]


def test_the_model_is_the_named_one_or_the_first(client):
    assert client.post("/api/predict", content=png()).json()["model"]["name"] == "animals"
    assert client.post("/api/predict?model=others", content=png()).json()["model"]["name"] == "others"
    assert (
        problem(client.post("/api/predict?model=animal", content=png()), 404) == "Unknown model 'animal'. Did you mean animals?"
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?topk=3", "Did you mean top_k?"),
        ("?top_k=0", "'0'; a whole number from 1 to 1000"),
        ("?top_k=1e2", "whole number"),
        ("?top_k=", "whole number"),
        ("?top_k=%EF%BC%95", "whole number"),  # a full-width five
        ("?top_k=1&top_k=2", "given twice"),
        ("?model", "Unknown model ''"),
        ("?%ED%A0%80=1", "Unknown key"),
    ],
)
def test_a_key_that_is_unknown_or_wrong_is_refused_with_the_nearest(client, query, words):
    assert words in problem(client.post(f"/api/predict{query}", content=png()), 404 if query == "?model" else 422)


def test_where_no_picture_can_be_read_the_problem_carries_the_results(client):
    response = client.post("/api/predict", files=files(b"text", b""))
    assert problem(response, 422).startswith("No picture could be read: ")
    results = response.json()["results"]
    assert [(result["key"], result["predictions"], bool(result["error"])) for result in results] == [
        ("0.jpg", [], True),
        ("1.jpg", [], True),
    ]


def test_what_is_no_picture_and_no_form_is_refused(client):
    assert "the file's bytes" in problem(client.post("/api/predict", json={"url": "http://example.org/cat.jpg"}), 415)
    assert "is empty" in problem(client.post("/api/predict"), 400)
    assert "'image'" in problem(client.post("/api/predict", files=files(png(), field="image")), 422)
    assert "given" not in problem(client.post("/api/predict", data={"top_k": "3"}, files=files(png())), 422)
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert "The form is empty" in problem(client.post("/api/predict", content=b"--x--\r\n", headers=form), 422)


def test_32_pictures_are_answered_together_and_33_refused(client, desk):
    assert len(client.post("/api/predict", files=files(*[png()] * 32)).json()["results"]) == 32
    assert "at most 32" in problem(client.post("/api/predict", files=files(*[png()] * 33)), 413)
    assert desk.asked == [32]


def test_names_full_of_html_come_back_as_they_were(client):
    name = "<img src=x onerror=alert(1)>.png"
    response = client.post("/api/predict", files=[("file", (name, png()))])
    assert response.json()["results"][0]["key"] == name
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_heat_map_is_told_row_by_row_with_its_place(client):
    value = client.post("/api/explain?label=emu", files=files(png())).json()
    assert value == {
        "schema": 1,
        "model": client.post("/api/predict", content=png()).json()["model"],
        "label": "emu",
        "method": "occlusion",
        "rows": 2,
        "columns": 3,
        "values": [-1.0, -0.6, -0.2, 0.2, 0.6, 1.0],
        "left": 0.0,
        "top": -0.1,
        "right": 1.0,
        "bottom": 1.1,
    }
    first = client.post("/api/predict", content=png()).json()["results"][0]["predictions"][0]["label"]
    assert client.post("/api/explain", content=png()).json()["label"] == first


def test_one_picture_is_explained_at_a_time_and_for_a_known_label(client):
    assert "2 pictures" in problem(client.post("/api/explain", files=files(png(), png())), 422)
    assert "Did you mean emu?" in problem(client.post("/api/explain?label=emus", content=png()), 422)
    assert "cannot be read" in problem(client.post("/api/explain", content=b"text"), 422)
    assert "Did you mean label?" in problem(client.post("/api/explain?labels=emu", content=png()), 422)


def test_the_models_are_listed_the_default_one_first(client, desk):
    value = client.get("/api/models").json()
    assert value["schema"] == 1
    assert [model["name"] for model in value["models"]] == ["animals", "others"]
    one = value["models"][0]
    assert (one["classes"], one["height"], one["width"], one["form"]) == (len(CLASSES), HEIGHT, WIDTH, "onnx")
    whole = client.get("/api/models/animals").json()
    assert whole == {"schema": 1, **one, "labels": list(CLASSES), "card": desk.card("animals")}
    assert "Did you mean others?" in problem(client.get("/api/models/other"), 404)
    assert "takes no key" in problem(client.get("/api/models?page=2"), 422)


def test_a_model_is_loaded_again_by_name(client):
    assert client.post("/api/models/others/reload").json()["name"] == "others"
    assert problem(client.post("/api/models/nothing/reload"), 404)
