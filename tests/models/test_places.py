"""The last layer that knows where things are: the right one, in every family, and nothing left behind in the network."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from eyebright.models import places, zoo
from eyebright.models.cnn import cnn
from eyebright.models.lenet import lenet
from eyebright.models.mlp import mlp
from eyebright.models.network import PixelNetwork

pytestmark = pytest.mark.usefixtures("one_thread")


def first_class(outputs):
    return outputs[0][:, 0].sum()


def found(network, height, width=None):
    pixels = torch.rand(1, 3, height, width or height, generator=torch.Generator().manual_seed(0))
    return places.last_maps(network.eval(), pixels, first_class)


def timm(name, size=None):
    return zoo.timm_network(3, name=name, size=size)


def torchvision(name, size=None):
    return zoo.torchvision_network(3, name=name, size=size)


# What each is known for: the last map before the pooling; before that of VGG and AlexNet, not after.
@pytest.mark.parametrize(("build", "side", "expected"), [
    (lambda: cnn(3), 32, (64, 13, 13)),  # 32 - 2 = 30, 15, 13
    (lambda: lenet(3), 32, (16, 10, 10)),  # C3: C5 has one place
    (lambda: timm("resnet18"), 64, (512, 2, 2)),
    (lambda: timm("mobilenetv3_small_100"), 96, (576, 3, 3)),  # not the layers after its pooling
    (lambda: timm("vit_tiny_patch16_224", 96), 96, (192, 6, 6)),
    (lambda: timm("deit_tiny_distilled_patch16_224", 96), 96, (192, 6, 6)),
    (lambda: timm("mambaout_femto"), 96, (288, 3, 3)),  # channels last
    pytest.param(lambda: torchvision("swin_t"), 96, (768, 3, 3), marks=pytest.mark.slow),
    pytest.param(lambda: torchvision("vgg11"), 64, (512, 4, 4), marks=pytest.mark.slow),
    pytest.param(lambda: torchvision("alexnet"), 127, (256, 7, 7), marks=pytest.mark.slow),
    pytest.param(lambda: timm("densenet121"), 64, (1024, 2, 2), marks=pytest.mark.slow),
    pytest.param(lambda: torchvision("googlenet"), 64, (1024, 2, 2), marks=pytest.mark.slow),  # four branches side by side
])  # fmt: skip
def test_the_layer_before_the_pooling_is_found(build, side, expected):
    activations, gradients = found(build(), side)
    assert activations.shape == gradients.shape == (1, *expected)
    assert bool(gradients.any())


def test_pictures_need_not_be_square():
    activations, _ = found(timm("resnet18"), 64, 160)
    assert activations.shape == (1, 512, 2, 5)


def test_a_transformer_that_answers_by_its_class_token_shows_the_norm_before_the_last_attention():
    network = timm("vit_tiny_patch16_224", 64).eval()
    seen = []
    hook = network.backbone.blocks[-1].norm1.register_forward_hook(lambda module, given, gave: seen.append(gave))
    activations, _ = found(network, 64)
    hook.remove()
    # 17 tokens, the first without a place -> 4 x 4
    np.testing.assert_array_equal(activations[0, :, 1, 2].numpy(), seen[0][0, 1 + 4 + 2].detach().numpy())


def test_gradients_are_how_fast_the_score_rises():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten())
    network = PixelNetwork(nn.Identity(), backbone, nn.Linear(4 * 6 * 6, 3))
    activations, gradients = found(network, 8)
    # The class is a weighted sum of the map, so its slopes are the weights.
    np.testing.assert_array_equal(gradients.flatten().numpy(), network.head.weight[0].detach().numpy())
    assert float(activations.abs().max()) < 1.0  # after the tanh


@pytest.mark.parametrize(("build", "side"), [
    (lambda: mlp(3), 32),
    (lambda: timm("levit_128s"), 224),  # its attention halves the grid without a convolution
    pytest.param(lambda: timm("hiera_tiny_224"), 224, marks=pytest.mark.slow),
])  # fmt: skip
def test_where_no_late_layer_knows_places_there_is_none(build, side):
    assert found(build(), side) is None


def test_a_convolution_to_one_place_is_no_map():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 8), nn.ReLU(), nn.Flatten())
    assert found(PixelNetwork(nn.Identity(), backbone, nn.Linear(4, 3)), 8) is None


def test_a_frozen_network_has_gradients_too():
    network = cnn(3, height=12, width=12).requires_grad_(False)
    assert bool(found(network, 12)[1].any())


def test_the_network_is_left_as_it_was():
    network = timm("test_resnet").eval()
    found(network, 64)
    assert not any(part._forward_hooks or part._backward_hooks or part._forward_pre_hooks for part in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_threads_that_ask_the_same_network_do_not_see_each_other():
    network = cnn(3, height=16, width=16).eval()
    batches = [torch.rand(1 + number % 2, 3, 16, 16, generator=torch.Generator().manual_seed(number)) for number in range(6)]
    alone = [places.last_maps(network, batch, first_class) for batch in batches]
    wrong = []

    def ask(batch, expected):
        for _ in range(20):
            with torch.no_grad():
                network(batch)
            here = places.last_maps(network, batch, first_class)
            if not all(torch.allclose(one, other, atol=1e-6) for one, other in zip(here, expected, strict=True)):
                wrong.append(len(batch))

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(batches, alone, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
