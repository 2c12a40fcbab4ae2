"""A ``.tflite`` file as it came, fed with our pixels: the numbers are those that its weights say by hand."""

import threading

import numpy as np
import pytest
from tflite import tflite

from eyebright.backends.litert_ import LitertPredictor, describe, read_tflite
from eyebright.backends.open import open_predictor
from eyebright.core.arrays import softmax
from eyebright.core.bundle import Bundle, Form, Manifest
from eyebright.core.errors import MissingExtraError, ModelError
from eyebright.core.files import sha256
from eyebright.core.foreign import Foreign
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess

WEIGHTS = np.array([[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [1.0, 1.0, -1.0]], dtype=np.float32)
BIAS = np.array([0.0, 0.5, 0.0, -0.5], dtype=np.float32)
CLASSES = ("red", "green", "blue", "warm")
PIXELS = np.random.default_rng(0).random((5, 3, 4, 4), dtype=np.float32)


def feeding(layout="nhwc", channels="rgb", mean=0.0, std=1.0, gives="logits"):
    planes = 1 if channels == "grey" else 3
    return Foreign(layout=layout, channels=channels, mean=(mean,) * planes, std=(std,) * planes, gives=gives)


def predictor(foreign=None, classes=CLASSES, weights=WEIGHTS, bias=BIAS, size=(4, 4), **options):
    return LitertPredictor(tflite(weights, bias, **options), classes, foreign or feeding(), size, threads=1)


def scores_of(values, weights=WEIGHTS, bias=BIAS):
    return values.mean(axis=(2, 3)) @ weights.T + bias


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_the_numbers_are_those_of_the_weights(layout):
    found = predictor(feeding(layout), layout=layout)
    assert isinstance(found, Predictor)
    np.testing.assert_allclose(found(PIXELS).logits, scores_of(PIXELS), atol=1e-5)
    assert found(PIXELS).features is None
    assert found(PIXELS[:0]).logits.shape == (0, 4)


def test_range_and_order_of_channels_are_applied():
    found = predictor(feeding(channels="bgr", mean=0.5, std=0.5))
    np.testing.assert_allclose(found(PIXELS).logits, scores_of(2 * PIXELS[:, ::-1] - 1), atol=1e-5)


def test_a_grey_file_sees_luminance():
    weights, bias = np.array([[3.0], [-1.0]]), np.array([0.0, 1.0])
    grey = np.tensordot(PIXELS, [0.299, 0.587, 0.114], axes=(1, 0))[:, None]
    found = predictor(feeding(channels="grey"), ("dark", "light"), weights, bias)
    np.testing.assert_allclose(found(PIXELS).logits, scores_of(grey, weights, bias), atol=1e-5)


def test_probabilities_become_their_logarithms():
    found = predictor(feeding(gives="probabilities"), softmax=True)(PIXELS).logits
    np.testing.assert_allclose(softmax(found), softmax(scores_of(PIXELS).astype(np.float32)), atol=1e-6)


def test_one_value_speaks_for_the_second_of_two_classes():
    weights, bias = WEIGHTS[3:], BIAS[3:]
    score = scores_of(PIXELS, weights, bias)[:, 0]
    found = predictor(feeding(), ("cold", "warm"), weights, bias)(PIXELS).logits
    np.testing.assert_allclose(found, np.stack([0 * score, score], axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("inside", "mean", "std"),
    [
        (("uint8", 1 / 255, 0), 0.0, 1.0),  # 0 .. 255 stand for 0 .. 1
        (("int8", 1 / 255, -128), 0.0, 1.0),
        (("uint8", 1.0, 0), 0.0, 1 / 255),  # 0 .. 255 stand for themselves
        (("uint8", 2 / 255, 127), 0.5, 0.5),  # 0 .. 255 stand for -1 .. 1, nearly
    ],
)
def test_whole_numbers_come_from_the_tensors_own_scale(inside, mean, std):
    """Bytes lose nothing on the way in where the steps are theirs; with a zero point of 127 they are half a step off."""
    whole = np.random.default_rng(1).integers(0, 256, (3, 3, 4, 4))
    pixels = (whole / 255).astype(np.float32)
    exact = (pixels - mean) / std
    within = 0.51 * inside[1] * np.abs(WEIGHTS).sum(axis=1) if inside[2] == 127 else 1e-5 * np.abs(exact).max() * 8
    found = predictor(feeding(mean=mean, std=std), inside=inside)(pixels).logits
    assert (np.abs(found - scores_of(exact)) <= within).all()


def test_what_does_not_fit_into_eight_bits_is_cut_off():
    """The input holds 0 to 255 / 510 = 0.5; white is 1."""
    white = np.ones((1, 3, 4, 4), dtype=np.float32)
    found = predictor(inside=("uint8", 1 / 510, 0))(white).logits
    np.testing.assert_allclose(found, scores_of(0.5 * white), atol=1e-5)


@pytest.mark.parametrize("outside", [("uint8", 1 / 256, 0), ("int8", 1 / 256, -128)])
def test_eight_bit_probabilities_are_read_in_their_steps(outside):
    found = predictor(feeding(gives="probabilities"), softmax=True, outside=outside).values(PIXELS)
    exact = softmax(scores_of(PIXELS).astype(np.float32))
    np.testing.assert_array_equal(found * 256, np.rint(found * 256))
    np.testing.assert_allclose(found, exact, atol=0.51 / 256)


def test_a_size_that_the_file_leaves_open_is_taken():
    found = predictor(side=-1, size=(6, 5))
    pixels = np.random.default_rng(2).random((3, 3, 6, 5), dtype=np.float32)
    np.testing.assert_allclose(found(pixels).logits, scores_of(pixels), atol=1e-5)
    assert describe(tflite(WEIGHTS, BIAS, side=-1), "it")[0].sides == (None, None, 3)


def test_several_threads_may_ask_at_once():
    found, alone = predictor(), predictor()
    batches = [np.random.default_rng(seed).random((40, 3, 4, 4), dtype=np.float32) for seed in range(8)]
    answers = {}

    def ask(number):
        for _ in range(20):
            answers[number] = found(batches[number]).logits

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, batch in enumerate(batches):
        np.testing.assert_array_equal(answers[number], alone(batch).logits)


def test_nothing_is_said_on_the_terminal(capfd):
    predictor()(PIXELS)
    assert tuple(capfd.readouterr()) == ("", "")


# --- what is refused


def test_pixels_of_another_size_are_refused():
    with pytest.raises(ModelError, match=r"takes \(4, 4, 3\); the pixels became \(8, 8, 3\)"):
        predictor()(np.zeros((1, 3, 8, 8), dtype=np.float32))


def test_another_size_layout_or_number_of_channels_is_refused():
    for wrong in ({"size": (8, 8)}, {"foreign": feeding("nchw")}, {"foreign": feeding(channels="grey")}):
        with pytest.raises(ModelError, match="Check --size, --layout and --channels"):
            predictor(**wrong)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_another_number_of_classes_is_refused(classes):
    with pytest.raises(ModelError, match=rf"outputs of 4 \(scores\) values; one output of {len(classes)}"):
        predictor(classes=classes)


def test_of_several_outputs_the_one_for_the_classes_is_taken():
    np.testing.assert_allclose(predictor(outputs=2)(PIXELS).logits, scores_of(PIXELS), atol=1e-5)


def test_operators_of_others_are_refused():
    with pytest.raises(ModelError, match=r"cannot be opened by LiteRT: .*custom op: Evil"):
        predictor(custom="Evil")


@pytest.mark.parametrize("keep", [0, 4, 8, 20, 100, 400, 700])
def test_a_file_that_was_cut_off_is_refused(tmp_path, keep):
    file = tmp_path / "cut.tflite"
    file.write_bytes(tflite(WEIGHTS, BIAS)[:keep])
    with pytest.raises(ModelError, match=r"cut\.tflite"):
        LitertPredictor.open(file, CLASSES, feeding(), (4, 4))


def test_a_file_of_another_kind_and_a_missing_one_are_refused(tmp_path):
    (tmp_path / "note.tflite").write_bytes(b"hello, this is text")
    with pytest.raises(ModelError, match=r"is not a \.tflite file"):
        read_tflite(tmp_path / "note.tflite")
    with pytest.raises(ModelError, match="cannot be read"):
        read_tflite(tmp_path / "none.tflite")


# --- as a bundle's form


@pytest.fixture
def bundle(tmp_path):
    file = tmp_path / "model.tflite"
    file.write_bytes(tflite(WEIGHTS, BIAS))
    form = Form(file=file.name, sha256=sha256(file), bytes=file.stat().st_size, foreign=feeding(mean=0.5, std=0.5))
    return bundle_of(tmp_path, form)


def bundle_of(folder, form):
    preprocess = Preprocess(height=4, width=4)
    manifest = Manifest(name="toy", classes=CLASSES, preprocess=preprocess, forms={"litert": form}, decision_sha256="0" * 64)
    return Bundle(folder, Manifest.model_validate_json(manifest.model_dump_json(by_alias=True)))


def test_a_bundle_is_opened_as_its_manifest_says(bundle):
    found, why = open_predictor(bundle, threads=1)
    assert (found.form, why) == ("litert", "the bundle has no form of our own that can run here")
    np.testing.assert_allclose(found(PIXELS).logits, scores_of(2 * PIXELS - 1), atol=1e-5)
    assert open_predictor(bundle, form="litert")[1] == "it was asked for"


def test_a_manifest_that_does_not_say_how_it_is_fed_is_refused(bundle):
    silent_form = bundle.manifest.forms["litert"].model_copy(update={"foreign": None})
    with pytest.raises(ModelError, match="does not say how its litert form is fed"):
        open_predictor(bundle_of(bundle.path, silent_form))


def test_without_its_package_the_command_is_named(bundle, monkeypatch):
    from eyebright.backends import open as room

    monkeypatch.setattr(room, "_installed", lambda form: form != "litert")
    for form in ("auto", "litert"):
        with pytest.raises(MissingExtraError, match=r"eyebright\[litert\]"):
            open_predictor(bundle, form=form)
