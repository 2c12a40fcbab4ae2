"""A bundle is read without trust: what is changed, unknown or points elsewhere is refused."""

import json
from pathlib import Path

import pytest

from eyebright.core import bundle as bundles
from eyebright.core.bundle import Manifest, parse_manifest, read_bundle, safe_name
from eyebright.core.decision import Decision, save_decision
from eyebright.core.errors import DataError, ModelError
from eyebright.core.files import sha256

NO_HASH = "0" * 64


def manifest_json(**changes):
    values = {
        "schema": 1,
        "format_version": 1,
        "name": "leaves",
        "classes": ["oak", "elm"],
        "preprocess": {"height": 32, "width": 32},
        "forms": {"onnx": {"file": "model.onnx", "sha256": NO_HASH, "bytes": 5}},
        "decision_sha256": NO_HASH,
    }
    return json.dumps({**values, **changes}).encode()


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "leaves"
    place.mkdir()
    (place / "model.onnx").write_bytes(b"model")
    save_decision(Decision(temperature=1.5), place / "decision.json")
    form = {"file": "model.onnx", "sha256": sha256(place / "model.onnx"), "bytes": 5}
    content = manifest_json(forms={"onnx": form}, decision_sha256=sha256(place / "decision.json"))
    (place / "bundle.json").write_bytes(content)
    return place


def test_a_whole_bundle_is_read(folder):
    bundle = read_bundle(folder)
    assert bundle.manifest.classes == ("oak", "elm")
    assert bundle.form_file("onnx") == folder / "model.onnx"
    assert bundle.decision().temperature == 1.5
    assert bundle.sha256 == sha256(folder / "bundle.json")


def test_the_bundle_of_a_run_is_found(folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    folder.rename(run / "bundle")
    assert read_bundle(run).path == run / "bundle"


def test_a_manifest_comes_back_as_it_went():
    manifest = parse_manifest(manifest_json(), Path("bundle.json"))
    assert Manifest.model_validate_json(manifest.model_dump_json(by_alias=True)) == manifest


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path):
    with pytest.raises(DataError, match=r"holds no bundle\.json"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "decision.json"])
def test_one_changed_byte_is_noticed(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    bundle = read_bundle(folder)
    with pytest.raises(ModelError, match="changed or damaged"):
        bundle.form_file("onnx") if name == "model.onnx" else bundle.decision()


def test_a_missing_file_is_noticed(folder):
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match="missing or a link"):
        read_bundle(folder).form_file("onnx")


def test_a_link_is_refused_even_to_the_right_content(folder, tmp_path):
    (folder / "model.onnx").rename(tmp_path / "elsewhere")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="missing or a link"):
        read_bundle(folder).form_file("onnx")


def test_a_form_that_is_not_there_is_answered_with_those_that_are(folder):
    with pytest.raises(ModelError, match=r"no form 'torch'; it has onnx"):
        read_bundle(folder).form_file("torch")


FILE_NAMES = [
    "../secret",
    "/etc/passwd",
    "a/b",
    "probe/../x",
    "probe/../../x",
    ".hidden",
    "",
    "a\n",
    "a\x00",
    "C:\\x",
    "probe/",
    "é",
]


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_file_name_that_leaves_the_bundle_is_refused(name):
    with pytest.raises(ModelError, match=r"forms\.onnx\.file"):
        parse_manifest(manifest_json(forms={"onnx": {"file": name, "sha256": NO_HASH, "bytes": 5}}), Path("bundle.json"))


PROBE = {"file": "probe/a.png", "sha256": NO_HASH, "pixels_sha256": NO_HASH, "logits": [0.0, 1.0, 2.0]}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"format_version": 2}, "format_version"),
        ({"schema": 2}, "schema"),
        ({"classes": ["oak", "oak"]}, "same name"),
        ({"classes": ["oak"]}, "classes"),
        ({"forms": {}}, "forms"),
        ({"decision_sha256": "abc"}, "decision_sha256"),
        ({"decision_sha256": NO_HASH + "\n"}, "decision_sha256"),
        ({"surprise": 1}, "surprise"),
        ({"preprocess": {"height": 10**6, "width": 32}}, "preprocess.height"),
        ({"views": ["upside-down"]}, "views"),
        ({"probe": [PROBE]}, "3 logits for 2 classes"),
        ({"architecture": {"name": "x", "arguments": {"code": {"nested": 1}}}}, "architecture.arguments"),
    ],
)
def test_a_manifest_that_is_not_of_this_version_is_refused(changes, where):
    with pytest.raises(ModelError, match="not a manifest this version reads") as caught:
        parse_manifest(manifest_json(**changes), Path("bundle.json"))
    assert where in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000, manifest_json()[:-10]])
def test_what_is_no_json_is_refused_without_a_crash(content):
    with pytest.raises(ModelError, match="not a manifest"):
        parse_manifest(content, Path("bundle.json"))


def test_an_oversized_manifest_is_refused_unread(folder, monkeypatch):
    monkeypatch.setattr(bundles, "MANIFEST_LIMIT", 100)
    with pytest.raises(ModelError, match="larger than"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My leaves (2024)", "My-leaves-2024"),
        ("../../etc", "etc"),
        ("...", "model"),
        ("", "model"),
        ("日本", "model"),
        ("a_b.c", "a_b.c"),
    ],
)
def test_a_safe_name_stays_in_its_folder(text, name):
    assert safe_name(text) == name
