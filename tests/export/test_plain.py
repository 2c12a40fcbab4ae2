"""A network of plain layers is written without torch's exporter; anything else is left to it."""

import collections

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from eyebright.export import onnx_
from eyebright.export.plain import plain_model
from eyebright.models.lite0 import lite0
from eyebright.models.network import Luminance, Normalise, PixelNetwork

HALF = (0.5, 0.25, 0.125)


def seeded(make):
    """What ``make`` gives, its batch norms as if they had seen pictures: folding fresh ones in wrongly would go unseen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                for tensor in (*layer.parameters(), *(found for found in layer.buffers() if found.is_floating_point())):
                    nn.init.uniform_(tensor, 0.2, 1.5)
    return network.eval()


def network(*layers, width=6, prepare=None):
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return PixelNetwork(prepare or Normalise(HALF, HALF), backbone, nn.Linear(width, 4), dropout=0.5)


def answers(model, pixels):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits", "features"], {"pixels": pixels.numpy()})


def assert_same_as_torch(model, ours, size, n=3):
    onnx.checker.check_model(model, full_check=True)
    pixels = torch.from_numpy(np.random.default_rng(0).random((n, 3, *size), dtype=np.float32))
    with torch.inference_mode():
        expected = ours(pixels)
    for found, wanted in zip(answers(model, pixels), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-4)


class Skipping(nn.Module):
    """A residual block, its sum in place as timm writes it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, 6, 3, padding=1, groups=3), nn.BatchNorm2d(6)

    def forward(self, x):
        found = self.norm(self.conv(x))
        found += x
        return found


