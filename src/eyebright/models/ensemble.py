"""Several networks as one: the mean of their probabilities, each with its own temperature."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eyebright.models.network import Classifier, PixelNetwork

ENSEMBLE = "ensemble"  # its name in a manifest


class Ensemble(Classifier):
    """Logits [n, classes] whose softmax is the mean of the members' calibrated probabilities; features lie side by side.

    Probabilities are averaged, not logits: the mean of probabilities is never further from the truth in log loss than its
    members are on average (Lakshminarayanan et al. 2017, section 2.4; Jensen's inequality). Each member's logits are divided by
    its own temperature first (Rahaman and Thiery 2021: averaging alone makes calibrated members under-confident, so a
    decision's temperature, fitted on the whole, still applies after it).
    """

    temperatures: Tensor

    def __init__(self, members: Sequence[PixelNetwork], temperatures: Sequence[float] | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        values = torch.tensor([1.0] * len(members) if temperatures is None else list(temperatures), dtype=torch.float32)
        if len(values) != len(members) or not len(members):
            raise ValueError(f"{len(members)} members and {len(values)} temperatures; one each and at least one was expected")
        self.register_buffer("temperatures", values, persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        outputs = [member(pixels) for member in self.members]
        # members n classes
        scores = torch.stack(
            [(logits / self.temperatures[place]).log_softmax(dim=1) for place, (logits, _) in enumerate(outputs)]
        )
        return scores.logsumexp(dim=0) - math.log(len(outputs)), torch.cat([features for _, features in outputs], dim=1)
