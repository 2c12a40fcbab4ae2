"""Fitted classifiers as arrays: their answers beside scikit-learn's, their files, and files that are refused."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from eyebright.core.errors import ModelError
from eyebright.models.handcrafted.classifiers import KernelSvm, LinearSvm, log_shares
from eyebright.models.handcrafted.model import HandcraftedModel, load_model, model_bytes
from eyebright.models.handcrafted.names import parse
from eyebright.training.classic import forest_arrays, keep_neighbours

CLASSES = 3


def table(n=120, width=128, seed=0):
    """Rows around three centres, and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    rows = 0.3 * generator.standard_normal((n, width)) + generator.standard_normal((CLASSES, width))[labels] * 0.2
    return rows.astype(np.float16).astype(np.float32), labels


def linear():
    generator = np.random.default_rng(1)
    return LinearSvm(generator.standard_normal((3, 128), dtype=np.float32), np.zeros(3, dtype=np.float32))


def kernel():
    generator = np.random.default_rng(2)
    return KernelSvm(
        centre=np.zeros(128, dtype=np.float32),
        scale=np.ones(128, dtype=np.float32),
        landmarks=generator.standard_normal((7, 128), dtype=np.float32) / 16,
        weight=generator.standard_normal((3, 7), dtype=np.float32),
        bias=np.ones(3, dtype=np.float32),
    )


def neighbours(k=5):
    rows, labels = table()
    return keep_neighbours(rows, labels, np.ones(3), k)


def forest(**options):
    rows, labels = table()
    return arrays(RandomForestClassifier(7, random_state=0, **options).fit(rows, labels), CLASSES)


def arrays(oracle, classes):
    return forest_arrays([estimator.tree_ for estimator in oracle.estimators_], oracle.classes_, classes)


def model(classifier, name):
    vocabulary = np.random.default_rng(3).random((4, 128), dtype=np.float32) if "sift" in name else None
    return HandcraftedModel(parse(name), CLASSES, classifier, vocabulary)


MODELS = {
    "linear": lambda: model(linear(), "colour-svm"),
    "kernel": lambda: model(kernel(), "colour-svm"),
    "neighbours": lambda: model(neighbours(), "colour-knn"),
    "forest": lambda: model(forest(), "colour-forest"),
}

# answers


@pytest.mark.parametrize("k", [1, 4, 120])
def test_neighbours_vote_as_scikit_learns_do(k):
    rows, labels = table()
    asked, _ = table(30, seed=9)
    oracle = KNeighborsClassifier(k, weights="distance").fit(rows, labels).predict_proba(asked)
    expected = np.log((k * oracle + 1 / CLASSES) / (k + 1))  # one vote more, spread over the classes
    np.testing.assert_allclose(neighbours(k)(asked), expected, atol=1e-4)


def test_of_copies_with_different_labels_the_first_is_nearest():
    rows = np.zeros((6, 4), dtype=np.float32)
    kept = keep_neighbours(rows, np.array([2, 0, 1, 0, 1, 2]), np.ones(3), 1)
    assert kept(np.zeros((1, 4), dtype=np.float32)).argmax() == 2


def test_a_class_that_weighs_more_needs_fewer_neighbours():
    rows = np.ones((3, 4), dtype=np.float32)
    asked = np.zeros((1, 4), dtype=np.float32)
    labels = np.array([0, 0, 1])
    assert keep_neighbours(rows, labels, np.array([1.0, 1.0]), 3)(asked).argmax() == 0
    assert keep_neighbours(rows, labels, np.array([1.0, 3.0]), 3)(asked).argmax() == 1


@pytest.mark.parametrize("options", [{}, {"min_samples_leaf": 5}, {"max_depth": 1}, {"class_weight": "balanced"}])
def test_a_forest_votes_as_scikit_learns_does(options):
    rows, labels = table()
    asked = np.concatenate([rows, table(50, seed=5)[0]])
    oracle = RandomForestClassifier(7, random_state=0, **options).fit(rows, labels).predict_proba(asked)
    expected = np.log((7 * oracle + 1 / CLASSES) / 8)
    np.testing.assert_allclose(forest(**options)(asked), expected, atol=1e-5)


def test_a_value_on_a_threshold_goes_left_as_in_scikit_learn():
    # Between 0.1 and its float32 neighbour no float32 lies; the threshold is their mean, or rounds to one of them.
    low = np.float32(0.1)
    rows = np.array([[low], [np.nextafter(low, np.float32(1))]] * 20, dtype=np.float32)
    trees = RandomForestClassifier(5, random_state=0).fit(rows, [0, 1] * 20)
    assert (arrays(trees, 2)(rows).argmax(axis=1) == trees.predict(rows)).all()


def test_a_forest_that_never_saw_a_class_gives_it_the_least_share():
    rows, labels = table()
    trees = RandomForestClassifier(4, random_state=0).fit(rows[labels != 1], labels[labels != 1])
    logits = arrays(trees, CLASSES)(rows)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.exp(logits[:, 1]), (1 / 3) / 5, rtol=1e-5)