LAYERS = {
    "a convolution with its bias": lambda: [nn.Conv2d(3, 6, (3, 1), stride=(2, 1), padding=(0, 2), dilation=(2, 1))],
    "a batch norm behind a convolution with a bias": lambda: [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()],
    "a batch norm behind one without": lambda: [nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU6()],
    "a sum in place": lambda: [nn.Conv2d(3, 6, 1), Skipping()],
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
def test_what_plain_layers_give_is_what_torch_gives(layers):
    ours = seeded(lambda: network(*layers()))
    model = plain_model(ours, (17, 12))
    assert model is not None
    assert_same_as_torch(model, ours, (17, 12))


@pytest.mark.parametrize(("depths", "size"), [(1, (64, 64)), (5, (64, 64)), (3, (61, 90))], ids=["usual", "five", "odd sides"])
def test_lite0_is_plain_at_any_size_and_depth(depths, size):
    """Odd sides, as TensorFlow's padding depends on them."""
    ours = seeded(lambda: lite0(3, depths=depths))
    model = plain_model(ours, size)
    assert model is not None
    assert_same_as_torch(model, ours, size, n=1)
    assert_same_as_torch(model, ours, size, n=4)


def test_the_graph_has_the_operations_that_torchs_exporter_writes():
    ours = seeded(lambda: lite0(3, depths=5))
    model = plain_model(ours, (64, 64))
    exported = onnx_._exported(ours, (64, 64))
    assert model is not None
    count = [collections.Counter(node.op_type for node in found.graph.node) for found in (model, exported)]
    assert count[0] == count[1]
    assert count[0]["Conv"] == 49  # its convolutions; no batch norm is left


def test_numbers_used_twice_are_stored_once():
    model = plain_model(seeded(lambda: network(nn.Conv2d(3, 6, 1), nn.ReLU6(), nn.Conv2d(6, 6, 1), nn.ReLU6())), (8, 8))
    assert model is not None
    limits = [tensor for tensor in model.graph.initializer if tensor.name in ("zero", "six")]
    assert [list(tensor.dims) for tensor in limits] == [[], []]  # scalars, as ONNX asks for
    assert [float(onnx.numpy_helper.to_array(tensor)) for tensor in limits] == [0.0, 6.0]


class Twice(nn.Conv2d):
    """Looks like a convolution and is none."""

    def forward(self, x):
        return super().forward(x) * 2


class Halved(nn.Module):
    def forward(self, x):
        return x[:, :3]


class Shared(nn.Module):
    """One convolution called twice, behind it two batch norms: its name stands for two sets of folded weights."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.second(self.conv(self.first(self.conv(x))))


class Rectifying(nn.Module):
    """The activation changes its input in place, and so what is added to it later."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(6, 6, 1), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.conv(self.relu(x)) + x


class Tapped(nn.Module):
    """Adds in place to what it also keeps: the trace does not show it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 1)

    def forward(self, x):
        kept = self.conv(x)
        other = kept
        other += x
        return kept + other


class Meaning(nn.Module):
    def forward(self, x):
        return x.mean((2, 3), keepdim=True)


def hooked():
    layer = nn.Conv2d(3, 6, 1)
    layer.register_forward_hook(lambda module, given, found: found + 1)
    return [layer]


NOT_PLAIN = {
    "a convolution behind which two norms stand": lambda: [Shared(), nn.Conv2d(3, 6, 1)],
    "an activation in place whose input is used again": lambda: [nn.Conv2d(3, 6, 1), Rectifying()],
    "a sum in place that is seen elsewhere": lambda: [nn.Conv2d(3, 6, 1), Tapped()],
    "a layer with a hook": hooked,
    "a mean that keeps its places": lambda: [nn.Conv2d(3, 6, 1), Meaning()],
    "a linear layer on a map": lambda: [nn.Linear(16, 8), nn.Conv2d(3, 6, 1)],
    "an activation without a writer": lambda: [nn.Conv2d(3, 6, 3), nn.Hardswish()],
    "a subclass of a known layer": lambda: [Twice(3, 6, 3)],
    "padding that is no zeros": lambda: [nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect")],
    "padding by name": lambda: [nn.Conv2d(3, 6, 3, padding="same")],
    "a batch norm on its own": lambda: [nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3)],
    "a batch norm of the pictures at hand": lambda: [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)],
    "a batch norm without weights": lambda: [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, affine=False)],
    "some of the channels": lambda: [Halved(), nn.Conv2d(3, 6, 3)],
    "places kept": lambda: [nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(2), nn.Conv2d(6, 6, 2)],
}


@pytest.mark.parametrize("layers", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_anything_else_is_left_to_the_exporter(layers):
    assert plain_model(seeded(lambda: network(*layers())), (16, 16)) is None


def test_a_second_input_is_left_to_the_exporter():
    class Shifted(PixelNetwork):
        def forward(self, pixels, shift=0.0):
            return super().forward(pixels - shift)

    ours = seeded(lambda: Shifted(Normalise(HALF, HALF), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(3, 4)))
    assert plain_model(ours, (16, 16)) is None


def test_grey_models_are_left_to_the_exporter():
    grey = seeded(lambda: network(nn.Conv2d(1, 6, 3), prepare=nn.Sequential(Luminance(), Normalise((0.5,), (0.5,)))))
    assert plain_model(grey, (16, 16)) is None


def test_a_network_whose_features_are_its_pixels_is_left_to_the_exporter():
    class Bare(nn.Module):
        def forward(self, pixels):
            return pixels, pixels

    assert plain_model(Bare(), (16, 16)) is None


def test_what_is_written_by_either_way_has_the_same_frame(tmp_path):
    """Names, shapes, classes: whoever opens the file does not see which way it came."""
    written = {}
    for kind, layers in (("plain", (nn.Conv2d(3, 6, 3), nn.ReLU())), ("exported", (nn.Conv2d(3, 6, 3), nn.Hardswish()))):
        onnx_.write_onnx(network(*layers), (9, 7), tmp_path / kind, classes=tuple("abcd"), name="x")
        model = onnx.load(tmp_path / kind)
        values = [(value.name, str(value.type)) for value in (*model.graph.input, *model.graph.output)]
        written[kind] = (values, model.ir_version, str(model.opset_import), model.producer_name, str(model.metadata_props))
    assert written["plain"] == written["exported"]
