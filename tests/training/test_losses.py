"""The losses: torch's own where it has them, its detection loss for the focal one, and what holds for shared targets."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from eyebright.models.zoo import torchvision_models
from eyebright.training.losses import cross_entropy, focal, make_loss
from eyebright.training.recipe import Recipe

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(20, 4, generator=GENERATOR)
LABELS = torch.arange(20) % 4
ONE_HOT = F.one_hot(LABELS, 4).float()
WEIGHTS = torch.tensor([0.5, 1.0, 3.0, 0.0])
shares = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda raw: torch.tensor(raw) / sum(raw))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_for_class_numbers_cross_entropy_is_torchs_to_the_last_bit(weights, smoothing):
    expected = F.cross_entropy(LOGITS, LABELS, weight=weights, label_smoothing=smoothing)
    assert torch.equal(cross_entropy(LOGITS, LABELS, weights=weights, smoothing=smoothing), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_shares_of_one_and_zero_are_class_numbers(weights, smoothing):
    expected = F.cross_entropy(LOGITS, LABELS, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(LOGITS, ONE_HOT, weights=weights, smoothing=smoothing), expected)
    for gamma in (0.5, 2.0):
        options = {"gamma": gamma, "weights": weights, "smoothing": smoothing}
        assert torch.equal(focal(LOGITS, ONE_HOT, **options), focal(LOGITS, LABELS, **options))


def test_for_shares_without_weights_cross_entropy_is_torchs():
    targets = torch.rand(20, 4, generator=GENERATOR).softmax(dim=1)
    expected = F.cross_entropy(LOGITS, targets, label_smoothing=0.1)
    torch.testing.assert_close(cross_entropy(LOGITS, targets, smoothing=0.1), expected)


def test_mixed_targets_share_the_loss_of_both_labels():
    # Zhang et al. 2018, "mixup", section 3: lambda loss(a) + (1 - lambda) loss(b)
    other = (LABELS + 1) % 4
    mixed = 0.3 * ONE_HOT + 0.7 * F.one_hot(other, 4)
    for loss in (cross_entropy, focal):
        expected = 0.3 * loss(LOGITS, LABELS) + 0.7 * loss(LOGITS, other)
        torch.testing.assert_close(loss(LOGITS, mixed), expected)


def test_of_two_classes_the_focal_loss_is_that_of_detection():
    torchvision_models()  # its operators are declared first
    from torchvision.ops import sigmoid_focal_loss

    score = 2 * torch.randn(50, generator=GENERATOR)
    labels = (torch.arange(50) % 3 == 0).long()
    # softmax over (0, x) is the sigmoid of x
    logits = torch.stack([torch.zeros(50), score], dim=1)
    expected = sigmoid_focal_loss(score, labels.float(), alpha=-1, gamma=1.5, reduction="mean")
    torch.testing.assert_close(focal(logits, labels, gamma=1.5), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_with_gamma_zero_the_focal_loss_is_cross_entropy(weights):
    expected = cross_entropy(LOGITS, LABELS, weights=weights, smoothing=0.1)
    torch.testing.assert_close(focal(LOGITS, LABELS, gamma=0.0, weights=weights, smoothing=0.1), expected)


def test_weights_are_the_alpha_of_the_focal_loss():
    p = LOGITS.softmax(dim=1)[torch.arange(20), LABELS].double().numpy()
    alpha = WEIGHTS.numpy()[LABELS]
    expected = -(alpha * (1 - p) ** 2 * np.log(p)).sum() / alpha.sum()
    assert focal(LOGITS, LABELS, gamma=2.0, weights=WEIGHTS).item() == pytest.approx(expected, rel=1e-5)


@given(shares, st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.floats(0.1, 10))
def test_scaling_every_weight_changes_nothing(targets, gamma, scale):
    weights = torch.tensor([0.5, 1.0, 3.0, 2.0])
    one = focal(LOGITS[:1], targets[None], gamma=gamma, weights=weights)
    torch.testing.assert_close(focal(LOGITS[:1], targets[None], gamma=gamma, weights=scale * weights), one)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_a_picture_that_is_known_for_certain_gives_a_finite_gradient(gamma):
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)  # certain and right, certain and wrong
    loss = focal(logits, torch.tensor([0, 0]), gamma=gamma)
    loss.backward()
    assert loss.item() == pytest.approx(100)  # (0 + 200) / 2
    assert logits.grad[0].tolist() == [0, 0]
    # -log p is 200 - x for the wrong one, halved by the mean
    assert logits.grad[1].tolist() == pytest.approx([-0.5, 0.5])


def test_the_recipe_names_its_loss():
    weights = torch.tensor([1.0, 1.0, 2.0, 1.0])
    for recipe, expected in (
        (Recipe(epochs=1), cross_entropy(LOGITS, LABELS, weights=weights)),
        (Recipe(epochs=1, label_smoothing=0.1), cross_entropy(LOGITS, LABELS, weights=weights, smoothing=0.1)),
        (Recipe(epochs=1, loss="focal", focal_gamma=3), focal(LOGITS, LABELS, gamma=3, weights=weights)),
        (
            Recipe(epochs=1, loss="focal", label_smoothing=0.1),
            focal(LOGITS, LABELS, gamma=2, weights=weights, smoothing=0.1),
        ),
    ):
        assert torch.equal(make_loss(recipe, weights)(LOGITS, LABELS), expected)
