"""Every architecture that has a name here trains for real, some steps, and answers alike in torch and in ONNX."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.bundle import Architecture
from eyebright.core.parity import require_parity
from eyebright.export.onnx_ import write_onnx
from eyebright.models.catalogue import build_seeded, resolve
from eyebright.models.names import PUBLISHED

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = ("lying", "standing")
OWN = ("lenet", "mlp")
LEAST = {"alexnet": 63, "inception_v3": 75}  # pixels; the others take 32
# One of each kind is always tested; writing the others as ONNX takes from 4 to 15 seconds each.
QUICK = ("lenet", "mlp", "squeezenet1_1", "mobilenetv3_small", "vit_tiny")
WIDTHS = {
    "lenet": 84, "mlp": 512, "alexnet": 4096, "vgg16": 4096, "vgg19": 4096, "googlenet": 1024, "inception_v3": 2048,
    "resnet50": 2048, "resnet101": 2048, "resnet152": 2048, "densenet121": 1024, "xception": 2048, "squeezenet1_1": 512,
    "mobilenetv2": 1280, "mobilenetv3_small": 1024, "mobilenetv3_large": 1280, "efficientnet_b0": 1280, "seresnet50": 2048,
    "vit_tiny": 192, "vit_small": 384, "vit_base": 768, "deit_tiny": 192, "deit_small": 384,
}  # fmt: skip


def named(name):
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


def stripes(size, n=8):
    """Grey waves that lie or stand, at random phases, with some noise: pixels and labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    waves = torch.sin(torch.arange(size) / 2 + 6 * torch.rand(n, 1, generator=generator))
    lying = waves[:, None, :, None].expand(n, 3, size, size)
    pixels = 0.5 + 0.4 * torch.where(labels[:, None, None, None] == 0, lying, lying.transpose(2, 3))
    return (pixels + 0.05 * torch.randn(n, 3, size, size, generator=generator)).clamp(0, 1), labels


def built(name, size):
    arguments = {"height": size, "width": size} if name in OWN else {"size": size}
    return build_seeded(Architecture(name=resolve(name), arguments=arguments), len(CLASSES), 0)


def train(network, pixels, labels, steps=4):
    """The loss before each step on one small batch."""
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # so few steps would show its noise
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # the mean over all batches: a moving one would still be that of no batch at all
    optimiser = torch.optim.Adam(network.train().parameters(), lr=1e-4, fused=True)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(network(pixels)[0], labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_every_name_is_tested():
    assert set(WIDTHS) == {*OWN, *(one.name for one in PUBLISHED)}


@pytest.mark.parametrize("name", [named(name) for name in WIDTHS])
def test_it_learns_and_answers_alike_in_onnx(name, tmp_path):
    size = LEAST.get(name, 32)
    network = built(name, size)
    pixels, labels = stripes(size)
    losses = train(network, pixels, labels)
    assert losses[-1] < losses[0]

    trained = TorchPredictor(network, CLASSES)
    found = trained(pixels.numpy())
    assert found.logits.shape == (8, 2)
    assert found.features.shape == (8, WIDTHS[name])
    # Logits that hardly differ from picture to picture would agree with anything.
    assert 0.02 < found.logits.std(axis=0).max() < 100

    path = tmp_path / "model.onnx"
    write_onnx(network, (size, size), path, classes=CLASSES, name=name)
    exported = OnnxPredictor(path, CLASSES, threads=1)
    path.unlink()  # VGG's is half a gigabyte
    parity = require_parity(trained, exported, pixels.numpy())
    assert parity.max_difference < 1e-3 * found.logits.std(axis=0).max()
    features = exported(pixels[:1].numpy()).features  # a batch of another size
    np.testing.assert_allclose(features, found.features[:1], rtol=1e-3, atol=1e-3 * np.abs(found.features).max())
