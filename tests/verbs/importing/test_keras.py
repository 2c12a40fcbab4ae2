"""A Keras file of any form gives the answers of Keras itself; what holds code, links or damage is refused, and nothing runs."""

import base64
import importlib.util
import json
import marshal
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from graphs import foreign_graph, scores_of

from eyebright.core.arrays import softmax
from eyebright.core.errors import MissingExtraError, ModelError
from eyebright.core.events import silent
from eyebright.core.files import sha256
from eyebright.verbs.importing import keras_
from eyebright.verbs.importing.declared import Declared
from eyebright.verbs.importing.keras_config import checked_config
from eyebright.verbs.importing.keras_files import clean_copy
from eyebright.verbs.importing.keras_process import example_shape

h5py = pytest.importorskip("h5py")

CLASSES = ("a", "b", "c", "d")
PUBLISHED = Path(__file__).parents[4] / "shared" / "weights" / "keras_cnn_cifar10" / "cifar10_model.h5"
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def require_keras():
    """Skips where Keras is missing; it is not loaded here, which would choose a backend for this process."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")


# --- the configuration


def layer(kind, **config):
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


def modern(kind, module="keras.layers", registered=None, **config):
    return {**layer(kind, **config), "module": module, "registered_name": registered}


def sequential(*layers):
    given = layer("InputLayer", batch_shape=[None, 8, 8, 3])
    return {"class_name": "Sequential", "config": {"name": "toy", "layers": [given, *layers]}}


def check(model):
    return checked_config(json.dumps(model))


def test_layers_of_keras_pass_without_what_a_finished_network_does_not_need():
    given = modern(
        "Dense",
        units=3,
        activation="relu",
        dtype={"class_name": "DTypePolicy", "module": "keras", "config": {"name": "mixed_float16"}},
        kernel_initializer={"class_name": "Theirs", "module": "os", "config": {}},
        bias_regularizer={"class_name": "Theirs"},
    )
    found = check(sequential(given))["config"]["layers"][1]
    assert found == {
        "class_name": "Dense",
        "config": {"name": "dense", "units": 3, "activation": "relu"},
        "module": "keras.layers",
        "registered_name": None,
    }


def test_how_it_was_compiled_and_registered_is_left_out():
    model = {**sequential(modern("Flatten", registered="Theirs>Flatten")), "compile_config": {"loss": {"class_name": "x"}}}
    found = check(model)
    assert "compile_config" not in found
    assert found["config"]["layers"][1]["registered_name"] is None


@pytest.mark.parametrize(
    "stranger",
    [
        layer("Lambda", function=["4wAAAA==", None, None], function_type="lambda"),
        modern("Lambda", function={"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}),
        modern("TFSMLayer", filepath="/tmp/evil"),
        modern("Theirs", module="theirs", registered="theirs>Theirs"),
        modern("Dense", module="keras.src.ops.nn"),
        modern("function", module="os", config="system"),
        modern("Wrapper", layer=layer("Flatten")),
        {"class_name": "enable_unsafe_deserialization", "module": "keras.config", "config": {}},
        {"class_name": ["Flatten"], "config": {}},
        {"class_name": None, "config": {}},
        {"module": "os", "config": {}},
        layer("TimeDistributed", layer=layer("Lambda")),
        {"class_name": "Sequential", "config": {"layers": [layer("Lambda")]}},
        layer("Activation", activation="evil"),
        layer("Activation", activation={"class_name": "function", "module": "os", "config": "system"}),
        layer("Activation", activation={"class_name": "function", "config": {"name": "relu"}}),
        layer("Activation", activation=["relu"]),
        layer("Flatten", hidden={"class_name": "__lambda__", "config": {}}),
        layer("Flatten", hidden=[[{"deep": {"class_name": "__numpy__", "config": {}}}]]),
        layer("Flatten", hidden={"class_name": "__keras_tensor__", "config": {"class_name": "__lambda__"}}),
        layer("Flatten", hidden={"class_name": "__tuple__", "module": "os", "items": []}),
        layer("Dense", dtype={"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}),
        layer("Dense", dtype="int8_from_float32"),
    ],
)
def test_whatever_names_code_is_refused_wherever_it_stands(stranger):
    with pytest.raises(ModelError, match="at model > toy"):
        check(sequential(stranger))


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "{}", '{"class_name": "Theirs"}', '{"class_name": {}}', "[" * 100_000])
def test_a_configuration_that_is_none_is_refused(text):
    with pytest.raises(ModelError, match=r"has a configuration that is not JSON|is a model of the class"):
        checked_config(text)


def test_a_configuration_without_end_is_refused():
    nested = layer("Flatten")
    for _ in range(100):
        nested = {"class_name": "Sequential", "config": {"name": "toy", "layers": [nested]}}
    with pytest.raises(ModelError, match="more than 64 deep"):
        check(nested)


# --- the clean copy


def write_h5(path, model=None, fill=lambda weights: None):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model or sequential(layer("Flatten")))
        file.attrs["training_config"] = np.void(pickle.dumps("an optimiser of theirs"))
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = ["flatten"]
        fill(weights)
    return path


def test_numbers_and_names_are_copied_and_all_else_is_left_behind(tmp_path):
    def fill(weights):
        weights.create_dataset("flatten/kernel:0", data=np.arange(6.0).reshape(2, 3), compression="gzip", shuffle=True)
        weights.attrs["note"] = "theirs"

    (tmp_path / "out").mkdir()
    copy, version = clean_copy(write_h5(tmp_path / "it.h5", fill=fill), tmp_path / "out")
    with h5py.File(copy) as file:
        assert set(file.attrs) == {"model_config", "keras_version"}
        assert file["model_weights/flatten/kernel:0"][()].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert list(file["model_weights"].attrs) == ["layer_names"]
    assert version == "unknown"


def reach_out(kind):
    """A function that plants something in the weights that reaches beyond them."""

    def fill(weights):
        if kind == "external link":
            weights["kernel"] = h5py.ExternalLink("/etc/hostname", "/")
        elif kind == "soft link":
            weights["kernel"] = h5py.SoftLink("/model_weights")
        elif kind == "other file":
            weights.create_dataset("kernel", (4,), dtype="u1", external=[("/etc/hostname", 0, 4)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), dtype="u1")
            layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
            weights.create_virtual_dataset("kernel", layout)
        elif kind == "ring":
            weights["kernel"] = weights
        elif kind == "text":
            weights["kernel"] = ["import os"]
        else:
            weights.create_dataset("kernel", (2**40,), dtype="f4", chunks=(2**16,), compression="gzip")

    return fill


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("external link", "a link in the place of 'kernel'"),
        ("soft link", "a link in the place of 'kernel'"),
        ("other file", "in another file"),
        ("virtual", "in another file"),
        ("ring", "more than 64 deep"),
        ("text", "numbers were expected"),
        ("bomb", "claims more than 4 GiB"),
    ],
)
def test_weights_that_reach_beyond_themselves_are_refused(tmp_path, kind, said):
    with pytest.raises(ModelError, match=said):
        clean_copy(write_h5(tmp_path / "it.h5", fill=reach_out(kind)), tmp_path)


def test_weights_without_their_model_are_refused(tmp_path):
    with h5py.File(tmp_path / "it.h5", "w") as file:
        file["dense/kernel"] = [1.0]
    with pytest.raises(ModelError, match="holds weights without their model"):
        clean_copy(tmp_path / "it.h5", tmp_path)


def write_archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"config__json": "{}"}, r"without one config\.json and one model\.weights\.h5"),
        ({"config__json": json.dumps(sequential(layer("Lambda"))), "model__weights__h5": b""}, "has a Lambda layer"),
        ({"config__json": json.dumps(sequential(layer("Flatten"))), "model__weights__h5": b"no"}, "is damaged"),
        ({"config__json": b"\xff\xfe", "model__weights__h5": b"no"}, "damaged archive"),
        ({"config__json": b" " * (129 * 2**20), "model__weights__h5": b"no"}, "more than 128 MiB"),
    ],
)
def test_archives_that_are_no_models_are_refused(tmp_path, members, said):
    with pytest.raises(ModelError, match=said):
        clean_copy(write_archive(tmp_path / "it.keras", **members), tmp_path)


def test_two_configurations_in_one_archive_are_refused(tmp_path):
    path = write_archive(tmp_path / "it.keras", config__json="{}", model__weights__h5=b"")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", json.dumps(sequential(layer("Flatten"))))
    with pytest.raises(ModelError, match="without one"):
        clean_copy(path, tmp_path)


@pytest.mark.parametrize("keep", [0, 8, 100, 900])
def test_a_file_that_was_cut_off_is_refused(tmp_path, keep):
    for path in (
        write_h5(tmp_path / "it.h5"),
        write_archive(tmp_path / "it.keras", config__json=" " * 2000, model__weights__h5=os.urandom(2000)),
    ):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ModelError, match="is damaged"):
            clean_copy(path, tmp_path)


def test_without_keras_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_.importlib.util, "find_spec", lambda name: None if name == "keras" else object())
    with pytest.raises(MissingExtraError, match=r"eyebright\[keras\]"):
        keras_.bring(tmp_path / "it.h5", CLASSES, Declared(), tmp_path, silent)


# --- between the process and us


@pytest.mark.parametrize(
    ("shape", "request_", "filled"),
    [
        ((None, 32, 32, 3), {"size": None}, (4, 32, 32, 3)),
        ((None, None, None, 3), {"size": [20, 30]}, (4, 20, 30, 3)),
        ((None, None, None, None), {"size": [20, 30], "planes": 1}, (4, 20, 30, 1)),
        ((2, 3, None, None), {"size": [20, 30], "layout": "nchw"}, (2, 3, 20, 30)),
    ],
)
def test_open_sides_are_filled_with_what_was_declared(shape, request_, filled):
    assert example_shape(shape, {"planes": 3, "layout": "auto", **request_}) == filled


@pytest.mark.parametrize(
    ("shape", "said"),
    [((None, 28, 28), "takes inputs of"), ([(None, 8, 8, 3)], "takes inputs of"), ((None, None, None, 3), "Say --size")],
)
def test_inputs_that_are_no_pictures_of_a_known_size_are_refused(shape, said):
    with pytest.raises(ModelError, match=said):
        example_shape(shape, {"size": None, "planes": 3, "layout": "auto"})


def left_behind(monkeypatch, **arrays):
    """Stands in for the process: it leaves a graph, what it says of it, and golden arrays."""

    def leave(module, request, folder, **options):
        (folder / "raw.onnx").write_bytes(foreign_graph(layout="nhwc"))
        (folder / "about.json").write_text('{"read by keras": "3"}')
        np.savez(folder / "golden.npz", **arrays)

    monkeypatch.setattr(keras_, "run_apart", leave)


def test_a_graph_that_answers_as_keras_did_is_taken(monkeypatch, tmp_path):
    require_keras()
    values = np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32)
    (tmp_path / "it.h5").write_bytes(b"x")
    left_behind(monkeypatch, values=values, answers=scores_of(values.transpose(0, 3, 1, 2)))
    found = keras_.bring(tmp_path / "it.h5", CLASSES, Declared(), tmp_path, silent)
    assert found.provenance["read by keras"] == "3"
    left_behind(monkeypatch, values=values, answers=scores_of(values.transpose(0, 3, 1, 2)) + 0.1)
    with pytest.raises(ModelError, match=r"it\.h5 gives other answers as ONNX than in Keras, by 0\.1"):
        keras_.bring(tmp_path / "it.h5", CLASSES, Declared(), tmp_path, silent)


def test_pickles_among_the_golden_answers_are_not_read(monkeypatch, tmp_path):
    require_keras()
    (tmp_path / "it.h5").write_bytes(b"x")
    left_behind(monkeypatch, values=np.array([{"a": 1}], dtype=object), answers=np.zeros((1, 4)))
    with pytest.raises(ModelError, match="without golden answers"):
        keras_.bring(tmp_path / "it.h5", CLASSES, Declared(), tmp_path, silent)


# --- real files, in the process of their own


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with the files of ``keras_models``, and what Keras says of ``pixels``."""
    require_keras()
    folder = tmp_path_factory.mktemp("keras")
    program = Path(__file__).with_name("keras_models.py")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-W", "ignore", str(program), str(folder)], env=environment, check=True, capture_output=True
    )
    return folder


