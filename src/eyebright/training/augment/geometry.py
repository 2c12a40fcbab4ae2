"""Where pixels come from: every move of a picture composed into one map, and one resampling for them all."""

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eyebright.core import seeds
from eyebright.training.augment.draws import Draws, sides_of_box
from eyebright.training.augment.values import Augment

CROP_ASPECT = 4 / 3  # Szegedy et al. 2015, "Going deeper with convolutions", section 6: between 3/4 and 4/3


def moved(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """A new tensor with the pictures [n, 3, height, width] mirrored, cropped, turned, leant and tilted.

    Places that come from outside the picture repeat its border by reflection.
    """
    if augment.pad:
        pixels = _picked(pixels, augment, draws)
        augment = augment.model_copy(update={"flip": False, "vertical": False})
        if not augment.geometric:
            return pixels
    elif not augment.geometric:
        return _mirrored(pixels, augment, draws)
    grid = _grid(pixels, augment, draws)
    sampled = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return sampled.clamp_(0, 1)  # the four weights of a place add up to one, give or take a rounding


def _mirrored(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    turned = pixels.clone()
    for chosen, axis in ((_sideways(augment, draws), 3), (_upside_down(augment, draws), 2)):
        if chosen.any():
            rows = torch.from_numpy(np.flatnonzero(chosen)).to(pixels.device)
            turned.index_copy_(0, rows, turned.index_select(0, rows).flip(axis))
    return turned


def _picked(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """Mirrored and moved by whole pixels: each pixel of the new picture is one of the old."""
    n, channels, height, width = pixels.shape
    moves = np.floor(draws.numbers("pad", 2) * (2 * augment.pad + 1)).astype(np.int64) - augment.pad  # n 2
    down = _reflected(np.arange(height)[None, :] + moves[:, :1], height)
    right = _reflected(np.arange(width)[None, :] + moves[:, 1:], width)
    down = np.where(_upside_down(augment, draws)[:, None], down[:, ::-1], down)
    right = np.where(_sideways(augment, draws)[:, None], right[:, ::-1], right)
    places = (np.arange(n)[:, None, None] * height + down[:, :, None]) * width + right[:, None, :]  # n height width
    values = pixels.permute(0, 2, 3, 1).reshape(-1, channels)
    found = values.index_select(0, torch.from_numpy(places.reshape(-1)).to(pixels.device))
    return found.reshape(n, height, width, channels).permute(0, 3, 1, 2)


def _reflected(places: np.ndarray, side: int) -> np.ndarray:
    """Places outside of 0 .. side - 1 as seen in a mirror on the border pixel, which is not repeated.

    >>> _reflected(np.array([-2, -1, 0, 3, 4]), 4).tolist()
    [2, 1, 0, 3, 2]
    """
    period = max(1, 2 * (side - 1))
    turned = np.abs(places) % period
    return np.asarray(np.minimum(turned, period - turned))


def _sideways(augment: Augment, draws: Draws) -> np.ndarray:
    if not augment.alternate:
        return (draws.first[:, 0] < 0.5) & augment.flip
    begins = seeds.uniform(draws.seed, "augment-alternate", 0, draws.hashes, 1)[:, 0] < 0.5
    return (begins ^ (draws.epoch % 2 == 1)) & augment.flip


def _upside_down(augment: Augment, draws: Draws) -> np.ndarray:
    return (draws.numbers("vertical", 1)[:, 0] < 0.5) & augment.vertical


def _grid(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """For each place in the new pictures its place in the old ones [n, height, width, 2], both between -1 and 1."""
    height, width = pixels.shape[2:]
    steps = [  # from the old picture to the new one
        _cropped(augment, draws) if augment.crop > 0 else None,
        _turned(augment, draws, height, width),
        _leant(augment, draws, height, width) if augment.shear > 0 else None,
        _tilted(augment, draws) if augment.perspective > 0 else None,
        _upended(augment, draws) if augment.vertical else None,
    ]
    matrix = functools.reduce(torch.matmul, [step for step in steps if step is not None])  # n 3 3
    if augment.perspective > 0:
        return _projected(matrix, height, width)
    return F.affine_grid(matrix[:, :2], list(pixels.shape), align_corners=False)


def _matrices(rows: list[list[Tensor | float]], like: Tensor) -> Tensor:
    """Maps [n, 3, 3] from rows of numbers, each one for all pictures or one a picture [n]."""
    entries = [torch.full_like(like, entry) if isinstance(entry, float) else entry for row in rows for entry in row]
    return torch.stack(entries, dim=1).reshape(-1, 3, 3)


def _turned(augment: Augment, draws: Draws, height: int, width: int) -> Tensor:
    """Zoom, rotation, shift and mirror."""
    signed = draws.first_signed
    angle = signed[:, 0] * math.radians(augment.rotation)
    scale = 1 / (1 + signed[:, 1] * augment.zoom)
    flip = torch.from_numpy(np.where(_sideways(augment, draws), -1, 1).astype(np.float32)).to(signed.device)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    # Coordinates run from -1 to 1 on both sides, so a rotation of a picture that is not square corrects for its aspect.
    return _matrices(
        [
            [flip * cosine, -sine * height / width, signed[:, 2] * 2 * augment.shift],
            [flip * sine * width / height, cosine, signed[:, 3] * 2 * augment.shift],
            [0.0, 0.0, 1.0],
        ],
        cosine,
    )


def _cropped(augment: Augment, draws: Draws) -> Tensor:
    """A box of the old picture fills the new one (random resized crop)."""
    area, shape, *place = draws.numbers("crop", 4).astype(np.float64).T
    sides = np.stack(sides_of_box(1 - area * augment.crop, shape, CROP_ASPECT))  # width and height, by n
    centres = (2 * np.stack(place) - 1) * (1 - sides)
    wide, high, x, y = torch.from_numpy(np.concatenate([sides, centres]).astype(np.float32)).to(draws.device)
    return _matrices([[wide, 0.0, x], [0.0, high, y], [0.0, 0.0, 1.0]], x)


def _leant(augment: Augment, draws: Draws, height: int, width: int) -> Tensor:
    lean = torch.tan(draws.signed("shear", 1)[:, 0] * math.radians(augment.shear))
    return _matrices([[1.0, lean * height / width, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], lean)


def _upended(augment: Augment, draws: Draws) -> Tensor:
    sign = torch.from_numpy(np.where(_upside_down(augment, draws), -1, 1).astype(np.float32)).to(draws.device)
    return _matrices([[1.0, 0.0, 0.0], [0.0, sign, 0.0], [0.0, 0.0, 1.0]], sign)


def _tilted(augment: Augment, draws: Draws) -> Tensor:
    """The four corners of the new picture come from moved corners of the old one.

    Square to quadrilateral in closed form: Heckbert 1989, "Fundamentals of texture mapping and image warping", section 2.2.3.
    """
    moves = draws.signed("perspective", 8) * 2 * augment.perspective
    x0, y0, x1, y1, x2, y2, x3, y3 = (moves + torch.tensor([-1, -1, 1, -1, 1, 1, -1, 1], device=moves.device)).T
    across, down, rest = (x1 - x2, y1 - y2), (x3 - x2, y3 - y2), (x0 - x1 + x2 - x3, y0 - y1 + y2 - y3)
    area = across[0] * down[1] - down[0] * across[1]
    g = (rest[0] * down[1] - down[0] * rest[1]) / area
    h = (across[0] * rest[1] - rest[0] * across[1]) / area
    of_unit_square = [[x1 - x0 + g * x1, x3 - x0 + h * x3, x0], [y1 - y0 + g * y1, y3 - y0 + h * y3, y0], [g, h, 1.0]]
    to_unit_square = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]], device=moves.device)
    return _matrices(of_unit_square, g) @ to_unit_square


def _projected(matrix: Tensor, height: int, width: int) -> Tensor:
    """``F.affine_grid`` for maps [n, 3, 3] whose last row is not 0, 0, 1."""
    x = (torch.arange(width, device=matrix.device) * 2 + 1) / width - 1
    y = (torch.arange(height, device=matrix.device) * 2 + 1) / height - 1
    by_column = matrix[:, :, 0, None, None] * x  # n 3 1 width
    by_row = matrix[:, :, 1, None, None] * y[:, None] + matrix[:, :, 2, None, None]  # n 3 height 1
    across, down, depth = (by_column + by_row).unbind(1)
    return torch.stack([across / depth, down / depth], dim=3)
