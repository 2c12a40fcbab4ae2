"""Handcrafted models are fitted: each feature finds what is planted for it, beside scikit-learn's solvers, always the same."""

import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.svm import LinearSVC

from eyebright.core import seeds
from eyebright.core.errors import MissingExtraError, SettingsError
from eyebright.core.events import Note
from eyebright.data.folds import group_folds
from eyebright.models.handcrafted.classifiers import KernelSvm, LinearSvm
from eyebright.models.handcrafted.model import model_bytes
from eyebright.models.handcrafted.names import parse
from eyebright.training import classic, classic_search, handcrafted
from eyebright.training.classic import SvmProblem, fit_vocabulary, spread_sample
from eyebright.training.fit import LabelledPictures
from eyebright.training.handcrafted import train_handcrafted

SIDE = 32


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(classic, "TREES", 15)
    monkeypatch.setattr(handcrafted, "WORDS", 16)


def labelled(pictures, labels, name="planted"):
    keys = [f"{name}/{row}" for row in range(len(labels))]
    return LabelledPictures(pictures.astype(np.uint8), np.asarray(labels, dtype=np.int64), seeds.key_hashes(keys))


def coloured(n=60, seed=0):
    """Noise whose mean colour is the class: reddish, greenish or bluish, with the same edges everywhere."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    pictures = np.repeat(generator.integers(60, 120, (n, 1, SIDE, SIDE)), 3, axis=1)
    pictures[np.arange(n), labels] += 60
    return labelled(pictures, labels)


def striped(n=60, seed=0):
    """Stripes of random colours: across, down or aslant is the class; every class has the same colours."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    down, across = np.mgrid[:SIDE, :SIDE]
    places = np.stack([down, across, (down + across) / 1.41])[labels]
    waves = np.sin((places + generator.uniform(0, 6, (n, 1, 1))) / 1.5)
    strength = generator.uniform(20, 90, (n, 3, 1, 1))
    base = generator.uniform(90, 165, (n, 3, 1, 1))
    return labelled(base + strength * waves[:, None], labels)


def folds_of(pictures, folds=3):
    return group_folds(pictures.labels, [str(one) for one in pictures.hashes.tolist()], folds, 0)


def trained(name, pictures, classes=3, **options):
    return train_handcrafted(parse(name), pictures, folds_of(pictures), classes, seed=0, **options)


def accuracy(learned, pictures):
    return float((learned.logits.argmax(axis=1) == pictures.labels[learned.rows]).mean())


# what is planted is found, and by the right feature


@pytest.mark.parametrize("classifier", ["svm", "knn", "forest"])
def test_colours_are_told_apart_by_their_histogram(classifier):
    pictures = coloured()
    assert accuracy(trained(f"colour-{classifier}", pictures)[1], pictures) > 0.95


@pytest.mark.parametrize("name", ["hog-svm", "hog-knn", "hog-forest", "sift-svm", "sift-knn", "sift-forest"])
def test_stripes_are_told_apart_by_their_gradients(name):
    pictures = striped()
    assert accuracy(trained(name, pictures)[1], pictures) > 0.95


def test_the_wrong_feature_finds_next_to_nothing():
    assert accuracy(trained("hog-svm", coloured(90))[1], coloured(90)) < 0.6
    assert accuracy(trained("colour-svm", striped(90))[1], striped(90)) < 0.6


def test_two_features_find_what_neither_finds_alone():
    """Four classes: two colours times two directions of stripes."""
    stripes, hues = striped(120), coloured(120, seed=1)
    rows = np.flatnonzero((stripes.labels < 2) & (np.arange(120) % 3 < 2))
    tint = np.arange(len(rows)) // 2 % 2
    pictures = stripes.pictures[rows].astype(np.int64) // 2
    pictures[np.arange(len(rows)), tint] += 90
    planted = labelled(pictures, stripes.labels[rows] * 2 + tint)
    assert len(hues) == 120
    alone = [accuracy(trained(name, planted, 4)[1], planted) for name in ("hog-svm", "colour-svm")]
    assert max(alone) < 0.8
    assert accuracy(trained("hog+colour-svm", planted, 4)[1], planted) > 0.95


