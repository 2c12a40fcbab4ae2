"""Small networks and small problems for the tests of training."""

import numpy as np
import torch
from torch import nn

from eyebright.core import seeds
from eyebright.models.cnn import cnn
from eyebright.models.network import PixelNetwork
from eyebright.models.speed.network import Backbone, SpeedNetwork
from eyebright.training.fit import LabelledPictures


def coloured(n=48, *, seed=0, size=12, shift_labels=0):
    """Noise whose brightest channel is the class. Labels that are shifted are wrong, all of them."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    pictures = generator.integers(0, 150, (n, 3, size, size), dtype=np.uint8)
    pictures[np.arange(n), labels] += 70
    hashes = seeds.key_hashes([f"{seed}/{row}" for row in range(n)])
    return LabelledPictures(pictures, (labels + shift_labels).astype(np.int64) % 3, hashes)


def seeded(make, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def small_cnn(seed=0, *, dropout=0.5, hidden=16):
    return seeded(lambda: cnn(3, height=12, width=12, hidden=hidden, dropout=dropout), seed)


def normed(seed=0):
    """A network with batch norms and a bare parameter of the backbone's own, as ViTs have."""
    return seeded(lambda: PixelNetwork(nn.Identity(), NormedBackbone(), nn.Linear(8, 3)), seed)


def fast(seed=0):
    """A ``speed`` of two groups and 8 channels."""
    return seeded(lambda: SpeedNetwork(nn.Identity(), Backbone(3, (8, 8), deep=False), nn.Linear(8, 3, bias=False)), seed)


class NormedBackbone(nn.Module):
    """Two convolutions with their norms, then the mean over all places."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.stages = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8))

    def forward(self, pixels):
        return self.stages(self.stem(pixels + self.offset)).relu().mean(dim=(2, 3))


def copied(network):
    """The weights and buffers as they are now."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def changed(before, after):
    """The names of the tensors that are not the same to the last bit."""
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}
