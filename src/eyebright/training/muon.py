"""Muon: convolution filters move by orthogonalised momentum, everything else by plain momentum."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Of the quintic that pulls singular values towards 1 (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
# networks", kellerjordan.github.io/posts/muon), as in airbench94_muon.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 3


class Muon(torch.optim.Optimizer):
    """Filters [out, in, h, w] by orthogonalised Nesterov momentum, other parameters by SGD with Nesterov momentum.

    Filters are those of groups whose ``kind`` is ``filters``. Before each step they are scaled to norm sqrt(out), so that the
    rate is a share of their size; they need no decay. Others decay by ``weight_decay``, an L2 penalty.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, dtype: torch.dtype = torch.float32) -> None:
        """``dtype`` is that of the iteration: bfloat16 is as good, and quicker where the processor has it."""
        super().__init__(groups, {"lr": 0.0, "momentum": 0.9, "kind": "plain", "weight_decay": 0.0})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step by the gradients that are there."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if group["kind"] == "filters":
                    move = self._nesterov(parameter, parameter.grad, group["momentum"])
                    parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp_min(1e-7))
                    parameter.add_(orthogonalised(move, self._dtype), alpha=-group["lr"])
                else:
                    gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                    parameter.add_(self._nesterov(parameter, gradient, group["momentum"]), alpha=-group["lr"])

    def _nesterov(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"].mul_(momentum).add_(gradient)
        return gradient.add(buffer, alpha=momentum)


def orthogonalised(filters: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Filters [out, ...] whose rows, or columns where there are more rows, are nearly orthonormal, singular values .7 to 1.2.

    The directions are those of ``filters``. Newton and Schulz's iteration, as in the source of ``COEFFICIENTS``.
    """
    matrix = filters.reshape(len(filters), -1).to(dtype)
    matrix = matrix / (matrix.norm() + 1e-7)
    tall = matrix.shape[0] > matrix.shape[1]
    matrix = matrix.T if tall else matrix
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = matrix @ matrix.T
        matrix = a * matrix + (b * gram + c * gram @ gram) @ matrix
    result: Tensor = matrix.T if tall else matrix
    return result.reshape(filters.shape).to(filters.dtype)
