"""The perceptual hash: what it should not notice, what it should, and that it is the transform it says it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scenes import COPIES, reencoded, scene
from scipy.fft import dctn

from eyebright.images.phash import FLAT, SIDE, VIEWS, hashes, is_flat, thumbprint, view_hashes


def prints(*pictures):
    return np.stack([thumbprint(picture) for picture in pictures])


def bits_apart(one, other):
    return int(np.bitwise_count(one ^ other))


def test_a_thumbprint_is_the_luminance_at_64_pixels():
    small = thumbprint(np.broadcast_to(np.array([255, 0, 0], dtype=np.uint8), (100, 80, 3)))
    assert (small.shape, small.dtype) == ((SIDE, SIDE), np.uint8)
    assert (small == 76).all()  # 0.299 * 255 = 76.2, ITU-R 601


def test_a_thumbprint_of_a_large_picture_is_the_one_of_its_smaller_copy():
    picture = scene(0, 1200, 1600)
    small = np.asarray(Image.fromarray(picture).resize((200, 150), Image.Resampling.BOX))
    difference = thumbprint(picture).astype(int) - thumbprint(small).astype(int)
    assert np.abs(difference).mean() < 1


def test_the_bits_say_which_low_frequencies_are_above_the_median():
    small = prints(scene(1))
    low = dctn(small[0].astype(np.float64), type=2)[:8, :8]
    # SciPy's transform is twice the sum of cosines along each axis: the median moves with it.
    expected = np.sort(np.flatnonzero((low > np.median(low)).ravel()))
    diagonal = np.add.outer(np.arange(8), np.arange(8)).ravel() % 4
    order = np.concatenate([np.flatnonzero(diagonal == quarter) for quarter in range(4)])
    found = np.array([order[bit] for bit in range(64) if int(hashes(small)[0]) >> bit & 1])
    assert np.sort(found).tolist() == expected.tolist()
    assert len(expected) == 32


@given(st.integers(0, 10_000), st.floats(0.5, 0.95), st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_contrast_and_brightness_leave_the_hash_nearly_as_it_is(seed, gain, offset):
    picture = scene(seed, 64, 64)
    changed = (picture * gain + offset).astype(np.uint8)
    one, other = hashes(prints(picture, changed))
    # Gain keeps the order of the frequencies, offset changes the zeroth alone; rounding may move those next to the median.
    assert bits_apart(one, other) <= 4


def test_reencoding_changes_few_bits_and_another_picture_half_of_them():
    pictures = [scene(seed) for seed in range(40)]
    plain, copies = hashes(prints(*pictures)), hashes(prints(*[reencoded(picture, 50) for picture in pictures]))
    assert np.bitwise_count(plain ^ copies).max() <= 4
    assert np.median(np.bitwise_count(plain ^ np.roll(plain, 1))) == pytest.approx(32, abs=6)


@pytest.mark.parametrize("change", COPIES, ids=str)
def test_some_view_of_a_picture_has_nearly_the_hash_of_its_copy(change):
    pictures = [scene(seed) for seed in range(40)]
    views = view_hashes(prints(*pictures))
    copies = hashes(prints(*[COPIES[change](picture) for picture in pictures]))
    nearest = np.bitwise_count(views ^ copies).min(axis=0)
    assert (nearest <= 7).mean() >= 0.95


def test_the_first_view_is_the_picture_itself_and_mirrored_views_are_those_of_the_mirrored_picture():
    small = prints(*[scene(seed) for seed in range(8)])
    views = view_hashes(small)
    of_mirrored = view_hashes(np.ascontiguousarray(small[:, :, ::-1]))
    assert (views[0] == hashes(small)).all()
    for row, view in enumerate(VIEWS):
        same = next(i for i, other in enumerate(VIEWS) if other.mirrored != view.mirrored and other.rows == view.rows
                    and other.columns == view.columns)  # fmt: skip
        assert np.bitwise_count(views[row] ^ of_mirrored[same]).max() <= 2  # the sums are rounded in another order


def test_blank_pictures_are_flat_and_photographs_are_not():
    blank = np.full((SIDE, SIDE), 200, dtype=np.uint8)
    specks = blank.copy()
    specks[:2, :2] = 0  # standard deviation: 200 * sqrt(4 / 4096) = 6.2
    grain = np.random.default_rng(0).normal(128, FLAT / 2, (SIDE, SIDE)).astype(np.uint8)
    assert is_flat(np.stack([blank, grain, specks, thumbprint(scene(0))])).tolist() == [True, True, False, False]
