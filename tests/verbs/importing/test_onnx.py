"""A foreign graph becomes one that takes our pixels and gives logits; what cannot be trusted or does not fit is refused."""

import json

import numpy as np
import onnx
import pytest
from graphs import WEIGHTS, foreign_graph, scores_of
from onnx import TensorProto

from eyebright.core.arrays import softmax
from eyebright.core.errors import MissingExtraError, ModelError, SettingsError
from eyebright.core.events import silent
from eyebright.verbs.importing import onnx_
from eyebright.verbs.importing.declared import Declared

CLASSES = ("red", "green", "blue", "warm")
PIXELS = np.random.default_rng(0).random((5, 3, 8, 8), dtype=np.float32)


@pytest.fixture
def brought(tmp_path):
    """Brings the graph that ``foreign_graph`` makes of the options."""

    def bring(declared=None, classes=CLASSES, **options):
        file = tmp_path / "theirs.onnx"
        file.write_bytes(foreign_graph(**options))
        return onnx_.bring(file, classes, declared or Declared(), tmp_path, silent)

    return bring


def logits(brought, pixels=PIXELS):
    return brought.predictor(pixels).logits


# --- what goes in


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_both_layouts_give_what_the_file_gives(brought, layout):
    found = brought(layout=layout)
    assert found.size == (8, 8)
    np.testing.assert_allclose(logits(found), scores_of(PIXELS), atol=1e-5)


def test_normalisation_and_the_order_of_channels_are_inside(brought):
    """Blue comes first, 0 to 255, less 100, 110 and 120 for blue, green and red."""
    declared = Declared(scale="0..255", mean=(100, 110, 120), std=(50,), channels="bgr")
    theirs = (255 * PIXELS[:, ::-1] - np.array([100, 110, 120]).reshape(1, 3, 1, 1)) / 50
    np.testing.assert_allclose(logits(brought(declared, layout="nhwc")), scores_of(theirs), atol=1e-4)


def test_a_grey_model_sees_luminance(brought):
    weights, bias = np.array([[3.0], [-1.0]], dtype=np.float32), np.array([0.0, 1.0], dtype=np.float32)
    found = brought(Declared(channels="grey", scale="-1..1"), classes=("dark", "light"), weights=weights, bias=bias)
    grey = np.tensordot(PIXELS, [0.299, 0.587, 0.114], axes=(1, 0))[:, None]
    np.testing.assert_allclose(logits(found), scores_of(2 * grey - 1, weights, bias), atol=1e-5)


def test_whole_numbers_are_the_nearest_ones(brought):
    """A byte k is given as the float k / 255, which times 255 may be a little less than k: it must not become k - 1."""
    whole = np.random.default_rng(1).integers(0, 256, (3, 3, 8, 8))
    found = brought(kind=np.uint8, layout="nhwc")
    np.testing.assert_allclose(logits(found, (whole / 255).astype(np.float32)), scores_of(whole), rtol=1e-5)
    with pytest.raises(SettingsError, match="takes whole numbers"):
        brought(Declared(scale="0..1"), kind=np.uint8)


def test_half_precision_is_kept_and_answers_are_float32(brought):
    found = logits(brought(kind=np.float16))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scores_of(PIXELS), atol=2e-2)


# --- what comes out


def test_a_closing_softmax_is_cut_off(brought, tmp_path):
    found = brought(end="Softmax")
    np.testing.assert_allclose(logits(found), scores_of(PIXELS), atol=1e-5)
    assert "Softmax" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert any("probabilities" in note for note in found.notes)


def test_a_softmax_behind_a_reshape_is_found(brought):
    found = brought(end="Softmax", four=True)
    np.testing.assert_allclose(logits(found), scores_of(PIXELS), atol=1e-5)


def test_probabilities_that_no_softmax_made_become_their_logarithms(brought):
    """Four sigmoids are no distribution, but their ratios are kept: log p, whose softmax is p / sum p."""
    found = brought(end="Sigmoid")
    theirs = 1 / (1 + np.exp(-scores_of(PIXELS)))
    np.testing.assert_allclose(softmax(logits(found)), theirs / theirs.sum(axis=1, keepdims=True), atol=1e-6)


