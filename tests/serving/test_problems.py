"""Refusals in each dialect's shape, as its clients read them."""

import json

import pytest

from eyebright.serving.answers import RefusalError
from eyebright.serving.problems import DIALECTS, dialect_of, media_type_of, refused


def said(path, refusal):
    status, headers, body = refused(path, refusal, "id-1")
    named = {name.decode(): value.decode() for name, value in headers}
    assert int(named["content-length"]) == len(body)
    return status, named, json.loads(body)


def busy():
    return RefusalError(503, "Busy.", retry_after=3)


@pytest.mark.parametrize("path", ["/api/predict", "/", "/page/x", "/invocations", "/health/x", "/metrics", "/elsewhere"])
def test_ours_are_problem_details(path):
    status, headers, body = said(path, busy())
    assert (status, headers["content-type"], headers["retry-after"]) == (503, "application/problem+json", "3")
    # RFC 9457, section 3.1: the members' names, and the title that a status has where the type is about:blank.
    expected = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "Busy.", "request_id": "id-1"}
    assert body == expected


@pytest.mark.parametrize("path", ["/v2", "/v2/models/a/infer", "/v1/models/a:predict"])
def test_open_inference_and_tensorflow_have_one_word(path):
    status, headers, body = said(path, busy())
    assert (status, headers["content-type"], body) == (503, "application/json", {"error": "Busy."})


def test_torchserve_names_a_class_of_its_own():
    assert said("/predictions/a", busy())[2] == {"code": 503, "type": "ServiceUnavailableException", "message": "Busy."}
    unknown = said("/explanations/a", RefusalError(404, "No."))[2]
    assert unknown == {"code": 404, "type": "ModelNotFoundException", "message": "No."}
    assert said("/predictions/a", RefusalError(413, "Big."))[2]["type"].endswith("Exception")


@pytest.mark.parametrize("detail", ['<script>"x"</script>', "é猫", "\ud800 half a surrogate", "a\nb"])
def test_any_words_are_sound_json(detail):
    for path in ("/api", "/v2", "/predictions/a"):
        body = said(path, RefusalError(400, detail))[2]
        assert isinstance(body, dict)


def test_every_path_has_a_dialect_of_the_fixed_set():
    for path in ("/", "/api/x", "/page/x", "/v2", "/v1/x", "/predictions/x", "/ping", "/metrics", "/health/live", "/x", ""):
        assert dialect_of(path) in DIALECTS
        assert media_type_of(dialect_of(path)).startswith("application/")
