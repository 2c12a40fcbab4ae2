"""The ONNX form: any batch, the class names inside, and the same numbers; other weights are found out."""

import errno
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.errors import ModelError, ResourceError
from eyebright.core.parity import require_parity
from eyebright.core.predictor import Predictor
from eyebright.export.onnx_ import write_onnx, write_with_head
from eyebright.models.cnn import cnn
from eyebright.models.network import PixelNetwork

CLASSES = ("blåbær", "cloud,berry", "<b>")


def network(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cnn(3, height=12, width=16, hidden=16, **options)


def pixels(n):
    return np.random.default_rng(n).random((n, 3, 12, 16), dtype=np.float32)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(network(), (12, 16), path, classes=CLASSES, name="berries")
    return path


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_batch_gives_the_torch_forms_logits_and_features(written, n):
    reference, onnx_form = TorchPredictor(network(), CLASSES), OnnxPredictor(written, CLASSES)
    expected, found = reference(pixels(n)), onnx_form(pixels(n))
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-5)


def test_the_graph_says_what_it_is_and_which_classes_it_has(written):
    model = onnx.load(written)
    onnx.checker.check_model(model)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["names"]) == {"0": "blåbær", "1": "cloud,berry", "2": "<b>"}
    assert (told["task"], told["description"], json.loads(told["imgsz"])) == ("classify", "berries", [12, 16])
    assert [value.name for value in model.graph.input] == ["pixels"]
    assert [value.name for value in model.graph.output] == ["logits", "features"]
    assert model.producer_name == "eyebright"


def test_everything_is_in_one_file_with_no_path_of_this_computer(written):
    assert [path.name for path in written.parent.iterdir()] == ["model.onnx"]
    assert not any(tensor.external_data for tensor in onnx.load(written).graph.initializer)
    content = written.read_bytes()
    assert all(word not in content for word in (b"site-packages", b"eyebright/models", str(Path.home()).encode() + b"/"))


def test_the_network_that_is_written_is_not_touched(tmp_path):
    ours = network().train()
    ours.to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    write_onnx(ours, (12, 16), tmp_path / "model.onnx", classes=CLASSES, name="berries")
    assert ours.training
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())


def test_a_disk_that_fills_up_is_told_and_leaves_no_half_of_a_graph(written, tmp_path, monkeypatch):
    def refuse(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    head = {"weight": np.zeros((3, 16), np.float32), "bias": np.zeros(3, np.float32), "size": (12, 16)}
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(ResourceError, match="No space left"):
        write_onnx(network(), (12, 16), tmp_path / "model.onnx", classes=CLASSES, name="berries")
    with pytest.raises(ResourceError, match="No space left"):
        write_with_head(written.read_bytes(), path=tmp_path / "model.onnx", classes=CLASSES, name="berries", **head)
    assert not list(tmp_path.iterdir())


def test_the_exporter_says_nothing(tmp_path, capfd):
    write_onnx(network(grey=True), (12, 16), tmp_path / "model.onnx", classes=CLASSES, name="berries")
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_network_that_depends_on_its_pixels_values_cannot_be_written(tmp_path):
    class Moody(nn.Module):
        def forward(self, pixels):
            return pixels.mean(dim=(2, 3)) if float(pixels.sum()) > 1 else pixels.amax(dim=(2, 3))

    moody = PixelNetwork(nn.Identity(), Moody(), nn.Linear(3, 3))
    with pytest.raises(ModelError, match="moody could not be written as ONNX"):
        write_onnx(moody, (12, 16), tmp_path / "model.onnx", classes=CLASSES, name="moody")
    assert not (tmp_path / "model.onnx").exists()


# --- parity


def test_the_parity_of_the_same_model_is_rounding(written):
    parity = require_parity(TorchPredictor(network(), CLASSES), OnnxPredictor(written, CLASSES), pixels(5))
    assert parity.reference == "torch"
    assert (parity.n, parity.agreement) == (5, 1.0)
    assert 0 <= parity.max_difference < 1e-5


def test_other_weights_are_found_out(written):
    with pytest.raises(ModelError, match=r"onnx form differs from torch by .* The bundle is not written"):
        require_parity(TorchPredictor(network(seed=1), CLASSES), OnnxPredictor(written, CLASSES), pixels(5))


def test_one_weight_that_is_a_little_off_is_found_out(written):
    ours = network()
    with torch.no_grad():
        ours.head.bias[1] += 0.01
    with pytest.raises(ModelError, match=r"differs from torch by 0\.01"):
        require_parity(TorchPredictor(ours, CLASSES), OnnxPredictor(written, CLASSES), pixels(5))


def test_answers_that_are_no_numbers_are_no_parity(written):
    """NaN is not larger than any limit: a comparison the wrong way round would let it pass."""

    class Broken:
        classes, form = CLASSES, "onnx"

        def __call__(self, batch):
            found = OnnxPredictor(written, CLASSES)(batch)
            found.logits[0, 0] = np.nan
            return found

    assert isinstance(Broken(), Predictor)
    with pytest.raises((ModelError, ValueError)):
        require_parity(TorchPredictor(network(), CLASSES), Broken(), pixels(5))


def test_a_graph_larger_than_a_file_may_be_is_a_model_error(tmp_path, monkeypatch):
    class Program:
        @property
        def model_proto(self):
            raise ValueError("Message onnx.ModelProto exceeds maximum protobuf size of 2GB: 2147483648")

    monkeypatch.setattr(torch.onnx, "export", lambda *arguments, **options: Program())
    with pytest.raises(ModelError, match="berries could not be written as ONNX"):
        write_onnx(network(), (12, 16), tmp_path / "model.onnx", classes=CLASSES, name="berries")
    assert not (tmp_path / "model.onnx").exists()


def test_another_head_on_the_same_backbone_is_what_torch_would_write(written, tmp_path):
    """A graph of three classes, given a head for five: as if the network had been exported with that head."""
    classes = ("a", "b", "c", "d", "e")
    other = network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        other.head = nn.Linear(16, 5)
    weight, bias = other.head.weight.detach().numpy(), other.head.bias.detach().numpy()
    path = tmp_path / "model.onnx"
    write_with_head(written.read_bytes(), weight, bias, (12, 16), path, classes=classes, name="letters")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.output] == ["logits", "features"]
    assert json.loads({entry.key: entry.value for entry in model.metadata_props}["names"])["4"] == "e"
    names = [tensor.name for tensor in model.graph.initializer]
    assert len(names) == len(set(names))
    reference, found = TorchPredictor(other, classes)(pixels(5)), OnnxPredictor(path, classes)(pixels(5))
    np.testing.assert_allclose(found.logits, reference.logits, atol=1e-5)
    np.testing.assert_allclose(found.features, reference.features, atol=1e-5)


def test_a_graph_without_features_takes_no_head(tmp_path):
    taken = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["logits"])], "toy", [taken], [given])
    content = helper.make_model(graph).SerializeToString()
    with pytest.raises(ModelError, match="no features"):
        write_with_head(content, np.eye(3), np.zeros(3), (1, 1), tmp_path / "a.onnx", classes=CLASSES, name="toy")
    assert not (tmp_path / "a.onnx").exists()
