"""The frozen stages of a network in ONNX Runtime: the same answers, for as long as they are open and suit the pictures."""

import copy

import pytest
import torch

from eyebright.backends.stages_ import GraphStages
from eyebright.core.errors import ModelError
from eyebright.export.plain import plain_model
from eyebright.models.depths import FirstStages
from eyebright.models.lite0 import lite0, load_pretrained

SIDE, STAGES = 64, 5


def pixels(n=3, side=SIDE):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    network = lite0(3, depths=5)
    load_pretrained(network)
    return network.eval()


@pytest.fixture
def stages(network):
    parts = FirstStages(network, STAGES)
    graph = plain_model(parts, (SIDE, SIDE), parts.outputs)
    assert graph is not None
    return GraphStages(graph.SerializeToString(), STAGES, threads=2)


@torch.no_grad()
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_network_that_is_begun_elsewhere_answers_as_by_itself(network, stages, layout):
    ours = copy.deepcopy(network)
    ours.frozen_stages = stages
    given = pixels().contiguous(memory_format=layout)
    begun = stages(given)
    assert begun is not None
    assert begun[0].is_contiguous(memory_format=layout)
    for found, expected in zip(ours(given), network(given), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_is_trained_gets_the_gradients_it_would_have_got_by_itself(network, stages):
    gradients = []
    for begun_by in (None, stages):
        ours = copy.deepcopy(network)
        ours.frozen_stages = begun_by
        ours.requires_grad_(False)
        ours.backbone.blocks[STAGES:].requires_grad_(True)
        ours(pixels())[0].square().sum().backward()
        gradients.append([parameter.grad for parameter in ours.backbone.blocks[STAGES:].parameters()])
    for found, expected in zip(*reversed(gradients), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_an_answer_does_not_depend_on_the_pictures_beside_it(stages):
    together, alone = stages(pixels()), stages(pixels()[1:2])
    assert all(torch.equal(one[1:2], other) for one, other in zip(together, alone, strict=True))


@torch.no_grad()
def test_pictures_of_another_size_and_none_at_all_are_the_networks_own(network, stages):
    ours = copy.deepcopy(network)
    ours.frozen_stages = stages
    assert stages(pixels(side=32)) is None
    assert stages(pixels(n=0)) is None
    torch.testing.assert_close(ours(pixels(side=32))[0], network(pixels(side=32))[0])


def test_copies_share_it_and_are_on_their_own_once_it_is_closed(network, stages):
    ours = copy.deepcopy(network)
    ours.frozen_stages = stages
    other = copy.deepcopy(ours)
    assert other.frozen_stages is stages
    stages.close()
    assert other.frozen_stages(pixels()) is None
    with torch.no_grad():
        assert torch.equal(other(pixels())[0], network(pixels())[0])


def test_a_damaged_graph_is_refused():
    with pytest.raises(ModelError, match="cannot be opened"):
        GraphStages(b"nothing", STAGES, threads=1)
