"""The search for shortcuts on made-up cues; scikit-learn's classifiers and metrics run beside ours."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.naive_bayes import CategoricalNB, GaussianNB

from eyebright.core.errors import DataError
from eyebright.evaluation.cue_scores import drawn, is_class, luck, score
from eyebright.evaluation.naive_bayes import BINS, number_codes, posteriors, word_codes
from eyebright.evaluation.shortcuts import FEWEST, find_shortcuts
from eyebright.images.cues import Cues
from eyebright.images.header import Header

PLAIN = Cues(
    height=64,
    width=64,
    format="JPEG",
    mode="RGB",
    header=Header("Canon", "", None, 90, "2x2"),
    file_bytes=5000,
    border=(100, 20, 10, 90) * 4,
    corners=(100, 20, 10, 90) * 4,
    colour=(100, 100, 100),
    extremes=(0, 0, 0),
    sharpness=(5.0, 5.0),
)


def natural(seed, n):
    """Cues as pictures of anything have them: whatever can differ does, by chance."""
    rng = np.random.default_rng(seed)
    return [
        dataclasses.replace(
            PLAIN,
            file_bytes=int(rng.lognormal(8, 0.4)),
            border=tuple(rng.integers(0, 256, 16).tolist()),
            corners=tuple(rng.integers(0, 256, 16).tolist()),
            colour=tuple(rng.integers(40, 200, 3).tolist()),
            extremes=tuple(rng.integers(0, 30, 3).tolist()),
            sharpness=tuple(rng.normal(8, 1, 2).tolist()),
        )
        for _ in range(n)
    ]


def search(cues, labels, groups=None, classes=("a", "b", "c", "d")):
    """What is found, by cue."""
    labels = np.asarray(labels)
    groups = groups or [str(row) for row in range(len(labels))]
    found = find_shortcuts(cues, labels, groups, classes[: labels.max() + 1])
    return {shortcut.cue: shortcut for shortcut in found}


def columns_of(seed, n, classes, shift=1.0, columns=2):
    """Labels, and independent normal numbers whose means differ by ``shift`` from class to class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return labels, rng.normal(size=(n, columns)) + shift * rng.normal(size=(classes, columns))[labels], rng.integers(0, 5, n)


@pytest.mark.parametrize("classes", [2, 5])
def test_posteriors_are_those_of_scikit_learns_categorical_naive_bayes(classes):
    labels, values, folds = columns_of(1, 400, classes)
    codes = np.stack([number_codes(column) for column in values.T], axis=1)
    theirs = CategoricalNB(alpha=1.0, fit_prior=False, min_categories=BINS)
    expected = cross_val_predict(theirs, codes, labels, cv=PredefinedSplit(folds), method="predict_proba")
    assert np.allclose(posteriors(codes, labels, folds, classes), expected)


@pytest.mark.parametrize("reference", [GaussianNB(priors=[1 / 3] * 3), LinearDiscriminantAnalysis(priors=[1 / 3] * 3)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bins_know_about_as_much_as_methods_made_for_normal_numbers(reference, seed):
    labels, values, folds = columns_of(seed, 900, 3)
    codes = np.stack([number_codes(column) for column in values.T], axis=1)
    ours = balanced_accuracy_score(labels, posteriors(codes, labels, folds, 3).argmax(axis=1))
    theirs = balanced_accuracy_score(labels, cross_val_predict(reference, values, labels, cv=PredefinedSplit(folds)))
    assert ours == pytest.approx(theirs, abs=0.05)


def test_two_peaks_around_another_class_are_told_where_a_normal_curve_sees_nothing():
    rng = np.random.default_rng(0)
    labels, folds = np.repeat([0, 1], 200), np.tile(np.arange(5), 80)
    values = np.where(labels == 0, 0, rng.choice([-5, 5], 400)) + rng.normal(size=400)
    shares = posteriors(number_codes(values)[:, None], labels, folds, 2)
    assert balanced_accuracy_score(labels, shares.argmax(axis=1)) > 0.9
    theirs = cross_val_predict(LinearDiscriminantAnalysis(), values[:, None], labels, cv=PredefinedSplit(folds))
    assert balanced_accuracy_score(labels, theirs) < 0.6


@given(arrays.arrays(np.float64, st.integers(1, 80), elements=st.one_of(st.floats(-9, 9), st.just(np.nan))))
def test_bins_keep_the_order_of_the_numbers_and_a_place_for_what_is_missing(numbers):
    codes = number_codes(numbers)
    missing = np.isnan(numbers)
    order = np.argsort(numbers[~missing], kind="stable")
    assert (np.diff(codes[~missing][order]) >= 0).all()
    assert not set(codes[missing]) & set(codes[~missing])
    assert set(codes) == set(range(len(set(codes))))
    assert len(set(codes)) <= 2 * BINS + 1


def test_a_word_is_a_bin():
    assert word_codes(["Nikon", "", "Canon", "Nikon"]).tolist() == [2, 0, 1, 2]


def test_scores_are_balanced_accuracies_of_all_questions():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 50, 7])
    shares = rng.dirichlet([1, 1, 1], len(labels))
    found = score(shares, labels)
    expected = [balanced_accuracy_score(labels, shares.argmax(axis=1))]
    expected += [balanced_accuracy_score(labels == k, is_class(shares)[:, k]) for k in range(3)]
    assert np.allclose(found.balanced, expected)
    assert found.chance.tolist() == [1 / 3, 0.5, 0.5, 0.5]


def test_guesses_that_do_not_look_have_no_skill():
    labels = np.repeat([0, 1], [90, 10])
    always_the_first = np.tile([0.6, 0.4], (100, 1))
    assert score(always_the_first, labels).skill.tolist() == [0, 0, 0]


