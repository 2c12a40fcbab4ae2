import numpy as np
import pytest

from eyebright.core.decision import Decision
from eyebright.core.errors import DataError
from eyebright.core.predictions import Predictions
from eyebright.evaluation import accuracy, calibration, curves
from eyebright.evaluation.intervals import (
    bootstrap,
    effective_size,
    estimate,
    paired_difference,
    resamples,
    share,
    weighted_mean,
    wilson,
)

from .tables import random_table


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),  # the same
        (0, 20, 0.0000, 0.1611),  # the same
        (1, 29, 0.0061, 0.1718),  # the same
        (0, 10, 0.0000, 0.2775),  # z^2 / (n + z^2) = 3.8415 / 13.8415
        (10, 10, 0.7225, 1.0000),  # its mirror image
    ],
)
def test_wilson_agrees_with_published_values(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(successes, n):
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


def test_every_resample_draws_as_many_groups_as_there_are():
    groups = ("a", "a", "b", "c", "c", "c")
    weights = np.concatenate(list(resamples(groups, repeats=50, seed=1)), axis=1)
    assert weights.shape == (6, 50)
    first_rows = [0, 2, 3]
    assert (weights[first_rows].sum(axis=0) == 3).all()
    assert (weights[0] == weights[1]).all(), "a group is drawn whole"


def test_a_resample_does_not_depend_on_the_order_of_the_pictures():
    groups = ("a", "b", "c", "d")
    weights = next(resamples(groups, repeats=20, seed=3))
    turned = next(resamples(groups[::-1], repeats=20, seed=3))
    assert (weights == turned[::-1]).all()


def test_the_blocks_do_not_change_the_resamples(monkeypatch):
    groups = tuple("abcdefgh")
    whole = next(resamples(groups, repeats=30, seed=2))
    monkeypatch.setattr("eyebright.evaluation.intervals.BLOCK", 8 * 7)
    blocks = list(resamples(groups, repeats=30, seed=2))
    assert len(blocks) == 5, "7 columns at a time: 7 + 7 + 7 + 7 + 2"
    assert (np.concatenate(blocks, axis=1) == whole).all()


def all_metrics(table: Predictions, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    decision = Decision(temperature=0.7)
    return {
        **accuracy.figures(accuracy.count(table, weights)),
        "top_2_accuracy": accuracy.top_k_accuracy(table, 2, weights),
        "log_loss": calibration.log_loss(table, decision, weights),
        "brier": calibration.brier(table, decision, weights),
        "ece": calibration.ece(table, decision, weights),
        "roc_auc_ovr": curves.roc_auc_ovr(table, decision, weights),
    }


@pytest.mark.parametrize("group_size", [1, 5])
def test_weights_give_what_a_table_with_repeated_rows_gives(group_size):
    table = random_table(4, n=40, classes=7, group_size=group_size)
    weights = next(resamples(table.groups, repeats=10, seed=4))
    replicates = all_metrics(table, weights)
    for column in range(10):
        rows = np.repeat(np.arange(len(table)), weights[:, column].astype(int))
        for name, value in all_metrics(table.select(rows)).items():
            assert replicates[name][column] == pytest.approx(float(value), abs=1e-5), name


def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    # The standard error of the mean of 400 values of variance 1 is 1/20; the interval is 2 x 1.96 standard errors wide.
    rows = np.random.default_rng(0).normal(size=400)
    rows = (rows - rows.mean()) / rows.std()
    groups = tuple(map(str, range(400)))
    low, high = bootstrap(lambda weights: {"mean": weighted_mean(rows, weights)}, groups)["mean"]
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_copies_within_groups_widen_the_interval_as_if_each_group_were_one_picture():
    # 20 patients, each photographed 10 times with the same result: 20 trials, not 200.
    right = np.repeat(np.random.default_rng(1).random(20) < 0.7, 10)
    grouped = share(right, tuple(f"patient-{row // 10}" for row in range(200)))
    single = share(right, tuple(str(row) for row in range(200)))
    assert grouped.method == "cluster-wilson"
    assert single.method == "wilson"
    assert grouped.value == single.value
    # The variance is ten times as large, the width sqrt(10) = 3.2 times; 20 groups leave some play.
    assert 2.5 < (grouped.high - grouped.low) / (single.high - single.low) < 4


def test_one_pair_of_copies_hardly_changes_the_interval_of_two_hundred_pictures():
    right = np.arange(200) >= 4
    keys = tuple(map(str, range(200)))
    alone, paired = share(right, keys), share(right, (*keys[:199], keys[198]))
    assert (paired.low, paired.high) == pytest.approx((alone.low, alone.high), abs=0.003)


def test_the_effective_size_is_by_the_variance_of_the_groups_sums():
    # Deviations of 3 of 4 right: .25, .25, .25, -.75. Alone, squared: 3/16 + 9/16 = 3/4. By group: (.5)**2 + (-.5)**2 = 1/2,
    # times 2 / (2 - 1) groups = 1. So 4 pictures are worth 4 * (3/4) / 1 = 3.
    right = np.array([True, True, True, False])
    assert effective_size(right, ("a", "a", "b", "b")) == pytest.approx(3.0)
    assert effective_size(right, ("a", "b", "c", "d")) == 4.0
    assert effective_size(np.ones(4, dtype=bool), ("a", "a", "a", "b")) == pytest.approx(16 / (9 + 1))


def test_the_interval_of_grouped_pictures_holds_the_true_share_near_its_end_where_the_bootstrap_does_not():
    # 60 patients of 4 pictures, each patient's own share drawn from a beta law around 0.95 (correlation 1 / (1 + 19 + 1)).
    generator = np.random.default_rng(0)
    groups = tuple(f"patient-{row // 4}" for row in range(240))
    held = np.zeros(2)
    for _ in range(300):
        right = generator.random(240) < np.repeat(generator.beta(19, 1, size=60), 4)
        figure = share(right, groups)
        low, high = bootstrap(lambda weights, right=right: {"share": weighted_mean(right, weights)}, groups, repeats=200)[
            "share"
        ]
        held += [figure.low <= 0.95 <= figure.high, low <= 0.95 <= high]
    ours, resampled = held / 300
    assert ours > 0.93
    assert resampled < ours


def test_all_right_in_a_few_groups_does_not_claim_certainty():
    figure = share(np.ones(30, dtype=bool), tuple(f"patient-{row // 10}" for row in range(30)))
    assert (figure.value, figure.high, figure.method) == (1.0, 1.0, "cluster-wilson")
    assert figure.low == pytest.approx(wilson(3, 3)[0]), "three patients are three trials"


def test_a_figure_without_bounds_and_spread_has_no_interval():
    figure = estimate(lambda weights: {"loss": weighted_mean(np.full(5, 2.0), weights)}, tuple("abcde"), bounds={})["loss"]
    assert (figure.value, figure.low, figure.high, figure.method) == (2.0, None, None, "none")


def test_a_share_of_nothing_is_undefined():
    assert share(np.zeros(0, dtype=bool), ()).value is None


def test_a_paired_difference_is_narrower_than_two_figures_apart():
    generator = np.random.default_rng(5)
    a = generator.random(300) < 0.8
    b = a.copy()
    b[np.flatnonzero(a)[:12]] = False  # B is A with 12 more mistakes: the difference is 12/300
    groups = tuple(map(str, range(300)))
    figure = paired_difference(a, b, groups)
    assert figure.value == pytest.approx(12 / 300)
    assert figure.low > 0, "a consistent difference shows"
    assert share(a, groups).low < share(b, groups).high, "though the two intervals overlap"


def test_two_equal_models_differ_by_no_more_than_wilson_allows():
    right = np.array([True, False] * 10)
    figure = paired_difference(right, right, tuple(map(str, range(20))))
    reach = 0.1611  # Wilson's upper limit for 0 of 20
    assert (figure.low, figure.value, figure.high) == pytest.approx((-reach, 0, reach), abs=1e-4)


def test_a_paired_difference_refuses_different_pictures():
    with pytest.raises(DataError, match="same pictures"):
        paired_difference(np.ones(3, dtype=bool), np.ones(4, dtype=bool), tuple("abc"))
