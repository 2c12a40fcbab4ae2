"""Bodies: what is read out of them, what is refused with which words, and that nothing large is made of something small."""

import asyncio
import itertools
import json
import time
import tracemalloc

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.serving import bodies
from eyebright.serving.answers import RefusalError
from eyebright.serving.bodies import Part, media_type, parse_object, quoted, read_body, read_json, read_parts
from eyebright.serving.desk import MOST_PICTURES

FORM = "multipart/form-data; boundary=XX"


def request(*chunks, content_type="", **headers):
    """A request whose body comes in these chunks."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return messages.pop(0)

    named = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in named.items() if value]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": raw}, receive)


def form(*parts, end=b"--XX--\r\n"):
    """The bytes of a multipart form of (disposition, content)."""
    body = b"".join(b"--XX\r\nContent-Disposition: form-data; " + d + b"\r\n\r\n" + c + b"\r\n" for d, c in parts)
    return body + end


def refused(awaitable):
    with pytest.raises(RefusalError) as caught:
        asyncio.run(awaitable)
    return int(caught.value.status), caught.value.detail


def test_a_body_comes_whole_whatever_its_chunks():
    assert asyncio.run(read_body(request(b"ab", b"", b"cd"))) == b"abcd"


def test_an_empty_body_and_a_packed_one_are_refused():
    assert refused(read_body(request()))[0] == 400
    status, detail = refused(read_body(request(b"x", content_encoding="gzip")))
    assert (status, "'gzip'" in detail) == (415, True)
    assert asyncio.run(read_body(request(b"x", content_encoding="identity"))) == b"x"


def test_a_client_that_leaves_is_no_failure_of_the_server():
    async def left():
        return {"type": "http.disconnect"}

    for read, content_type in ((read_body, ""), (read_parts, FORM)):
        one = request(content_type=content_type)
        assert refused(read(Request(one.scope, left))) == (400, "The client left before the body was whole.")


def test_the_declared_type_is_read_without_its_parameters():
    assert media_type(request(content_type="Image/JPEG; q=1")) == "image/jpeg"
    assert media_type(request()) == ""


@settings(max_examples=60, deadline=None)
@given(contents=st.lists(st.binary(max_size=60), max_size=4), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_a_forms_parts_are_what_was_put_in_wherever_it_is_cut(contents, cuts):
    contents = [content.replace(b"--XX", b"") for content in contents]
    body = form(*((b'name="file"; filename="%d.jpg"' % number, content) for number, content in enumerate(contents)))
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    chunks = [body[a:b] for a, b in itertools.pairwise(edges)]
    if contents:
        found = asyncio.run(read_parts(request(*chunks, content_type=FORM)))
        assert found == [Part("file", f"{number}.jpg", content) for number, content in enumerate(contents)]


def test_names_of_fields_and_files_are_utf_8_or_else_latin_1():
    body = form(('name="é"; filename="猫.jpg"'.encode(), b"1"), (b'name="\xe9"', b"2"))
    found = asyncio.run(read_parts(request(body, content_type=FORM)))
    assert [(part.field, part.filename) for part in found] == [("é", "猫.jpg"), ("é", None)]


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (form((b'name="file"', b"1"), end=b""), FORM, "breaks off"),
        (b"", FORM, "breaks off"),
        (b"not a form", FORM, "cannot be read"),
        (form((b'filename="a"', b"1")), FORM, "no name"),
        (form((b'name="file"', b"1")), "multipart/form-data", "no boundary"),
        (form((b'name="file"', b"1")), "multipart/form-data; boundary=" + "x" * 300, "exceeds maximum"),
        (b"--XX\r\n" + b"a" * 10_000, FORM, "cannot be read"),
        (b"--XX\r\n" + b"a: b\r\n" * 50, FORM, "cannot be read"),
    ],
)
def test_a_malformed_form_is_refused_with_a_sentence(body, content_type, words):
    status, detail = refused(read_parts(request(body, content_type=content_type)))
    assert (status, words in detail) == (400, True), detail


def test_a_form_of_very_many_parts_is_refused_before_its_end():
    few = form(*[(b'name="file"', b"1")] * 40)
    assert len(asyncio.run(read_parts(request(few, content_type=FORM)))) == 40
    status, detail = refused(read_parts(request(form(*[(b'name="file"', b"1")] * 100), content_type=FORM)))
    assert (status, f"at most {MOST_PICTURES}" in detail) == (413, True)


def test_a_large_part_is_copied_once_only():
    chunk = bytes(65_536)
    head, tail = b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\n', b"\r\n--XX--\r\n"
    one = request(head, *[chunk] * 128, tail, content_type=FORM)

    async def measured():
        (part,) = await read_parts(one)
        return len(part.content), tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    length, peak = asyncio.run(measured())
    tracemalloc.stop()
    assert length == 128 * 65_536
    assert peak < 9 * 2**20  # the chunks are one object, the part's 8 MiB are made by one join


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty"),
        (b"{", "line 1, column 2"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[1]", "a JSON list"),
        (b"null", "a JSON null"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"1" * 5000 + b"}", "thousands of digits"),
    ],
)
def test_what_is_no_json_object_is_refused_with_a_sentence(text, words):
    status, detail = refused(read_json(request(text, content_type="application/json")))
    assert (status, words in detail) == (400, True), detail


def test_json_is_read_under_any_name_but_that_of_a_picture_or_a_form():
    for content_type in ("", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"):
        assert asyncio.run(read_json(request(b'{"a": 1}', content_type=content_type))) == {"a": 1}
    for content_type in ("image/jpeg", FORM):
        assert refused(read_json(request(b"{}", content_type=content_type)))[0] == 415


@pytest.mark.parametrize("filling", [b"[]", b"{}", b"1", b'{"a":{}}'])
def test_twenty_mebibytes_of_brackets_are_refused_before_they_are_parsed(filling):
    text = b'{"a":[' + (filling + b",") * (20 * 2**20 // (len(filling) + 1)) + b"1]}"
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(RefusalError, match="at most 2000000 are read") as caught:
        parse_object(text)
    seconds = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.status == 413
    assert peak < 2**20
    assert seconds < 2  # 0.1 at leisure


def test_a_picture_of_base64_is_few_values_however_long():
    text = json.dumps({"instances": [{"b64": "A" * 10_000_000}]}).encode()
    assert len(parse_object(text)["instances"][0]["b64"]) == 10_000_000
    assert text.count(b",") + text.count(b"[") + text.count(b"{") < bodies.MOST_VALUES


def test_what_a_client_sent_is_said_back_short_and_plain():
    assert quoted("\ud800\n") == r"'\ud800\n'"
    assert len(quoted("a" * 10_000)) < 100
    assert quoted({"a": 1}) == "'object'"
