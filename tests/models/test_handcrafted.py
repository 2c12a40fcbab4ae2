"""Handcrafted models: their names, and features that equal scikit-image's or what is worked out beside them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2hsv
from skimage.feature import hog as skimage_hog

from eyebright.core.errors import SettingsError
from eyebright.models.handcrafted.descriptors import cell_of, colour_histogram, hog, hsv
from eyebright.models.handcrafted.model import describe
from eyebright.models.handcrafted.names import NAMES, Handcrafted, fitting_size, is_handcrafted, parse
from eyebright.models.handcrafted.words import bag_of_words, dense_sift, word_shares


def noise(n=4, height=32, width=32, seed=0):
    return np.random.default_rng(seed).random((n, 3, height, width), dtype=np.float32)


def words(count=12, seed=0):
    rows = np.abs(np.random.default_rng(seed).standard_normal((count, 128))).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# names


def test_every_listed_name_is_understood_and_comes_back_as_it_was():
    assert len(NAMES) == 10
    assert [parse(name).name for name in NAMES] == list(NAMES)


def test_features_are_put_in_one_order():
    assert parse("colour+hog-forest") == Handcrafted(features=("hog", "colour"), classifier="forest")
    assert parse("colour+hog-forest").name == "hog+colour-forest"


@pytest.mark.parametrize("name", ["hog", "hog-", "-svm", "hog+hog-svm", "hog-tree", "lbp-svm", "hog+-svm", "cnn", ""])
def test_other_names_are_not(name):
    assert not is_handcrafted(name)
    with pytest.raises(SettingsError, match="Unknown model"):
        parse(name)


def test_a_slip_is_answered_with_the_nearest_name():
    with pytest.raises(SettingsError, match="hog-svm"):
        parse("hog-smv")


@given(st.integers(1, 20_000))
def test_the_size_is_a_multiple_of_the_cells_and_no_larger_than_is_worth_its_time(side):
    size = fitting_size(side)
    assert size % 16 == 0
    assert 16 <= size <= 128


# histograms of oriented gradients


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 64)])
def test_hog_is_what_scikit_image_gives(height, width):
    pixels = noise(height=height, width=width)
    cell = (height // 8, width // 8)
    expected = [skimage_hog(one, 9, cell, (2, 2), block_norm="L2-Hys", channel_axis=0) for one in pixels]
    np.testing.assert_allclose(hog(pixels), np.stack(expected), atol=1e-5)


def test_cells_share_out_a_side_that_they_do_not_divide():
    assert np.bincount(cell_of(50, 8)).tolist() == [7, 6, 6, 6, 7, 6, 6, 6]
    assert hog(noise(2, 50, 37)).shape == (2, 7 * 7 * 2 * 2 * 9)


def test_light_added_to_the_whole_picture_leaves_hog_as_it_is():
    pixels = noise() / 2
    np.testing.assert_allclose(hog(pixels), hog(pixels + np.float32(0.25)), atol=1e-4)


def test_a_flat_picture_has_no_gradients():
    assert not hog(np.full((1, 3, 32, 32), 0.5, dtype=np.float32)).any()


def test_an_edge_votes_for_its_own_orientation():
    pixels = np.zeros((1, 3, 32, 32), dtype=np.float32)
    pixels[..., 14:] = 1  # brighter to the right: a gradient of 0 degrees, in the first of nine orientations
    blocks = hog(pixels).reshape(-1, 9)
    assert blocks[:, 0].any()
    assert not blocks[:, 1:].any()


# colours


def test_hsv_is_what_scikit_image_gives():
    pixels = noise()
    pixels[0, :, :4] = 0.5  # greys
    pixels[0, :, 4:8] = 0  # black
    expected = np.stack([rgb2hsv(one, channel_axis=0) for one in pixels])
    np.testing.assert_allclose(np.stack(hsv(pixels), axis=1), expected, atol=1e-6)


def test_one_plain_colour_fills_one_bin():
    red = np.zeros((1, 3, 16, 16), dtype=np.float32)
    red[:, 0] = 1  # hue 0, saturation and value 1: the first hue's last bin, 0 * 16 + 3 * 4 + 3
    assert np.flatnonzero(colour_histogram(red)[0]).tolist() == [15]
    assert colour_histogram(red)[0, 15] == 1


def test_where_a_colour_lies_does_not_matter():
    pixels = noise(1)
    mixed = pixels.reshape(1, 3, -1)[..., np.random.default_rng(1).permutation(32 * 32)].reshape(pixels.shape)
    np.testing.assert_array_equal(colour_histogram(pixels), colour_histogram(mixed))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_shares_of_all_colours_sum_to_one(seed):
    np.testing.assert_allclose((colour_histogram(noise(1, 16, 16, seed)) ** 2).sum(), 1, rtol=1e-5)


# visual words


def test_a_dense_descriptor_is_what_its_definition_gives_pixel_by_pixel():
    pixels = noise(1, 32, 32)
    coarse, fine = dense_sift(pixels)
    assert coarse.shape == (1, 5, 5, 128)
    assert fine.shape == (1, 13, 13, 128)
    for row, column in ((0, 0), (2, 3), (4, 4)):
        np.testing.assert_allclose(coarse[0, row, column], slowly(pixels[0], row, column, cell=4), atol=1e-5)


def slowly(picture, first_row, first_column, cell):
    """The patch of 4 x 4 cells of ``cell`` pixels that begins at that cell, by loops over its cells and all pixels."""
    grey = 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]
    found = np.zeros((4, 4, 8))
    for row, column in np.ndindex(4, 4):
        centres = ((first_row + row + 0.5) * cell - 0.5, (first_column + column + 0.5) * cell - 0.5)
        tent = np.outer(*(np.maximum(0, 1 - np.abs(np.arange(len(grey)) - centre) / cell) for centre in centres))
        weights = tent / tent.sum() * np.exp(-((row - 1.5) ** 2 + (column - 1.5) ** 2) / (2 * 2**2))
        for y, x in np.argwhere(weights):
            down = (grey[y + 1, x] - grey[y - 1, x]) / 2 if 0 < y < len(grey) - 1 else 0
            across = (grey[y, x + 1] - grey[y, x - 1]) / 2 if 0 < x < len(grey) - 1 else 0
            turn = np.arctan2(down, across) / (2 * np.pi) * 8 % 8
            for orientation, share in ((int(turn), 1 - turn % 1), (int(turn) + 1, turn % 1)):
                found[row, column, orientation % 8] += weights[y, x] * share * np.hypot(down, across)
    unit = found.ravel() / np.linalg.norm(found)
    clipped = np.minimum(unit, 0.2)
    return clipped / np.linalg.norm(clipped)


def test_a_flat_picture_has_descriptors_of_nothing():
    assert not any(patches.any() for patches in dense_sift(np.full((1, 3, 32, 32), 0.3, dtype=np.float32)))


def test_a_patch_that_is_a_word_is_mostly_that_word():
    vocabulary = words()
    shares = word_shares(vocabulary[None, None, :], vocabulary)[0, 0]
    assert (shares.argmax(axis=1) == np.arange(12)).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    # Two words at a squared distance d share a patch that is one of them as 1 : exp(-20 d).
    far = ((vocabulary[0] - vocabulary[1]) ** 2).sum()
    np.testing.assert_allclose(shares[0, 1] / shares[0, 0], np.exp(-20 * far), rtol=1e-3)


def test_a_bag_of_words_has_norm_one_and_the_quarters_mean_the_whole():
    bag = bag_of_words(noise(3), words())
    np.testing.assert_allclose(np.linalg.norm(bag, axis=1), 1, rtol=1e-5)
    whole, *quarters = (bag.reshape(3, 5, 12) ** 2 * 5).transpose(1, 0, 2)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)
    assert all(np.allclose(quarter.sum(axis=1), 1, rtol=1e-5) for quarter in quarters)


def test_with_one_word_every_patch_is_that_word():
    np.testing.assert_allclose(bag_of_words(noise(1), words(1)), np.sqrt(np.full((1, 5), 0.2)), rtol=1e-5)


# together


@pytest.mark.parametrize("name", ["hog-svm", "sift-svm", "colour-svm", "hog+sift+colour-svm"])
def test_splitting_a_batch_leaves_the_features_as_they_are(name):
    pixels, vocabulary = noise(5, 48, 32), words()
    whole = describe(parse(name), pixels, vocabulary)
    parts = [describe(parse(name), pixels[row : row + 1], vocabulary) for row in range(5)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-6)


def test_features_side_by_side_weigh_alike():
    features = describe(parse("hog+colour-knn"), noise(), None)
    blocks, colours = features[:, :1764], features[:, 1764:]
    assert np.linalg.norm(blocks, axis=1) == pytest.approx(np.ones(4), abs=0.02)
    assert np.linalg.norm(colours, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_pictures_too_small_for_the_grids_are_refused_with_the_flag():
    with pytest.raises(SettingsError, match=r"--size is 12 x 40; hog-svm needs at least 16 pixels"):
        describe(parse("hog-svm"), noise(1, 12, 40), None)
