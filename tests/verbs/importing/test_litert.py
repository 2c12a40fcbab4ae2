"""A foreign ``.tflite`` file becomes a form, byte for byte, with what it takes and gives written beside it."""

from pathlib import Path

import numpy as np
import pytest
from tflite import tflite

from eyebright.core.arrays import softmax
from eyebright.core.errors import MissingExtraError, ModelError, SettingsError
from eyebright.core.events import silent
from eyebright.core.preprocess import Preprocess
from eyebright.images.preprocess import prepare, to_pixels
from eyebright.verbs.importing import apart, litert
from eyebright.verbs.importing.declared import Declared

WEIGHTS = np.array([[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [1.0, 1.0, -1.0]], dtype=np.float32)
BIAS = np.array([0.0, 0.5, 0.0, -0.5], dtype=np.float32)
CLASSES = ("red", "green", "blue", "warm")
PIXELS = np.random.default_rng(0).random((5, 3, 4, 4), dtype=np.float32)
PUBLISHED = Path(__file__).parents[4] / "shared" / "weights" / "mobilenet_v2_imagenet"


@pytest.fixture
def brought(tmp_path):
    """Reads the file that ``tflite`` makes of the options."""

    def read(declared=None, classes=CLASSES, weights=WEIGHTS, bias=BIAS, **options):
        file = tmp_path / "theirs.tflite"
        file.write_bytes(tflite(weights, bias, **options))
        return litert.read(file, classes, declared or Declared(), tmp_path, silent)

    return read


def scores_of(values):
    return values.mean(axis=(2, 3)) @ WEIGHTS.T + BIAS


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_the_layout_is_the_files_own(brought, tmp_path, layout):
    found = brought(Declared(scale="-1..1", channels="bgr"), layout=layout)
    form = found.forms["litert"]
    assert (form.foreign.layout, form.foreign.channels, form.foreign.gives) == (layout, "bgr", "logits")
    assert (tmp_path / form.file).read_bytes() == (tmp_path / "theirs.tflite").read_bytes()
    assert (found.size, found.provenance["gives"]) == ((4, 4), "4 float32")
    np.testing.assert_allclose(found.predictor(PIXELS).logits, scores_of(2 * PIXELS[:, ::-1] - 1), atol=1e-5)


@pytest.mark.parametrize(
    ("inside", "scale"),
    [
        (("uint8", 1 / 255, 0), "0..1"),
        (("int8", 1 / 255, -128), "0..1"),
        (("uint8", 1.0, 0), "0..255"),
        (("uint8", 1 / 127.5, 127), "-1..1"),
        (("int8", 1 / 127.5, -1), "-1..1"),
    ],
)
def test_an_eight_bit_input_says_itself_what_it_takes(brought, inside, scale):
    found = brought(inside=inside)
    expected = Declared(scale=scale).normalisation()
    assert found.forms["litert"].foreign.mean == expected.mean
    assert found.forms["litert"].foreign.std == expected.std
    assert any(f"brought to {scale}" in note for note in found.notes)


def test_what_was_declared_is_held_beside_what_an_eight_bit_input_can_hold(brought):
    small = ("uint8", 1 / 127.5, 127)
    assert not any("8-bit input" in note for note in brought(Declared(scale="-1..1"), inside=small).notes)
    assert any("declared runs from 0 to 1" in note for note in brought(Declared(scale="0..1"), inside=small).notes)
    with pytest.raises(SettingsError, match=r"holds values from -0\.996 to 1; what was declared runs from 0 to 255"):
        brought(Declared(scale="0..255"), inside=small)
    with pytest.raises(SettingsError, match="runs from 0 to 1"):
        brought(Declared(scale="0..1"), inside=("uint8", 1.0, 0))
    with pytest.raises(SettingsError, match="Say --scale"):
        brought(inside=("uint8", 0.37, 5))


def test_what_it_gives_is_seen_in_its_answers(brought):
    assert brought().forms["litert"].foreign.gives == "logits"
    found = brought(softmax=True)
    assert found.forms["litert"].foreign.gives == "probabilities"
    np.testing.assert_allclose(softmax(found.predictor(PIXELS).logits), softmax(scores_of(PIXELS)), atol=1e-6)
    with pytest.raises(ModelError, match="Say --gives probabilities"):
        brought(Declared(gives="logits"), softmax=True)
    with pytest.raises(ModelError, match="Say --gives logits"):
        brought(Declared(gives="probabilities", scale="0..255"))


def test_eight_bit_probabilities_are_known_by_their_steps(brought):
    """Two thousand classes of 1/2000 each are all rounded to 0 in steps of 1/256, and yet are probabilities."""
    weights, bias = np.zeros((2000, 3)), np.zeros(2000)
    classes = tuple(str(number) for number in range(2000))
    found = brought(classes=classes, weights=weights, bias=bias, softmax=True, outside=("uint8", 1 / 256, 0))
    assert found.forms["litert"].foreign.gives == "probabilities"
    assert found.predictor.values(PIXELS).max() == 0


def test_a_size_that_the_file_leaves_open_must_be_said(brought):
    with pytest.raises(SettingsError, match="Say --size"):
        brought(side=-1)
    assert brought(Declared(size=(6, 5)), side=-1).size == (6, 5)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c", "d", "e")])
def test_another_number_of_classes_is_refused(brought, classes):
    with pytest.raises(ModelError, match=f"tells 4 classes apart, and --classes names {len(classes)}"):
        brought(classes=classes)


def test_of_several_outputs_the_one_for_the_classes_is_taken(brought):
    assert brought(outputs=2).provenance["gives"] == "4 float32"


def test_operators_of_others_are_refused(brought):
    with pytest.raises(ModelError, match="custom op: Evil"):
        brought(custom="Evil")


def test_without_its_package_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(litert.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"eyebright\[litert\]"):
        litert.bring(tmp_path / "it.tflite", CLASSES, Declared(), tmp_path, silent)


def test_a_file_is_tried_in_a_process_of_its_own_first(tmp_path):
    (tmp_path / "it.tflite").write_bytes(tflite(WEIGHTS, BIAS))
    found = litert.bring(tmp_path / "it.tflite", CLASSES, Declared(scale="0..255"), tmp_path, silent)
    np.testing.assert_allclose(found.predictor(PIXELS).logits, scores_of(255 * PIXELS), rtol=1e-5)


def test_a_file_that_crashes_litert_does_not_crash_us(tmp_path, monkeypatch):
    """LiteRT's interpreter follows some flipped bits to where no memory is; here the process that reads ends itself so."""
    monkeypatch.setattr(apart, "_START", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    (tmp_path / "it.tflite").write_bytes(tflite(WEIGHTS, BIAS))
    with pytest.raises(ModelError, match=r"it\.tflite made the process that read it crash \(signal 11\)"):
        litert.bring(tmp_path / "it.tflite", CLASSES, Declared(), tmp_path, silent)
    assert not (tmp_path / "model.tflite").exists()


# --- a published file


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not beside this repository")
def test_a_published_mobilenet_names_the_photographs(tmp_path):
    """MobileNetV2 in 8 bits, 1,001 classes: the photographs of scikit-image and scikit-learn, which all know."""
    data = pytest.importorskip("skimage.data")
    samples = pytest.importorskip("sklearn.datasets")
    lines = (PUBLISHED / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()
    classes = tuple(f"{number} {name}" for number, name in enumerate(lines))  # two of them are called crane
    found = litert.bring(next(PUBLISHED.glob("*.tflite")), classes, Declared(), tmp_path, silent)
    assert (found.size, found.forms["litert"].foreign.gives) == ((224, 224), "probabilities")
    assert found.forms["litert"].foreign.mean == (0.5, 0.5, 0.5)
    preprocess = Preprocess(height=224, width=224, resize="crop", crop_fraction=0.875, resampler="pillow-bilinear")
    pictures = {
        "espresso": data.coffee(),
        "Egyptian cat": data.cat(),
        "missile": data.rocket(),
        "palace": samples.load_sample_image("china.jpg"),
        "daisy": samples.load_sample_image("flower.jpg"),
    }
    for name, picture in pictures.items():
        answers = found.predictor(to_pixels(prepare(picture, preprocess)[None])).logits[0]
        first = [classes[index].split(" ", 1)[1] for index in np.argsort(-answers)[:2]]
        assert name in first[: 2 if name == "daisy" else 1], first  # honeycomb comes first there, in any implementation
