"""A multilayer perceptron: dense layers alone, which see no neighbourhoods. What a convolution must beat."""

from torch import nn

from eyebright.core.errors import SettingsError
from eyebright.models.network import Luminance, PixelNetwork


def mlp(
    classes: int,
    *,
    height: int = 32,
    width: int = 32,
    grey: bool = False,
    hidden: int = 512,
    layers: int = 2,
    dropout: float = 0.2,
) -> PixelNetwork:
    """``layers`` dense layers of ``hidden`` ReLU units, each with dropout after it, then a dense layer.

    Takes pixels as they are, in [0, 1]. Features are the last ``hidden`` units. Initial weights are He's for the ReLU layers
    and Glorot's for the last, with zero biases. Raises ``SettingsError`` where there would be no layer or no unit.
    """
    if min(height, width, hidden, layers) < 1:
        raise SettingsError(
            f"mlp was asked for {layers} layers of {hidden} units on {height} x {width} pixels; at least 1 of each is needed."
        )
    inputs = height * width * (1 if grey else 3)
    backbone = nn.Sequential(nn.Flatten())  # n c h w -> n (c h w)
    for number in range(layers):
        if number:
            backbone.append(nn.Dropout(dropout))
        backbone.append(nn.Linear(hidden if number else inputs, hidden)).append(nn.ReLU())
    network = PixelNetwork(Luminance() if grey else nn.Identity(), backbone, nn.Linear(hidden, classes), dropout=dropout)
    for layer in backbone:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")  # He et al. 2015, eq. 10
            nn.init.zeros_(layer.bias)
    nn.init.xavier_uniform_(network.head.weight)  # Glorot and Bengio 2010, eq. 16
    nn.init.zeros_(network.head.bias)
    return network
