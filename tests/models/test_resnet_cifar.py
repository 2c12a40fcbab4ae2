"""ResNets for small pictures: the paper's layers and parameters, and its shortcuts without parameters."""

import pytest
import torch
from torch import nn

from eyebright.core.bundle import Architecture
from eyebright.core.errors import SettingsError
from eyebright.models.catalogue import build, own_size
from eyebright.models.names import BUILT_IN
from eyebright.models.network import parameter_count
from eyebright.models.resnet_cifar import DEPTHS, Block, resnet_cifar

# He et al. 2016, table 6, in millions
MILLIONS = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_depth_has_the_layers_and_parameters_of_the_paper(depth):
    network = build(Architecture(name=f"resnet{depth}-cifar"), 10)
    assert sum(isinstance(part, nn.Conv2d | nn.Linear) for part in network.modules()) == depth
    assert round(parameter_count(network) / 1e6, 1 if depth == 110 else 2) == MILLIONS[depth]


def test_a_stage_halves_the_sides_and_the_features_are_means_of_64_maps():
    network = build(Architecture(name="resnet20-cifar"), 3).eval()
    sides = []
    for stage in (network.backbone.layer1, network.backbone.layer2, network.backbone.layer3):
        stage.register_forward_hook(lambda part, given, found: sides.append(found.shape[2]))
    logits, features = network(torch.rand(2, 3, 32, 32))
    assert (sides, logits.shape, features.shape) == ([32, 16, 8], (2, 3), (2, 64))


def test_a_shortcut_takes_every_second_place_and_adds_zeros_on_both_sides():
    block = Block(4, 8, stride=2).eval()
    for norm in (block.bn1, block.bn2):
        nn.init.zeros_(norm.weight)  # the convolutions say nothing: what comes out is the shortcut
    maps = torch.rand(1, 4, 6, 6)
    found = block(maps)
    assert torch.equal(found[:, 2:6], maps[:, :, ::2, ::2])
    assert not found[:, :2].any()
    assert not found[:, 6:].any()


def test_a_block_within_a_stage_adds_its_input():
    block = Block(4, 4, stride=1).eval()
    nn.init.zeros_(block.bn2.weight)
    maps = torch.rand(1, 4, 5, 5)
    assert torch.equal(block(maps), maps)


def test_other_depths_of_the_family_can_be_built_and_no_others():
    assert len(resnet_cifar(2, depth=14).backbone.layer3) == 2
    with pytest.raises(ValueError, match="21 is no depth"):
        resnet_cifar(2, depth=21)


def test_it_is_trained_from_scratch_at_32_pixels_and_listed():
    assert own_size("resnet20-cifar") == 32
    assert {f"resnet{depth}-cifar" for depth in DEPTHS} <= {info.name for info in BUILT_IN if info.weights == "none"}


def test_it_has_no_stochastic_depth():
    with pytest.raises(SettingsError, match="stochastic depth"):
        build(Architecture(name="resnet20-cifar", arguments={"drop_path": 0.1}), 2)
