"""A decoded picture at a model's size: exact, antialiased and the same on every machine."""

import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pictures import noise, plain
from PIL import Image

from eyebright.core.preprocess import Preprocess
from eyebright.images import preprocess
from eyebright.images.enhance import balanced, enhance, sharpened
from eyebright.images.preprocess import gains, prepare, quick_resample, seen_box, to_pixels

SIDES = st.integers(1, 60)
WAYS = st.sampled_from(["squash", "crop", "letterbox"])


def spec(height, width, **options):
    return Preprocess(height=height, width=width, **options)


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, WAYS, st.floats(0.3, 1.0), st.sampled_from(["colour", "grey"]))
def test_every_picture_gets_exactly_the_size_that_was_asked_for(height, width, rows, columns, way, fraction, colour):
    prepared = prepare(noise(height, width), spec(rows, columns, resize=way, crop_fraction=fraction, colour=colour))
    assert prepared.shape == (3, rows, columns)
    assert prepared.dtype == np.uint8
    assert prepared.flags.c_contiguous


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(["squash", "crop"]), st.integers(0, 255))
def test_one_colour_stays_one_colour(height, width, rows, columns, way, level):
    prepared = prepare(plain((level, 255 - level, 7), height, width), spec(rows, columns, resize=way))
    assert (prepared == np.array([level, 255 - level, 7])[:, None, None]).all()


@pytest.mark.parametrize("way", ["squash", "crop", "letterbox"])
def test_a_picture_of_the_right_size_is_not_touched(way):
    assert np.array_equal(prepare(noise(12, 16), spec(12, 16, resize=way)), noise(12, 16).transpose(2, 0, 1))


def test_squash_is_pillows_own_resize():
    for name, resampler in (("pillow-bicubic", Image.Resampling.BICUBIC), ("pillow-bilinear", Image.Resampling.BILINEAR)):
        expected = np.asarray(Image.fromarray(noise(37, 53)).resize((20, 10), resampler)).transpose(2, 0, 1)
        assert np.array_equal(prepare(noise(37, 53), spec(10, 20, resampler=name)), expected)


def test_shrinking_averages_instead_of_picking():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    # every second column is white: a fair reduction is grey, a picked column would be black or white
    middle = prepare(stripes, spec(8, 8))[:, :, 2:-2]
    assert (np.abs(middle.astype(int) - 127.5) <= 8).all()


def test_crop_cuts_the_centre_of_a_wide_picture():
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = noise(10, 10)
    assert np.array_equal(prepare(wide, spec(10, 10, resize="crop")), noise(10, 10).transpose(2, 0, 1))


def test_crop_keeps_the_stated_fraction_of_the_short_side():
    picture = np.zeros((100, 100, 3), dtype=np.uint8)
    picture[20:80, 20:80] = 255
    # 60 / 0.6 = 100: the picture stays at its size and the inner 60 x 60 are cut out
    assert (prepare(picture, spec(60, 60, resize="crop", crop_fraction=0.6)) == 255).all()


def test_crop_agrees_with_resizing_first_and_cutting_then():
    picture = np.asarray(Image.fromarray(noise(20, 40)).resize((400, 200), Image.Resampling.BICUBIC))
    # 56 / 0.875 = 64: 200 x 400 -> 64 x 128, then the centre: rows 4..60, columns 36..92
    whole = np.asarray(Image.fromarray(picture).resize((128, 64), Image.Resampling.BICUBIC))
    prepared = prepare(picture, spec(56, 56, resize="crop", crop_fraction=0.875))
    difference = np.abs(prepared.astype(int) - whole[4:60, 36:92].transpose(2, 0, 1))
    assert difference.max() <= 1  # the two round in another order


def test_crop_of_a_target_that_is_not_square_fills_it():
    assert (prepare(plain((9, 9, 9), 10, 40), spec(8, 24, resize="crop")) == 9).all()


def test_letterbox_keeps_the_proportions_and_fills_with_black():
    prepared = prepare(plain((255, 255, 255), 10, 20), spec(20, 20, resize="letterbox"))
    assert (prepared[:, :5] == 0).all()
    assert (prepared[:, 5:15] == 255).all()
    assert (prepared[:, 15:] == 0).all()


def test_a_very_long_picture_costs_little():
    line = np.zeros((1, 60_000, 3), dtype=np.uint8)
    for way in ("squash", "crop", "letterbox"):
        assert prepare(line, spec(224, 224, resize=way)).shape == (3, 224, 224)


