"""Resampling of our own: Pillow's bytes, whatever the sizes, the part and the filter."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pictures import noise
from PIL import Image

from eyebright.images import kernels
from eyebright.images.kernels import agrees, resample

SIDES = st.integers(1, 90)
FILTERS = st.sampled_from([Image.Resampling.BICUBIC, Image.Resampling.BILINEAR])


def same(height, width, rows, columns, resampler, box=None):
    picture = Image.fromarray(noise(height, width))
    box = box or (0, 0, width, height)
    found = resample(picture, columns, rows, resampler, box)
    return np.array_equal(found, np.asarray(picture.resize((columns, rows), resampler, box)))


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, FILTERS)
@example(90, 20, 10, 80, Image.Resampling.BICUBIC)  # of these Pillow 13 takes the rows first
@example(1, 1, 1, 1, Image.Resampling.BICUBIC)
@example(64, 64, 64, 64, Image.Resampling.BILINEAR)
def test_every_size_gives_pillows_own_bytes(height, width, rows, columns, resampler):
    assert same(height, width, rows, columns, resampler)


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, FILTERS, st.lists(st.floats(0, 1), min_size=4, max_size=4, unique=True))
def test_so_does_every_part_of_a_picture(height, width, rows, columns, resampler, ends):
    left, right = sorted(share * width for share in ends[:2])
    top, bottom = sorted(share * height for share in ends[2:])
    if np.float32(left) < np.float32(right) and np.float32(top) < np.float32(bottom):
        assert same(height, width, rows, columns, resampler, (left, top, right, bottom))


def test_a_large_picture_is_shrunk_by_the_same_bytes():
    assert same(700, 1100, 224, 224, Image.Resampling.BICUBIC)
    assert same(1100, 700, 224, 224, Image.Resampling.BICUBIC)


def test_black_and_white_do_not_overflow_where_the_filter_overshoots():
    board = np.where(np.indices((40, 40)).sum(axis=0) % 2, 255, 0).astype(np.uint8)
    picture = Image.fromarray(np.dstack([board] * 3))
    found = resample(picture, 97, 61, Image.Resampling.BICUBIC, (0, 0, 40, 40))
    assert np.array_equal(found, np.asarray(picture.resize((97, 61), Image.Resampling.BICUBIC)))


def test_what_is_found_can_be_laid_channel_by_channel_without_a_copy():
    found = resample(Image.fromarray(noise(9, 9)), 5, 4, Image.Resampling.BICUBIC, (0, 0, 9, 9))
    assert found.shape == (4, 5, 3)
    assert found.transpose(2, 0, 1).flags.c_contiguous


def test_it_agrees_with_the_pillow_that_is_installed_and_notices_where_it_does_not(monkeypatch):
    assert agrees()
    monkeypatch.setattr(kernels, "_TALL_FIRST", not kernels._TALL_FIRST)
    assert not agrees()


@pytest.mark.parametrize("resampler", [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR])
def test_a_lying_filter_would_be_noticed(monkeypatch, resampler):
    real = Image.Image.resize

    def another(self, size, resample=None, box=None):
        return real(self, size, Image.Resampling.LANCZOS if resample == resampler else resample, box)

    monkeypatch.setattr(Image.Image, "resize", another)
    assert not agrees()
