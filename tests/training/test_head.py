"""The linear head: scikit-learn's logistic regression is the oracle, and nothing leaks from a fold into its own answer."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from eyebright.data.folds import SEEN_BY_ALL
from eyebright.training import head as head_room
from eyebright.training.head import (
    STRENGTHS,
    HeadProblem,
    LinearHead,
    _principal_axes,
    choose_strength,
    fit_head,
    mean_log_loss,
    with_mirrored_if_better,
)


def clusters(n=300, width=12, classes=4, *, seed=0, spread=2.0):
    """Overlapping clouds, their columns on very unlike scales."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    features = generator.normal(size=(classes, width))[labels] + spread * generator.normal(size=(n, width))
    scales = 10.0 ** generator.uniform(-1, 1, width)
    return (features * scales + generator.normal(size=width)).astype(np.float32), labels.astype(np.int64)


def probabilities(head, features):
    return softmax(head(features).astype(np.float64), axis=1)


def oracle(features, labels, strength, weights=None):
    """scikit-learn minimises the sum of losses + |w|^2 / (2 C), we their mean + strength |w|^2 / 2: C = 1 / (strength n)."""
    standard = (features - features.mean(axis=0, dtype=np.float64)) / features.std(axis=0, dtype=np.float64)
    total = len(labels) if weights is None else weights.sum()
    model = LogisticRegression(C=1 / (strength * total), tol=1e-9, max_iter=10_000)
    return model.fit(standard, labels, weights).predict_proba(standard)