def test_a_grey_spec_gives_three_equal_channels_whatever_came_in():
    prepared = prepare(noise(30, 30), spec(10, 10, colour="grey"))
    assert (prepared == prepared[:1]).all()


@given(st.integers(0, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_pixels_are_the_bytes_over_255(count, side, seed):
    batch = np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    pixels = to_pixels(batch)
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels, (batch / 255.0).astype(np.float32))
    assert ((pixels >= 0) & (pixels <= 1)).all()


def framed(side=100, frame=10):
    picture = plain((255, 0, 0), side, side)
    picture[frame:-frame, frame:-frame] = noise(side - 2 * frame, side - 2 * frame)
    return picture


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
def test_cutting_the_border_removes_a_frame_exactly(resize):
    prepared = prepare(framed(), spec(80, 80, cut_border=0.1, resize=resize))
    assert np.array_equal(prepared, noise(80, 80).transpose(2, 0, 1))


def test_the_share_that_is_cut_is_of_each_side():
    wide = np.zeros((50, 200, 3), dtype=np.uint8)
    wide[5:-5, 20:-20] = noise(40, 160)
    assert np.array_equal(prepare(wide, spec(40, 160, cut_border=0.1)), noise(40, 160).transpose(2, 0, 1))


def test_the_centre_crop_is_of_what_the_border_left():
    # 100 - 2 * 10 = 80, of which half is kept: 20 of 80 go on each side
    prepared = prepare(framed(), spec(40, 40, cut_border=0.1, centre_crop=0.5))
    assert np.array_equal(prepared, noise(80, 80)[20:60, 20:60].transpose(2, 0, 1))


@given(SIDES, SIDES, st.floats(0, 0.45), st.floats(0.001, 1.0))
def test_a_pixel_is_left_however_much_is_cut(height, width, border, centre):
    assert prepare(noise(height, width), spec(4, 4, cut_border=border, centre_crop=centre)).shape == (3, 4, 4)


def test_what_was_cut_off_has_no_part_in_the_colours():
    with_frame = prepare(framed(), spec(80, 80, cut_border=0.1, white_balance="grey-world", equalise="global"))
    without = prepare(noise(80, 80), spec(80, 80, white_balance="grey-world", equalise="global"))
    assert np.array_equal(with_frame, without)


def test_the_order_is_resize_balance_equalise_sharpen():
    picture = noise(40, 40) // 2 + np.array([60, 0, 30], dtype=np.uint8)
    resized = prepare(picture, spec(16, 16)).transpose(1, 2, 0)
    expected = sharpened(enhance(balanced(resized, "per-channel"), spec(16, 16, equalise="clahe")), 0.7)
    prepared = prepare(picture, spec(16, 16, white_balance="per-channel", equalise="clahe", sharpen=0.7))
    assert np.array_equal(prepared.transpose(1, 2, 0), expected)


def test_the_bars_of_a_letterbox_stay_black_and_have_no_part_in_the_rest():
    picture = noise(10, 20) // 2 + 64
    ways = {"white_balance": "per-channel", "equalise": "clahe", "sharpen": 1.0}
    prepared = prepare(picture, spec(20, 20, resize="letterbox", **ways))
    assert (prepared[:, :5] == 0).all()
    assert (prepared[:, 15:] == 0).all()
    assert np.array_equal(prepared[:, 5:15], prepare(picture, spec(10, 20, **ways)))


# --- where the prepared picture lies on the upright one


@settings(max_examples=100, deadline=None)
@given(
    st.integers(30, 200),
    st.integers(30, 200),
    st.integers(16, 48),
    st.integers(16, 48),
    WAYS,
    st.floats(0.5, 1.0),
    st.floats(0.0, 0.2),
    st.floats(0.6, 1.0),
)
@example(187, 30, 16, 16, "letterbox", 1.0, 0.125, 1.0)  # two columns are left: each is an edge
def test_a_picture_that_says_where_it_is_says_it_still_when_it_is_prepared(
    height, width, rows, columns, way, fraction, border, centre
):
    """Red grows across and green down, by the share of the whole; the box says which share each prepared pixel must show."""
    across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[..., 0], picture[..., 1] = np.rint(255 * across), np.rint(255 * down)[:, None]
    picture[..., 2] = 255  # tells the picture from the bars of a letterbox
    way = spec(rows, columns, resize=way, crop_fraction=fraction, cut_border=border, centre_crop=centre)
    left, top, right, bottom = seen_box(height, width, way)
    prepared = prepare(picture, way).astype(float)
    shown = prepared[2] > 200
    x = 255 * (left + (np.arange(columns) + 0.5) / columns * (right - left))
    y = 255 * (top + (np.arange(rows) + 0.5) / rows * (bottom - top))
    assert np.abs(prepared[0] - x)[shown].max() <= 255 / min(columns, width) + 2  # half a pixel of either at the edges
    assert np.abs(prepared[1] - y[:, None])[shown].max() <= 255 / min(rows, height) + 2
    inner = shown & (np.abs(np.arange(columns) - columns / 2) < columns / 4) & ~near_an_end(shown.any(axis=0), width)
    if inner.any():
        assert np.abs(prepared[0] - x)[inner].mean() <= 2


def near_an_end(shown, width):
    """Which columns lie where the bicubic filter, two pixels of the coarser grid wide, is cut off by an edge."""
    first, last = np.flatnonzero(shown)[[0, -1]]
    reach = 2 * max(1, (last - first + 1) / width)
    at = np.arange(len(shown)) + 0.5
    return (at - first < reach) | (last + 1 - at < reach)


def test_the_whole_picture_is_seen_where_nothing_is_cut_or_filled():
    assert seen_box(30, 50, spec(8, 9)) == (0, 0, 1, 1)
    assert seen_box(30, 30, spec(8, 8, resize="crop")) == (0, 0, 1, 1)
    assert seen_box(30, 30, spec(8, 8, resize="letterbox")) == (0, 0, 1, 1)


def test_what_is_cut_is_not_seen():
    """100 rows: 10 off each end, of the 80 left the middle half. 50 columns: 5 off each end, of the 40 left the middle half."""
    assert seen_box(100, 50, spec(8, 8, cut_border=0.1, centre_crop=0.5)) == (0.3, 0.3, 0.7, 0.7)


@pytest.mark.parametrize("options", [
    {}, {"resize": "crop", "crop_fraction": 0.875}, {"resize": "letterbox"}, {"colour": "grey"},
    {"cut_border": 0.1, "resampler": "pillow-bilinear"}, {"sharpen": 1.0, "equalise": "clahe", "white_balance": "grey-world"},
])  # fmt: skip
def test_the_quick_way_and_pillows_give_the_same_picture(options):
    quick = quick_resample()
    assert quick is not None
    used = []

    def counted(*given):
        used.append(given)
        return quick(*given)

    wanted = spec(24, 24, **options)
    for height, width in ((40, 60), (70, 31), (24, 24)):
        image = noise(height, width)
        before = len(used)
        assert np.array_equal(prepare(image, wanted, resample=counted), prepare(image, wanted))
        assert len(used) - before == gains(Image.fromarray(image), wanted)
    assert len(used) == (0 if wanted.colour == "grey" else 3 if wanted.cut_border or wanted.crop_fraction < 1 else 2)


def test_very_large_pictures_are_left_to_pillow(monkeypatch):
    monkeypatch.setattr(preprocess, "MOST_PIXELS", 99)
    prepare(noise(10, 10), spec(5, 5), resample=lambda *given: pytest.fail("used"))
    assert not gains(Image.fromarray(noise(10, 10)), spec(5, 5))


@pytest.mark.parametrize("harm", [
    lambda patch: patch.setattr("eyebright.images.kernels.agrees", lambda: False),
    lambda patch: patch.setitem(sys.modules, "eyebright.images.kernels", None),  # as where numba is not installed
])  # fmt: skip
def test_there_is_no_quick_way_where_it_cannot_be_had_or_trusted(monkeypatch, harm):
    harm(monkeypatch)
    assert quick_resample.__wrapped__() is None


def test_a_picture_and_its_array_are_prepared_alike():
    for colour in ("colour", "grey"):
        wanted = spec(7, 9, resize="crop", cut_border=0.1, colour=colour)
        for image in (noise(30, 40), noise(30, 40)[:, :, :1].repeat(3, axis=2)):
            assert np.array_equal(prepare(Image.fromarray(image), wanted), prepare(image, wanted))
    grey = Image.fromarray(noise(30, 40)[:, :, 0])
    assert np.array_equal(prepare(grey, spec(7, 9)), prepare(np.asarray(grey.convert("RGB")), spec(7, 9)))
