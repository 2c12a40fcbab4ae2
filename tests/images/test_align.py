"""The correlation of aligned thumbprints: copies score high wherever they were cut, other pictures do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import brighter, cropped, reencoded, scene

from eyebright.images.align import correlations
from eyebright.images.phash import thumbprint

WHOLE = np.array([[0.0, 1.0, 0.0, 1.0]])


def correlation(first, second, window=WHOLE):
    return float(correlations(thumbprint(first)[None], thumbprint(second)[None], np.asarray(window, dtype=np.float64))[0])


def test_a_picture_correlates_with_itself_and_not_with_its_negative():
    picture = scene(0)
    assert correlation(picture, picture) == pytest.approx(1, abs=1e-3)
    assert correlation(picture, 255 - picture) < 0


def test_gain_and_offset_do_not_matter():
    picture = scene(1) // 2
    assert correlation(picture, picture + 40) > 0.99
    assert correlation(picture, brighter(picture, 1.8)) > 0.99


@given(st.integers(0, 500), *(st.floats(0, 0.03) for _ in range(4)))
@settings(max_examples=40, deadline=None)
def test_a_slight_crop_is_laid_over_what_it_was_cut_from(seed, top, bottom, left, right):
    picture = scene(seed, 240, 320)
    assert correlation(picture, reencoded(cropped(picture, top, bottom, left, right), 75)) > 0.95


def test_a_larger_crop_is_found_from_a_window_near_it():
    picture = scene(2, 240, 320)
    assert correlation(picture, cropped(picture, 0.05, 0, 0.05, 0), [[0.04, 1, 0.04, 1]]) > 0.97
    assert correlation(picture, cropped(picture, 0.3, 0, 0.3, 0)) < 0.9


def test_other_pictures_stay_far_below():
    prints = np.stack([thumbprint(scene(seed)) for seed in range(60)])
    found = correlations(prints, np.roll(prints, 1, axis=0), np.tile(WHOLE, (60, 1)))
    assert found.max() < 0.8


def test_pictures_that_differ_in_one_place_only_differ():
    picture = scene(3)
    other = picture.copy()
    other[40:80, 60:110] = scene(4)[40:80, 60:110]  # a ninth of the area
    assert correlation(picture, other) < 0.95


def test_rows_do_not_depend_on_each_other():
    prints = np.stack([thumbprint(scene(seed)) for seed in range(6)])
    copies = np.stack([thumbprint(reencoded(scene(seed))) for seed in range(6)])
    together = correlations(prints, copies, np.tile(WHOLE, (6, 1)))
    alone = [float(correlations(prints[[i]], copies[[i]], WHOLE)[0]) for i in range(6)]
    assert together == pytest.approx(alone, abs=1e-5)


def test_blank_and_tiny_inputs_give_numbers():
    blank = np.full((2, 64, 64), 7, dtype=np.uint8)
    assert np.isfinite(correlations(blank, blank, np.tile(WHOLE, (2, 1)))).all()
    assert correlations(blank[:0], blank[:0], WHOLE[:0]).shape == (0,)