def bring(models, name, folder, declared=None, classes=CLASSES):
    found = keras_.bring(models / name, classes, declared or Declared(), folder, silent)
    with np.load(models / "said.npz") as said:
        return found, np.ascontiguousarray(said["pixels"].transpose(0, 3, 1, 2)), said[name]


@pytest.mark.slow
def test_an_archive_that_ends_in_probabilities_gives_keras_own(models, tmp_path):
    found, pixels, said = bring(models, "functional.keras", tmp_path)
    np.testing.assert_allclose(softmax(found.predictor(pixels).logits), said, atol=1e-5)
    assert found.size == (16, 16)
    assert found.provenance["keras and its graph"]["agreement"] == 1.0
    assert found.forms["onnx"].sha256 == sha256(tmp_path / "model.onnx")


@pytest.mark.slow
def test_an_h5_that_ends_in_logits_gives_keras_own_and_the_range_that_was_declared_is_inside(models, tmp_path):
    found, pixels, said = bring(models, "sequential.h5", tmp_path, Declared(scale="0..255", channels="bgr"))
    ours = np.ascontiguousarray(pixels[:, ::-1]) / 255
    np.testing.assert_allclose(found.predictor(ours).logits, said, atol=1e-4)


@pytest.mark.slow
def test_a_model_for_two_pictures_at_a_time_answers_one_and_three(models, tmp_path):
    found, pixels, said = bring(models, "fixed.keras", tmp_path)
    for rows in (1, 3):
        np.testing.assert_allclose(found.predictor(pixels[:rows]).logits, said[:rows], atol=1e-5)


