"""``predict``: each picture is answered or has its error, probabilities are calibrated, and no torch is needed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pictures import gif, plain
from PIL import Image as Pillow

import eyebright
from eyebright.backends.open import open_predictor
from eyebright.cli.main import main
from eyebright.core.bundle import Manifest, read_bundle
from eyebright.core.decision import Decision, save_decision
from eyebright.core.errors import ModelError
from eyebright.core.files import sha256
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels

from .shapes import CLASSES, square

BLOCKED = ("torch", "torchvision", "timm", "scipy", "matplotlib", "jinja2", "onnx", "onnxscript", "sklearn", "skimage")
# As on a bare install: the packages are not found, neither by import nor by find_spec.
BASE_INSTALL = f"""
import importlib.machinery, sys
find = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {BLOCKED} else find(name, path, target)
importlib.machinery.PathFinder.find_spec = find_spec
from eyebright.cli.main import entry
entry(sys.argv[1:])
"""


@pytest.fixture
def folder(tmp_path):
    """Three pictures, each of another class, named in the order of the classes."""
    inner = tmp_path / "three"
    inner.mkdir()
    for label, name in enumerate(CLASSES):
        Pillow.fromarray(square(label, 900)).save(inner / f"{name}.png")
    return inner


def answers(result):
    return {one.key.rsplit("/", 1)[-1]: one.predictions[0].label for one in result.results if one.error is None}


def test_the_squares_are_recognised_in_the_order_given(finished, folder):
    result = eyebright.predict(finished.path, folder / "red.png", folder / "blue.png")
    assert [one.predictions[0].label for one in result.results] == ["red", "blue"]
    assert result.model.sha256 == sha256(finished.bundle / "bundle.json")


def test_a_picture_that_cannot_be_read_does_not_keep_the_others_from_their_answers(finished, folder, capsys):
    (folder / "note.png").write_text("not a picture")
    paths = [str(folder / name) for name in ("red.png", "note.png", "gone.png", "blue.png", "green.png")]
    assert main(["predict", str(finished.path), *paths, "--json"]) == 3
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["key"] for result in results] == paths
    assert [bool(result["error"]) for result in results] == [False, True, True, False, False]
    assert [result["predictions"][0]["label"] for result in results if not result["error"]] == ["red", "blue", "green"]
    assert "No such file" in results[2]["error"]
    assert results[1]["predictions"] == []


def test_nothing_but_bad_pictures_is_answered_too(finished, tmp_path):
    result = eyebright.predict(finished.path, tmp_path / "gone.png")
    assert result.exit_code == 3
    assert result.results[0].error


def test_a_folder_stands_for_its_pictures_by_name(finished, folder):
    (folder / ".hidden").write_text("not looked at")
    (folder / "deeper").mkdir()
    result = eyebright.predict(finished.path, folder)
    assert answers(result) == {"blue.png": "blue", "green.png": "green", "red.png": "red"}
    assert result.exit_code == 0


def test_a_folder_may_hold_other_files_beside_its_pictures(finished, folder, capsys):
    (folder / "Thumbs.db").write_bytes(b"thumbnails")
    (folder / "README").write_text("three squares")
    assert main(["predict", str(finished.path), str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 3


def test_a_folder_whose_pictures_lie_in_subfolders_is_not_answered_with_nothing(finished, folder, capsys):
    assert main(["predict", str(finished.path), str(folder.parent)]) == 3
    said = capsys.readouterr().err
    assert "holds no picture itself; it has the subfolders three, which are not entered." in said
    assert "Give the folders that hold the pictures, for example" in said


def test_more_pictures_than_a_batch_are_answered_as_one_by_one(finished, tmp_path):
    for number in range(19):
        Pillow.fromarray(square(number % 3, 900 + number)).save(tmp_path / f"{number:02}.png")
    together = eyebright.predict(finished.path, tmp_path).results
    assert [one.predictions[0].label for one in together] == [CLASSES[number % 3] for number in range(19)]
    alone = eyebright.predict(finished.path, tmp_path / "17.png").results[0]
    assert [one.probability for one in alone.predictions] == pytest.approx(
        [one.probability for one in together[17].predictions], abs=1e-5
    )


def test_top_k_limits_the_classes_and_the_most_probable_comes_first(finished, folder):
    (result,) = eyebright.predict(finished.path, folder / "red.png", top_k=2).results
    assert len(result.predictions) == 2
    assert result.predictions[0].probability >= result.predictions[1].probability
    assert len(eyebright.predict(finished.path, folder / "red.png").results[0].predictions) == 3


def test_the_json_has_the_keys_of_the_design(finished, folder, capsys):
    assert main(["predict", str(finished.path), str(folder / "red.png"), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert list(value) == ["schema", "model", "results"]
    assert set(value["model"]) == {"name", "sha256"}
    (result,) = value["results"]
    assert list(result) == ["key", "predictions", "verdict", "warnings", "error"]
    assert set(result["predictions"][0]) == {"label", "probability"}
    assert (result["verdict"], result["warnings"], result["error"]) == (None, [], None)


@pytest.fixture
def cooled(finished, tmp_path):
    """The finished bundle with a temperature of 2.5."""
    import shutil

    bundle = tmp_path / "cooled"
    shutil.copytree(finished.bundle, bundle)
    save_decision(Decision(temperature=2.5, fitted_on="a test", n=1), bundle / "decision.json")
    manifest = Manifest.model_validate_json((bundle / "bundle.json").read_bytes())
    manifest = manifest.model_copy(update={"decision_sha256": sha256(bundle / "decision.json")})
    (bundle / "bundle.json").write_text(manifest.model_dump_json(by_alias=True))
    return bundle


def test_probabilities_are_the_softmax_of_the_logits_over_the_temperature(cooled, folder):
    (result,) = eyebright.predict(cooled, folder / "red.png").results
    bundle = read_bundle(cooled)
    pixels = to_pixels(prepare(decode((folder / "red.png").read_bytes()).image, bundle.manifest.preprocess)[None])
    logits = open_predictor(bundle)[0](pixels).logits[0].astype(np.float64)
    exponentials = np.exp(logits / 2.5)
    expected = dict(zip(CLASSES, exponentials / exponentials.sum(), strict=True))
    assert {one.label: one.probability for one in result.predictions} == pytest.approx(expected, abs=1e-5)
    assert sum(one.probability for one in result.predictions) == pytest.approx(1, abs=3e-6)


def test_torch_and_onnx_say_the_same(finished, folder):
    onnx, torch = (eyebright.predict(finished.path, folder, form=form).results for form in ("onnx", "torch"))
    for left, right in zip(onnx, torch, strict=True):
        assert [one.label for one in left.predictions] == [one.label for one in right.predictions]
        assert [one.probability for one in left.predictions] == pytest.approx(
            [one.probability for one in right.predictions], abs=1e-4
        )


def test_a_photo_turned_by_its_exif_is_answered_as_its_turned_pixels(finished, tmp_path):
    picture = np.concatenate([plain((200, 30, 30), 8, 16), plain((30, 30, 200), 8, 16)])
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Pillow.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    Pillow.fromarray(np.rot90(picture, -1).copy()).save(tmp_path / "upright.png")
    Pillow.fromarray(picture).save(tmp_path / "lying.png")
    turned, upright, lying = (
        [one.probability for one in eyebright.predict(finished.path, tmp_path / name).results[0].predictions]
        for name in ("turned.png", "upright.png", "lying.png")
    )
    assert turned == upright
    assert turned != lying


def test_what_the_decoder_noticed_is_passed_on(finished, tmp_path):
    (tmp_path / "moving.gif").write_bytes(gif([plain((200, 0, 0)), plain((0, 0, 200))]))
    (result,) = eyebright.predict(finished.path, tmp_path / "moving.gif").results
    assert any("frame" in warning for warning in result.warnings)


def test_a_file_too_large_to_be_a_picture_is_not_read(finished, tmp_path):
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(257 * 2**20)
    (result,) = eyebright.predict(finished.path, tmp_path / "huge.png").results
    assert "256 MiB" in result.error


def test_a_form_that_the_bundle_lacks_is_refused(finished, folder, tmp_path):
    import shutil

    bundle = tmp_path / "bundle"
    shutil.copytree(finished.bundle, bundle)
    manifest = json.loads((bundle / "bundle.json").read_text())
    del manifest["forms"]["onnx"]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="no form 'onnx'; it has torch"):
        eyebright.predict(bundle, folder / "red.png", form="onnx")
    assert answers(eyebright.predict(bundle, folder / "red.png")) == {"red.png": "red"}


def base_install(*words):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BASE_INSTALL, *words], capture_output=True, text=True, check=False
    )


def test_the_base_install_predicts_without_torch(finished, folder):
    said = base_install("predict", str(finished.path), str(folder / "red.png"), "--json")
    assert (said.returncode, said.stderr.count("Traceback")) == (0, 0), said.stderr
    assert json.loads(said.stdout)["results"][0]["predictions"][0]["label"] == "red"


def test_the_base_install_verifies_what_it_can_and_says_what_not(finished):
    said = base_install("verify", str(finished.path))
    assert said.returncode == 0, said.stderr
    assert "not replayed" in said.stdout
    assert said.stdout.rstrip().endswith("checks passed, 1 skipped.")


def test_the_base_install_names_the_command_for_the_torch_form(finished, folder):
    said = base_install("predict", str(finished.path), str(folder / "red.png"), "--form", "torch")
    assert said.returncode == 4
    assert "pip install 'eyebright[train]'" in said.stderr
