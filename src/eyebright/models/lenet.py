"""LeNet-5, as LeCun, Bottou, Bengio and Haffner describe it: "Gradient-based learning applied to document recognition", 1998.

Kept of section II.B: 5 x 5 convolutions of 6, 16 and 120 maps; each map of C3 sees only the maps of S2 that table I gives it;
a subsampling layer joins 2 x 2 places, with one trainable coefficient and one bias a map, and squashes; 84 units before the
classes; the squashing function of appendix A; the scaling of pixels.

Otherwise than there: the classes are answered by a dense layer under softmax and cross-entropy, not by radial basis functions
whose centres are drawn letters; the mean of four places stands for their sum, which only scales the coefficient; the initial
weights are those that the authors advise later in the same year; there may be three colour channels; and pictures may have
another size than 32 x 32: C5 is then as large as what it looks at.
"""

import torch
from torch import Tensor, nn

from eyebright.core.errors import SettingsError
from eyebright.models.network import Luminance, Normalise, PixelNetwork

SIZE = 32  # pixels. Section II.B: digits of 20, centred, so that a stroke's end can lie in the middle of a receptive field
MINIMUM_SIZE = 16  # pixels: two valid 5x5 convolutions and two halvings leave one pixel of 16
LOW, HIGH = -0.1, 1.175  # section II.B: the background and the ink of a digit, for a mean of about 0 and a variance of about 1
AMPLITUDE, SLOPE = 1.7159, 2 / 3  # appendix A: f(1) = 1 and f(-1) = -1

# Table I: which maps of S2 each of the 16 maps of C3 is made of.
CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class Squash(nn.Module):
    """The scaled hyperbolic tangent, 1.7159 tanh(2x/3)."""

    def forward(self, values: Tensor) -> Tensor:
        return AMPLITUDE * torch.tanh(SLOPE * values)


class Subsampling(nn.Module):
    """The mean of 2 x 2 places times a trainable coefficient, plus a bias: one of each a map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.mean = nn.AvgPool2d(2)
        self.coefficient = nn.Parameter(torch.ones(maps, 1, 1))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.mean(maps) * self.coefficient + self.bias  # n maps h w -> n maps h/2 w/2
        return found


class PartlyConnected(nn.Module):
    """5 x 5 convolutions in which each map is made of the maps in one row of ``CONNECTIONS``: no symmetry, fewer weights."""

    def __init__(self) -> None:
        super().__init__()
        fans = sorted({len(row) for row in CONNECTIONS})
        self.rows = [[row for row in CONNECTIONS if len(row) == fan] for fan in fans]
        # Maps made of equally many are one grouped convolution; the table is in this order already.
        self.convolutions = nn.ModuleList(
            nn.Conv2d(fan * len(rows), len(rows), 5, groups=len(rows)) for fan, rows in zip(fans, self.rows, strict=True)
        )

    def forward(self, maps: Tensor) -> Tensor:
        made = [
            convolution(maps[:, [index for row in rows for index in row]])  # n 6 h w -> n (rows fan) h w
            for rows, convolution in zip(self.rows, self.convolutions, strict=True)
        ]
        return torch.cat(made, dim=1)


def lenet(
    classes: int, *, height: int = SIZE, width: int = SIZE, grey: bool = False, hidden: int = 84, dropout: float = 0.0
) -> PixelNetwork:
    """LeNet-5: 60,000 weights before the last layer for grey pictures of 32 x 32. Features are the ``hidden`` units.

    Raises ``SettingsError`` for pictures under 16 pixels.
    """
    if min(height, width) < MINIMUM_SIZE:
        raise SettingsError(
            f"--size is {height} x {width}; lenet needs at least {MINIMUM_SIZE} x {MINIMUM_SIZE} pixels, and was made for "
            f"{SIZE} x {SIZE}. Give a larger --size."
        )
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    backbone = nn.Sequential(
        nn.Conv2d(1 if grey else 3, 6, 5),  # C1
        Squash(),
        Subsampling(6),  # S2
        Squash(),
        PartlyConnected(),  # C3
        Squash(),
        Subsampling(16),  # S4
        Squash(),
        nn.Conv2d(16, 120, (rows, columns)),  # C5: 5 x 5 at 32 x 32
        Squash(),
        nn.Flatten(),
        nn.Linear(120, hidden),  # F6
        Squash(),
    )
    channels = 1 if grey else 3
    scale = Normalise([-LOW / (HIGH - LOW)] * channels, [1 / (HIGH - LOW)] * channels)  # [0, 1] -> [-0.1, 1.175]
    prepare = nn.Sequential(Luminance(), scale) if grey else scale
    network = PixelNetwork(prepare, backbone, nn.Linear(hidden, classes), dropout=dropout)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            # LeCun, Bottou, Orr and Müller 1998, "Efficient BackProp", eq. 16. The paper's own weights, uniform within 2.4 over
            # the inputs, are so much smaller for wide layers that training hardly begins within few epochs.
            nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
            nn.init.zeros_(layer.bias)
    return network
