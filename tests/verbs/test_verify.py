"""``verify`` finds every planted fault: a changed byte in any hashed file, other answers or pixels, no probe."""

import json
import shutil

import numpy as np
import pytest

import eyebright
from eyebright.cli.main import main
from eyebright.core.bundle import ProbePicture, read_bundle
from eyebright.core.errors import ModelError
from eyebright.core.files import sha256
from eyebright.core.predictor import Outputs
from eyebright.verbs.verify import golden_difference

FILES = ("torch.safetensors", "model.onnx", "decision.json", "split.json")
PROBES = ("probe/turned.jpg", "probe/transparent.png", "probe/grey16.png", "probe/grey.jpg")


@pytest.fixture
def bundle(finished, tmp_path):
    """A copy of the finished bundle, to be spoiled."""
    return shutil.copytree(finished.bundle, tmp_path / "bundle")


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def edit(bundle, change):
    """Rewrites the manifest after ``change`` had its way with the JSON."""
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    change(manifest)
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def failed(bundle):
    return {check.name: check.detail for check in eyebright.verify(bundle).checks if not check.ok}


def test_a_fresh_bundle_passes_every_check(finished):
    result = eyebright.verify(finished.path)
    assert [check.name for check in result.checks if not check.ok] == []
    names = {check.name for check in result.checks}
    assert {f"file {name}" for name in FILES} | {f"decoding {name}" for name in PROBES} <= names
    assert {"answers of torch", "answers of onnx"} <= names
    assert result.exit_code == 0


def test_a_form_that_cannot_be_asked_for_want_of_a_package_is_skipped_not_passed(finished, monkeypatch, capsys):
    from eyebright.backends import open as opening
    from eyebright.core.errors import MissingExtraError

    really = opening.open_predictor

    def without_torch(bundle, *, form):
        if form == "torch":
            raise MissingExtraError.for_extra("train", "The torch form")
        return really(bundle, form=form)

    monkeypatch.setattr(opening, "open_predictor", without_torch)
    states = {check.name: (check.state, check.ok) for check in eyebright.verify(finished.path).checks}
    assert states["answers of torch"] == ("skipped", True)
    assert states["answers of onnx"] == ("ok", True)
    assert main(["verify", str(finished.path)]) == 0
    assert f"All {len(states) - 1} checks passed, 1 skipped." in capsys.readouterr().out
    assert main(["verify", str(finished.path), "--json"]) == 0
    assert {"name", "state", "ok", "detail"} == set(json.loads(capsys.readouterr().out)["checks"][0])


@pytest.mark.parametrize("name", [*FILES, *PROBES])
def test_one_flipped_bit_in_any_file_is_exit_six_and_names_the_file(bundle, name, capsys):
    flip_a_bit(bundle / name)
    assert main(["verify", str(bundle)]) == 6
    assert name in capsys.readouterr().out
    assert any(name in check for check in failed(bundle))


@pytest.mark.parametrize("name", [*FILES, *PROBES])
def test_a_missing_file_is_found(bundle, name):
    (bundle / name).unlink()
    assert any(name in check and "missing" in detail for check, detail in failed(bundle).items())