@pytest.mark.slow
def test_a_size_that_the_file_leaves_open_is_the_one_declared(models, tmp_path):
    found, pixels, said = bring(models, "open.keras", tmp_path, Declared(size=(16, 16)))
    np.testing.assert_allclose(found.predictor(pixels).logits, said, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [("lambda.keras", "has a Lambda layer"), ("lambda.h5", "has a Lambda layer"), ("custom.keras", "not among the layers")],
)
def test_what_keras_itself_writes_of_code_is_refused(models, tmp_path, name, said):
    with pytest.raises(ModelError, match=said):
        clean_copy(models / name, tmp_path)


@pytest.mark.slow
def test_planted_code_is_not_run(tmp_path):
    """A Lambda as Keras 2 wrote it: Python's byte code, packed by marshal, which Keras runs when it loads an .h5 of its own."""
    require_keras()
    witness = tmp_path / "was-here"
    code = compile(f"open({str(witness)!r}, 'w')", "evil", "exec")
    packed = base64.b64encode(marshal.dumps(code)).decode()
    evil = layer("Lambda", function=[packed, None, None], function_type="lambda", output_shape=None)
    with pytest.raises(ModelError, match="has a Lambda layer, at model > toy > lambda"):
        keras_.bring(write_h5(tmp_path / "it.h5", sequential(evil)), CLASSES, Declared(), tmp_path, silent)
    assert not witness.exists()
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_a_file_of_keras_2_is_read(tmp_path):
    """As Keras 2.x wrote them: a Functional model with lists of nodes, ``batch_input_shape``, names that end in ``:0``."""
    require_keras()
    kernel, bias = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32), np.arange(4, dtype=np.float32)
    given = layer("InputLayer", batch_input_shape=[None, 8, 8, 3], dtype="float32", sparse=False, ragged=False)
    initializer = {"class_name": "GlorotUniform", "config": {"seed": None}}
    pool = layer("GlobalAveragePooling2D", trainable=True, dtype="float32", data_format="channels_last", keepdims=False)
    dense = layer("Dense", trainable=True, dtype="float32", units=4, activation="linear", kernel_initializer=initializer)
    chain = [given, pool, dense]
    for before, one in zip([None, *chain], chain, strict=False):
        one["name"] = one["config"]["name"]
        one["inbound_nodes"] = [[[before["name"], 0, 0, {}]]] if before else []
    ends = {"input_layers": [["inputlayer", 0, 0]], "output_layers": [["dense", 0, 0]]}
    model = {"class_name": "Functional", "config": {"name": "toy", "trainable": True, "layers": chain, **ends}}

    def fill(weights):
        weights.attrs["layer_names"] = [b"inputlayer", b"globalaveragepooling2d", b"dense"]
        for name in ("inputlayer", "globalaveragepooling2d", "dense"):
            weights.create_group(name).attrs["weight_names"] = np.array([], dtype="S1")
        weights["dense"].attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        weights["dense/dense/kernel:0"], weights["dense/dense/bias:0"] = kernel, bias

    found = keras_.bring(write_h5(tmp_path / "it.h5", model, fill), CLASSES, Declared(), tmp_path, silent)
    pixels = np.random.default_rng(1).random((3, 3, 8, 8), dtype=np.float32)
    np.testing.assert_allclose(found.predictor(pixels).logits, pixels.mean(axis=(2, 3)) @ kernel + bias, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published weights are not beside this repository")
def test_a_users_network_for_cifar10_does_as_well_as_its_readme_says(tmp_path):
    """69.38 % of the 10,000 test pictures, within a tenth of a point."""
    import dataclasses

    from pictures import real_data_home

    from eyebright.backends.loop import predictions_of
    from eyebright.data.open import open_source

    require_keras()
    source = open_source("cifar10", data_home=real_data_home())
    place = [CIFAR10.index(name) for name in source.classes]
    samples = tuple(dataclasses.replace(one, label=place[one.label]) for one in source.part("test"))
    declared = Declared(scale="0..1")
    found = keras_.bring(PUBLISHED, CIFAR10, declared, tmp_path, silent)
    predictions = predictions_of(found.predictor, source, samples, declared.preprocess(found.size))
    assert len(predictions) == 10_000
    assert abs((predictions.logits.argmax(axis=1) == predictions.labels).mean() - 0.6938) <= 0.001
