"""Views of a picture, and the mean over them."""

import numpy as np
import pytest
from pydantic import ValidationError

from eyebright.core.predictor import Outputs
from eyebright.core.views import Views, averaged, seen

ROWS = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)  # 0 1 2 3 / 4 5 6 7 / 8 9 10 11
ALL = ("identity", "mirror", "up-left", "down-right", "mirror-up-left", "mirror-down-right")


def test_each_view_is_what_its_name_says():
    assert seen(ROWS, "identity").tolist() == ROWS.tolist()
    assert seen(ROWS, "mirror")[0, 0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    # What lay one pixel down and right; below and right of the border it is reflected: row 2 -> row 1, column 3 -> column 2.
    assert seen(ROWS, "up-left")[0, 0].tolist() == [[5, 6, 7, 6], [9, 10, 11, 10], [5, 6, 7, 6]]
    assert seen(ROWS, "down-right")[0, 0].tolist() == [[5, 4, 5, 6], [1, 0, 1, 2], [5, 4, 5, 6]]
    assert seen(ROWS, "mirror-up-left")[0, 0].tolist() == [[6, 7, 6, 5], [10, 11, 10, 9], [6, 7, 6, 5]]


def test_a_moved_view_is_numpys_reflected_padding_cut_off_centre():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 5), dtype=np.uint8)
    padded = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    assert (seen(pictures, "up-left") == padded[..., 2:, 2:]).all()
    assert (seen(pictures, "down-right") == padded[..., :-2, :-2]).all()
    assert seen(pictures, "mirror").dtype == np.uint8


def test_a_picture_of_one_pixel_has_all_views():
    one = np.ones((1, 3, 1, 1))
    assert all((seen(one, view) == one).all() for view in ALL)


class Corner:
    """Logits: the first pixel, and zero. It notes how many pictures it was asked about."""

    def __init__(self):
        self.asked = []

    def __call__(self, pixels):
        self.asked.append(len(pixels))
        logits = np.stack([pixels[:, 0, 0, 0], np.zeros(len(pixels))], axis=1).astype(np.float32)
        return Outputs(logits, logits * 2)


def test_every_view_weighs_the_same():
    found = averaged(Corner(), ROWS, Views(names=("identity", "mirror", "up-left")))
    np.testing.assert_allclose(found.logits, [[(0 + 3 + 5) / 3, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(found.features, [[2 * (0 + 3 + 5) / 3, 0.0]], rtol=1e-6)


def test_only_pictures_that_are_doubtful_at_first_sight_are_seen_again():
    """Corners 0 and 3: probabilities 1/2 and 1 / (1 + e^-3) = .953 of the likelier class."""
    pictures = np.concatenate([ROWS, ROWS[..., ::-1]])
    corner = Corner()
    found = averaged(corner, pictures, Views(names=("identity", "mirror"), below=0.9))
    assert corner.asked == [2, 1]
    assert found.logits[:, 0].tolist() == [1.5, 3.0]
    assert averaged(Corner(), pictures, Views(names=("identity", "mirror"), below=0.99)).logits[:, 0].tolist() == [1.5, 1.5]


def test_nobody_in_doubt_is_asked_once():
    corner = Corner()
    averaged(corner, ROWS[..., ::-1], Views(names=ALL, below=0.9))
    assert corner.asked == [1]


def test_an_answer_does_not_depend_on_the_company():
    pictures = np.random.default_rng(1).normal(size=(8, 1, 3, 4)).astype(np.float32) * 3
    views = Views(names=ALL, below=0.9)
    together = averaged(Corner(), pictures, views).logits
    alone = [averaged(Corner(), pictures[row : row + 1], views).logits[0] for row in range(8)]
    assert together.tolist() == np.array(alone).tolist()


@pytest.mark.parametrize("wrong", [{"names": ()}, {"names": ("identity", "identity")}, {"below": 0}, {"below": 1.5}])
def test_views_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        Views(**wrong)
