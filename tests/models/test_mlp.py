"""The multilayer perceptron: dense layers alone."""

import pytest
import torch

from eyebright.core.errors import SettingsError
from eyebright.models.mlp import mlp
from eyebright.models.network import parameter_count


def test_the_parameters_are_those_of_its_layers():
    # 3 * 32 * 32 = 3,072 inputs: 3,072 * 512 + 512, then 512 * 512 + 512, then 512 * 10 + 10
    assert parameter_count(mlp(10)) == 1_573_376 + 262_656 + 5_130
    # one layer of 7 units on 4 * 5 grey pixels: 20 * 7 + 7, then 7 * 3 + 3
    assert parameter_count(mlp(3, height=4, width=5, grey=True, hidden=7, layers=1)) == 147 + 24


def test_logits_and_features_have_their_shapes():
    logits, features = mlp(4, height=6, width=9, hidden=11)(torch.rand(3, 3, 6, 9))
    assert (logits.shape, features.shape) == ((3, 4), (3, 11))
    assert features.min() >= 0  # after the ReLU


def test_it_sees_no_neighbourhoods():
    """The same shuffle of all pixels, undone in the first layer's weights, changes nothing."""
    torch.manual_seed(0)
    network = mlp(4, height=5, width=5).eval()
    pixels, order = torch.rand(3, 3, 5, 5), torch.randperm(75)
    expected = network(pixels)[0]
    with torch.no_grad():
        network.backbone[1].weight.copy_(network.backbone[1].weight[:, order])
    torch.testing.assert_close(network(pixels.flatten(1)[:, order].reshape(3, 3, 5, 5))[0], expected)


def test_dropout_acts_after_every_layer_in_training_only():
    torch.manual_seed(0)
    network, pixels = mlp(4, height=5, width=5, layers=3, dropout=0.5), torch.rand(2, 3, 5, 5)
    assert [type(part).__name__ for part in network.backbone].count("Dropout") == 2  # the third is the network's own
    assert not torch.equal(network(pixels)[1], network(pixels)[1])
    assert torch.equal(network.eval()(pixels)[0], network(pixels)[0])


@pytest.mark.parametrize("wrong", [{"layers": 0}, {"hidden": 0}, {"height": 0}])
def test_a_network_of_nothing_is_refused(wrong):
    with pytest.raises(SettingsError, match="at least 1 of each is needed"):
        mlp(3, **wrong)
