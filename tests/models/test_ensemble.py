import numpy as np
import pytest
import torch

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.arrays import softmax
from eyebright.export.onnx_ import write_onnx
from eyebright.models.cnn import cnn
from eyebright.models.ensemble import Ensemble


def members(count: int, classes: int = 3):
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        found.append(cnn(classes, height=16, width=16, hidden=8).eval())
    return found


def pixels(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, 16, 16), dtype=np.float32)


def test_its_probabilities_are_the_mean_of_its_members():
    networks = members(3)
    batch = torch.from_numpy(pixels())
    with torch.no_grad():
        logits, features = Ensemble(networks).eval()(batch)
        expected = torch.stack([network(batch)[0].softmax(dim=1) for network in networks]).mean(dim=0)
    assert torch.allclose(logits.softmax(dim=1), expected, atol=1e-6)
    assert torch.allclose(logits.exp().sum(dim=1), torch.ones(5), atol=1e-5)  # logits that are log probabilities already
    assert features.shape == (5, 24)


def test_each_member_has_its_own_temperature():
    networks = members(2)
    batch = torch.from_numpy(pixels())
    with torch.no_grad():
        logits, _ = Ensemble(networks, [2.0, 0.5]).eval()(batch)
        parts = [network(batch)[0].numpy() for network in networks]
    expected = (softmax(parts[0], 2.0) + softmax(parts[1], 0.5)) / 2
    assert np.allclose(softmax(logits.numpy()), expected, atol=1e-6)


def test_one_member_alone_answers_as_itself():
    (network,) = members(1)
    batch = torch.from_numpy(pixels())
    with torch.no_grad():
        assert torch.allclose(Ensemble([network])(batch)[0].softmax(dim=1), network(batch)[0].softmax(dim=1), atol=1e-6)


def test_the_loss_of_the_whole_is_at_most_the_mean_loss_of_the_members():
    networks = members(4)
    batch, labels = torch.from_numpy(pixels(50)), torch.arange(50) % 3
    with torch.no_grad():
        alone = [torch.nn.functional.cross_entropy(network(batch)[0], labels) for network in networks]
        together = torch.nn.functional.cross_entropy(Ensemble(networks)(batch)[0], labels)
    assert together <= torch.stack(alone).mean() + 1e-6


def test_as_onnx_it_gives_the_same_answers(tmp_path):
    ensemble = Ensemble(members(3), [1.5, 1.0, 0.7]).eval()
    classes = ("a", "b", "c")
    write_onnx(ensemble, (16, 16), tmp_path / "model.onnx", classes=classes, name="three")
    expected = TorchPredictor(ensemble, classes)(pixels())
    found = OnnxPredictor(tmp_path / "model.onnx", classes)(pixels())
    assert np.abs(found.logits - expected.logits).max() < 1e-4
    assert found.features is not None
    assert found.features.shape == (5, 24)


def test_a_temperature_is_wanted_for_each_member():
    with pytest.raises(ValueError, match="2 members and 1 temperatures"):
        Ensemble(members(2), [1.0])
