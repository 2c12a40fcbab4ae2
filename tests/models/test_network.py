"""The one shape of every network: pixels in, logits and features out, normalisation inside."""

import torch
from torch import nn

from eyebright.models.network import Luminance, Normalise, PixelNetwork, parameter_count


def toy():
    """A network whose backbone holds a container, a bare layer and layers without parameters."""
    backbone = nn.Sequential()
    backbone.add_module("stem", nn.Conv2d(3, 4, 3))
    backbone.add_module("stages", nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Conv2d(5, 6, 3)))
    backbone.add_module("pool", nn.AdaptiveAvgPool2d(1))
    backbone.add_module("flat", nn.Flatten())
    backbone.add_module("neck", nn.Linear(6, 7))
    return PixelNetwork(nn.Identity(), backbone, nn.Linear(7, 2))


def test_blocks_run_from_the_input_to_the_output_and_all_have_parameters():
    network = toy()
    inside = network.backbone
    assert network.blocks() == [inside.stem, inside.stages[0], inside.stages[2], inside.neck]


def test_blocks_hold_every_parameter_of_the_backbone_once():
    network = toy()
    in_blocks = [parameter for block in network.blocks() for parameter in block.parameters()]
    assert {id(p) for p in in_blocks} == {id(p) for p in network.backbone.parameters()}
    assert len(in_blocks) == len(list(network.backbone.parameters()))


def test_the_logits_are_the_heads_answer_to_the_features():
    network = toy().eval()
    logits, features = network(torch.rand(3, 3, 9, 9))
    torch.testing.assert_close(logits, features @ network.head.weight.T + network.head.bias)


def test_normalising_takes_the_mean_and_divides_by_the_spread_of_each_channel():
    pixels = torch.tensor([0.5, 0.2, 1.0]).reshape(1, 3, 1, 1)
    # (0.5 - 0.5) / 0.5 = 0;  (0.2 - 0.1) / 0.2 = 0.5;  (1 - 0) / 0.25 = 4
    torch.testing.assert_close(Normalise((0.5, 0.1, 0), (0.5, 0.2, 0.25))(pixels).flatten(), torch.tensor([0.0, 0.5, 4.0]))


def test_the_luminance_of_white_is_one_and_green_weighs_most():
    one_each = torch.eye(3).reshape(3, 3, 1, 1)
    torch.testing.assert_close(Luminance()(one_each).flatten(), torch.tensor([0.299, 0.587, 0.114]))
    torch.testing.assert_close(Luminance()(torch.ones(1, 3, 1, 1)).item(), 1.0)


def test_fixed_statistics_are_no_weights():
    # They are rebuilt from the architecture: a file of weights neither holds nor changes them.
    assert not Normalise((0.5,) * 3, (0.5,) * 3).state_dict()
    assert not Luminance().state_dict()


def test_parameters_are_counted_without_buffers():
    # 2 * 3 weights and 2 biases; a batch norm's running mean and variance are not learned by gradient
    assert parameter_count(nn.Linear(3, 2)) == 8
    assert parameter_count(nn.BatchNorm2d(5)) == 10