@pytest.mark.parametrize("strength", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_those_of_scikit_learn(strength, weighted):
    features, labels = clusters()
    weights = np.random.default_rng(1).uniform(0.2, 3, len(labels)) if weighted else None
    head = fit_head(features, labels, 4, strength=strength, row_weights=weights)
    np.testing.assert_allclose(probabilities(head, features), oracle(features, labels, strength, weights), atol=2e-3)


def test_weighing_a_row_twice_is_having_it_twice():
    features, labels = clusters(60)
    again = np.concatenate([features, features]), np.concatenate([labels, labels])
    weights = np.ones(120)
    weights[60:] = 3.0
    # Standardised alike (the same rows), a row of weights 1 and 3 counts as two rows of weight 2.
    np.testing.assert_allclose(
        probabilities(fit_head(*again, 4, strength=0.01, row_weights=weights), features),
        probabilities(fit_head(features, labels, 4, strength=0.01), features),
        atol=1e-3,
    )


def test_a_rare_class_that_weighs_more_is_answered_more_often():
    features, labels = clusters(400, 5, 2, spread=4.0)
    keep = (labels == 0) | (np.arange(400) % 8 == 1)
    features, labels = features[keep], labels[keep]
    weights = np.where(labels == 1, 4.0, 1.0)
    plain, weighted = (fit_head(features, labels, 2, strength=0.01, row_weights=w) for w in (None, weights))
    assert probabilities(weighted, features)[:, 1].mean() > probabilities(plain, features)[:, 1].mean() + 0.1


def test_scale_and_origin_of_the_features_do_not_matter():
    features, labels = clusters(spread=1.5)
    moved = (features.astype(np.float64) * 100 + 7).astype(np.float32)
    np.testing.assert_allclose(
        probabilities(fit_head(moved, labels, 4, strength=0.01), moved),
        probabilities(fit_head(features, labels, 4, strength=0.01), features),
        atol=2e-3,
    )


def test_a_constant_column_changes_nothing():
    features, labels = clusters()
    wider = np.insert(features, [0, 5], np.float32(3.25), axis=1)
    head = fit_head(wider, labels, 4, strength=0.01)
    plain = fit_head(features, labels, 4, strength=0.01)
    np.testing.assert_allclose(probabilities(head, wider), probabilities(plain, features), atol=1e-3)
    assert np.isfinite(head.weight).all()


def test_a_column_that_hardly_varies_is_not_blown_up():
    features, labels = clusters()
    # It gives the class away, but a millionth of the others' spread is rounding noise, not a feature.
    wider = np.append(features, (1e-6 * features.std() * labels)[:, None].astype(np.float32), axis=1)
    plain = fit_head(features, labels, 4, strength=0.01)
    head = fit_head(wider, labels, 4, strength=0.01)
    np.testing.assert_allclose(probabilities(head, wider), probabilities(plain, features), atol=5e-3)


def test_features_that_say_nothing_leave_the_shares_of_the_classes():
    labels = np.array([0, 0, 0, 1, 2, 2], dtype=np.int64)
    head = fit_head(np.full((6, 4), 2.5, dtype=np.float32), labels, 3, strength=0.01)
    np.testing.assert_allclose(probabilities(head, np.full((1, 4), 2.5, np.float32)), [[3 / 6, 1 / 6, 2 / 6]], atol=1e-3)


def test_more_features_than_rows_are_fitted():
    features, labels = clusters(40, 90)
    assert (fit_head(features, labels, 4, strength=0.001)(features).argmax(axis=1) == labels).all()


def test_the_head_is_shaped_as_in_torch():
    head = fit_head(*clusters(), 4, strength=0.1)
    assert (head.weight.shape, head.bias.shape) == ((4, 12), (4,))
    assert (head.weight.dtype, head.bias.dtype) == (np.float32, np.float32)
    small = LinearHead(np.array([[1, 2], [3, 4]], np.float32), np.array([10, 20], np.float32))
    # 1*5 + 2*6 + 10 = 27, 3*5 + 4*6 + 20 = 59
    assert small(np.array([[5, 6]], np.float32)).tolist() == [[27, 59]]


def test_logits_out_of_fold_never_saw_the_labels_of_their_rows():
    features, labels = clusters()
    folds = np.arange(300) % 5
    honest = choose_strength(features, labels, 4, folds, strengths=(0.01,)).out_of_fold
    for fold in range(5):
        lies = np.where(folds == fold, (labels + 1) % 4, labels)
        planted = choose_strength(features, lies, 4, folds, strengths=(0.01,)).out_of_fold
        np.testing.assert_array_equal(planted[folds == fold], honest[folds == fold])
        assert not np.array_equal(planted[folds != fold], honest[folds != fold])


def test_labels_by_chance_are_learned_by_heart_and_guessed_out_of_fold():
    generator = np.random.default_rng(3)
    features = generator.normal(size=(200, 250)).astype(np.float32)
    labels = generator.integers(0, 2, 200)
    by_heart = fit_head(features, labels, 2, strength=1e-4)
    assert (by_heart(features).argmax(axis=1) == labels).all()
    choice = choose_strength(features, labels, 2, np.arange(200) % 5)
    accuracy = (choice.out_of_fold.argmax(axis=1) == labels).mean()
    assert abs(accuracy - 0.5) < 0.15  # four standard errors: 4 * sqrt(0.25 / 200)


def test_the_path_is_left_once_two_weaker_strengths_were_worse():
    generator = np.random.default_rng(3)
    features, labels = generator.normal(size=(100, 60)).astype(np.float32), generator.integers(0, 2, 100)
    steps = []
    choice = choose_strength(features, labels, 2, np.arange(100) % 4, on_step=steps.append)
    # Nothing can be learned, so the strongest is best, and the next two tell.
    assert list(choice.losses) == list(STRENGTHS[:3])
    assert choice.strength == STRENGTHS[0]
    assert steps == [1, 2, 3]


def test_the_path_is_walked_to_its_end_where_weaker_is_better():
    features, labels = clusters(400, 6, 3, spread=0.2)
    choice = choose_strength(features, labels, 3, np.arange(400) % 4)
    assert list(choice.losses) == list(STRENGTHS)
    assert choice.strength == STRENGTHS[-1]


def test_the_chosen_strength_has_the_least_loss_and_its_logits_give_it():
    features, labels = clusters(spread=5.0)
    weights = np.random.default_rng(2).uniform(0.5, 2, len(labels))
    choice = choose_strength(features, labels, 4, np.arange(300) % 3, row_weights=weights)
    assert choice.loss == min(choice.losses.values())
    expected = log_loss(labels, softmax(choice.out_of_fold.astype(np.float64), axis=1), sample_weight=weights)
    assert choice.loss == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_each_strength_is_that_of_scikit_learn_out_of_fold():
    features, labels = clusters(240)
    folds = np.arange(240) % 3
    standard = (features - features.mean(axis=0, dtype=np.float64)) / features.std(axis=0, dtype=np.float64)
    found = choose_strength(features, labels, 4, folds, strengths=(0.03, 0.003)).losses
    for strength, loss in found.items():
        expected = np.zeros((240, 4))
        for fold in range(3):
            model = LogisticRegression(C=1 / (strength * 160), tol=1e-9, max_iter=10_000)
            model.fit(standard[folds != fold], labels[folds != fold])
            expected[folds == fold] = model.predict_proba(standard[folds == fold])
        assert loss == pytest.approx(log_loss(labels, expected), abs=2e-3)


def test_a_class_that_a_fold_has_all_of_is_thought_unlikely_there():
    features, labels = clusters(120, 8, 3)
    folds = np.where(labels == 2, 0, np.arange(120) % 4)
    choice = choose_strength(features, labels, 3, folds)
    assert np.isfinite(choice.out_of_fold).all()
    assert np.isfinite(choice.loss)
    assert softmax(choice.out_of_fold[folds == 0], axis=1)[:, 2].max() < 0.05


def test_rows_that_no_fold_holds_out_are_learned_from_in_all_and_count_in_no_loss():
    """One row of a class of its own. Held out, it would be asked of heads that do not know the class."""
    features, labels = clusters(121, 8, 3)
    labels = np.where(np.arange(121) == 120, 3, labels)
    folds = np.where(labels == 3, SEEN_BY_ALL, np.arange(121) % 4)
    choice = choose_strength(features, labels, 4, folds, strengths=(0.01,))
    for fold in range(4):
        rows = folds == fold
        expected = _fitted_without(features, labels, rows)(features[rows])
        np.testing.assert_allclose(choice.out_of_fold[rows], expected, atol=1e-4)
    assert choice.loss == pytest.approx(mean_log_loss(choice.out_of_fold[:120], labels[:120]))
    held = choose_strength(features, labels, 4, np.where(labels == 3, 0, folds), strengths=(0.01,))
    assert mean_log_loss(held.out_of_fold[120:], labels[120:]) > 3  # what it would have added


def _fitted_without(features, labels, held):
    """The head on the others, standardised as all: no label is looked at for that."""
    return HeadProblem(features, labels, 4).fit(np.flatnonzero(~held), 0.01)[0]


def test_the_loss_of_even_odds_is_the_logarithm_of_the_number_of_classes():
    assert mean_log_loss(np.zeros((5, 4), np.float32), np.array([0, 1, 2, 3, 0])) == pytest.approx(np.log(4))


def test_a_weighted_loss_is_the_weighted_mean_and_survives_large_logits():
    logits = np.array([[1000, 0], [0, np.log(3)]], dtype=np.float32)
    # The first is sure and right: 0. The second gives 1 / (1 + 3) to its class: ln 4. Weights 3 and 1: ln 4 / 4
    assert mean_log_loss(logits, np.array([0, 0]), np.array([3.0, 1.0])) == pytest.approx(np.log(4) / 4, rel=1e-6)


# --- memory and threads


@pytest.mark.parametrize("shape", [(1, 1), (300, 1), (129, 127), (257, 300)])
def test_a_piece_at_a_time_gives_what_all_at_once_gives(shape):
    features = (1 + np.random.default_rng(1).normal(size=shape) * 100).astype(np.float32)
    spread, mean = features.std(axis=0, dtype=np.float64), features.mean(axis=0, dtype=np.float64)
    np.testing.assert_array_equal(head_room._spread_of(features), spread)
    found = head_room._standardised(features, mean, spread + 1)
    np.testing.assert_array_equal(found, ((features - mean) / (spread + 1)).astype(np.float32))


def test_many_features_are_never_in_memory_in_double_precision():
    """Beside the features themselves the standardised rows, and these turned: twice their size, where it was four times."""
    features = np.random.default_rng(0).normal(size=(20_000, 60)).astype(np.float32)
    tracemalloc.start()
    HeadProblem(features, np.arange(20_000) % 2, 2)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2.5 * features.nbytes


def test_folds_are_fitted_on_the_cores_that_may_be_used(monkeypatch):
    asked, real = [], head_room.ThreadPoolExecutor
    monkeypatch.setattr(head_room, "usable_cores", lambda: 3)
    monkeypatch.setattr(head_room, "ThreadPoolExecutor", lambda count: asked.append(count) or real(count))
    choose_strength(*clusters(40), 4, np.arange(40) // 4 % 2, strengths=(0.1,))
    assert asked == [3]


# --- mirror images


def sides(n=240, *, arrow=False):
    """Two shapes, each seen from a side that tells nothing; with ``arrow`` the side is a third class's meaning."""
    generator = np.random.default_rng(3)
    labels, side = np.arange(n) % 2, generator.choice([-1.0, 1.0], n)
    if arrow:
        labels, side = np.arange(n) % 3, np.where(np.arange(n) % 3 == 2, 1.0, -1.0)
    features = generator.normal(0, 0.6, (n, 30)).astype(np.float32)
    features[:, 0] += 2.0 * (labels == 1)
    features[:, 1] += side
    mirrored = features + generator.normal(0, 0.6, features.shape).astype(np.float32)
    mirrored[:, 0] = features[:, 0] + generator.normal(0, 0.6, n)
    mirrored[:, 1] = -features[:, 1]
    return features, mirrored, labels


def test_mirror_images_are_learned_from_where_that_helps_out_of_fold():
    features, mirrored, labels = sides(60)
    folds = np.arange(60) // 2 % 5
    without = choose_strength(features, labels, 2, folds, strengths=(0.01,))
    found = with_mirrored_if_better(without, features, labels, 2, folds, mirrored)
    assert found.mirrored
    assert found.loss < without.loss
    held = folds == 3
    twice = np.concatenate([features[~held], mirrored[~held]]), np.concatenate([labels[~held]] * 2)
    by_hand = fit_head(*twice, 2, strength=0.01)
    np.testing.assert_allclose(found.out_of_fold[held], by_hand(features[held]), atol=0.05)


def test_mirror_images_that_mean_something_else_are_left_out():
    features, mirrored, labels = sides(arrow=True)
    folds = np.arange(240) // 3 % 5
    without = choose_strength(features, labels, 3, folds, strengths=(0.01,))
    found = with_mirrored_if_better(without, features, labels, 3, folds, mirrored)
    assert not found.mirrored
    assert found.out_of_fold is without.out_of_fold
    assert "without" in found.why


def test_mirror_images_are_never_asked_about_and_never_seen_with_their_pictures_fold():
    """The labels of one fold are turned round: its own answers may not change, all others do."""
    features, mirrored, labels = sides()
    folds = np.arange(240) // 2 % 4
    honest = choose_strength(features, labels, 2, folds, mirrored=mirrored, strengths=(0.01,)).out_of_fold
    lies = labels.copy()
    lies[folds == 1] = 1 - lies[folds == 1]
    planted = choose_strength(features, lies, 2, folds, mirrored=mirrored, strengths=(0.01,)).out_of_fold
    np.testing.assert_allclose(planted[folds == 1], honest[folds == 1], atol=1e-4)
    assert np.abs(planted[folds != 1] - honest[folds != 1]).max() > 0.5


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (12, 12)], ids=["many rows", "many columns", "as many"])
def test_the_principal_axes_are_at_right_angles_and_keep_what_varies(shape):
    rows = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    rows -= rows.mean(axis=0)
    curvature, axes = _principal_axes(rows)
    np.testing.assert_allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-5)
    turned = rows @ axes
    np.testing.assert_allclose((turned**2).mean(axis=0), curvature, rtol=1e-4)
    np.testing.assert_allclose(turned @ axes.T, rows, atol=1e-5)  # nothing that varies is lost
