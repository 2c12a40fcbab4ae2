"""Each form as a predictor: what is refused when it is opened, and that pixels in give the network's own numbers."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from eyebright.backends.device import choose_device
from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.torch_ import TorchPredictor, load_network
from eyebright.core.bundle import Architecture
from eyebright.core.errors import ModelError, ResourceError
from eyebright.core.predictor import Differentiable, Predictor

from .toys import CLASSES, external_tensor, pixels, small_network, write_graph

ARCHITECTURE = Architecture(name="cnn", arguments={"height": 12, "width": 12, "hidden": 16})

# --- torch


def test_the_torch_form_gives_the_networks_logits_and_features():
    network = small_network()
    predictor = TorchPredictor(network, CLASSES)
    batch = pixels()
    with torch.no_grad():
        logits, features = small_network()(torch.from_numpy(batch))
    found = predictor(batch)
    np.testing.assert_allclose(found.logits, logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.features, features.numpy(), atol=1e-5)
    assert isinstance(predictor, Predictor)
    assert isinstance(predictor, Differentiable)


def test_splitting_a_batch_leaves_the_logits_unchanged():
    predictor, batch = TorchPredictor(small_network(), CLASSES), pixels(7)
    parts = np.concatenate([predictor(part).logits for part in np.array_split(batch, 3)])
    np.testing.assert_allclose(parts, predictor(batch).logits, atol=1e-5)


def test_pixels_in_another_memory_layout_are_the_same_picture():
    predictor, batch = TorchPredictor(small_network(), CLASSES), pixels(4)
    strided = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(predictor(strided).logits, predictor(batch).logits, atol=1e-6)


def test_a_network_handed_over_in_training_mode_answers_without_dropout():
    predictor, batch = TorchPredictor(small_network().train(), CLASSES), pixels()
    np.testing.assert_array_equal(predictor(batch).logits, predictor(batch).logits)


def test_the_gradient_is_the_slope_that_small_steps_find():
    predictor, batch = TorchPredictor(small_network(), CLASSES), pixels(1)
    slope = predictor.gradient(batch, 1)
    assert slope.shape == batch.shape
    step = 1e-3 * np.sign(slope).astype(np.float32)
    rise = predictor(batch + step).logits[0, 1] - predictor(batch - step).logits[0, 1]
    assert rise == pytest.approx(2e-3 * np.abs(slope).sum(), rel=0.05)


def test_saved_weights_are_loaded_into_the_same_network_and_nothing_global_is_drawn(tmp_path):
    save_file(small_network().state_dict(), tmp_path / "weights.safetensors")
    before = torch.random.get_rng_state()
    network = load_network(tmp_path / "weights.safetensors", ARCHITECTURE, 3)
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(
        TorchPredictor(network, CLASSES)(pixels()).logits, TorchPredictor(small_network(), CLASSES)(pixels()).logits
    )


@pytest.mark.parametrize("classes", [2, 5])
def test_weights_of_another_number_of_classes_are_refused(tmp_path, classes):
    save_file(small_network().state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="does not hold the weights of cnn"):
        load_network(tmp_path / "weights.safetensors", ARCHITECTURE, classes)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\xff" * 64])
def test_damaged_weights_are_refused(tmp_path, content):
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="does not hold the weights"):
        load_network(tmp_path / "weights.safetensors", ARCHITECTURE, 3)


# --- ONNX


def test_the_onnx_form_gives_what_the_graph_gives(tmp_path):
    predictor = OnnxPredictor(write_graph(tmp_path / "toy.onnx", outputs=("features", "logits")), CLASSES)
    batch = pixels()
    found = predictor(batch)
    np.testing.assert_array_equal(found.logits, batch.reshape(5, -1)[:, :3])
    np.testing.assert_array_equal(found.features, found.logits)
    assert isinstance(predictor, Predictor)


def test_a_graph_without_features_has_none(tmp_path):
    assert OnnxPredictor(write_graph(tmp_path / "toy.onnx"), CLASSES, threads=1)(pixels()).features is None


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x07" + b"\xff" * 100])
def test_a_file_that_is_no_graph_is_refused(tmp_path, content):
    (tmp_path / "toy.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"toy\.onnx cannot be opened"):
        OnnxPredictor(tmp_path / "toy.onnx", CLASSES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"outputs": ("scores",)}, r"outputs \['scores'\]; expected pixels and logits"),
        ({"inputs": 2}, "expected pixels and logits"),
    ],
)
def test_a_graph_with_other_inputs_or_outputs_is_refused(tmp_path, options, said):
    with pytest.raises(ModelError, match=said):
        OnnxPredictor(write_graph(tmp_path / "toy.onnx", **options), CLASSES)


def test_a_graph_that_cannot_compute_on_the_pixels_refuses_the_model_and_is_no_bug_of_ours(tmp_path):
    predictor = OnnxPredictor(write_graph(tmp_path / "toy.onnx"), CLASSES)
    with pytest.raises(ModelError, match="The ONNX form fails on pixels of"):
        predictor(pixels()[:, 0])  # three dimensions in place of four


def test_a_graph_for_another_number_of_classes_is_refused_when_it_answers(tmp_path):
    predictor = OnnxPredictor(write_graph(tmp_path / "toy.onnx", columns=2), CLASSES)
    with pytest.raises(ModelError, match=r"\(5, 2\) logits; expected \(5, 3\)"):
        predictor(pixels())


def test_a_graph_that_reaches_for_a_file_of_the_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the runtime looks for the file
    (tmp_path / "secret.bin").write_bytes(np.full(432, 7, dtype=np.float32).tobytes())
    path = write_graph(tmp_path / "toy.onnx", columns=432, external=external_tensor("secret", "secret.bin", 432))
    with pytest.raises(ModelError, match="it keeps values in another file"):
        OnnxPredictor(path, CLASSES)


# --- the device


def test_a_device_that_was_asked_for_is_taken():
    assert choose_device("cpu") == ("cpu", "it was asked for")


def test_without_cuda_the_processor_is_chosen_and_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == ("cpu", "no CUDA device is visible")
    with pytest.raises(ResourceError, match="--device cpu"):
        choose_device("cuda")


def test_with_cuda_it_is_chosen_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a fine GPU")
    assert choose_device("auto") == ("cuda", "a fine GPU is visible")
    assert choose_device("cpu")[0] == "cpu"


@pytest.mark.gpu
def test_the_torch_form_gives_the_same_on_a_gpu():
    batch = pixels(16)
    there = TorchPredictor(small_network(), CLASSES, device="cuda")(batch).logits
    np.testing.assert_allclose(there, TorchPredictor(small_network(), CLASSES)(batch).logits, atol=1e-3)
