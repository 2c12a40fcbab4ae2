"""Light and colour: linear maps of a pixel's red, green and blue, composed into one for each picture."""

import math

import numpy as np
import torch
from torch import Tensor

from eyebright.training.augment.draws import Draws
from eyebright.training.augment.values import Augment

# RGB to YIQ, the colour space of NTSC television: luma (ITU-R BT.601) and two axes of colour that are zero for grey.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_QUARTER_TURN = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # in the plane of colours, red towards yellow
_LUMA = torch.from_numpy(np.tile(_YIQ[0], (3, 1)).astype(np.float32))  # a pixel -> its grey
_TURN = torch.from_numpy((np.linalg.inv(_YIQ) @ _QUARTER_TURN @ _YIQ).astype(np.float32))


def toned(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """``pixels``, written to: hue, saturation, contrast about the picture's own mean, brightness; cut to [0, 1] at the end.

    Hue is a rotation of the plane of colours of YIQ. Unlike HSV's it is linear, so it costs nothing beside the others, and
    it keeps luma: yellow does not turn into a blue as bright as itself. Grey stays grey.
    """
    if augment.hue > 0 or augment.saturation > 0:
        return _mapped(pixels, augment, draws).clamp_(0, 1)
    signed = draws.first_signed
    if augment.contrast > 0:
        factor = 1 + signed[:, 4, None, None, None] * augment.contrast
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        pixels = pixels.sub_(mean).mul_(factor).add_(mean)
    if augment.brightness > 0:
        pixels = pixels.add_(signed[:, 5, None, None, None] * augment.brightness)
    return pixels.clamp_(0, 1) if augment.contrast > 0 or augment.brightness > 0 else pixels


def _mapped(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    signed = draws.first_signed
    matrix = _colour_matrices(augment, draws)  # n 3 3
    contrast = 1 + signed[:, 4] * augment.contrast
    means = pixels.mean(dim=(2, 3))[:, :, None]  # n 3 1
    mean = (matrix @ means).mean(dim=1, keepdim=True)  # the mean is mapped as the pixels are
    offset = mean * (1 - contrast[:, None, None]) + signed[:, 5, None, None] * augment.brightness
    mapped = torch.baddbmm(offset.expand(-1, 3, 1), matrix * contrast[:, None, None], pixels.flatten(2))
    return mapped.view_as(pixels)


def _colour_matrices(augment: Augment, draws: Draws) -> Tensor:
    saturation = 1 + draws.signed("saturation", 1)[:, :, None] * augment.saturation
    angle = draws.signed("hue", 1)[:, :, None] * (2 * math.pi * augment.hue)
    luma, turn = _LUMA.to(draws.device), _TURN.to(draws.device)
    colour = torch.eye(3, device=draws.device) - luma
    return luma + saturation * (torch.cos(angle) * colour + torch.sin(angle) * turn)
