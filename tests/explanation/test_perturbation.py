"""Occlusion: the sums of a linear model are found again, and nothing is found where there is nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.arrays import softmax
from eyebright.core.errors import ModelError
from eyebright.core.events import Phase, Progress
from eyebright.explanation import perturbation
from eyebright.explanation.grid import resized
from eyebright.explanation.perturbation import blurred, log_odds, occlusion

from .toys import Asked, constant, picture, random_sums, summing, top_left, with_bright_corner

SIDES = st.integers(1, 40)


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (40, 24), (17, 50), (1, 9), (30, 1), (1, 1), (3, 2)])
def test_for_a_linear_model_the_map_sums_to_what_the_picture_says_beyond_its_blurred_copy(size):
    pixels, model = picture(*size), random_sums(*size)
    odds = [log_odds(model(one).logits, 0)[0] for one in (pixels, blurred(pixels))]
    assert occlusion(model, pixels, 0).sum() == pytest.approx(odds[0] - odds[1], abs=1e-3)


def test_each_pixel_has_the_mean_of_the_three_tiles_that_it_lies_in():
    # 8 x 8 pixels: fine tiles are single pixels, coarse ones 2 x 2, and moved by half a tile the corner's is one pixel again.
    weights = np.random.default_rng(2).normal(size=(2, 3, 8, 8))
    pixels = picture(8, 8)
    said = ((weights[0] - weights[1]) * (pixels - blurred(pixels))[0]).sum(axis=0)
    found = occlusion(summing(weights), pixels, 0)
    assert found[0, 0] == pytest.approx((said[:2, :2].mean() + said[0, 0] + said[0, 0]) / 3, abs=1e-4)
    assert found[3, 3] == pytest.approx((said[2:4, 2:4].mean() + said[3:5, 3:5].mean() + said[3, 3]) / 3, abs=1e-4)


@given(SIDES, SIDES)
def test_each_tiling_covers_every_pixel_once(height, width):
    for tiling in perturbation._tilings(height, width):
        covered = np.zeros((height, width), dtype=int)
        for tile in tiling:
            covered[tile] += 1
        assert (covered == 1).all()


@given(st.integers(1, 300), st.integers(1, 300))
def test_no_picture_costs_more_than_105_covered_ones(height, width):
    assert sum(map(len, perturbation._tilings(height, width))) <= 16 + 25 + 64


def test_a_square_picture_costs_105_and_they_are_asked_sixteen_at_a_time():
    model = constant()
    occlusion(model, picture(224, 224), 0)
    assert (model.pictures, model.largest) == (106, 16)


def test_large_pictures_are_asked_in_smaller_batches(monkeypatch):
    monkeypatch.setattr(perturbation, "BATCH_VALUES", 3 * 32 * 32 * 5)
    model = constant()
    occlusion(model, picture(), 0)
    assert (model.pictures, model.largest) == (106, 5)


def test_what_is_dark_and_should_be_bright_speaks_against_the_class():
    pixels = with_bright_corner()
    assert occlusion(Asked(top_left), pixels, 0)[:4, :4].min() > 0
    assert occlusion(Asked(top_left), 1 - pixels, 0)[:4, :4].max() < 0


def test_the_same_number_added_to_every_logit_changes_nothing():
    model, pixels = random_sums(32, 32, classes=3), picture()
    shifted = Asked(lambda some: model(some).logits + 50 * some.mean(axis=(1, 2, 3))[:, None], model.classes)
    np.testing.assert_allclose(occlusion(shifted, pixels, 1), occlusion(model, pixels, 1), atol=1e-4)


def test_of_two_classes_what_speaks_for_the_one_speaks_against_the_other():
    model, pixels = random_sums(20, 30), picture(20, 30)
    np.testing.assert_allclose(occlusion(model, pixels, 0), -occlusion(model, pixels, 1), atol=1e-6)


def test_a_picture_of_one_colour_has_no_parts():
    assert not occlusion(random_sums(32, 32), np.full((1, 3, 32, 32), 0.5, dtype=np.float32), 0).round(4).any()


def test_it_is_the_same_each_time_and_leaves_the_picture_alone():
    model, pixels = random_sums(28, 28), picture(28, 28)
    pixels.setflags(write=False)
    np.testing.assert_array_equal(occlusion(model, pixels, 0), occlusion(model, pixels, 0))


def test_how_far_it_is_can_be_seen():
    events = []
    occlusion(constant(), picture(), 0, on_event=events.append)
    assert events[0] == Phase("Covering parts of the picture", 105)
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == [16, 32, 48, 64, 80, 96, 105]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_gives_no_numbers_is_refused(bad):
    with pytest.raises(ModelError, match="not finite"):
        occlusion(Asked(lambda pixels: np.full((len(pixels), 2), bad)), picture(), 0)


def test_log_odds_are_those_of_the_softmax():
    logits = np.array([[1.0, 2.0, -0.5]], dtype=np.float32)
    p = float(softmax(logits)[0, 1])
    assert log_odds(logits, 1)[0] == pytest.approx(np.log(p / (1 - p)), abs=1e-5)


def test_log_odds_are_exact_where_the_probability_rounds_to_one_or_to_nothing():
    logits = np.array([[300.0, 0.0]], dtype=np.float32)
    assert (log_odds(logits, 0)[0], log_odds(logits, 1)[0]) == (300.0, -300.0)


def test_the_only_class_has_no_odds():
    assert log_odds(np.array([[3.0]], dtype=np.float32), 0).tolist() == [0.0]


def test_the_blurred_copy_keeps_light_and_colour_and_no_detail():
    checks = np.indices((32, 32)).sum(axis=0) % 2
    pixels = np.stack([checks, 1 - checks, np.ones_like(checks)]).astype(np.float32)[None]
    copy = blurred(pixels)
    np.testing.assert_allclose(copy[0, :2, 4:-4, 4:-4], 0.5, atol=0.02)
    np.testing.assert_allclose(copy[0, 2], 1.0, atol=1e-6)


@given(SIDES, SIDES, SIDES, SIDES)
def test_resizing_leaves_a_constant_as_it_is_and_no_value_its_range(height, width, rows, columns):
    np.testing.assert_allclose(resized(np.ones((height, width), dtype=np.float32), rows, columns), 1.0, atol=1e-5)
    values = picture(height, width)
    found = resized(values, rows, columns)
    assert found.shape == (1, 3, rows, columns)
    assert values.min() - 1e-6 <= found.min() <= found.max() <= values.max() + 1e-6


def test_resizing_is_what_pillow_does():
    from PIL import Image

    values = picture(13, 20)[0, 0]
    for size in ((5, 7), (40, 31), (13, 4)):
        theirs = Image.fromarray(values).resize(size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(resized(values, *size), np.asarray(theirs), atol=1e-5)