# what comes out


def test_the_logits_are_of_pictures_that_were_held_out():
    """Labels without any sense: a model that had seen them would know them, one that had not is right by chance."""
    generator = np.random.default_rng(0)
    pictures = labelled(generator.integers(0, 256, (90, 3, SIDE, SIDE)), generator.integers(0, 3, 90))
    for name in ("colour-knn", "hog-forest", "hog-svm"):
        model, learned = trained(name, pictures)
        assert accuracy(learned, pictures) < 0.55
        seen = model(pictures.pictures.astype(np.float32) / np.float32(255))[0]
        assert (seen.argmax(axis=1) == pictures.labels).mean() > 0.75 or name == "colour-knn"


def test_every_setting_is_told_and_the_best_is_kept():
    _, learned = trained("colour-knn", coloured())
    assert len(learned.attempts) == 6
    (kept,) = [attempt for attempt in learned.attempts if attempt.kept]
    assert kept.score == min(attempt.score for attempt in learned.attempts)
    assert kept.name.split(" (")[0] in learned.ended
    assert learned.fitted_on == "out-of-fold logits, 3 folds"


@pytest.mark.parametrize("name", ["hog-svm", "sift-forest", "colour-knn"])
def test_the_same_pictures_and_seed_give_the_same_file(name):
    first, second = (model_bytes(trained(name, striped())[0]) for _ in range(2))
    assert first == second


def test_another_seed_gives_another_forest():
    pictures = striped()
    files = {model_bytes(train_handcrafted(parse("hog-forest"), pictures, folds_of(pictures), 3, seed=s)[0]) for s in (0, 1)}
    assert len(files) == 2


@pytest.mark.parametrize("name", ["colour-svm", "colour-knn"])
def test_a_class_that_weighs_more_is_answered_more_often(name):
    generator = np.random.default_rng(1)
    labels = (generator.random(120) < 0.2).astype(np.int64)
    pictures = generator.integers(0, 200, (120, 3, SIDE, SIDE))
    pictures[:, 0] += (labels * 4)[:, None, None]  # hardly to be seen
    planted = labelled(pictures, labels)
    answered = [
        float(trained(name, planted, 2, class_weights=np.array([1.0, weight]))[1].logits.argmax(axis=1).sum())
        for weight in (1.0, 20.0)
    ]
    assert answered[1] > answered[0]


def test_a_class_without_pictures_is_never_answered():
    for name in ("colour-svm", "colour-knn", "colour-forest"):
        model, learned = trained(name, coloured(), classes=5)
        assert learned.logits.shape == (60, 5)
        assert set(learned.logits.argmax(axis=1)) == {0, 1, 2}
        assert model.classes == 5


def test_a_large_set_chooses_on_a_sample_and_keeps_a_fold_for_the_temperature(monkeypatch):
    monkeypatch.setattr(handcrafted, "SEARCH_MOST", 30)
    events = []
    pictures = coloured(90)
    folds = folds_of(pictures)
    _, learned = train_handcrafted(parse("colour-svm"), pictures, folds, 3, seed=0, on_event=events.append)
    assert Note("The settings are chosen on 30 of 90 pictures.") in events
    assert learned.rows.tolist() == np.flatnonzero(folds == 0).tolist()
    assert learned.fitted_on == "logits on one fold of 3, held out"
    assert accuracy(learned, pictures) > 0.95

    _, every = train_handcrafted(parse("colour-svm"), pictures, folds, 3, seed=0, every_fold=True)
    assert every.rows.tolist() == list(range(90))
    assert accuracy(every, pictures) > 0.95