def test_luck_grows_with_the_number_of_cues_that_are_tried():
    rng = np.random.default_rng(0)
    labels, folds = rng.integers(0, 2, 60), np.tile(np.arange(5), 12)
    columns = [rng.integers(0, 8, (60, 1)) for _ in range(12)]
    few, many = (luck(columns[:count], labels, np.arange(60), folds) for count in (1, 12))
    assert 1 < few < many


def test_luck_is_asked_of_a_draw_that_keeps_rare_classes_whole():
    labels = np.repeat([0, 1, 2], [5, 4000, 6000])
    some = labels[drawn(labels, 0)]
    assert np.bincount(some).tolist() in ([5, 998, 997], [5, 997, 998])  # 5, and half of the other 1,995 each


def test_one_class_among_twenty_that_has_a_camera_of_its_own_is_named():
    labels = np.repeat(np.arange(20), 12)
    cues = natural(0, 240)
    for row in np.flatnonzero(labels == 7):
        cues[row] = dataclasses.replace(cues[row], header=Header("Nikon", "", None, 90, "2x2"))
    found = search(cues, labels, classes=tuple(f"class {k}" for k in range(20)))
    assert {cue for cue, shortcut in found.items() if shortcut.suspicious} == {"camera"}
    assert found["camera"].sentence.startswith(
        "The camera (by EXIF) alone tells class 7 from the other classes: right 100 times"
    )
    assert "Usual for class 7: Nikon; for the other classes: Canon." in found["camera"].sentence


def test_the_suspicious_come_first_and_then_what_tells_most():
    labels = np.tile([0, 1], 40)
    cues = [dataclasses.replace(one, height=64 + 2 * label) for one, label in zip(natural(0, 80), labels.tolist(), strict=True)]
    found = list(search(cues, labels).values())
    assert [shortcut.cue for shortcut in found if shortcut.suspicious] == ["resolution"]
    assert found[0].cue == "resolution"
    assert [one.score.value for one in found] == sorted((one.score.value for one in found), reverse=True)


def test_a_weak_cue_is_told_with_its_figure_and_not_called_a_shortcut():
    # 55 of 100 of one class and 45 of 100 of the other: certain with so many pictures, and of no use to a model.
    labels = np.tile([0, 1], 2000)
    rng = np.random.default_rng(0)
    heights = np.where(rng.random(4000) < np.where(labels == 1, 0.55, 0.45), 64, 80)
    found = search([dataclasses.replace(PLAIN, height=int(height)) for height in heights], labels)
    assert list(found) == ["resolution"]
    assert not found["resolution"].suspicious
    assert found["resolution"].score.low > 0.5
    assert found[
        "resolution"
    ].sentence == "The resolution alone is right 55 times in 100, every class counting alike, where " + (
        "guessing gives 50: not enough to be a shortcut."
    )


def test_what_is_the_same_for_all_is_not_mentioned():
    assert search([PLAIN] * 40, np.tile([0, 1], 20)) == {}


def test_a_class_of_few_groups_is_left_out_and_a_single_class_tells_nothing():
    labels = np.repeat([0, 1, 2], [30, 30, 30])
    groups = [f"{label} {row % (FEWEST - 1 if label == 2 else 30)}" for row, label in enumerate(labels.tolist())]
    found = search(natural(0, 90), labels, groups)
    assert {shortcut.score.n for shortcut in found.values()} == {60}
    assert {shortcut.chance for shortcut in found.values()} == {0.5}
    assert search(natural(0, 60), np.repeat([0, 2], 30), groups[:30] + groups[60:]) == {}


def test_figures_do_not_depend_on_the_order_of_the_pictures():
    labels, cues = np.tile([0, 1, 2], 30), natural(0, 90)
    order = np.random.default_rng(0).permutation(90)
    straight = search(cues, labels, [str(row) for row in range(90)])
    shuffled = search([cues[row] for row in order], labels[order], [str(row) for row in order])
    assert straight.keys() == shuffled.keys()
    for cue, one in straight.items():
        assert shuffled[cue].score.value == pytest.approx(one.score.value)
        assert shuffled[cue].score.low == pytest.approx(one.score.low)


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="3 cues came with 2 labels and 3 groups"):
        find_shortcuts([PLAIN] * 3, np.array([0, 1]), ["x", "y", "z"], ("a", "b"))


def alarms(sets, n, classes, group_size=1):
    """In how many of ``sets`` data sets without any shortcut something is called suspicious."""
    raised = 0
    for seed in range(sets):
        labels = np.random.default_rng(10_000 + seed).integers(0, classes, n).repeat(group_size)
        cues = [one for one in natural(seed, n) for _ in range(group_size)]  # pictures of a group are all alike: the worst case
        groups = [str(row // group_size) for row in range(len(labels))]
        raised += any(shortcut.suspicious for shortcut in search(cues, labels, groups).values())
    return raised


def test_of_a_dozen_small_sets_without_shortcuts_none_or_one_is_suspected():
    assert alarms(12, n=30, classes=2) <= 1


@pytest.mark.slow
def test_of_a_dozen_sets_of_a_few_long_tracks_without_shortcuts_none_or_one_is_suspected():
    # 9,600 pictures of 24 tracks: luck is that of 24, and so must be the strength that is compared with it.
    assert alarms(12, n=24, classes=2, group_size=400) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("n", "classes", "group_size"), [(24, 2, 1), (60, 4, 1), (30, 2, 4)])
def test_a_false_alarm_is_raised_for_fewer_than_5_in_100_sets(n, classes, group_size):
    assert alarms(100, n, classes, group_size) < 5
