"""How long training will take: measured on a copy, nothing of the network changed."""

import pytest
import torch

from eyebright.training import pace as room
from eyebright.training.pace import Pace, choose_precision, measure_pace
from eyebright.training.recipe import Recipe

from .toys import changed, coloured, copied, normed, small_cnn

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("make", [small_cnn, normed])
def test_measuring_the_pace_changes_nothing(make):
    network = make()
    before, modes, state = copied(network), [m.training for m in network.modules()], torch.get_rng_state()
    pace = measure_pace(network, coloured(48), Recipe(epochs=5, batch_size=12, unfreeze="head"), seconds=0.05)
    assert not changed(before, copied(network))
    assert [m.training for m in network.modules()] == modes
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert pace.evaluation > 0
    assert 0 < pace.training < 1


@pytest.mark.parametrize(("gain", "winner"), [(1.1, "fp32"), (1.2, "bf16"), (0.5, "fp32")])
def test_bf16_is_taken_where_it_gains_fifteen_percent(monkeypatch, gain, winner):
    paces = {"fp32": Pace(0.01, 0.002), "bf16": Pace(0.01 / gain, 0.001)}
    monkeypatch.setattr(room, "measure_pace", lambda network, train, recipe, **options: paces[recipe.precision])
    recipe, pace, reason = choose_precision(small_cnn(), coloured(12), Recipe(epochs=1))
    assert (recipe.precision, pace) == (winner, paces[winner])
    assert reason.startswith(f"100 pictures a second in fp32, {100 * gain:.0f} in bf16")


def test_a_single_picture_can_be_timed():
    assert measure_pace(small_cnn(), coloured(1), Recipe(epochs=1), seconds=0.01).training > 0


def test_the_pace_of_a_level_sample_is_that_of_the_batch_that_is_timed():
    """Sampling changes how many pictures an epoch shows, not how many a step takes."""
    uneven = coloured(4)
    recipe = Recipe(epochs=1, batch_size=64, sampling="over", average=0.9, clip=1.0, loss="focal")
    assert measure_pace(small_cnn(), uneven, recipe, seconds=0.01).training > 0