def test_probabilities_of_zero_have_a_floor(brought):
    """Scores 250 apart: the second probability is 0, its logarithm is that of 1e-7."""
    steep = np.array([[250.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=np.float32)
    found = brought(Declared(gives="probabilities"), weights=steep, bias=np.zeros(4, np.float32), end="Softmax Relu")
    white = np.ones((1, 3, 8, 8), dtype=np.float32)
    np.testing.assert_allclose(logits(found, white), [[0, *[np.log(1e-7)] * 3]], atol=1e-5)


def test_one_sigmoid_becomes_two_classes(brought):
    weights, bias = WEIGHTS[3:], np.array([0.25], dtype=np.float32)
    found = brought(classes=("cold", "warm"), weights=weights, bias=bias, end="Sigmoid")
    score = scores_of(PIXELS, weights, bias)[:, 0]
    np.testing.assert_allclose(logits(found), np.stack([0 * score, score], axis=1), atol=1e-5)
    np.testing.assert_allclose(softmax(logits(found))[:, 1], 1 / (1 + np.exp(-score)), atol=1e-6)


def test_one_number_that_is_a_probability_without_a_sigmoid_becomes_two_classes(brought):
    weights, bias = np.array([[0.2, 0.2, 0.2]], dtype=np.float32), np.array([0.1], dtype=np.float32)
    found = brought(classes=("cold", "warm"), weights=weights, bias=bias)
    np.testing.assert_allclose(softmax(logits(found))[:, 1], scores_of(PIXELS, weights, bias)[:, 0], atol=1e-6)


def test_numbers_that_can_be_both_must_be_said(brought):
    """HardSigmoid is max(0, min(1, x / 5 + 1 / 2))."""
    with pytest.raises(SettingsError, match="do not sum to 1"):
        brought(end="HardSigmoid")
    assert brought(Declared(gives="logits"), end="HardSigmoid").predictor(PIXELS).logits.max() <= 1


def test_a_wrong_word_on_what_it_gives_is_found_out(brought):
    with pytest.raises(ModelError, match="Say --gives probabilities"):
        brought(Declared(gives="logits"), end="Softmax")
    with pytest.raises(ModelError, match="Say --gives logits"):
        brought(Declared(gives="probabilities", scale="-1..1"))


def test_the_output_for_these_classes_is_taken_and_the_other_left_out(brought, tmp_path):
    np.testing.assert_allclose(logits(brought(second=True)), scores_of(PIXELS), atol=1e-5)
    assert [one.name for one in onnx.load(tmp_path / "model.onnx").graph.output] == ["logits"]


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c", "d", "e")])
def test_another_number_of_classes_is_refused(brought, classes):
    with pytest.raises(ModelError, match=f"tells 4 classes apart, and --classes names {len(classes)}"):
        brought(classes=classes)


# --- batches


def test_a_batch_of_one_is_opened_where_the_graph_allows_it(brought, tmp_path):
    np.testing.assert_allclose(logits(brought(batch=1)), scores_of(PIXELS), atol=1e-5)
    assert onnx.load(tmp_path / "model.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize(("batch", "reshape"), [(1, [1, 3]), (1, [1, -1]), ("n", [1, 3]), (2, [2, 3])])
def test_a_graph_that_names_its_batch_inside_is_asked_in_turn(brought, tmp_path, batch, reshape):
    found = brought(batch=batch, reshape=reshape)
    np.testing.assert_allclose(logits(found), scores_of(PIXELS), atol=1e-5)
    assert logits(found, PIXELS[:0]).shape == (0, 4)
    fixed = onnx.load(tmp_path / "model.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_value
    assert fixed == (2 if batch == 2 else 1)
    assert any("at a time" in note for note in found.notes)


# --- how the file is written


@pytest.mark.parametrize(("opset", "ir"), [(7, 3), (9, 4), (13, 7), (20, 9)])
def test_graphs_of_other_years_are_read(brought, opset, ir):
    np.testing.assert_allclose(logits(brought(opset=opset, ir=ir, end="Softmax")), scores_of(PIXELS), atol=1e-5)


def test_a_graph_that_is_too_old_is_refused(brought):
    with pytest.raises(ModelError, match="operator set 6; 7 or newer"):
        brought(opset=6, ir=3)


@pytest.mark.parametrize("names", [("pixels", "logits"), ("logits", "pixels")])
def test_a_graph_that_uses_our_names_for_its_own_is_read(brought, names):
    np.testing.assert_allclose(logits(brought(names=names, layout="nhwc")), scores_of(PIXELS), atol=1e-5)


def test_the_file_says_what_it_is_and_forgets_where_it_was_made(brought, tmp_path):
    found = brought(layout="nhwc", end="Softmax")
    content = (tmp_path / "model.onnx").read_bytes()
    model = onnx.load_model_from_string(content)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["names"]) == dict(zip("0123", CLASSES, strict=True))
    assert (json.loads(told["imgsz"]), told["task"]) == ([8, 8], "classify")
    assert b"somebody" not in content
    assert found.provenance["written by"] == "somebody"
    form = found.forms["onnx"]
    assert (form.file, form.bytes, form.parity.reference, form.parity.agreement) == ("model.onnx", len(content), "file", 1.0)


# --- what is asked of the user


def test_a_size_that_the_file_leaves_open_must_be_said(brought):
    with pytest.raises(SettingsError, match=r"any size\. Say --size"):
        brought(side="side")
    assert brought(Declared(size=(8, 8)), side="side").size == (8, 8)


def test_a_size_other_than_the_files_is_refused(brought):
    with pytest.raises(ModelError, match="8 x 8 pixels; --size says 16 x 8"):
        brought(Declared(size=(16, 8)))


def test_a_layout_that_can_be_read_both_ways_must_be_said(brought):
    with pytest.raises(SettingsError, match="Say --layout"):
        brought(side=3)
    assert brought(Declared(layout="nhwc"), side=3, layout="nhwc").size == (3, 3)


def test_a_grey_model_taken_for_a_coloured_one_is_refused(brought):
    weights = np.array([[3.0], [-1.0]], dtype=np.float32)
    with pytest.raises(ModelError, match="takes 1 channels"):
        brought(Declared(layout="nchw"), classes=("a", "b"), weights=weights, bias=np.zeros(2, np.float32))


def test_without_the_package_onnx_the_command_is_named(brought, monkeypatch):
    monkeypatch.setattr(onnx_.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"eyebright\[train\]"):
        brought()


# --- what is refused


def test_values_in_another_file_are_refused(brought, tmp_path):
    (tmp_path / "secret.bin").write_bytes(np.ones(4, dtype=np.float32).tobytes())
    tensor = onnx.TensorProto(name="bias", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    with pytest.raises(ModelError, match="keeps the values of 'bias' in another file"):
        brought(external=tensor)


def test_values_in_another_file_are_found_inside_a_branch(tmp_path):
    tensor = onnx.TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Constant", [], ["out"], value=tensor)],
        "inner",
        [],
        [onnx.helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
    )
    model = onnx.load_model_from_string(foreign_graph())
    model.graph.node.append(onnx.helper.make_node("If", ["images"], ["odd"], then_branch=inner, else_branch=inner))
    file = tmp_path / "theirs.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="in another file"):
        onnx_.bring(file, CLASSES, Declared(), tmp_path, silent)


def test_operators_of_others_are_refused(brought):
    with pytest.raises(ModelError, match=r"does not have: evil\.example\.Run"):
        brought(custom="Run")


def test_a_graph_with_two_inputs_is_refused(brought):
    with pytest.raises(ModelError, match="one of four dimensions, for pictures"):
        brought(inputs=2)


@pytest.mark.parametrize("keep", [0, 1, 20, 100, 300])
def test_a_file_that_was_cut_off_is_refused_and_nothing_is_left(tmp_path, keep):
    file = tmp_path / "theirs.onnx"
    file.write_bytes(foreign_graph()[:keep])
    with pytest.raises(ModelError, match=r"theirs\.onnx"):
        onnx_.bring(file, CLASSES, Declared(), tmp_path, silent)
    assert not (tmp_path / "model.onnx").exists()


def test_answers_that_are_no_numbers_are_refused(brought):
    with pytest.raises(ModelError, match="not finite"):
        brought(weights=np.full((4, 3), np.nan, dtype=np.float32))


def test_a_graph_that_was_wrapped_wrongly_is_found_out(brought, monkeypatch):
    """The planted fault: a wrapper that forgets the order of the channels."""
    from eyebright.export import wrap

    feeding = wrap._feeding
    forgetful = lambda foreign, *rest: feeding(foreign.model_copy(update={"channels": "rgb"}), *rest)  # noqa: E731
    monkeypatch.setattr(wrap, "_feeding", forgetful)
    with pytest.raises(ModelError, match="wrapped, differs from the file"):
        brought(Declared(channels="bgr"))
