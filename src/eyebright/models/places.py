"""The last layer of a network that still knows where things are, found by watching one forward pass.

Nothing is hooked into the network: the watch is a mode of the calling thread, and others may ask the same network meanwhile.
"""

import collections
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from eyebright.models.depths import SeveralDepths, side_by_side
from eyebright.models.network import PixelNetwork

KEPT = 32  # of the last maps. A class token reads its patches at most some ten operations before the end.
LAYERS_AFTER = 16  # with weights, from the map to the logits: a last block of attention has up to 11, a lost grid is 38 away
PREFIX = 8  # tokens before the patches: a class token, a distillation token, four registers (Darcet et al. 2024)
_NORMS = ("layer_norm", "rms_norm")
_PRODUCTS = ("linear", "matmul", "bmm")
_STRIDES = (1, 2, 4, 8, 16, 32)


@dataclasses.dataclass(frozen=True)
class _Map:
    """A tensor as an operation gave it. ``layout``: ``n c h w``, ``n h w c``, or ``n t c`` with tokens before the patches."""

    values: Tensor
    layout: str
    grid: tuple[int, int]
    layer: int  # how many convolutions and dense layers had been passed

    def by_place(self, tensor: Tensor) -> Tensor:
        """``tensor``, of this map's shape, as n c h w."""
        if self.layout == "n c h w":
            return tensor
        if self.layout == "n t c":
            rows, columns = self.grid
            tensor = tensor[:, -rows * columns :].reshape(len(tensor), rows, columns, -1)  # n t c -> n h w c
        return tensor.permute(0, 3, 1, 2)


class _Watch(TorchFunctionMode):
    """Keeps the last maps of places that the operations of this thread give.

    A convolution says what the grid is. What later has this grid is a map too: its norm, its ReLU, the sum with a shortcut, the
    branches side by side. What a pooling gives has another. Transformers keep a token a place, or maps with the channels last
    (Swin, Liu et al. 2021); of theirs, norms and sums count, not queries, keys and values.
    """

    def __init__(self, pictures: int) -> None:
        super().__init__()
        self.maps: collections.deque[_Map] = collections.deque(maxlen=KEPT)
        self.layers = 0
        self._pictures = pictures
        self._grid = (1, 1)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = func(*args, **(kwargs or {}))
        operation = getattr(func, "__name__", "")
        self.layers += operation in ("conv2d", "linear")
        if isinstance(given, Tensor) and given.requires_grad and given.ndim in (3, 4) and len(given) == self._pictures:
            self._look(given, operation, args)
        return given

    def _look(self, given: Tensor, operation: str, args: tuple[Any, ...]) -> None:
        if operation == "conv2d" and given[0, 0].numel() > 1:
            self._grid = (given.shape[2], given.shape[3])
        if self._grid == (1, 1):  # before the first convolution, or dense layers alone
            return
        if given.ndim == 3 and self._are_tokens(given, operation, args):
            self._keep(given, "n t c", self._grid)
        elif given.ndim == 4 and tuple(given.shape[2:]) == self._grid:
            self._keep(given, "n c h w", self._grid)
        elif given.ndim == 4 and self._has_channels_last(given, operation):
            self._keep(given, "n h w c", (given.shape[1], given.shape[2]))

    def _are_tokens(self, given: Tensor, operation: str, args: tuple[Any, ...]) -> bool:
        place_by_place = operation not in _PRODUCTS and any(
            isinstance(one, Tensor) and one.shape == given.shape for one in args
        )
        return place_by_place and 0 <= given.shape[1] - self._grid[0] * self._grid[1] <= PREFIX

    def _has_channels_last(self, given: Tensor, operation: str) -> bool:
        grid = tuple(given.shape[1:3])
        merged = [tuple(-(-side // stride) for side in self._grid) for stride in _STRIDES]  # ceil: odd sides are padded
        return (
            grid != (1, 1) and operation not in _PRODUCTS and (grid == self._grid or (operation in _NORMS and grid in merged))
        )

    def _keep(self, given: Tensor, layout: str, grid: tuple[int, int]) -> None:
        self.maps.append(_Map(given, layout, grid, self.layers))


def last_maps(network: nn.Module, pixels: Tensor, score: Callable[[Any], Tensor]) -> tuple[Tensor, Tensor] | None:
    """Activations and gradients of the last layer with places that ``score`` depends on, both [n, channels, rows, columns].

    ``score`` makes one number of the network's outputs. In a network that answers from its class token alone, this is the norm
    before the last attention: what comes later at the patches' places has no part in the answer.

    Where features come from several depths, their maps are one layer on the finest grid; what a map gives to
    the next is left out.

    None where the network keeps no places (dense layers alone), and where ours are known for its early layers only: more than
    ``LAYERS_AFTER`` layers later, another grid decided.
    """
    if isinstance(network, PixelNetwork) and isinstance(network.backbone, SeveralDepths):
        return _maps_of_depths(network, network.backbone, pixels, score)
    pixels = pixels.detach().requires_grad_(True)  # so that a frozen network has gradients too
    with torch.enable_grad(), _Watch(len(pixels)) as watch:
        total = score(network(pixels))
    found = [one for one in watch.maps if watch.layers - one.layer <= LAYERS_AFTER]
    if not found:
        return None
    slopes: tuple[Tensor | None, ...] = torch.autograd.grad(total, [one.values for one in found], allow_unused=True)
    pairs = [
        (one.by_place(one.values.detach()), one.by_place(slope if slope is not None else torch.zeros_like(one.values)))
        for one, slope in zip(found, slopes, strict=True)
    ]
    used = [pair for pair in pairs if bool(pair[1].any())]
    return (used or pairs)[-1]


def _maps_of_depths(
    network: PixelNetwork, backbone: SeveralDepths, pixels: Tensor, score: Callable[[Any], Tensor]
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        layer = side_by_side(backbone.maps(network.prepare(pixels)))
    layer.requires_grad_(True)
    with torch.enable_grad():
        features = layer.mean((2, 3))
        (slope,) = torch.autograd.grad(score((network.head(features), features)), layer)
    return layer.detach(), slope