def test_a_file_that_is_a_link_out_of_the_bundle_is_not_followed(bundle, tmp_path):
    shutil.move(bundle / "model.onnx", tmp_path / "elsewhere.onnx")
    (bundle / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    assert "file model.onnx" in failed(bundle)


def test_other_golden_answers_are_found_in_every_form(bundle):
    def shift(manifest):
        manifest["probe"][2]["logits"][0] += 0.01

    edit(bundle, shift)
    found = failed(bundle)
    assert set(found) == {"answers of torch", "answers of onnx"}
    assert "probe/grey16.png" in found["answers of onnx"]


def test_other_weights_are_found_though_their_hash_was_forged(bundle):
    """The torch form with its last bias moved, and the manifest made to fit: only the probe can tell."""
    from safetensors.numpy import load_file, save_file

    arrays = load_file(bundle / "torch.safetensors")
    arrays["head.bias"] = arrays["head.bias"] + np.array([0.5, 0, 0], dtype=np.float32)
    save_file(arrays, bundle / "torch.safetensors")

    def forge(manifest):
        manifest["forms"]["torch"]["sha256"] = sha256(bundle / "torch.safetensors")

    edit(bundle, forge)
    assert set(failed(bundle)) == {"answers of torch"}


def test_a_tampered_decision_is_found_and_never_used(bundle, finished):
    decision = json.loads((bundle / "decision.json").read_text())
    (bundle / "decision.json").write_text(json.dumps({**decision, "temperature": 0.01}))
    assert set(failed(bundle)) == {"file decision.json"}
    with pytest.raises(eyebright.EyebrightError, match=r"decision\.json"):
        eyebright.predict(bundle, bundle / "probe" / "grey.jpg")


def test_a_decoder_that_gives_other_pixels_is_told_from_another_model(bundle):
    def other(manifest):
        manifest["probe"][0]["pixels_sha256"] = "0" * 64

    edit(bundle, other)
    assert set(failed(bundle)) == {"decoding probe/turned.jpg"}


def test_a_bundle_without_a_probe_cannot_prove_itself(bundle):
    edit(bundle, lambda manifest: manifest.update(probe=[]))
    assert set(failed(bundle)) == {"probe"}


def test_answers_that_are_no_numbers_are_found(bundle, monkeypatch):
    """NaN is neither larger nor smaller than a limit, so a careless comparison would let it pass."""
    from eyebright.backends.onnx_ import OnnxPredictor
    from eyebright.core.predictor import Outputs

    ask = OnnxPredictor.__call__
    monkeypatch.setattr(OnnxPredictor, "__call__", lambda self, pixels: Outputs(ask(self, pixels).logits * np.float32(np.nan)))
    assert set(failed(bundle)) == {"answers of onnx"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda manifest: manifest.update(surprise=1), "surprise"),
        (lambda manifest: manifest.update(format_version=2), "format_version"),
        (lambda manifest: manifest["forms"]["onnx"].update(file="../model.onnx"), "forms.onnx.file"),
        (lambda manifest: manifest.update(classes=["a", "a", "b"]), "same name"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(bundle, change, said, capsys):
    edit(bundle, change)
    assert main(["verify", str(bundle)]) == 6
    assert said in capsys.readouterr().err


def test_a_folder_without_a_bundle_is_exit_three(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 3
    assert "holds no bundle.json" in capsys.readouterr().err


def test_a_run_and_its_bundle_are_the_same_to_verify(finished):
    assert eyebright.verify(finished.path) == eyebright.verify(finished.bundle)
    assert read_bundle(finished.path).sha256 == read_bundle(finished.bundle).sha256


class Stepped:
    """A form that gives probabilities in steps of 1/256, always the same."""

    classes, form, probability_step = ("a", "b", "c"), "litert", 1 / 256

    def __init__(self, probabilities):
        self.probabilities = np.array([probabilities], dtype=np.float32)

    def __call__(self, pixels):
        return Outputs(np.log(np.maximum(self.probabilities, 1e-7)))


def test_eight_bit_probabilities_may_be_two_steps_off_however_much_of_a_logit_that_is():
    golden = np.log(np.maximum(np.array([255, 1, 0]) / 256, 1e-7))
    picture = ProbePicture(file="probe/grey.jpg", sha256="0" * 64, pixels_sha256="0" * 64, logits=tuple(map(float, golden)))
    prepared = [(picture, np.zeros((3, 2, 2), dtype=np.uint8))]
    # 0 against 1/256 is log(1/256) - log(1e-7) = 10.6 of a logit, and one step.
    assert golden_difference(Stepped([255 / 256, 0, 1 / 256]), prepared) == pytest.approx(10.6, abs=0.1)
    with pytest.raises(ModelError, match=r"grey\.jpg is off"):
        golden_difference(Stepped([252 / 256, 1 / 256, 3 / 256]), prepared)  # three steps
