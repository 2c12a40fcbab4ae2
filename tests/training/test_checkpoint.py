"""A training state in one file: whole or refused, and exact."""

import os

import pytest
import torch
from safetensors.torch import save_file

from eyebright.core.errors import DataError, ResourceError
from eyebright.training.checkpoint import (
    load_checkpoint,
    network_tensors,
    optimiser_tensors,
    restore_network,
    restore_optimiser,
    save_checkpoint,
)
from eyebright.training.optim import make_optimiser
from eyebright.training.recipe import Recipe

from .toys import changed, copied, normed, small_cnn

PIXELS = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)


def learn(network, optimiser, steps):
    for _ in range(steps):
        optimiser.zero_grad()
        network(PIXELS)[0].square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize("make", [normed, lambda seed=0: small_cnn(seed, dropout=0.0)])
@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_network_and_optimiser_go_on_to_the_same_bits(tmp_path, make, optimiser):
    recipe = Recipe(epochs=1, optimiser=optimiser, learning_rate=0.01, weight_decay=0.1)
    first = make(0).to(memory_format=torch.channels_last)
    first_optimiser = make_optimiser(first, recipe)
    learn(first, first_optimiser, 2)
    save_checkpoint(tmp_path / "c", network_tensors(first, "network") | optimiser_tensors(first, first_optimiser), {"step": 2})

    second = make(1).to(memory_format=torch.channels_last)
    second_optimiser = make_optimiser(second, recipe)
    tensors, state = load_checkpoint(tmp_path / "c")
    restore_network(second, tensors, "network")
    restore_optimiser(second, second_optimiser, tensors)

    assert state == {"step": 2}
    assert not changed(copied(first), copied(second))
    assert strides(first, first_optimiser) == strides(second, second_optimiser)
    for network, its_optimiser in ((first, first_optimiser), (second, second_optimiser)):
        learn(network, its_optimiser, 2)
    assert not changed(copied(first), copied(second))


def strides(network, optimiser):
    """The memory layout of each parameter and of each of its moments."""
    return [
        (name, layout(parameter), {key: layout(value) for key, value in optimiser.state[parameter].items()})
        for name, parameter in network.named_parameters()
    ]


def layout(tensor):
    return [stride for stride, side in zip(tensor.stride(), tensor.shape, strict=True) if side > 1]


def test_an_optimiser_without_memory_is_kept_too(tmp_path):
    network = normed()
    optimiser = make_optimiser(network, Recipe(epochs=1, optimiser="sgd", momentum=0.0))
    learn(network, optimiser, 1)
    save_checkpoint(tmp_path / "c", network_tensors(network, "network") | optimiser_tensors(network, optimiser), {})
    restore_optimiser(network, optimiser, load_checkpoint(tmp_path / "c")[0])


def test_two_networks_live_in_one_file_by_their_prefix(tmp_path):
    first, second = small_cnn(0), small_cnn(1)
    save_checkpoint(tmp_path / "c", network_tensors(first, "network") | network_tensors(second, "best"), {})
    tensors, _ = load_checkpoint(tmp_path / "c")
    other = small_cnn(2)
    restore_network(other, tensors, "best")
    assert not changed(copied(other), copied(second))
    restore_network(other, tensors, "network")
    assert not changed(copied(other), copied(first))


def test_numbers_in_the_state_come_back_as_they_were(tmp_path):
    state = {"loss": 0.1 + 0.2, "history": [{"loss": 1e-300}], "best": None, "ended": "früh"}
    save_checkpoint(tmp_path / "c", {"a": torch.zeros(1)}, state)
    assert load_checkpoint(tmp_path / "c")[1] == state


def test_a_damaged_checkpoint_is_refused_with_the_way_on(tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, {"a": torch.rand(30)}, {"step": 1})
    whole = path.read_bytes()
    for length in (0, 7, 40, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"c is not a whole checkpoint .* Delete it to repeat its stage"):
            load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"state": "{not json"}])
def test_a_file_of_tensors_without_a_state_is_no_checkpoint(tmp_path, metadata):
    save_file({"a": torch.zeros(1)}, tmp_path / "c", metadata=metadata)
    with pytest.raises(DataError, match="not a whole checkpoint"):
        load_checkpoint(tmp_path / "c")


def test_a_missing_checkpoint_is_a_plain_error(tmp_path):
    with pytest.raises(DataError, match="not a whole checkpoint"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(("failure", "seen"), [(OSError(28, "No space left"), ResourceError), (SystemExit(), SystemExit)])
def test_a_write_that_fails_half_way_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch, call, failure, seen):
    path = tmp_path / "c"
    save_checkpoint(path, {"a": torch.ones(3)}, {"step": 1})

    def fail(*arguments):
        raise failure

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(seen):
        save_checkpoint(path, {"a": torch.zeros(3)}, {"step": 2})
    tensors, state = load_checkpoint(path)
    assert (tensors["a"].tolist(), state) == ([1, 1, 1], {"step": 1})
    assert [file.name for file in tmp_path.iterdir()] == ["c"]