def test_what_memory_has_no_room_for_is_sampled_and_said(monkeypatch):
    monkeypatch.setattr(handcrafted, "FEATURE_BYTES", 4 * 128 * 45)
    events = []
    _, learned = trained("colour-knn", coloured(), on_event=events.append)
    assert learned.rows.shape == (45,)
    assert np.bincount(coloured().labels[learned.rows]).tolist() == [15, 15, 15]
    assert any(isinstance(event, Note) and "sample of 45 of 60 pictures" in event.text for event in events)


def test_many_neighbours_are_thinned_and_it_is_said_what_the_model_carries(monkeypatch):
    monkeypatch.setattr(classic, "NEIGHBOURS_MOST", 30)
    events = []
    model, _ = trained("colour-knn", coloured(), on_event=events.append)
    assert model.classifier.rows.shape == (30, 128)
    assert np.bincount(model.classifier.labels).tolist() == [10, 10, 10]
    told = " ".join(event.text for event in events if isinstance(event, Note))
    assert "30 of 60 pictures are kept as neighbours" in told
    assert "carries the features of its training pictures" in told


def test_pictures_without_any_gradient_give_few_words_and_a_word_about_it():
    plain = labelled(np.broadcast_to(np.arange(30)[:, None, None, None] * 8, (30, 3, SIDE, SIDE)), np.arange(30) % 2)
    events = []
    model, _ = trained("sift-knn", plain, 2, on_event=events.append)
    assert len(model.vocabulary) == 1
    assert Note("The pictures have too few different patches for 16 visual words; there are 1.") in events


def test_pictures_that_are_too_small_are_refused():
    small = labelled(np.zeros((6, 3, 8, 8)), [0, 1] * 3)
    with pytest.raises(SettingsError, match="16 pixels"):
        trained("hog-svm", small, 2)


def test_without_scikit_learn_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"eyebright\[classic\]"):
        trained("hog-svm", coloured())


# the parts, beside scikit-learn's


