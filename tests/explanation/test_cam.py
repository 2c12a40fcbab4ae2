"""Grad-CAM: equal to CAM where both exist, to captum's where it is installed, and to nothing where the network sees nothing."""

import numpy as np
import pytest
import torch

from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.arrays import softmax
from eyebright.core.predictor import Layered, LayerMaps
from eyebright.explanation.cam import evenness, grad_cam
from eyebright.models import zoo
from eyebright.models.cnn import cnn
from eyebright.models.ensemble import Ensemble
from eyebright.models.lenet import lenet
from eyebright.models.mlp import mlp

from .toys import CLASSES, OneCorner, picture, pooled

pytestmark = pytest.mark.usefixtures("one_thread")


def maps_of(network, pixels, target=0, classes=CLASSES):
    return TorchPredictor(network, classes).maps(pixels, target)


def test_after_a_mean_over_places_it_is_cam():
    network, pixels = pooled(classes=3), picture(16, 24)
    with torch.no_grad():
        activations = network.backbone[:2](torch.from_numpy(pixels)).numpy()[0]  # 4 8 12
        probabilities = softmax(network(torch.from_numpy(pixels))[0].numpy())[0]
    weights = network.head.weight.detach().numpy()  # 3 4
    # The log-odds of class 1 rise with its own weights, and fall with those of the others by their shares of the rest.
    others = probabilities[[0, 2]] / probabilities[[0, 2]].sum()
    cam = np.einsum("k,khw->hw", weights[1] - others @ weights[[0, 2]], activations) / (8 * 12)
    (layer,) = maps_of(network, pixels, 1, ("a", "b", "c"))
    np.testing.assert_allclose(grad_cam(layer)[0], cam, atol=1e-6)


def test_after_a_mean_over_places_it_sums_to_the_log_odds_less_their_bias():
    network, pixels = pooled(), picture()
    (layer,) = maps_of(network, pixels)
    logits = TorchPredictor(network, CLASSES)(pixels).logits[0]
    bias = network.head.bias.detach().numpy()
    assert grad_cam(layer).sum() == pytest.approx((logits[0] - logits[1]) - (bias[0] - bias[1]), abs=1e-5)


def score_of(network):
    """The network as captum wants it: log-odds of each class, from pixels."""

    def forward(pixels):
        logits = network(pixels)[0]
        odds = [logits[:, k] - logits[:, [j for j in range(logits.shape[1]) if j != k]].logsumexp(dim=1) for k in range(5)]
        return torch.stack(odds, dim=1)

    return forward


@pytest.mark.parametrize(("build", "layer", "side"), [
    (lambda: cnn(5), "4", 32), (lambda: lenet(5), "5", 32),
    (lambda: zoo.timm_network(5, name="test_resnet"), "layer4", 64),
    (lambda: zoo.timm_network(5, name="tf_efficientnet_lite0"), "bn2", 96),
    (lambda: zoo.timm_network(5, name="convnext_atto"), "stages", 96),
    (lambda: zoo.torchvision_network(5, name="mobilenet_v2"), "features", 96),
    pytest.param(lambda: zoo.torchvision_network(5, name="alexnet"), "features.11", 96, marks=pytest.mark.slow),
    (lambda: zoo.torchvision_network(5, name="squeezenet1_1"), "classifier.2", 96),
    (lambda: zoo.torchvision_network(5, name="shufflenet_v2_x0_5"), "conv5", 96),
], ids=["cnn", "lenet", "resnet", "lite", "convnext", "mobilenet", "alexnet", "squeezenet", "shufflenet"])  # fmt: skip
def test_it_is_what_captum_finds_in_the_layer_that_one_would_name(build, layer, side):
    captum = pytest.importorskip("captum.attr")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = build().eval()
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    theirs = captum.LayerGradCam(score_of(network), network.backbone.get_submodule(layer)).attribute(pixels, target=3)
    (ours,) = maps_of(network, pixels.numpy(), 3, ("a",) * 5)
    scale = theirs.abs().max().item()
    np.testing.assert_allclose(grad_cam(ours) / scale, theirs[:, 0].detach().numpy() / scale, atol=1e-4)


def test_a_network_that_looks_at_one_corner_is_found_out():
    (layer,) = maps_of(pooled(OneCorner()), picture())
    found = grad_cam(layer)[0]
    assert found.shape == (16, 16)
    assert np.abs(found[:8, :8]).max() > 0
    found[:8, :8] = 0
    assert not found.any()


def test_of_two_classes_what_speaks_for_the_one_speaks_against_the_other():
    network, pixels = pooled(), picture()
    (first,), (second,) = (maps_of(network, pixels, target) for target in (0, 1))
    np.testing.assert_allclose(grad_cam(first), -grad_cam(second), atol=1e-6)


def test_the_same_number_added_to_every_logit_changes_nothing():
    network, pixels = pooled(classes=3), picture()
    (before,) = maps_of(network, pixels, 1, ("a", "b", "c"))
    with torch.no_grad():
        network.head.bias += 7.0
        network.head.weight += torch.rand(4)  # the same for every class
    (after,) = maps_of(network, pixels, 1, ("a", "b", "c"))
    np.testing.assert_allclose(grad_cam(before), grad_cam(after), atol=1e-5)


def test_a_head_of_zeros_gives_zeros():
    network = pooled()
    torch.nn.init.zeros_(network.head.weight)
    (layer,) = maps_of(network, picture())
    assert not grad_cam(layer).any()
    assert evenness(layer) == 1.0


def test_the_only_class_has_nothing_against_it_and_nothing_for_it():
    (layer,) = maps_of(pooled(classes=1), picture(), 0, ("cat",))
    assert not grad_cam(layer).any()


def test_an_ensemble_shows_each_member_at_its_temperature():
    members = [pooled(seed=1), pooled(seed=2, channels=6)]
    alone = [maps_of(member, picture())[0] for member in members]
    together = maps_of(Ensemble(members, [2.0, 0.5]), picture())
    for one, same, temperature in zip(alone, together, (2.0, 0.5), strict=True):
        np.testing.assert_allclose(grad_cam(same) * temperature, grad_cam(one), atol=1e-6)


def test_a_batch_gives_what_its_pictures_give_alone():
    network, pixels = pooled(), np.concatenate([picture(seed=1), picture(seed=2)])
    (layer,) = maps_of(network, pixels)
    (alone,) = maps_of(network, pixels[1:])
    np.testing.assert_allclose(grad_cam(layer)[1], grad_cam(alone)[0], atol=1e-6)


def test_every_torch_form_is_layered_and_dense_layers_alone_show_nothing():
    predictor = TorchPredictor(mlp(2), CLASSES)
    assert isinstance(predictor, Layered)
    assert predictor.maps(picture(), 0) == ()


def test_where_one_member_shows_nothing_the_ensemble_shows_nothing():
    assert maps_of(Ensemble([pooled(), mlp(2)]), picture()) == ()


@pytest.mark.parametrize("slopes", [[1.0, 1.0, 1.0, 1.0], [-2.0, -2.0, -2.0, -2.0]])
def test_channels_that_count_alike_everywhere_are_even(slopes):
    gradients = np.array(slopes, dtype=np.float32).reshape(1, 1, 2, 2)
    assert evenness(LayerMaps(gradients, gradients)) == 1.0


def test_networks_with_a_mean_are_even_and_networks_that_flatten_are_not():
    assert evenness(maps_of(pooled(), picture())[0]) == pytest.approx(1.0)
    assert evenness(maps_of(cnn(2), picture())[0]) < 0.2
