"""A convolution with all that follows it as one function, forward and backward, on the kernels."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from eyebright.models.speed import kernels
from eyebright.models.speed.arrays import as_array, empty, flat, rows
from eyebright.models.speed.weight_gradient import input_gradient, weight_gradient


class FusedBlock(torch.autograd.Function):
    """conv 3x3 -> maxima of 2x2 where wanted -> batch norm without a scale -> z * sigmoid(slope z)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, pool: bool, slope: float, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernels.follow_torch()
        weight = weight.to(x.dtype, memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
        out = F.conv2d(x, weight, padding=1)
        n, channels, height, width = out.shape
        sums = np.empty((kernels.CHUNKS, 2, channels), np.float32)
        winner = None
        if pool:
            pooled = empty(n, channels, height // 2, width // 2, out)
            winner = np.empty((n, height // 2, width // 2, channels), np.uint8)
            kernels.pool_and_sums(rows(out), rows(pooled), winner, sums)
            out = pooled
        else:
            kernels.plain_sums(flat(out), sums)
        count = out.shape[0] * out.shape[2] * out.shape[3]
        total = sums.sum(axis=0, dtype=np.float64)
        mean = total[0] / count
        variance = np.maximum(total[1] / count - mean**2, 0)
        scale = 1 / np.sqrt(variance + epsilon)
        shift = bias.detach().numpy() - mean * scale
        active = torch.empty_like(out)
        kernels.activate(flat(out), flat(active), scale.astype(np.float32), shift.astype(np.float32), np.float32(slope))
        ctx.save_for_backward(x, weight, out)
        ctx.rest = (winner, height, width, mean, scale, shift, slope)
        mean_, variance_ = torch.from_numpy(mean).float(), torch.from_numpy(variance).float()
        ctx.mark_non_differentiable(mean_, variance_)
        return active, mean_, variance_

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        kernels.follow_torch()
        x, weight, out = ctx.saved_tensors
        winner, height, width, mean, scale, shift, slope = ctx.rest
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        channels = out.shape[1]
        by_z = torch.empty_like(out)
        sums = np.empty((kernels.CHUNKS, 2, channels), np.float32)
        scale32, shift32 = scale.astype(np.float32), shift.astype(np.float32)
        kernels.activation_gradient(flat(out), flat(gradient), flat(by_z), scale32, shift32, np.float32(slope), sums)
        count = out.shape[0] * out.shape[2] * out.shape[3]
        by_bias, by_product = sums.sum(axis=0, dtype=np.float64)
        by_norm = scale * (by_product - mean * by_bias)  # the sum of the gradient times the normalised value
        by_value = -(scale**2) * by_norm / count
        constant = -scale * by_bias / count - mean * by_value
        factors = [values.astype(np.float32) for values in (scale, by_value, constant)]
        if winner is None:
            kernels.norm_gradient(flat(out), flat(by_z), *factors)
            by_conv = by_z
        else:
            by_conv = empty(len(out), channels, height, width, out)
            kernels.norm_gradient_unpooled(rows(out), rows(by_z), *factors, winner, rows(by_conv))
        by_x = input_gradient(x, weight, by_conv) if ctx.needs_input_grad[0] else None
        by_weight = weight_gradient(x, weight, by_conv).float() if ctx.needs_input_grad[1] else None
        return by_x, by_weight, torch.from_numpy(by_bias).float(), None, None, None


def answered_block(x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, *, pool: bool, slope: float) -> Tensor:
    """The same with the running statistics of ``norm``, without gradients."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    kernels.follow_torch()
    out = F.conv2d(x, weight.to(x.dtype, memory_format=torch.channels_last), padding=1)
    if pool:
        out = F.max_pool2d(out, 2).contiguous(memory_format=torch.channels_last)
    scale = (norm.running_var + norm.eps).rsqrt()
    shift = bias - norm.running_mean * scale
    kernels.activate(flat(out), flat(out), scale.numpy(), shift.detach().numpy(), np.float32(slope))
    return out


def activate_in_place(x: Tensor, slope: float) -> Tensor:
    """x * sigmoid(slope x) for ``x`` [n, c, h, w] with the channels last, in its own memory."""
    kernels.follow_torch()
    n, channels, height, width = x.shape
    long = as_array(x.permute(0, 2, 3, 1).view(n * height, width * channels))  # longer rows are quicker, and all channels alike
    ones, zeros = (np.full(long.shape[1], value, np.float32) for value in (1, 0))
    kernels.activate(long, long, ones, zeros, np.float32(slope))
    return x
