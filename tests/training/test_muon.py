"""Muon: filters move along orthogonal directions, all else as under torch's SGD."""

import pytest
import torch

from eyebright.training.muon import Muon, orthogonalised


def filters(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (64, 2, 3, 3), (16, 16, 3, 3)])
def test_singular_values_are_drawn_near_one_and_directions_stay(shape):
    """Three steps of the quintic lift small ones and overshoot by a fifth (airbench's constants trade evenness for speed)."""
    given = filters(*shape)
    left, _, right = torch.linalg.svd(given.reshape(len(given), -1), full_matrices=False)
    found = orthogonalised(given).reshape(len(given), -1)
    inner = left.T @ found @ right.T
    assert 0.3 < inner.diagonal().min() < inner.diagonal().max() < 1.3
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 0.05


def test_the_size_of_a_gradient_does_not_matter():
    given = filters(8, 4, 3, 3)
    torch.testing.assert_close(orthogonalised(1e4 * given), orthogonalised(given), atol=0.02, rtol=0)


def test_filters_are_brought_to_the_root_of_their_number_before_they_move():
    weight = torch.nn.Parameter(5 * filters(9, 4, 3, 3))
    optimiser = Muon([{"params": [weight], "kind": "filters", "lr": 0.0}])
    weight.grad = filters(9, 4, 3, 3, seed=1)
    optimiser.step()
    assert weight.norm().item() == pytest.approx(3)  # of 9 filters


def test_a_step_takes_the_nesterov_momentum_of_the_gradients():
    """Two gradients g and h at momentum m: the second move is along h + m (m g + h)."""
    weight, g, h = torch.nn.Parameter(filters(4, 2, 3, 3)), filters(4, 2, 3, 3, seed=1), filters(4, 2, 3, 3, seed=2)
    optimiser = Muon([{"params": [weight], "kind": "filters", "lr": 0.1, "momentum": 0.6}])
    for gradient in (g, h):
        before = weight.detach() * (2 / weight.detach().norm())
        weight.grad = gradient
        optimiser.step()
    torch.testing.assert_close(before - weight.detach(), 0.1 * orthogonalised(h + 0.6 * (0.6 * g + h)))


def test_everything_else_moves_as_under_torchs_sgd():
    ours, theirs = (torch.nn.Parameter(filters(5)) for _ in range(2))
    rates = {"lr": 0.1, "momentum": 0.85, "weight_decay": 0.03}
    pairs = [(ours, Muon([{"params": [ours], "kind": "plain", **rates}]))]
    pairs.append((theirs, torch.optim.SGD([theirs], nesterov=True, **rates)))
    for step in range(4):
        for parameter, optimiser in pairs:
            parameter.grad = filters(5, seed=step) + parameter.detach()
            optimiser.step()
    torch.testing.assert_close(ours, theirs)


def test_what_has_no_gradient_stays():
    weight = torch.nn.Parameter(filters(4, 2, 3, 3))
    before = weight.detach().clone()
    Muon([{"params": [weight], "kind": "filters", "lr": 0.1}]).step()
    assert torch.equal(weight, before)
