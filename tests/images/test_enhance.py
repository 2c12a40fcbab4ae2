"""White balance, equalisation and sharpening, beside scikit-image's, and what holds for every picture."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import noise, plain
from PIL import Image
from skimage import data, exposure, filters

from eyebright.core.preprocess import CLAHE_CLIP, Preprocess
from eyebright.images.enhance import balanced, enhance, equalised, luminance, sharpened

WAYS = st.fixed_dictionaries(
    {
        "white_balance": st.sampled_from(["none", "grey-world", "per-channel"]),
        "equalise": st.sampled_from(["none", "global", "clahe"]),
        "clahe_clip": st.floats(1, 256),
        "clahe_grid": st.integers(1, 32),
        "sharpen": st.floats(0, 5),
    }
)


def spec(**options):
    return Preprocess(height=8, width=8, **options)


def photograph(side=224):
    return np.asarray(Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.BICUBIC))


def moon(side=256):
    return np.asarray(Image.fromarray(data.moon()).resize((side, side), Image.Resampling.BICUBIC))


@settings(max_examples=200, deadline=None)
@given(WAYS, st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 40), st.integers(1, 40))
def test_one_colour_stays_one_colour(ways, colour, height, width):
    enhanced = enhance(plain(colour, height, width), spec(**ways))
    assert (enhanced == enhanced[0, 0]).all()
    if ways["white_balance"] != "grey-world":
        assert (enhanced == colour).all()


@settings(max_examples=100, deadline=None)
@given(WAYS, st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_grey_stays_grey_and_the_same_picture_gives_the_same_bytes(ways, height, width, seed):
    picture = np.repeat(noise(height, width, seed)[..., :1], 3, axis=2)
    enhanced = enhance(picture, spec(**ways))
    assert (enhanced.dtype, enhanced.shape) == (np.uint8, picture.shape)
    assert (enhanced == enhanced[..., :1]).all()
    assert np.array_equal(enhanced, enhance(picture.copy(), spec(**ways)))


def test_the_defaults_change_nothing():
    assert np.array_equal(enhance(noise(), spec()), noise())


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.floats(0.4, 1.0)] * 3), st.integers(0, 2**32 - 1))
def test_in_a_grey_world_the_means_of_the_channels_are_equal(cast, seed):
    picture = (noise(20, 20, seed) * 0.4 * np.array(cast)).astype(np.uint8)  # dark enough for no channel to be clipped
    means = balanced(picture, "grey-world").mean(axis=(0, 1))
    assert np.ptp(means) <= 0.5  # each level is rounded
    assert abs(means.mean() - picture.mean()) <= 0.5


def test_a_grey_world_scales_each_channel_by_hand():
    # means 100, 50, 150 -> all 100: factors 1, 2, 2/3
    picture = np.array([[[80, 40, 120], [120, 60, 180]]], dtype=np.uint8)
    assert balanced(picture, "grey-world").tolist() == [[[80, 80, 80], [120, 120, 120]]]


def test_a_black_channel_stays_black():
    picture = np.dstack([noise()[..., 0], np.zeros((12, 16), np.uint8), noise()[..., 2]])
    assert (balanced(picture, "grey-world")[..., 1] == 0).all()


def test_each_channel_is_stretched_between_its_own_ends():
    levels = np.arange(256).reshape(16, 16)
    picture = np.dstack([levels // 2, levels // 4 + 100, np.full((16, 16), 7)]).astype(np.uint8)
    stretched = balanced(picture, "per-channel")
    assert stretched[..., 0].min() == stretched[..., 1].min() == 0
    assert stretched[..., 0].max() == stretched[..., 1].max() == 255
    assert (stretched[..., 2] == 7).all()


def test_a_bright_speck_does_not_decide_about_white():
    picture = (noise(100, 100) // 4).astype(np.uint8)
    picture[0, :20] = 255  # 0.2 % of the pixels, below the 0.5 % that may saturate
    assert np.median(balanced(picture, "per-channel")) > 100


def test_equalising_agrees_with_scikit_image():
    # scikit-image maps the first level to its share, we to 0 as OpenCV does; the moon's first level is rare
    wanted = 255 * exposure.equalize_hist(moon(), nbins=256)
    assert np.abs(equalised(moon()) - wanted).max() <= 2.5


def test_equalising_by_hand():
    # one pixel of 10, two of 20, one of 30: shares beyond the first are 0, 2/3, 1
    grey = np.array([[10, 20], [20, 30]], dtype=np.uint8)
    assert equalised(grey).tolist() == [[0, 170], [170, 255]]


def clahe_by_definition(grey, clip, grid):
    """Every pixel on its own: the shares of its level in the four regions around it, weighted by their nearness."""
    side = grey.shape[0] // grid
    curves = {}
    for row in range(grid):
        for column in range(grid):
            region = grey[row * side : (row + 1) * side, column * side : (column + 1) * side]
            counts = np.array([(region == level).sum() for level in range(256)], dtype=float)
            limit = clip * region.size / 256
            excess = np.maximum(counts - limit, 0).sum()
            counts = np.minimum(counts, limit)
            while excess > 1e-6:  # evenly to all that have room, until nothing is left over
                room = counts < limit
                counts[room] += excess / room.sum()
                excess = np.maximum(counts - limit, 0).sum()
                counts = np.minimum(counts, limit)
            curves[row, column] = 255 * counts.cumsum() / region.size
    equal = np.empty(grey.shape)
    for y, x in np.ndindex(*grey.shape):
        down, across = (y + 0.5) / side - 0.5, (x + 0.5) / side - 0.5
        equal[y, x] = sum(
            (1 - abs(down - row)) * (1 - abs(across - column)) * curves[inside(row, grid), inside(column, grid)][grey[y, x]]
            for row in (np.floor(down), np.floor(down) + 1)
            for column in (np.floor(across), np.floor(across) + 1)
        )
    return equal


def inside(place, grid):
    return int(min(max(place, 0), grid - 1))


@pytest.mark.parametrize("clip", [1.0, CLAHE_CLIP, 10.0])
def test_clahe_is_what_its_definition_says(clip):
    grey = luminance(photograph(64))
    assert np.abs(equalised(grey, clip=clip, grid=4) - clahe_by_definition(grey, clip, 4)).max() <= 0.51


@pytest.mark.parametrize("clip", [2.0, CLAHE_CLIP, 8.0])
def test_clahe_agrees_with_scikit_image(clip):
    # scikit-image counts in whole pixels, gives what is left over to the upper levels first, measures from the corners of
    # pixels, and stretches the result to the full range.
    grey = luminance(photograph(256))
    wanted = 255 * exposure.equalize_adapthist(grey, kernel_size=32, clip_limit=clip / 256)
    ours = exposure.rescale_intensity(equalised(grey, clip=clip, grid=8).astype(float), out_range=(0, 255))
    assert np.abs(ours - wanted).mean() <= 4.0
    assert np.percentile(np.abs(ours - wanted), 99) <= 16.0
    assert np.corrcoef(ours.ravel(), wanted.ravel())[0, 1] >= 0.998


def test_clahe_raises_contrast_no_more_than_its_limit():
    # 16 levels: without the limit neighbours end 255 / 15 = 17 apart
    ramp = np.repeat(np.arange(100, 116, dtype=np.uint8), 4)[None, :].repeat(64, axis=0)
    limited = equalised(ramp, clip=3.0, grid=1)
    assert np.diff(np.unique(limited).astype(int)).max() in (3, 4)  # 3 and rounding
    assert np.diff(np.unique(equalised(ramp)).astype(int)).max() == 17


def test_clahe_lifts_a_dark_corner_that_global_equalisation_leaves():
    texture = np.random.default_rng(0).integers(0, 16, (128, 128))
    texture[64:, 64:] += 200
    grey = texture.astype(np.uint8)
    local, overall = (equalised(grey, clip=clip, grid=grid)[:32, :32].std() for clip, grid in ((40.0, 8), (40.0, 1)))
    assert local > 1.2 * overall


def test_small_pictures_get_fewer_regions():
    assert np.array_equal(
        equalised(noise(15, 15)[..., 0], clip=3.0, grid=8), equalised(noise(15, 15)[..., 0], clip=3.0, grid=1)
    )
    assert equalised(noise(16, 40)[..., 0], clip=3.0, grid=8).shape == (16, 40)


def test_equalising_moves_luminance_and_keeps_the_differences_of_colour():
    picture = (photograph() // 4 + 90).astype(np.uint8)  # the middle of the range, so that nothing is clipped
    enhanced = enhance(picture, spec(equalise="clahe", clahe_clip=2.0)).astype(int)
    inside = (enhanced.min(axis=2) > 0) & (enhanced.max(axis=2) < 255)
    assert inside.mean() > 0.9
    for a, b in ((0, 1), (1, 2)):
        assert np.array_equal(
            (enhanced[..., a] - enhanced[..., b])[inside], (picture[..., a].astype(int) - picture[..., b])[inside]
        )
    assert luminance(enhanced.astype(np.uint8)).std() > 1.3 * luminance(picture).std()


@pytest.mark.parametrize("amount", [0.5, 1.0, 2.0])
def test_sharpening_agrees_with_scikit_image(amount):
    # Pillow's Gaussian is three box filters (Gwosdek et al. 2011): near the true one, not equal to it
    wanted = 255 * filters.unsharp_mask(photograph(), radius=1.0, amount=amount, channel_axis=2)
    difference = np.abs(sharpened(photograph(), amount) - wanted)
    assert difference.mean() <= 1.0 * amount
    assert np.percentile(difference, 99) <= 6.0 * amount


def test_sharpening_steepens_an_edge():
    edge = plain((100, 100, 100), 8, 16)
    edge[:, 8:] = 150
    sharp = sharpened(edge, 1.0)[4, :, 0]
    assert sharp[7] < 100
    assert sharp[8] > 150
    assert (sharp[0], sharp[-1]) == (100, 150)


def test_a_picture_of_224_pixels_takes_milliseconds():
    wanted = spec(white_balance="grey-world", equalise="clahe", sharpen=1.0)
    picture = photograph()
    enhance(picture, wanted)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        enhance(picture, wanted)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05  # about 5 ms on an idle core
