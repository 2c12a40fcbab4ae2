"""The bundle called ``imagenet``: converted once, then kept, and right about photographs that everybody knows."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

import eyebright
from eyebright.cli.main import main
from eyebright.core.bundle import FORMAT_VERSION
from eyebright.core.errors import MissingExtraError
from eyebright.core.events import Note
from eyebright.verbs.making import imagenet as subject

from .test_predict import base_install

PHOTOGRAPHS = {
    ("skimage.data", "coffee.png"): {"espresso"},
    ("skimage.data", "chelsea.png"): {"tabby", "tiger cat", "Egyptian cat"},
    ("skimage.data", "rocket.jpg"): {"missile", "projectile"},
    ("sklearn.datasets.images", "flower.jpg"): {"daisy"},
    ("sklearn.datasets.images", "china.jpg"): {"palace"},
}


def photograph(package, name):
    pytest.importorskip(package.partition(".")[0])
    path = Path(str(files(package) / name))
    if not path.is_file():
        pytest.skip(f"{package} comes without {name}")
    return path


@pytest.fixture(scope="module")
def converted(cache):
    """The bundle, in the session's cache: some seconds, once."""
    return subject.imagenet_bundle(lambda event: None)


@pytest.mark.slow
@pytest.mark.parametrize(("photo", "expected"), PHOTOGRAPHS.items(), ids=[name for _, name in PHOTOGRAPHS])
def test_well_known_photographs_are_recognised(converted, photo, expected):
    (result,) = eyebright.predict("imagenet", photograph(*photo)).results
    assert result.predictions[0].label in expected
    assert len(result.predictions) == 5


@pytest.mark.slow
def test_the_converted_bundle_proves_itself(converted):
    assert eyebright.verify("imagenet").exit_code == 0
    assert len(converted.manifest.classes) == 1000


@pytest.mark.slow
def test_it_is_converted_once(converted, monkeypatch):
    monkeypatch.setattr(subject, "_convert", lambda *given: pytest.fail("it was converted again"))
    assert subject.imagenet_bundle(lambda event: None).sha256 == converted.sha256


@pytest.mark.slow
def test_with_the_cache_no_torch_is_needed(converted):
    said = base_install("predict", "imagenet", str(photograph("skimage.data", "coffee.png")), "--top-k", "1", "--json")
    assert said.returncode == 0, said.stderr
    assert "espresso" in said.stdout


def test_without_cache_and_without_torch_the_command_that_helps_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path))
    said = base_install("predict", "imagenet", "photo.jpg")
    assert said.returncode == 4
    assert "pip install 'eyebright[train]'" in said.stderr


def test_a_package_that_is_missing_is_found_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(subject, "find_spec", lambda name: None if name == "onnx" else True)
    with pytest.raises(MissingExtraError):
        subject.imagenet_bundle(lambda event: None)


def test_a_damaged_cache_is_said_and_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path))
    made, heard = [], []

    class Made(Exception):  # noqa: N818 - it only ends the test here
        pass

    def convert(path, on_event):
        made.append(path)
        raise Made

    monkeypatch.setattr(subject, "_convert", convert)
    with pytest.raises(Made):
        subject.imagenet_bundle(heard.append)
    made[0].mkdir(parents=True)
    (made[0] / "bundle.json").write_text("{}")
    with pytest.raises(Made):
        subject.imagenet_bundle(heard.append)
    assert any(isinstance(event, Note) and "damaged" in event.text for event in heard)


@pytest.mark.parametrize("harm", [lambda old: old[:-1] + b"?", lambda old: old[: len(old) // 2], None])
def test_a_damaged_form_in_the_cache_is_said_and_made_again(finished, tmp_path, monkeypatch, harm):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path))
    cached = tmp_path / "bundles" / f"imagenet-lite0-{FORMAT_VERSION}-{subject.REVISION}"
    shutil.copytree(finished.bundle, cached)
    monkeypatch.setattr(subject, "_convert", lambda path, on_event: pytest.fail("it is whole"))
    assert subject.imagenet_bundle(lambda event: None).path == cached

    def convert(path, on_event):
        shutil.rmtree(path)
        shutil.copytree(finished.bundle, path)

    graph, heard = cached / "model.onnx", []
    if harm:
        graph.write_bytes(harm(graph.read_bytes()))
    else:
        graph.unlink()
    monkeypatch.setattr(subject, "_convert", convert)
    assert subject.imagenet_bundle(heard.append).form_file("onnx") == graph
    assert [event.level for event in heard if "damaged" in event.text] == ["warning"]


def test_a_folder_of_that_name_is_taken_for_what_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").mkdir()
    assert main(["verify", "imagenet"]) == 3
    assert "holds no bundle.json" in capsys.readouterr().err
