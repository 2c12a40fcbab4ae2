"""Moves of pixels, beside torchvision, Pillow and what can be worked out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from eyebright.models.zoo import torchvision_models
from eyebright.training.augment import Augment
from eyebright.training.augment.draws import sides_of_box

from .changes import changed, draws, noise, photograph  # noqa: F401 - draws is a fixture

FIRST = dict.fromkeys(["mirror", "angle", "zoom", "right", "down", "contrast", "brightness", "unused"], 0.5)


def first(**columns):
    return list({**FIRST, **columns}.values())


@pytest.fixture(scope="module")
def torchvision():
    torchvision_models()  # makes it importable beside a CPU build of torch
    from torchvision.transforms.v2 import functional

    return functional


def inside(pixels, share=0.25):
    """The middle: what neither a border nor a fill has touched."""
    height, width = pixels.shape[-2:]
    top, left = int(height * share), int(width * share)
    return pixels[..., top : height - top, left : width - left]


def test_a_rotation_is_pillows(draws):  # noqa: F811
    pixels = photograph()
    draws(augment=first(angle=1.0))
    turned = changed(pixels, Augment(rotation=20))
    picture = Pillow.fromarray((pixels[0] * 255).round().byte().permute(1, 2, 0).numpy())
    expected = np.asarray(picture.rotate(20, Pillow.Resampling.BILINEAR)).transpose(2, 0, 1)[None] / 255
    np.testing.assert_allclose(inside(turned), inside(expected), atol=1.5 / 255)  # Pillow rounds twice to whole steps


@pytest.mark.parametrize(("number", "degrees"), [(1.0, 15), (0.0, -15), (0.75, None)])
def test_shear_is_torchvisions(draws, torchvision, number, degrees):  # noqa: F811
    if degrees is None:
        degrees = 7.5  # halfway from the middle to the limit
    pixels = photograph()
    draws(shear=[number])
    bilinear = torchvision.InterpolationMode.BILINEAR
    expected = torchvision.affine(pixels, 0, [0, 0], 1.0, [degrees, 0.0], interpolation=bilinear)
    torch.testing.assert_close(inside(changed(pixels, Augment(shear=15))), inside(expected), atol=1e-4, rtol=0)


def test_perspective_is_torchvisions(draws, torchvision):  # noqa: F811
    pixels = photograph()
    height, width = pixels.shape[2:]
    numbers = np.array([1.0, 0.9, 0.2, 0.7, 0.3, 0.1, 0.8, 0.4])
    draws(perspective=numbers)
    moves = (2 * numbers - 1).reshape(4, 2) * 0.15 * [width, height]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    # The new picture's corners come from the moved corners of the old one.
    expected = torchvision.perspective(pixels, (corners + moves).tolist(), corners.tolist())
    torch.testing.assert_close(inside(changed(pixels, Augment(perspective=0.15))), inside(expected), atol=1e-3, rtol=0)


def test_perspective_without_moved_corners_changes_nothing(draws):  # noqa: F811
    draws()
    pixels = noise()
    torch.testing.assert_close(changed(pixels, Augment(perspective=0.2)), pixels, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("right", "down", "rows", "columns"), [(0, 0, slice(6), slice(8)), (1, 1, slice(6, 12), slice(8, 16))])
def test_a_crop_to_a_quarter_of_the_area_enlarges_a_quarter_of_the_picture(draws, right, down, rows, columns):  # noqa: F811
    pixels = noise()
    draws(crop=[1.0, 0.5, right, down])  # all of the limit is cut away, the box has the picture's own proportions
    expected = F.interpolate(pixels[..., rows, columns], scale_factor=2, mode="bilinear", align_corners=False)
    cut = changed(pixels, Augment(crop=0.75))
    torch.testing.assert_close(cut[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=0)


def test_a_crop_of_nothing_changes_nothing(draws):  # noqa: F811
    draws(crop=[0.0, 0.9, 0.3, 0.8])  # the whole area leaves no room for another shape or place
    pixels = noise()
    torch.testing.assert_close(changed(pixels, Augment(crop=0.75)), pixels, atol=1e-5, rtol=0)


@given(st.floats(0.01, 1.0), st.floats(0, 1), st.floats(1, 5))
def test_a_box_has_its_area_and_fits_into_the_picture(area, draw, widest):
    width, height = sides_of_box(np.array([area]), np.array([draw]), widest)
    assert width * height == pytest.approx(area)
    assert max(width, height) <= 1 + 1e-9
    assert 1 / widest - 1e-9 <= width / height <= widest + 1e-9


def test_cropped_areas_lie_between_the_limit_and_the_whole():
    # A ramp from 0 to 1: its slope after cropping is the share of the width that was kept, and so for the height.
    ramp = (torch.arange(64) + 0.5) / 64
    pixels = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)]).repeat(300, 1, 1, 1)
    cut = changed(pixels, Augment(crop=0.6))
    kept_width = (cut[:, 0, 32, 40] - cut[:, 0, 32, 24]) * 64 / 16
    kept_height = (cut[:, 1, 40, 32] - cut[:, 1, 24, 32]) * 64 / 16
    area, aspect = kept_width * kept_height, kept_width / kept_height
    assert 0.4 - 1e-3 <= area.min() < 0.42
    assert 0.98 < area.max() <= 1 + 1e-3
    assert abs(area.mean() - 0.7) < 4 * 0.6 / np.sqrt(12 * 300)  # uniform between 0.4 and 1
    assert 0.75 - 1e-2 <= aspect.min() < 0.8
    assert 1.25 < aspect.max() <= 4 / 3 + 1e-2


def test_vertical_turns_half_of_the_pictures_upside_down_exactly():
    pixels = noise(2000, 4, 2)
    after = changed(pixels, Augment(vertical=True))
    turned, same = ((after == other).all(dim=(1, 2, 3)) for other in (pixels.flip(2), pixels))
    assert (turned ^ same).all()
    assert abs(turned.float().mean() - 0.5) < 0.045  # four standard errors


def test_flip_and_vertical_are_drawn_apart():
    pixels = noise(2000, 4, 2)
    after = changed(pixels, Augment(flip=True, vertical=True))
    kinds = [pixels, pixels.flip(2), pixels.flip(3), pixels.flip(2, 3)]
    shares = [(after == kind).all(dim=(1, 2, 3)).float().mean() for kind in kinds]
    assert sum(shares) == pytest.approx(1)
    assert all(abs(share - 0.25) < 0.04 for share in shares)


def test_upside_down_within_a_resampling_is_the_same(draws):  # noqa: F811
    draws(vertical=[0.0])
    pixels = noise()
    torch.testing.assert_close(changed(pixels, Augment(vertical=True, zoom=0.5)), pixels.flip(2), atol=1e-5, rtol=0)


def test_moves_together_are_one_after_the_other(draws):  # noqa: F811
    """Composed in one resampling, a crop to a quarter and half a turn are the two, each done exactly."""
    pixels = noise()
    draws(augment=first(angle=1.0), crop=[1.0, 0.5, 0.0, 0.0])
    together = changed(pixels, Augment(rotation=180, crop=0.75))
    cut = changed(pixels, Augment(crop=0.75))
    torch.testing.assert_close(together[..., 1:-1, 1:-1], cut.flip(2, 3)[..., 1:-1, 1:-1], atol=1e-5, rtol=0)


# --- whole pixels


def test_whole_pixel_moves_are_torchvisions_padding_and_crop(draws, torchvision):  # noqa: F811
    """Draws of 1 and 0 with a pad of 2: five places each way, .999 is the last, two to the right; 0 the first, two up."""
    pixels = noise()
    draws(pad=[0.999, 0.0])
    found = changed(pixels, Augment(pad=2))
    padded = torchvision.pad(pixels, [2, 2, 2, 2], padding_mode="reflect")
    assert torch.equal(found, torchvision.crop(padded, 4, 0, 12, 16))


def test_whole_pixel_moves_leave_every_value_one_of_the_pictures_own():
    pixels = noise(1, 9, 7)
    found = changed(pixels, Augment(pad=3, flip=True, vertical=True), seed=4)
    assert set(found.unique().tolist()) <= set(pixels.unique().tolist())


def test_every_place_within_the_pad_comes_up():
    """A picture with one bright pixel in the middle: it is found at each of 3 x 3 places."""
    pixels = torch.zeros(200, 3, 7, 7)
    pixels[:, :, 3, 3] = 1
    places = changed(pixels, Augment(pad=1))[:, 0].flatten(1).argmax(dim=1)
    assert set(places.tolist()) == {7 * row + column for row in (2, 3, 4) for column in (2, 3, 4)}


@pytest.mark.parametrize("pad", [0, 1])
def test_an_alternating_mirror_shows_each_picture_from_both_sides_in_two_epochs(pad):
    """By chance a half of the pictures would be seen twice from the same side (Jordan 2024, section 3.6)."""
    pixels = torch.zeros(64, 3, 5, 8)
    pixels[..., 6] = 1  # right of the middle, whatever the pad
    augment = Augment(flip=True, alternate=True, pad=pad)
    first, second, third = (changed(pixels, augment, epoch=epoch)[:, 0, 2, 4:].amax(dim=1) == 1 for epoch in range(3))
    assert (first != second).all()
    assert (first == third).all()
    assert 16 < int(first.sum()) < 48  # each picture begins on a side of its own


def test_whole_pixel_moves_and_a_rotation_go_together(draws):  # noqa: F811
    pixels = noise()
    draws(pad=[0.5, 0.999], augment=first())
    moved = changed(pixels, Augment(pad=1))
    torch.testing.assert_close(changed(pixels, Augment(pad=1, rotation=10)), moved, atol=1e-5, rtol=0)
