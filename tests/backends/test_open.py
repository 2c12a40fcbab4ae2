"""Which form of a bundle is opened, and why; and views, averaged."""

import numpy as np
import pytest
from safetensors.torch import save_file

from eyebright.backends import open as room
from eyebright.backends.open import open_predictor, with_views
from eyebright.core.bundle import Architecture, Bundle, Form, Manifest
from eyebright.core.errors import MissingExtraError, ModelError
from eyebright.core.files import sha256
from eyebright.core.predictor import Outputs
from eyebright.core.preprocess import Preprocess
from eyebright.core.views import Views

from .toys import CLASSES, pixels, small_network, write_graph


@pytest.fixture
def bundle(tmp_path):
    """Both forms; they are two different models, so that a test can tell which one answered."""
    write_graph(tmp_path / "model.onnx")
    save_file(small_network().state_dict(), tmp_path / "torch.safetensors")
    return manifested(tmp_path)


def manifested(folder, forms=("onnx", "torch"), **changes):
    files = {"onnx": "model.onnx", "torch": "torch.safetensors"}
    described = {
        form: Form(file=files[form], sha256=sha256(folder / files[form]), bytes=(folder / files[form]).stat().st_size)
        for form in forms
    }
    arguments = {"height": 12, "width": 12, "hidden": 16}
    values = {"architecture": Architecture(name="cnn", arguments=arguments), "decision_sha256": "0" * 64, **changes}
    preprocess = Preprocess(height=12, width=12)
    return Bundle(folder, Manifest(name="toy", classes=CLASSES, preprocess=preprocess, forms=described, **values))


def installed(monkeypatch, *forms):
    monkeypatch.setattr(room, "_installed", lambda form: form in forms)


def test_onnx_is_taken_where_it_is_there(bundle):
    predictor, why = open_predictor(bundle)
    assert (predictor.form, why) == ("onnx", "ONNX starts quickest and needs no torch")


def test_torch_is_taken_where_the_bundle_has_nothing_else(bundle):
    predictor, why = open_predictor(manifested(bundle.path, ["torch"]))
    assert (predictor.form, why) == ("torch", "the bundle has no ONNX form")
    assert predictor(pixels()).logits.shape == (5, 3)


def test_the_form_that_was_asked_for_is_taken(bundle):
    predictor, why = open_predictor(bundle, form="torch")
    assert (predictor.form, why) == ("torch", "it was asked for")


def test_a_form_that_cannot_run_here_names_the_command(bundle, monkeypatch):
    installed(monkeypatch, "onnx")
    with pytest.raises(MissingExtraError, match=r"eyebright\[train\]"):
        open_predictor(bundle, form="torch")
    with pytest.raises(MissingExtraError, match="with the forms torch"):
        open_predictor(manifested(bundle.path, ["torch"]))


def test_a_form_that_the_bundle_lacks_or_nobody_knows_is_refused(bundle):
    with pytest.raises(ModelError, match="no form 'onnx'; it has torch"):
        open_predictor(manifested(bundle.path, ["torch"]), form="onnx")
    with pytest.raises(ModelError, match="no form 'tflite'"):
        open_predictor(bundle, form="tflite")


def test_a_torch_form_without_an_architecture_cannot_be_rebuilt(bundle):
    with pytest.raises(ModelError, match="names no architecture"):
        open_predictor(manifested(bundle.path, architecture=None), form="torch")


def test_a_changed_file_is_never_opened(bundle):
    write_graph(bundle.path / "model.onnx", columns=2)
    with pytest.raises(ModelError, match="was changed or damaged"):
        open_predictor(bundle)


# --- views


class LeftAndRight:
    """Logits: the brightness of the left and of the right half."""

    classes, form = ("left", "right"), "toy"

    def __init__(self, features=True):
        self.features = features

    def __call__(self, pixels):
        half = pixels.shape[-1] // 2
        logits = np.stack([pixels[..., :half].mean(axis=(1, 2, 3)), pixels[..., half:].mean(axis=(1, 2, 3))], axis=1)
        return Outputs(logits, 10 * logits if self.features else None)


def test_the_picture_and_its_mirror_image_are_averaged():
    """A picture bright on the left alone: 1 and 0 as it is, 0 and 1 mirrored, a half each on average."""
    picture = np.zeros((1, 3, 4, 4), dtype=np.float32)
    picture[..., :2] = 1
    found = with_views(LeftAndRight(), Views(names=("identity", "mirror")))(picture)
    assert found.logits.tolist() == [[0.5, 0.5]]
    assert found.features.tolist() == [[5.0, 5.0]]
    assert with_views(LeftAndRight(), Views(names=("mirror",)))(picture).logits.tolist() == [[0.0, 1.0]]


def test_the_picture_alone_needs_no_wrapping():
    inner = LeftAndRight()
    assert with_views(inner, Views()) is inner


def test_views_of_a_form_without_features_have_none():
    assert with_views(LeftAndRight(features=False), Views(names=("identity", "mirror")))(pixels()).features is None


def test_the_views_of_the_manifest_are_applied_when_a_bundle_is_opened(bundle):
    batch = pixels()
    plain, mirrored = (
        open_predictor(manifested(bundle.path, views=views))[0](batch).logits
        for views in (("identity",), ("identity", "mirror"))
    )
    flipped = open_predictor(bundle)[0](np.ascontiguousarray(batch[..., ::-1])).logits
    np.testing.assert_allclose(mirrored, (plain + flipped) / 2, atol=1e-6)
