"""Networks as their publishers cut and feed them, and the first layer that a manifest may ask for."""

import numpy as np
import pytest
import torch

from eyebright.core.bundle import Architecture
from eyebright.core.errors import SettingsError
from eyebright.models.catalogue import build, build_classifier, own_size
from eyebright.models.published import END, fed_as, normalised_by, squeezenet, whole

pytestmark = pytest.mark.usefixtures("one_thread")

PIXELS = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))


def test_a_whole_squeezenet_is_its_publishers_with_the_normalisation_inside():
    network = build_classifier(Architecture(name="torchvision:squeezenet1_1", arguments={END: "published"}), 5).eval()
    theirs = whole("torchvision:squeezenet1_1", 5, None).eval()
    theirs.load_state_dict(network.network.state_dict())
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        logits, features = network(PIXELS)
        assert torch.allclose(logits, theirs((PIXELS - mean) / std), atol=1e-6)
    assert features.shape == (2, 512)


@pytest.mark.parametrize(("channels", "order"), [("rgb", [0, 1, 2]), ("bgr", [2, 1, 0])])
def test_a_declared_first_layer_takes_the_place_of_the_networks_own(channels, order):
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    told = {"input_mean": mean, "input_std": std, "input_channels": channels}
    network = build(Architecture(name="lenet", arguments=told), 2)
    expected = (PIXELS[:, order].numpy() - np.reshape(mean, (1, 3, 1, 1))) / np.reshape(std, (1, 3, 1, 1))
    np.testing.assert_allclose(network.prepare(PIXELS).numpy(), expected, atol=1e-6)


def test_a_grey_network_sees_luminance_first():
    told = {"grey": True, "input_mean": [0.5], "input_std": [0.25], "input_channels": "grey"}
    network = build(Architecture(name="lenet", arguments=told), 2)
    grey = 0.299 * PIXELS[:, 0] + 0.587 * PIXELS[:, 1] + 0.114 * PIXELS[:, 2]
    assert torch.allclose(network.prepare(PIXELS)[:, 0], (grey - 0.5) / 0.25, atol=1e-6)


@pytest.mark.parametrize("told", [
    {"input_mean": [0.5, 0.5, 0.5]}, {"input_mean": [0.5], "input_std": [1.0]}, {"input_mean": "a", "input_std": "b"},
    {"input_mean": [0.5] * 3, "input_std": [1.0, 0.0, 1.0]},
    {"input_mean": [0.5] * 3, "input_std": [1.0] * 3, "input_channels": "hsv"},
])  # fmt: skip
def test_a_first_layer_that_makes_no_sense_is_refused(told):
    with pytest.raises(SettingsError, match="The first layer has"):
        build(Architecture(name="lenet", arguments=told), 2)


def test_only_a_network_that_ends_otherwise_keeps_its_last_layers():
    with pytest.raises(SettingsError, match="only SqueezeNet"):
        build_classifier(Architecture(name="timm:resnet18", arguments={END: "published"}), 2)


def test_publishers_say_how_their_networks_are_fed():
    timm, torchvision = fed_as("timm:resnet50"), fed_as("torchvision:squeezenet1_0")
    assert (timm.size, timm.resize, timm.crop_fraction, timm.resampler) == ((224, 224), "crop", 0.95, "pillow-bicubic")
    assert (torchvision.size, torchvision.crop_fraction, torchvision.resampler) == ((224, 224), 0.875, "pillow-bilinear")
    assert fed_as("cnn") is None


def test_the_size_that_a_network_was_made_for_is_known():
    assert [own_size(name) for name in ("cnn", "lenet", "lite0", "inception_v3")] == [None, 32, 224, 299]


def test_the_statistics_of_a_networks_own_first_layer_are_told():
    mean, std = normalised_by(squeezenet("squeezenet1_1", 2))
    assert (mean, std) == (pytest.approx([0.485, 0.456, 0.406]), pytest.approx([0.229, 0.224, 0.225]))
    assert normalised_by(build(Architecture(name="cnn"), 2)) is None
