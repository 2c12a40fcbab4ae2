import numpy as np
import pytest

from eyebright.core.predictions import Predictions
from eyebright.evaluation.learning import learning_curve

from .tables import keys_of


def table(right: np.ndarray, labels: np.ndarray) -> Predictions:
    """Two classes, answered right where ``right`` says so, with a probability of 0.88."""
    answers = np.where(right, labels, 1 - labels)
    return Predictions(keys_of(len(labels)), labels, (2.0 * np.eye(2)[answers]).astype(np.float32), ("ash", "oak"))


LABELS = np.arange(400) % 2


def first(share: float) -> np.ndarray:
    return np.arange(400) < share * 400


def test_a_curve_that_still_rises_says_so_and_what_twice_as_many_may_give():
    # The error halves with each doubling (0.4, 0.2, 0.1): twice as many again would leave 0.05, five more of a hundred right.
    points = [(n, table(first(right), LABELS)) for n, right in ((100, 0.6), (200, 0.8), (400, 0.9))]
    curve = learning_curve(points, how="by hand")
    assert [point.n for point in curve.points] == [100, 200, 400]
    assert curve.points[-1].figures["accuracy"].value == pytest.approx(0.9)
    assert "More pictures would help" in curve.advice[0]
    assert "+0.100" in curve.advice[0]
    assert "about 5 times in 100 more often" in curve.advice[0]


def test_a_curve_that_is_flat_promises_little():
    points = [(n, table(first(0.8), LABELS)) for n in (100, 200)]
    assert learning_curve(points, how="").advice == [
        "More pictures of the same kind promise little: from 100 to 200 training pictures the accuracy changed by "
        "+0.000 (-0.010 to +0.010)."
    ]


def test_a_gain_that_may_be_chance_is_neither_promised_nor_denied():
    before, after = first(0.8), first(0.8)
    after[:2], after[-6:] = False, True  # 6 won and 2 lost of 400: +0.01, its interval holds zero and reaches above 0.01
    curve = learning_curve([(100, table(before, LABELS)), (200, table(after, LABELS))], how="")
    assert curve.advice[0].startswith("It is not shown that more pictures of the same kind would help")


def test_the_class_that_gained_most_is_named_with_its_recalls():
    # Oak (odd rows) goes from 0.5 to 0.9, ash stays at 0.95.
    ash, oak = LABELS == 0, LABELS == 1
    rank = np.arange(400) // 2 / 200
    before = np.where(ash, rank < 0.95, rank < 0.5)
    after = np.where(oak, rank < 0.9, rank < 0.95)
    curve = learning_curve([(100, table(before, LABELS)), (200, table(after, LABELS))], how="")
    assert "oak (0.50 to 0.90 found)" in curve.advice[1]
    assert "ash" not in curve.advice[1]


def test_one_point_alone_is_no_curve_and_gives_no_advice():
    assert learning_curve([(100, table(first(0.8), LABELS))], how="").advice == []
