"""Blur, noise, JPEG and erasing, beside SciPy and Pillow."""

import io

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

from eyebright.training.augment import Augment
from eyebright.training.augment.camera import gaussian_blur
from eyebright.training.augment.jpeg import CHROMA_TABLE, LUMA_TABLE, _tables, through_jpeg

from .changes import changed, draws, noise, photograph  # noqa: F401 - draws is a fixture

HALVES = [Augment(blur=0.05), Augment(noise=0.1), Augment(jpeg=0.8), Augment(erase=0.3)]


def bytes_of(pixels):
    return (pixels * 255).round().byte().permute(1, 2, 0).numpy()


def pillow_jpeg(pixels, quality):
    buffer = io.BytesIO()
    Pillow.fromarray(bytes_of(pixels)).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return Pillow.open(buffer)


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) ** 2).mean()))


@pytest.mark.parametrize("augment", HALVES)
def test_half_of_the_pictures_are_left_as_they_are(augment):
    pixels = noise(400, 32, 32)
    same = (changed(pixels, augment) == pixels).all(dim=(1, 2, 3)).float().mean()
    assert -0.1 < same - 0.5 < 0.17  # four standard errors, and draws of next to nothing: a fifth of a pixel blurs no float


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7])
def test_blur_is_scipys(sigma):
    picture = noise(1, 20, 30)[0]
    radius = int(np.ceil(3 * sigma))
    expected = gaussian_filter(picture.numpy(), (0, sigma, sigma), mode="nearest", radius=(0, radius, radius))
    np.testing.assert_allclose(gaussian_blur(picture, sigma), expected, atol=1e-5)


def test_blur_is_measured_by_the_short_side(draws):  # noqa: F811
    draws(blur=[0.0, 1.0])  # chosen, and by all of the limit
    pixels = noise(2, 40, 100)
    torch.testing.assert_close(changed(pixels, Augment(blur=0.05))[1], gaussian_blur(pixels[1], 0.05 * 40))


def test_noise_is_normal_with_the_standard_deviation_that_is_drawn(draws):  # noqa: F811
    draws(noise=[0.0, 0.5, 0.1, 0.2])
    pixels = torch.full((1, 3, 200, 200), 0.5)
    grain = changed(pixels, Augment(noise=0.1))[0, 0] - 0.5
    assert abs(grain.mean()) < 4 * 0.05 / 200
    assert grain.std() == pytest.approx(0.05, rel=0.02)
    assert (grain.abs() < 0.05).float().mean() == pytest.approx(0.6827, abs=0.01)  # of a normal distribution


def test_each_picture_and_epoch_has_noise_of_its_own_and_grey_stays_grey():
    grey = torch.full((40, 3, 16, 16), 0.5)
    grains = [changed(grey, Augment(noise=0.2), epoch=epoch) for epoch in range(2)]
    touched = [grain[(grain != 0.5).any(dim=3).any(dim=2).any(dim=1)] for grain in grains]
    patterns = torch.cat(touched)
    assert torch.equal(patterns[:, 0], patterns[:, 1])
    assert torch.equal(patterns[:, 0], patterns[:, 2])
    signs = (patterns[:, 0] > 0.5).flatten(1).float() * 2 - 1
    likeness = (signs @ signs.T / signs.shape[1]).fill_diagonal_(0)
    assert likeness.abs().max() < 6 / 16  # six standard errors for 256 pixels


@pytest.mark.parametrize("quality", [5, 25, 49, 50, 75, 90, 100])
def test_tables_are_those_of_pillows_files(quality):
    # Pillow gives both tables of a file row by row.
    tables = pillow_jpeg(noise(1)[0], quality).quantization
    for number, table in enumerate((LUMA_TABLE, CHROMA_TABLE)):
        assert _tables(table, np.array([quality])).flatten().int().tolist() == list(tables[number])


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
@pytest.mark.parametrize("size", [(96, 128), (75, 101)])
def test_artefacts_are_those_of_pillows_files(quality, size):
    pixels = photograph(*size)
    ours = through_jpeg(pixels, np.array([quality]))[0]
    theirs = torch.from_numpy(np.array(pillow_jpeg(pixels[0], quality))).permute(2, 0, 1) / 255
    lost, apart = psnr(theirs, pixels[0]), psnr(ours, theirs)
    assert psnr(ours, pixels[0]) == pytest.approx(lost, abs=0.5)  # the same loss, in decibels
    assert apart > max(lost + 6, 38)  # and the same artefacts: nearer to each other than to the picture by far


def test_each_picture_has_its_own_quality():
    pixels = photograph().repeat(2, 1, 1, 1)
    both = through_jpeg(pixels, np.array([20, 90]))
    assert torch.equal(both[0], through_jpeg(pixels[:1], np.array([20]))[0])
    assert torch.equal(both[1], through_jpeg(pixels[:1], np.array([90]))[0])


def test_a_grey_picture_comes_grey_out_of_jpeg():
    grey = noise()[:, :1].repeat(1, 3, 1, 1)
    after = through_jpeg(grey, np.full(len(grey), 30))
    torch.testing.assert_close(after[:, :1].expand_as(after), after, atol=1e-6, rtol=0)


def test_qualities_go_down_to_the_limit(draws):  # noqa: F811
    pixels = photograph()
    draws(jpeg=[0.0, 1.0])
    assert torch.equal(changed(pixels, Augment(jpeg=0.7)), through_jpeg(pixels, np.array([30])))
    draws(jpeg=[0.0, 0.0])
    assert psnr(changed(pixels, Augment(jpeg=0.7)), through_jpeg(pixels, np.array([100]))) > 90


def test_erasing_covers_a_rectangle_with_the_pictures_mean_colour():
    pixels = noise(400, 40, 50)
    after = changed(pixels, Augment(erase=0.25))
    gone = (after != pixels).any(dim=1)  # n 40 50
    areas = []
    for row in gone.any(dim=2).any(dim=1).nonzero()[:, 0].tolist():
        down, across = gone[row].any(dim=1).nonzero()[:, 0], gone[row].any(dim=0).nonzero()[:, 0]
        box = after[row, :, down.min() : down.max() + 1, across.min() : across.max() + 1]
        expected = pixels[row].mean(dim=(1, 2))[:, None, None].expand_as(box)
        torch.testing.assert_close(box, expected)
        assert gone[row].sum() == box[0].numel()  # a rectangle without holes, and nothing beside it
        areas.append(box[0].numel() / 2000)
    assert 0.01 < min(areas) < 0.04  # drawn from 0.02, rounded down to whole pixels
    assert 0.22 < max(areas) <= 0.25
    assert abs(np.mean(areas) - 0.13) < 0.025  # 0.135, less what rounding takes


def test_erasing_reaches_every_place():
    pixels = noise(800, 20, 20)
    gone = (changed(pixels, Augment(erase=0.1)) != pixels).any(dim=1).float().mean(dim=0)
    assert gone.min() > 0
