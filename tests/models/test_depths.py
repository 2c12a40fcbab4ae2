"""Features of several depths: the network's own maps, averaged, and what each place of them adds to the answer."""

import pytest
import torch

from eyebright.core.errors import SettingsError
from eyebright.models import lite0
from eyebright.models.depths import FirstStages, SeveralDepths, side_by_side
from eyebright.models.network import load_weights
from eyebright.models.places import last_maps

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(side=64, n=2):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def deep():
    network = lite0.lite0(3, depths=lite0.SEVERAL)
    lite0.load_pretrained(network)
    return network.eval()


@torch.no_grad()
def test_the_last_of_several_depths_is_the_usual_features(deep):
    usual = lite0.lite0(3)
    lite0.load_pretrained(usual)
    features = deep.embed(pictures())
    assert features.shape == (2, 80 + 112 + 192 + 320 + 1280)
    torch.testing.assert_close(features[:, -1280:], usual.eval().embed(pictures()), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_others_are_the_means_of_the_stages_maps(deep):
    """The stages watched from outside, as they are called."""
    seen = []
    watches = [stage.register_forward_hook(lambda module, given, out: seen.append(out)) for stage in deep.backbone.blocks[3:]]
    features = deep.embed(pictures())
    for watch in watches:
        watch.remove()
    expected = torch.cat([one.mean((2, 3)) for one in seen], dim=1)
    torch.testing.assert_close(features[:, :-1280], expected)


def test_weights_go_by_the_same_names_whatever_the_depth(deep):
    usual = lite0.lite0(3)
    load_weights(usual.backbone, deep.backbone.state_dict())
    assert len(deep.blocks()) == len(usual.blocks())


@pytest.mark.parametrize("side", [64, 96, 224])
def test_what_the_places_add_is_what_the_head_makes_of_the_picture(deep, side):
    """The head is linear in the means, so the maps' products with the gradients add up to the logit, but for the bias."""
    pixels = pictures(side)
    layer, slope = last_maps(deep, pixels, lambda outputs: outputs[0][:, 1].sum())
    assert layer.shape == slope.shape == (2, 1984, side // 16, side // 16)
    with torch.no_grad():
        logit = deep(pixels)[0][:, 1] - deep.head.bias[1]
    torch.testing.assert_close((layer * slope).sum((1, 2, 3)), logit, rtol=1e-4, atol=1e-4)


def test_coarser_maps_repeat_their_places():
    fine, coarse = torch.zeros(1, 1, 2, 4), torch.tensor([[[[1.0, 2.0]]]])
    assert side_by_side([fine, coarse])[0, 1].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


@pytest.mark.parametrize("depths", [0, 9])
def test_more_depths_than_there_are_are_refused(depths):
    with pytest.raises(SettingsError, match="1 to 8"):
        lite0.lite0(3, depths=depths)


@torch.no_grad()
def test_all_eight_depths_can_be_asked_for():
    assert lite0.lite0(2, depths=8).eval().embed(pictures(32, 1)).shape == (1, 16 + 24 + 40 + 1984)


@torch.no_grad()
@pytest.mark.parametrize("depths", [1, 3, 5, 8])
@pytest.mark.parametrize("stages", [1, 3, 5, 7])
def test_begun_and_ended_the_features_are_those_of_the_whole(depths, stages):
    """Wherever it is cut: with and without features among the stages begun."""
    backbone = SeveralDepths(lite0.lite0(3).backbone, depths).eval()
    pixels = pictures() * 2 - 1
    begun = backbone.first_stages(pixels, stages)
    torch.testing.assert_close(backbone.other_stages(begun, stages), backbone(pixels))
    network = lite0.lite0(3, depths=max(2, depths))  # at one depth it is the usual network, which is not cut
    parts = FirstStages(network, stages)
    assert len(parts.outputs) == len(parts(pixels))


def test_the_stages_among_the_frozen_blocks():
    """Eleven blocks: the stem, its norm, seven stages, the last convolution and its norm."""
    network = lite0.lite0(3, depths=5)
    assert len(network.blocks()) == 11
    assert [network.backbone.stages_of(frozen) for frozen in (0, 1, 2, 3, 7, 9, 10, 11)] == [0, 0, 0, 1, 5, 7, 7, 7]