def test_the_gaussian_kernel_is_its_formula():
    machine = kernel()
    asked = np.random.default_rng(0).random((5, 128), dtype=np.float32) / 16
    distances = ((asked[:, None] - machine.landmarks[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(machine(asked), np.exp(-distances) @ machine.weight.T + 1, atol=1e-5)


def test_shares_are_smoothed_by_one_vote_over_all_classes():
    shares = np.exp(log_shares(np.array([[4.0, 0.0, 0.0, 0.0]]), 4))
    np.testing.assert_allclose(shares, [[0.85, 0.05, 0.05, 0.05]], rtol=1e-6)  # 4.25 and 0.25 of 5


@pytest.mark.parametrize("kind", MODELS)
def test_splitting_a_batch_leaves_the_logits_as_they_are(kind):
    pixels = np.random.default_rng(4).random((9, 3, 16, 16), dtype=np.float32)
    whole, _ = MODELS[kind]()(pixels)
    parts = [MODELS[kind]()(pixels[row : row + 1])[0] for row in range(9)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-5)


# files


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_comes_back_from_its_file_to_the_last_bit(kind, tmp_path):
    pixels = np.random.default_rng(4).random((6, 3, 16, 16), dtype=np.float32)
    stored = MODELS[kind]()
    (tmp_path / "model.safetensors").write_bytes(model_bytes(stored))
    found = load_model(tmp_path / "model.safetensors", CLASSES)
    assert found.spec == stored.spec
    assert found.parameter_count == stored.parameter_count
    for ours, theirs in zip(stored(pixels), found(pixels), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_vocabulary_comes_back_with_the_model(tmp_path):
    stored = model(LinearSvm(np.ones((3, 20), dtype=np.float32), np.zeros(3, dtype=np.float32)), "sift-svm")
    (tmp_path / "model.safetensors").write_bytes(model_bytes(stored))
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors", CLASSES).vocabulary, stored.vocabulary)


def test_equal_models_are_equal_files():
    assert model_bytes(MODELS["forest"]()) == model_bytes(MODELS["forest"]())


def damaged(path, change, kind):
    """A model's file with its arrays changed, its metadata as it was."""
    from safetensors import safe_open

    path.write_bytes(model_bytes(MODELS[kind]()))
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    change(arrays)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata=metadata)
    return path


def put(name, value):
    def change(arrays):
        arrays[name] = value(arrays[name]) if callable(value) else value

    return change


def at(place, value):
    def change(array):
        array = array.copy()
        array[place] = value
        return array

    return change


FAULTS = [
    ("linear", put("weight", lambda a: a[:, :-1])),
    ("linear", put("weight", lambda a: a.astype(np.float64))),
    ("linear", put("bias", at(0, np.nan))),
    ("linear", put("surplus", np.zeros(3, dtype=np.float32))),
    ("linear", lambda arrays: arrays.pop("bias")),
    ("linear", put("vocabulary", np.zeros((2, 128), dtype=np.float32))),
    ("kernel", put("landmarks", lambda a: a[:, :5])),
    ("kernel", put("weight", lambda a: a[:, :5])),
    ("kernel", put("scale", at(3, np.inf))),
    ("neighbours", put("labels", at(0, 3))),
    ("neighbours", put("labels", at(0, -1))),
    ("neighbours", put("labels", lambda a: a[:-1])),
    ("neighbours", put("rows", lambda a: a[:4])),
    ("neighbours", put("class_weights", lambda a: -a)),
    ("forest", put("left", at(0, 0))),  # a loop: the walk would never end
    ("forest", put("right", at(0, 10**6))),
    ("forest", put("feature", at(0, 128))),
    ("forest", put("feature", at(0, -1))),
    ("forest", put("roots", at(0, -1))),
    ("forest", put("roots", lambda a: a[:0])),
    ("forest", put("starts", at(1, 10**6))),
    ("forest", put("starts", at(0, 1))),
    ("forest", put("entry_class", at(0, 3))),
    ("forest", put("entry_share", lambda a: -a)),
    ("forest", put("threshold", lambda a: a[:-1])),
]


@pytest.mark.parametrize(("kind", "change"), FAULTS)
def test_arrays_that_do_not_fit_together_are_refused(kind, change, tmp_path):
    with pytest.raises(ModelError, match="handcrafted model"):
        load_model(damaged(tmp_path / "model.safetensors", change, kind), CLASSES)


def test_a_model_for_other_classes_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(model_bytes(MODELS["linear"]()))
    with pytest.raises(ModelError, match="a linear-svm for 3 classes; colour-svm for 4 was expected"):
        load_model(tmp_path / "model.safetensors", 4)


def test_a_forest_under_the_name_of_neighbours_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(model_bytes(model(forest(), "colour-knn")))
    with pytest.raises(ModelError, match="a forest for 3 classes; colour-knn"):
        load_model(tmp_path / "model.safetensors", 3)


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", model_bytes(MODELS["linear"]())[:-40]])
def test_a_truncated_or_foreign_file_is_refused(content, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="does not hold a handcrafted model"):
        load_model(tmp_path / "model.safetensors", CLASSES)


def test_tensors_without_our_description_are_refused(tmp_path):
    save_file({"weight": np.zeros((3, 128), dtype=np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="does not hold a handcrafted model"):
        load_model(tmp_path / "model.safetensors", CLASSES)


def test_a_vocabulary_of_another_width_is_refused(tmp_path):
    wrong = dataclasses.replace(MODELS["linear"](), spec=parse("sift-svm"), vocabulary=np.zeros((4, 64), dtype=np.float32))
    (tmp_path / "model.safetensors").write_bytes(model_bytes(wrong))
    with pytest.raises(ModelError, match="vocabulary is float32"):
        load_model(tmp_path / "model.safetensors", CLASSES)
