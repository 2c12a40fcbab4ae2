"""The average of the weights: by hand, beside torch's own, and taken in and out without a trace."""

import pytest
import torch

from eyebright.training.average import WeightAverage
from eyebright.training.optim import freeze

from .toys import changed, copied, normed


def disturb(network, seed):
    """Every tensor of the state becomes something else."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.copy_(100 * torch.rand(tensor.shape, generator=generator))


def test_it_follows_the_network_quickly_at_first():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 100.0)
    average = WeightAverage(network, 0.15)
    torch.nn.init.constant_(network.weight, 0.0)
    seen = []
    for step in range(3):
        average.update(step)
        seen.append(average.tensors()["average/weight"].item())
    assert seen == pytest.approx([10, 1.5, 0.225])  # 1/10 is kept, then 0.15, as 2/11 is more


def test_with_a_constant_decay_it_is_torchs():
    network = normed()
    average = WeightAverage(network, 0.7)
    oracle = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.7), use_buffers=True
    )
    oracle.update_parameters(network)  # the first is a copy
    for seed in range(3):
        disturb(network, seed)
        average.update(1000 + seed)
        oracle.update_parameters(network)
    average.apply()
    for name, tensor in network.named_parameters():
        torch.testing.assert_close(tensor, oracle.module.get_parameter(name))
    for block in (0, 3):
        torch.testing.assert_close(network.backbone.stages[block].running_var, oracle.module.backbone.stages[block].running_var)


def test_within_the_network_has_the_average_and_afterwards_its_own_weights():
    network = normed()
    average = WeightAverage(network, 0.9)
    disturb(network, 1)
    average.update(50)
    own, kept = copied(network), {name: tensor.clone() for name, tensor in average.tensors().items()}
    with average.applied():
        within = copied(network)
    assert all(torch.equal(within[name.removeprefix("average/")], tensor) for name, tensor in kept.items())
    assert changed(own, within)
    assert not changed(own, copied(network))
    assert not changed(kept, average.tensors())


def test_a_failure_within_gives_the_network_its_weights_back():
    network = normed()
    average = WeightAverage(network, 0.9)
    disturb(network, 1)
    own = copied(network)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert not changed(own, copied(network))


def test_counters_and_what_is_frozen_are_not_kept_twice():
    network = normed()
    freeze(network, network.blocks(), network.head, "1")
    names = {name.removeprefix("average/") for name in WeightAverage(network, 0.9).tensors()}
    assert names == {
        *("head.weight", "head.bias", "backbone.stages.3.weight", "backbone.stages.3.bias"),
        *(f"backbone.stages.{block}.running_{what}" for block in (0, 3) for what in ("mean", "var")),
    }


def test_it_comes_back_from_a_checkpoint_in_its_own_memory_layout():
    first, second = normed(0).to(memory_format=torch.channels_last), normed(1).to(memory_format=torch.channels_last)
    average, other = WeightAverage(first, 0.9), WeightAverage(second, 0.9)
    layouts = {name: tensor.stride() for name, tensor in other.tensors().items()}
    other.restore({name: tensor.contiguous() for name, tensor in average.tensors().items()})
    assert not changed(average.tensors(), other.tensors())
    assert {name: tensor.stride() for name, tensor in other.tensors().items()} == layouts
