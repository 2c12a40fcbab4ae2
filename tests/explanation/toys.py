"""Models whose reasons are known: sums over pixels, one that looks at a single corner, one that looks at nothing."""

import numpy as np
import torch
from torch import nn

from eyebright.core.predictor import Outputs
from eyebright.models.network import PixelNetwork

CLASSES = ("cat", "dog")


class Asked:
    """A predictor made of a function from pixels to logits. It counts what it is asked, and remembers the largest batch."""

    form = "toy"

    def __init__(self, answer, classes=CLASSES):
        self.answer, self.classes = answer, classes
        self.pictures = self.largest = 0

    def __call__(self, pixels):
        self.pictures += len(pixels)
        self.largest = max(self.largest, len(pixels))
        return Outputs(np.asarray(self.answer(pixels), dtype=np.float32))


def picture(height=32, width=32, seed=0):
    return np.random.default_rng(seed).random((1, 3, height, width), dtype=np.float32)


def summing(weights):
    """Logits that are sums over pixels, each with its own weight: ``weights`` is [classes, 3, height, width]."""
    return Asked(lambda pixels: np.einsum("nchw,kchw->nk", pixels, weights))


def random_sums(height, width, classes=2, seed=1):
    return summing(np.random.default_rng(seed).normal(size=(classes, 3, height, width)))


def constant(classes=CLASSES):
    return Asked(lambda pixels: np.zeros((len(pixels), len(classes))), classes)


def top_left(pixels):
    """Brightness of the top left eighth, for the first class; nothing else counts."""
    rows, columns = (max(1, side // 8) for side in pixels.shape[2:])
    bright = pixels[:, :, :rows, :columns].mean(axis=(1, 2, 3))
    return np.stack([20 * bright, np.full(len(pixels), 10.0)], axis=1)


def with_bright_corner(height=32, width=32):
    """A dark picture whose top left eighth is white."""
    pixels = 0.2 * picture(height, width)
    pixels[:, :, : max(1, height // 8), : max(1, width // 8)] = 1.0
    return pixels


class OneCorner(nn.Module):
    """Keeps the top left quarter of a map and clears the rest."""

    def forward(self, maps):
        kept = torch.zeros_like(maps)
        kept[..., : maps.shape[2] // 2, : maps.shape[3] // 2] = 1.0
        return maps * kept


def pooled(*extra, channels=4, classes=2, seed=0):
    """A small convolutional network that ends in a mean over places, with drawn weights. ``extra`` comes before the mean."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1), nn.ReLU(), *extra, nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        return PixelNetwork(nn.Identity(), backbone, nn.Linear(channels, classes)).eval()
