"""Where and how the fused functions run: on a processor, with numba, in the precision that autocast asks for."""

import functools
import importlib

import torch
from torch import Tensor, nn

LEAST = 128  # pictures
PRECISIONS = (torch.bfloat16,)


def usable(x: Tensor) -> bool:
    """Whether the fused functions are worth having for ``x``; torch's own, one by one, can take anything.

    They are 1.4 to 2 times as fast in bfloat16; in float32, or of few pictures, they would hardly earn back their compiling.
    """
    large = len(x) >= LEAST and dtype_of(x) in PRECISIONS
    return x.device.type == "cpu" and large and not _recorded() and _compiler()


def rounds(x: Tensor) -> bool:
    """Whether ``x`` is asked about in bfloat16 without gradients, as training asks about a validation part.

    In float32 torch's own functions answer, which are what is exported and what a heat map looks into.
    """
    return not torch.is_grad_enabled() and dtype_of(x) == torch.bfloat16


def dtype_of(x: Tensor) -> torch.dtype:
    """The type that a convolution of ``x`` would have: autocast's where it is on."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def in_layout(x: Tensor) -> Tensor:
    """``x`` in the type that is worked in, the channels last in memory."""
    return x.to(dtype_of(x)).contiguous(memory_format=torch.channels_last)


def activated(x: Tensor, slope: float) -> Tensor:
    """x * sigmoid(slope x), written into ``x``: for what nothing is learned before."""
    from eyebright.models.speed.fused import activate_in_place

    return activate_in_place(x.contiguous(memory_format=torch.channels_last), slope)


def block(x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, *, pool: bool, slope: float) -> Tensor:
    """A block's forward pass; in training ``norm``'s running statistics move as torch would move them."""
    from eyebright.models.speed.fused import FusedBlock, answered_block

    if not norm.training:
        return answered_block(x, weight, bias, norm, pool=pool, slope=slope)
    out, mean, variance = FusedBlock.apply(x, weight, bias, pool, slope, norm.eps)  # type: ignore[no-untyped-call]
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    count = out.numel() / out.shape[1]
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)
        norm.num_batches_tracked += 1
    result: Tensor = out
    return result


def _recorded() -> bool:
    """Whether torch writes down what is done, to export or compile it: it can see its own functions only."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export() or torch._C._get_tracing_state() is not None


@functools.cache
def _compiler() -> bool:
    """Whether numba is here and can be imported: it may be too old for this Python or this numpy."""
    try:
        importlib.import_module("eyebright.models.speed.kernels")
    except ImportError:
        return False
    return True