def problem_rows(n=90, width=12, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    rows = generator.standard_normal((n, width)) + generator.standard_normal((classes, width))[labels]
    return rows.astype(np.float32), labels


def standard(rows):
    return (rows - rows.mean(axis=0)) / (rows.std(axis=0) * np.sqrt(rows.shape[1]))


@pytest.mark.parametrize("strength", [1e-1, 1e-3])
def test_the_linear_machine_is_scikit_learns(strength):
    rows, labels = problem_rows()
    weights = np.where(labels == 1, 3.0, 1.0)
    problem = SvmProblem(rows, labels, 3, landmarks=None, weights=weights)
    ours, _, converged = problem.fit(np.arange(len(rows)), strength, tolerance=1e-10)
    # Theirs: |w|^2 / 2 + C times the sum of squared hinges, the bias nearly free where its column is large.
    # Ours: strength |w|^2 / 2 + their weighted mean.
    oracle = LinearSVC(C=1 / (strength * weights.sum()), dual=False, intercept_scaling=100, tol=1e-8, max_iter=100_000)
    oracle.fit(standard(rows), labels, sample_weight=weights)
    assert converged
    assert isinstance(ours, LinearSvm)
    np.testing.assert_allclose(ours(rows), oracle.decision_function(standard(rows)), atol=5e-3)


def test_the_kernel_machine_is_scikit_learns_on_the_whole_kernel():
    rows, labels = problem_rows()
    problem = SvmProblem(rows, labels, 3, landmarks=np.arange(90), weights=np.ones(90))
    ours, _, _ = problem.fit(np.arange(90), 1e-2, tolerance=1e-10)
    spanned = Nystroem(kernel="rbf", gamma=1.0, n_components=90, random_state=0).fit_transform(standard(rows))
    oracle = LinearSVC(C=1 / (1e-2 * 90), dual=False, intercept_scaling=100, tol=1e-8, max_iter=100_000).fit(spanned, labels)
    assert isinstance(ours, KernelSvm)
    np.testing.assert_allclose(ours(rows), oracle.decision_function(spanned), atol=2e-2)


def test_a_feature_that_never_varies_does_no_harm():
    rows, labels = problem_rows()
    rows[:, 3] = 7
    machine, _, _ = SvmProblem(rows, labels, 3, landmarks=None, weights=np.ones(90)).fit(np.arange(90), 1e-3)
    assert np.isfinite(machine(rows)).all()
    assert (machine(rows).argmax(axis=1) == labels).mean() > 0.8


def test_a_sample_keeps_each_class_in_proportion_and_leaves_none_out():
    labels = np.repeat([0, 1, 2], [100, 20, 1])
    hashes = seeds.key_hashes([str(row) for row in range(121)])
    rows = spread_sample(labels, hashes, 30, seed=0, stream="test")
    assert len(rows) == 30
    counts = np.bincount(labels[rows], minlength=3).tolist()
    assert counts[2] == 1
    assert abs(counts[0] / counts[1] - 5) < 1.5
    mixed = np.random.default_rng(0).permutation(121)
    again = spread_sample(labels[mixed], hashes[mixed], 30, seed=0, stream="test")
    assert sorted(mixed[again].tolist()) == rows.tolist()


def test_words_are_the_centres_of_planted_clusters():
    generator = np.random.default_rng(0)
    centres = generator.random((5, 128)).astype(np.float32)
    patches = centres[np.arange(500) % 5] + generator.normal(0, 0.001, (500, 128)).astype(np.float32)
    found = fit_vocabulary(patches, 5, seed=0)
    nearest = np.linalg.norm(found[:, None] - centres, axis=2).min(axis=1)
    assert nearest.max() < 0.01


def test_a_forest_of_very_many_classes_is_kept_small_enough_for_memory(monkeypatch):
    monkeypatch.setattr(classic, "TREE_VALUES", 2 * 3 * 4)  # room for four leaves of three classes
    rows, labels = problem_rows()
    found = classic.fit_forest(rows, labels, 3, leaf=1, weights=np.ones(90), seed=0)
    found.check(rows.shape[1], 3)
    leaves = found.left == np.arange(len(found.left))
    assert np.add.reduceat(leaves, found.roots).max() == 4


def test_a_strength_chosen_on_a_tenth_of_the_rows_is_a_tenth_for_all_of_them():
    machine = classic_search.svm_setting("linear", 1e-2).for_more(10)
    assert machine == classic_search.svm_setting("linear", 1e-3)
    assert machine.name == "linear kernel, strength 0.001"
    trees = classic_search.Setting("100 trees", 3)
    assert trees.for_more(10) == trees


def test_a_forest_knows_as_much_as_scikit_learns():
    rows, labels = problem_rows(n=300, classes=5)
    seen = np.arange(300) % 2 == 0
    ours = classic.fit_forest(rows[seen], labels[seen], 5, leaf=1, weights=np.ones(150), seed=0)
    oracle = RandomForestClassifier(15, random_state=0).fit(rows[seen], labels[seen])
    answers = ours(rows[~seen]).argmax(axis=1), oracle.predict(rows[~seen])
    right = [float((answer == labels[~seen]).mean()) for answer in answers]
    assert right[0] == pytest.approx(right[1], abs=0.1)
    assert min(right) > 0.5


def test_growing_a_forest_leaves_the_filters_of_warnings_as_they_were():
    before = list(warnings.filters)
    rows, labels = problem_rows()
    for _ in range(5):
        classic.fit_forest(rows, labels, 3, leaf=1, weights=np.ones(90), seed=0)
    assert warnings.filters == before


def test_in_leaves_of_several_rows_a_class_that_weighs_more_has_more_of_the_votes():
    rows, labels = problem_rows()
    plain, weighted = (
        classic.fit_forest(rows, labels, 3, leaf=10, weights=np.where(labels == 1, weight, 1.0), seed=0)(rows)[:, 1].mean()
        for weight in (1.0, 5.0)
    )
    assert weighted > plain
