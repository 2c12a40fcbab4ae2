"""A handcrafted model's file as a predictor, opened by name from a bundle."""

import subprocess
import sys
import time

import numpy as np
import pytest

from eyebright.backends.handcrafted_ import HandcraftedPredictor
from eyebright.backends.open import open_predictor
from eyebright.core.bundle import Architecture, Bundle, Form, Manifest
from eyebright.core.errors import ModelError
from eyebright.core.files import sha256
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess
from eyebright.models.handcrafted.classifiers import LinearSvm
from eyebright.models.handcrafted.model import HandcraftedModel, model_bytes
from eyebright.models.handcrafted.names import parse

from .toys import CLASSES, pixels

FILE = "handcrafted.safetensors"


@pytest.fixture
def model():
    weight = np.random.default_rng(0).standard_normal((3, 1764 + 128), dtype=np.float32)
    return HandcraftedModel(parse("hog+colour-svm"), 3, LinearSvm(weight, np.zeros(3, dtype=np.float32)))


@pytest.fixture
def bundle(model, tmp_path):
    (tmp_path / FILE).write_bytes(model_bytes(model))
    form = Form(file=FILE, sha256=sha256(tmp_path / FILE), bytes=(tmp_path / FILE).stat().st_size)
    manifest = Manifest(
        name="toy",
        classes=CLASSES,
        preprocess=Preprocess(height=16, width=16),
        architecture=Architecture(name="hog+colour-svm"),
        forms={"handcrafted": form},
        decision_sha256="0" * 64,
    )
    return Bundle(tmp_path, manifest)


def test_a_handcrafted_bundle_opens_in_its_only_form(bundle, model):
    predictor, why = open_predictor(bundle)
    assert isinstance(predictor, Predictor)
    assert (predictor.form, why) == ("handcrafted", "it is the only form of a handcrafted model")
    batch = pixels(5, side=16)
    np.testing.assert_array_equal(predictor(batch).logits, model(batch)[0])
    assert predictor(batch).features.shape == (5, 1764 + 128)


def test_it_is_what_the_model_in_memory_answers(bundle, model):
    batch = pixels(4, side=32)
    by_name, _ = open_predictor(bundle, form="handcrafted")
    np.testing.assert_array_equal(by_name(batch).logits, HandcraftedPredictor(model, CLASSES)(batch).logits)


def test_it_has_no_other_form(bundle):
    with pytest.raises(ModelError, match="has no form 'torch'; it has handcrafted"):
        open_predictor(bundle, form="torch")


def test_a_changed_byte_is_found_before_the_file_is_read(bundle):
    content = bytearray((bundle.path / FILE).read_bytes())
    content[-1] ^= 1
    (bundle.path / FILE).write_bytes(bytes(content))
    with pytest.raises(ModelError, match="sha256"):
        open_predictor(bundle)


def test_one_picture_takes_no_noticeable_time(model):
    predictor, picture = HandcraftedPredictor(model, CLASSES), pixels(1, side=128)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        predictor(picture)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.5  # a loop over pixels would take seconds


def test_it_opens_where_neither_torch_nor_scikit_learn_is_installed(bundle):
    script = (
        "import sys\n"
        "for name in ('torch', 'scipy', 'sklearn', 'skimage', 'onnxruntime'):\n"
        "    sys.modules[name] = None\n"  # importing it is then an error
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from eyebright.backends.handcrafted_ import HandcraftedPredictor\n"
        "predictor = HandcraftedPredictor.open(Path(sys.argv[1]), ('a', 'b', 'c'))\n"
        "print(predictor(np.zeros((2, 3, 16, 16), dtype=np.float32)).logits.shape)\n"
    )
    command = [sys.executable, "-c", script, str(bundle.path / FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("(2, 3)", "")
