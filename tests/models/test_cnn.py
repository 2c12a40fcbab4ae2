"""The classic small network."""

import pytest
import torch
from torch import nn

from eyebright.core.errors import SettingsError
from eyebright.models.cnn import cnn
from eyebright.models.network import parameter_count


def test_the_parameters_are_those_of_the_same_network_in_keras():
    # conv 3 -> 32:      3 * 3 * 3 * 32 + 32   =       896
    # conv 32 -> 64:     3 * 3 * 32 * 64 + 64  =    18,496
    # 32 -> 30 -> 15 -> 13 -> 6 pixels a side: 6 * 6 * 64 = 2,304 inputs of the dense layer
    # dense -> 512:      2,304 * 512 + 512     = 1,180,160
    # dense -> 10:       512 * 10 + 10         =     5,130
    assert parameter_count(cnn(10)) == 896 + 18_496 + 1_180_160 + 5_130


def test_a_grey_network_learns_one_channel():
    # The first convolution alone shrinks, by two channels: 2 * 3 * 3 * 32 = 576
    assert parameter_count(cnn(10)) - parameter_count(cnn(10, grey=True)) == 576


def test_a_grey_network_answers_alike_for_pictures_of_equal_luminance():
    torch.manual_seed(0)
    network = cnn(4, height=16, width=16, grey=True).eval()
    colour = torch.rand(3, 3, 16, 16)
    red, green, blue = colour.unbind(1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None].expand(3, 3, 16, 16)
    torch.testing.assert_close(network(colour)[0], network(grey)[0])
    torch.testing.assert_close(network(grey)[0], network.head(network.backbone(grey[:, :1])))


def test_colours_of_unlike_luminance_are_told_apart_by_a_grey_network():
    torch.manual_seed(0)
    network = cnn(4, height=16, width=16, grey=True).eval()
    colour = torch.rand(1, 3, 16, 16)
    assert not torch.allclose(network(colour)[0], network(colour.flip(1))[0])


@pytest.mark.parametrize(("height", "width"), [(10, 10), (10, 40), (11, 13), (28, 28)])
def test_the_smallest_sizes_give_logits_and_features(height, width):
    logits, features = cnn(5, height=height, width=width, hidden=7)(torch.rand(2, 3, height, width))
    assert logits.shape == (2, 5)
    assert features.shape == (2, 7)
    assert features.min() >= 0  # after the ReLU


@pytest.mark.parametrize(("height", "width"), [(9, 32), (32, 9)])
def test_a_picture_of_nine_pixels_is_refused(height, width):
    with pytest.raises(SettingsError, match=r"--size is .* cnn needs at least 10 x 10 pixels. Give a larger --size"):
        cnn(5, height=height, width=width)


def test_initial_weights_are_glorots_and_biases_zero():
    torch.manual_seed(0)
    layers = [layer for layer in cnn(10).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        field = layer.weight[0, 0].numel() if layer.weight.ndim == 4 else 1
        limit = (6 / ((layer.weight.shape[0] + layer.weight.shape[1]) * field)) ** 0.5  # Glorot and Bengio 2010, eq. 16
        assert 0.9 * limit < layer.weight.abs().max() <= limit
        assert not layer.bias.any()


def test_dropout_acts_on_the_features_in_training_only():
    torch.manual_seed(0)
    network = cnn(3, height=12, width=12, dropout=0.5)
    pixels = torch.rand(2, 3, 12, 12)
    assert not torch.equal(network.train()(pixels)[0], network(pixels)[0])
    assert torch.equal(network(pixels)[1], network(pixels)[1])
    assert torch.equal(network.eval()(pixels)[0], network(pixels)[0])
