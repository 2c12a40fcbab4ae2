"""The ONNX form run by OpenVINO: the same answers as ONNX Runtime's, from many threads, and nothing sent anywhere."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.openvino_ import OpenvinoPredictor
from eyebright.core.errors import ModelError
from eyebright.export.onnx_ import write_onnx

from .toys import CLASSES, external_tensor, pixels, small_network, write_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_onnx(small_network(), (12, 12), path, classes=CLASSES, name="toy")
    return path


def test_logits_and_features_are_those_of_onnx_runtime(graph):
    ours, reference = OpenvinoPredictor(graph, CLASSES, threads=1), OnnxPredictor(graph, CLASSES, threads=1)
    for count in (1, 5, 3):  # the batch is open
        found, expected = ours(pixels(count)), reference(pixels(count))
        np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found.features, expected.features, rtol=0, atol=1e-5)


def test_answers_stay_when_the_next_picture_is_asked(graph):
    ours = OpenvinoPredictor(graph, CLASSES)
    first = ours(pixels(2)).logits
    before = first.copy()
    ours(pixels(2, seed=1))
    assert np.array_equal(first, before)


def test_many_threads_get_their_own_answers(graph):
    ours = OpenvinoPredictor(graph, CLASSES, threads=1)
    batches = [pixels(4, seed=seed) for seed in range(40)]
    expected = [ours(batch).logits for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: ours(batch).logits, batches))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, expected, strict=True))


def test_a_graph_without_logits_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected pixels in, and logits"):
        OpenvinoPredictor(write_graph(tmp_path / "a.onnx", outputs=("scores",)), CLASSES)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no graph at all")
    with pytest.raises(ModelError, match="cannot be opened"):
        OpenvinoPredictor(tmp_path / "a.onnx", CLASSES)


def test_a_whole_file_that_it_cannot_run_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be opened by OpenVINO"):
        OpenvinoPredictor(tmp_path / "a.onnx", CLASSES)


def test_a_graph_that_reaches_for_another_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the runtime looks for the file
    (tmp_path / "other").write_bytes(np.zeros(3, dtype=np.float32).tobytes())
    path = write_graph(tmp_path / "a.onnx", external=external_tensor("other", "other"))
    with pytest.raises(ModelError, match="it keeps values in another file"):
        OpenvinoPredictor(path, CLASSES)


def test_another_number_of_classes_is_refused(tmp_path):
    ours = OpenvinoPredictor(write_graph(tmp_path / "a.onnx", columns=2), CLASSES)
    with pytest.raises(ModelError, match=r"\(5, 2\) logits; expected \(5, 3\)"):
        ours(pixels())


def test_pixels_of_another_size_are_refused_in_words(graph):
    with pytest.raises(ModelError, match="OpenVINO fails on pixels"):
        OpenvinoPredictor(graph, CLASSES)(pixels(side=13))


def test_its_telemetry_is_never_loaded():
    code = (
        "import sys; from eyebright.backends.openvino_ import quietly_imported; quietly_imported(); "
        "sys.exit(any(name.startswith('openvino_telemetry') and module for name, module in sys.modules.items()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
