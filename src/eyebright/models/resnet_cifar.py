"""Residual networks for pictures of 32 x 32, as He, Zhang, Ren and Sun describe them for CIFAR-10.

"Deep residual learning for image recognition", 2016, section 4.2: a 3 x 3 convolution of 16 maps; three stages of n blocks of
two 3 x 3 convolutions, with 16, 32 and 64 maps of 32, 16 and 8 pixels a side; the mean over places; one dense layer. That is
6n + 2 layers with weights. Every shortcut is free of parameters (option A): where the maps become more and smaller, it takes
every second place and adds maps of zeros.

The paper does not say where these zeros stand. Here one half comes before the maps and one behind them, as in the weights that
are published most (Idelbayev 2018, "Proper ResNet implementation for CIFAR10/CIFAR100 in PyTorch").
"""

import torch.nn.functional as F
from torch import Tensor, nn

from eyebright.models.network import Normalise, PixelNetwork
from eyebright.models.zoo import IMAGENET_MEAN, IMAGENET_STD

SIZE = 32  # pixels
DEPTHS = (20, 32, 44, 56, 110)  # section 4.2: n = 3, 5, 7, 9 and 18
MAPS = (16, 32, 64)


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without parameters; ``stride`` 2 halves the maps' sides."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, made, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(made)
        self.conv2 = nn.Conv2d(made, made, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        self.stride = stride
        self.added = (made - given) // 2  # maps of zeros on each side

    def forward(self, maps: Tensor) -> Tensor:
        found = F.relu(self.bn1(self.conv1(maps)))
        return F.relu(self.bn2(self.conv2(found)) + self._shortcut(maps))

    def _shortcut(self, maps: Tensor) -> Tensor:
        if not self.added:
            return maps
        thinned = maps[:, :, :: self.stride, :: self.stride]
        return F.pad(thinned, (0, 0, 0, 0, self.added, self.added))  # n given h w -> n made h w


class Backbone(nn.Module):
    """Features [n, 64] from normalised pixels [n, 3, height, width]."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, MAPS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(MAPS[0])
        self.layer1 = _stage(MAPS[0], MAPS[0], blocks)
        self.layer2 = _stage(MAPS[0], MAPS[1], blocks)
        self.layer3 = _stage(MAPS[1], MAPS[2], blocks)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(pixels))))))
        means: Tensor = maps.mean(dim=(2, 3))  # n 64 h w -> n 64
        return means


def _stage(given: int, made: int, blocks: int) -> nn.Sequential:
    first = Block(given, made, stride=1 if given == made else 2)
    return nn.Sequential(first, *(Block(made, made, stride=1) for _ in range(blocks - 1)))


def resnet_cifar(classes: int, *, depth: int, dropout: float = 0.0) -> PixelNetwork:
    """The network of ``depth`` 6n + 2. Initial weights are those of He et al. 2015, as the paper takes them."""
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"{depth} is no depth of this family; 6n + 2 was expected")
    network = PixelNetwork(
        Normalise(IMAGENET_MEAN, IMAGENET_STD), Backbone((depth - 2) // 6), nn.Linear(MAPS[-1], classes), dropout=dropout
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def resnet20(classes: int, *, dropout: float = 0.0) -> PixelNetwork:
    """ResNet-20: 0.27 million parameters."""
    return resnet_cifar(classes, depth=20, dropout=dropout)


def resnet32(classes: int, *, dropout: float = 0.0) -> PixelNetwork:
    """ResNet-32: 0.46 million parameters."""
    return resnet_cifar(classes, depth=32, dropout=dropout)


def resnet44(classes: int, *, dropout: float = 0.0) -> PixelNetwork:
    """ResNet-44: 0.66 million parameters."""
    return resnet_cifar(classes, depth=44, dropout=dropout)


def resnet56(classes: int, *, dropout: float = 0.0) -> PixelNetwork:
    """ResNet-56: 0.85 million parameters."""
    return resnet_cifar(classes, depth=56, dropout=dropout)


def resnet110(classes: int, *, dropout: float = 0.0) -> PixelNetwork:
    """ResNet-110: 1.7 million parameters."""
    return resnet_cifar(classes, depth=110, dropout=dropout)
