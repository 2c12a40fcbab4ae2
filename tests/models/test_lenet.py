"""LeNet-5 against the numbers of its paper."""

import pytest
import torch
from torch import nn

from eyebright.core.errors import SettingsError
from eyebright.models.lenet import CONNECTIONS, PartlyConnected, Squash, Subsampling, lenet
from eyebright.models.network import parameter_count


def test_the_layers_have_as_many_parameters_as_section_ii_b_says():
    # C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164: "60,000 trainable parameters"
    counts = [parameter_count(layer) for layer in lenet(10, grey=True).backbone]
    assert [count for count in counts if count] == [156, 12, 1_516, 32, 48_120, 10_164]
    assert sum(counts) == 60_000


def test_each_map_of_c3_sees_the_maps_of_s2_that_table_i_gives_it_and_no_other():
    layer = PartlyConnected()
    maps = torch.rand(1, 6, 5, 5, requires_grad=True)
    answers = layer(maps)[0, :, 0, 0]
    seen = []
    for answer in answers:
        (slope,) = torch.autograd.grad(answer, maps, retain_graph=True)
        seen.append(tuple(slope[0].abs().sum((1, 2)).nonzero().flatten().tolist()))
    assert seen == [tuple(sorted(row)) for row in CONNECTIONS]
    # Column by column in the paper: every map of S2 goes to ten maps of C3.
    assert [sum(index in row for row in CONNECTIONS) for index in range(6)] == [10] * 6


def test_subsampling_is_a_mean_with_one_coefficient_and_one_bias():
    layer = Subsampling(1)
    nn.init.constant_(layer.coefficient, 2.0)
    nn.init.constant_(layer.bias, 0.5)
    # (1 + 2 + 3 + 6) / 4 = 3;  3 * 2 + 0.5 = 6.5
    assert layer(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).item() == 6.5


def test_the_squashing_function_keeps_one_and_minus_one():
    torch.testing.assert_close(Squash()(torch.tensor([1.0, -1.0, 0.0])), torch.tensor([1.0, -1.0, 0.0]), atol=1e-4, rtol=0)


def test_black_and_white_become_what_the_paper_gives_its_network():
    prepared = lenet(10, grey=True).prepare(torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)]))
    torch.testing.assert_close(prepared[:, 0, 0, 0], torch.tensor([-0.1, 1.175]))
    assert prepared.shape == (2, 1, 2, 2)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 40), (28, 28), (33, 65)])
def test_other_sizes_are_taken_whole(height, width):
    logits, features = lenet(5, height=height, width=width)(torch.rand(2, 3, height, width))
    assert (logits.shape, features.shape) == ((2, 5), (2, 84))
    assert features.abs().max() <= 1.7159


@pytest.mark.parametrize(("height", "width"), [(15, 32), (32, 15)])
def test_a_picture_of_fifteen_pixels_is_refused(height, width):
    with pytest.raises(SettingsError, match=r"lenet needs at least 16 x 16 pixels, and was made for 32 x 32"):
        lenet(5, height=height, width=width)


def test_units_begin_with_a_spread_of_about_one():
    # Inputs of mean 0 and variance 1 to a unit with weights of variance 1/inputs: a sum of variance 1
    torch.manual_seed(0)
    layer = lenet(1000).head
    spread = layer(torch.randn(2000, 84)).std().item()
    assert spread == pytest.approx(1, abs=0.02)
