"""The page's files over HTTP: which there are, of what type, how they are kept, and that nothing else can be had."""

import gzip
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from eyebright.serving.answers import RefusalError
from eyebright.serving.static import CONTENT_SECURITY_POLICY, MULTIPART_ROOM, page_files, router


@pytest.fixture
def client():
    app = FastAPI()
    app.include_router(router(max_body=1_000_000))
    return TestClient(app)


def test_the_front_page_is_html_and_says_how_large_a_picture_may_be(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f'content="{1_000_000 - MULTIPART_ROOM}"' in answer.text


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("eyebright.svg", "image/svg+xml"),
        ("samples/cat.jpg", "image/jpeg"),
    ],
)
def test_each_file_has_its_type(client, name, media_type):
    answer = client.get(f"/page/{name}")
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_page_and_reports_are_set_in_the_same_look(client):
    of_reports = files("eyebright").joinpath("render/templates/look.css").read_text()
    assert client.get("/page/look.css").text == of_reports


@pytest.mark.parametrize(
    "name",
    [
        "",
        "samples",
        "samples/",
        "index.html",
        "..%2fanswers.py",
        "%2e%2e/answers.py",
        "samples/SOURCES.md",
        "samples/..%2fapp.js",
        "App.js",
    ],
)
def test_only_the_names_of_the_page_are_answered(client, name):
    with pytest.raises(RefusalError, match="no such file") as refused:
        client.get(f"/page/{name}")
    assert refused.value.status == 404


def test_a_file_that_did_not_change_is_not_sent_again(client):
    first = client.get("/page/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/page/app.js", headers={"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get("/page/app.js", headers={"if-none-match": '"other"'}).status_code == 200


def test_text_is_packed_for_who_takes_it_and_pictures_are_not(client):
    plain = client.get("/page/app.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for refusing in ("gzip;q=0", "br, gzip; q=0.0"):
        assert "content-encoding" not in client.get("/page/app.js", headers={"accept-encoding": refusing}).headers
    packed = client.get("/page/app.js", headers={"accept-encoding": "br, GZIP;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert packed.text == plain.text
    assert packed.headers["etag"] != plain.headers["etag"]
    assert "content-encoding" not in client.get("/page/samples/cat.jpg", headers={"accept-encoding": "gzip"}).headers


def test_head_tells_the_length_that_get_sends(client):
    got, told = client.get("/page/app.js"), client.head("/page/app.js")
    assert told.content == b""
    assert told.headers["content-length"] == got.headers["content-length"]


def test_the_schema_of_the_interface_does_not_list_the_page(client):
    assert client.app.openapi()["paths"] == {}


def test_what_a_visit_fetches_weighs_less_than_60_kb_beside_the_samples():
    leaves = page_files()
    weight = sum(len(leaf.packed or leaf.content) for name, leaf in leaves.items() if not name.startswith("samples/"))
    assert weight < 60_000
    assert all(gzip.decompress(leaf.packed) == leaf.content for leaf in leaves.values() if leaf.packed)


def test_the_samples_are_small_and_their_sources_are_named():
    leaves = page_files()
    sources = files("eyebright").joinpath("serving/page/samples/SOURCES.md").read_text()
    samples = [name.removeprefix("samples/") for name in leaves if name.startswith("samples/")]
    assert len(samples) == 3
    for name in samples:
        assert len(leaves[f"samples/{name}"].content) <= 25_000
        assert re.search(rf"`{name}`.*(CC0|public domain)", sources)


class _Html(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_every_module_is_loaded_at_once_and_no_script_or_style_stands_in_the_html():
    leaves = page_files()
    html = _Html()
    html.feed(leaves["index.html"].content.decode())
    named = {attrs.get("href") or attrs.get("src") for tag, attrs in html.tags if tag in {"link", "script"}}
    assert named == {f"page/{name}" for name in leaves if name.endswith((".js", ".css", ".svg"))}
    for tag, attrs in html.tags:
        assert tag != "style"
        assert tag != "script" or attrs.get("src")
        assert not [name for name in attrs if name == "style" or name.startswith("on")]


def test_no_file_names_another_origin_or_writes_markup():
    for name, leaf in page_files().items():
        text = leaf.content.decode("latin-1") if name.endswith((".js", ".css", ".html")) else ""
        assert not re.search(r"""["'(]\s*(https?:)?//""", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), name


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere():
    directives = dict(part.strip().split(" ", 1) for part in CONTENT_SECURITY_POLICY.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
