"""The classic small convolutional network: two convolutions, two poolings, one wide dense layer."""

from torch import nn

from eyebright.core.errors import SettingsError
from eyebright.models.network import Luminance, PixelNetwork

MINIMUM_SIZE = 10  # pixels: two valid 3x3 convolutions and two halvings leave one pixel of 10


def cnn(
    classes: int, *, height: int = 32, width: int = 32, grey: bool = False, dropout: float = 0.5, hidden: int = 512
) -> PixelNetwork:
    """Conv 32 3x3 valid ReLU, pool 2, conv 64 3x3 valid ReLU, pool 2, dense ``hidden`` ReLU, dropout, dense.

    Takes pixels as they are, in [0, 1]: the network of countless first lessons, made comparable. Raises ``SettingsError`` for
    pictures under 10 pixels. Features are the ``hidden`` units; initial weights are Glorot's, with zero biases, as in Keras.
    """
    if min(height, width) < MINIMUM_SIZE:
        raise SettingsError(
            f"--size is {height} x {width}; cnn needs at least {MINIMUM_SIZE} x {MINIMUM_SIZE} pixels. Give a larger --size."
        )
    rows, columns = (((side - 2) // 2 - 2) // 2 for side in (height, width))
    backbone = nn.Sequential(
        nn.Conv2d(1 if grey else 3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * rows * columns, hidden),
        nn.ReLU(),
    )
    network = PixelNetwork(Luminance() if grey else nn.Identity(), backbone, nn.Linear(hidden, classes), dropout=dropout)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            # Glorot and Bengio 2010, eq. 16. torch's default is a quarter of this variance and learns slower here.
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network
