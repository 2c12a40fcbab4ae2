"""Light and colour, beside torchvision and scikit-image."""

import colorsys

import numpy as np
import pytest
import torch
from skimage.color import rgb2yiq, yiq2rgb

from eyebright.models.zoo import torchvision_models
from eyebright.training.augment import Augment

from .changes import changed, draws, noise  # noqa: F401 - draws is a fixture

COLOURFUL = Augment(saturation=0.8, hue=0.3)


def plain(*colour):
    return torch.tensor(colour, dtype=torch.float32)[None, :, None, None].expand(1, 3, 4, 4).contiguous()


def middling(n=4):
    """Pixels that stay within [0, 1] under every colour change here, so that nothing is cut."""
    return 0.4 + 0.2 * noise(n)


@pytest.mark.parametrize(("number", "factor"), [(1.0, 1.6), (0.0, 0.4), (0.5, 1.0)])
def test_saturation_is_torchvisions(draws, number, factor):  # noqa: F811
    torchvision_models()
    from torchvision.transforms.v2.functional import adjust_saturation

    pixels = middling()
    draws(saturation=[number])
    # torchvision's weight of red is 0.2989 for BT.601's 0.299
    torch.testing.assert_close(changed(pixels, Augment(saturation=0.6)), adjust_saturation(pixels, factor), atol=1e-4, rtol=0)


def test_no_saturation_is_grey(draws):  # noqa: F811
    draws(saturation=[0.0])
    grey = changed(noise(), Augment(saturation=1))
    torch.testing.assert_close(grey[:, 0], grey[:, 1], atol=1e-6, rtol=0)
    torch.testing.assert_close(grey[:, 0], grey[:, 2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("turn", [-0.1, 0.05, 0.25])
def test_hue_turns_the_plane_of_colours_of_yiq(draws, turn):  # noqa: F811
    pixels = middling()
    draws(hue=[(turn / 0.25 + 1) / 2])
    yiq = rgb2yiq(pixels.permute(0, 2, 3, 1).double().numpy())
    cosine, sine = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    turned = np.stack(
        [yiq[..., 0], cosine * yiq[..., 1] + sine * yiq[..., 2], cosine * yiq[..., 2] - sine * yiq[..., 1]], axis=3
    )
    expected = torch.from_numpy(yiq2rgb(turned).astype(np.float32)).permute(0, 3, 1, 2)
    # scikit-image writes the same matrix with more decimals
    torch.testing.assert_close(changed(pixels, Augment(hue=0.25)), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("colour", [(0.6, 0.4, 0.4), (0.6, 0.6, 0.4), (0.4, 0.6, 0.4), (0.4, 0.6, 0.6), (0.4, 0.4, 0.6)])
def test_hue_goes_the_way_of_hsv(draws, colour):  # noqa: F811
    """Red to yellow to green: a twelfth of the circle here is within a fifteenth of one there, and never the other way."""
    draws(hue=[1.0])
    turned = changed(plain(*colour), Augment(hue=1 / 12))[0, :, 0, 0]
    step = (colorsys.rgb_to_hsv(*turned.tolist())[0] - colorsys.rgb_to_hsv(*colour)[0]) % 1
    assert step == pytest.approx(1 / 12, abs=1 / 15)
    assert 0.02 < step < 0.2


def test_grey_stays_grey():
    grey = noise()[:, :1].repeat(1, 3, 1, 1)
    torch.testing.assert_close(changed(grey, COLOURFUL), grey, atol=1e-5, rtol=0)


def test_colour_changes_keep_luma():
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    pixels = 0.45 + 0.1 * noise()
    before, after = ((weights * each).sum(dim=1) for each in (pixels, changed(pixels, COLOURFUL)))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_a_colour_without_limits_changes_nothing(draws):  # noqa: F811
    draws()
    pixels = noise()
    torch.testing.assert_close(changed(pixels, COLOURFUL), pixels, atol=1e-5, rtol=0)


def test_all_in_one_product_is_one_after_the_other(draws):  # noqa: F811
    pixels = middling()
    draws(augment=[0.5] * 5 + [1.0, 1.0, 0.5], saturation=[0.2], hue=[0.8])
    together = changed(pixels, Augment(saturation=0.5, hue=0.1, contrast=0.3, brightness=0.1))
    coloured = changed(pixels, Augment(saturation=0.5, hue=0.1))
    torch.testing.assert_close(together, changed(coloured, Augment(contrast=0.3, brightness=0.1)), atol=1e-5, rtol=0)
