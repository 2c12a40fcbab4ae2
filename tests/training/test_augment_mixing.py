"""Mixup and CutMix: shares of pictures are shares of targets."""

import numpy as np
import pytest
import torch
from scipy import stats

from eyebright.training.augment import OFF, Augment, mixed
from eyebright.training.augment.mixing import _beta

from .changes import hashes_of, noise

BOTH = Augment(mixup=0.4, cutmix=1)


def flat(n, height=20, width=30):
    """Pictures of one number each, so that a pixel says whose it is; and targets by picture."""
    pixels = torch.arange(n, dtype=torch.float32)[:, None, None, None].expand(n, 3, height, width) / n
    return pixels.contiguous(), torch.eye(n)


def mix(pixels, targets, augment, *, seed=0, epoch=0, rows=None):
    hashes = hashes_of(len(pixels)) if rows is None else hashes_of(max(rows) + 1)[rows]
    return mixed(pixels, targets, hashes, augment, seed=seed, epoch=epoch)


@pytest.mark.parametrize("augment", [Augment(mixup=0.4), Augment(cutmix=1), BOTH])
def test_targets_are_the_shares_of_what_is_seen(augment):
    pixels, targets = flat(50)
    mixture, shares = mix(pixels, targets, augment)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(50))
    # A picture's mean is the mean of the two by their shares, since each is plain.
    torch.testing.assert_close(mixture.mean(dim=(1, 2, 3)), shares @ pixels[:, 0, 0, 0], atol=1e-5, rtol=0)
    assert ((shares > 0).sum(dim=1) <= 2).all()


def test_mixup_adds_two_pictures():
    pixels, targets = noise(8), torch.eye(8)
    mixture, shares = mix(pixels, targets, Augment(mixup=1))
    torch.testing.assert_close(mixture, torch.einsum("ij,jchw->ichw", shares, pixels), atol=1e-6, rtol=0)


def test_cutmix_pastes_a_box_and_counts_its_pixels():
    pixels, targets = flat(200)
    mixture, shares = mix(pixels, targets, Augment(cutmix=1))
    pasted = (mixture != pixels).any(dim=1)
    torch.testing.assert_close(1 - shares.diagonal(), pasted.float().mean(dim=(1, 2)), atol=1e-6, rtol=0)
    for box in pasted[pasted.any(dim=2).any(dim=1)]:
        assert box.sum() == box.any(dim=0).sum() * box.any(dim=1).sum()
    assert mixture.unique().numel() == 200  # whole pixels of the one or the other, nothing between


def test_every_picture_is_some_others_partner_and_never_its_own():
    pixels, targets = flat(40)
    _, shares = mix(pixels, targets, Augment(mixup=10))  # shares about one half, never nought or one
    other = shares.clone().fill_diagonal_(0)
    assert ((other > 0).sum(dim=1) == 1).all()
    assert ((other > 0).sum(dim=0) == 1).all()


def test_with_both_on_each_takes_half_of_the_pictures():
    pixels, targets = flat(1000, 4, 4)
    mixture, _ = mix(pixels, targets, Augment(mixup=10, cutmix=10))
    own = (mixture == pixels).all(dim=1).flatten(1)
    # Mixup at alpha 10 leaves no pixel alone; the middle-sized box of CutMix leaves some as they were.
    assert abs(own.any(dim=1).float().mean() - 0.5) < 0.065


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha):
    draws = (np.arange(4000) + 0.5) / 4000
    shares = _beta(draws, alpha)
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).statistic < 0.015  # floats near one are few at alpha 0.1
    assert shares.mean() == pytest.approx(0.5, abs=1e-6)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.01)  # of Beta(a, a)


def test_drawn_shares_have_the_mean_and_variance_of_beta():
    pixels, targets = flat(4000, 1, 1)
    _, shares = mix(pixels, targets, Augment(mixup=0.4))
    own = shares.diagonal()
    assert abs(own.mean() - 0.5) < 4 * np.sqrt(1 / (4 * 1.8 * 4000))
    assert own.var() == pytest.approx(1 / (4 * 1.8), rel=0.06)


def test_how_much_does_not_depend_on_the_company():
    pixels, targets = flat(10)
    own = mix(pixels, targets, BOTH)[1].diagonal()
    rows = [7, 2, 5]
    fewer = mix(pixels[rows], torch.eye(3), BOTH, rows=rows)[1].diagonal()
    torch.testing.assert_close(fewer, own[rows])


def test_the_same_batch_in_another_order_is_mixed_in_the_same_way():
    pixels, targets = noise(10), torch.eye(10)
    mixture, shares = mix(pixels, targets, BOTH)
    rows = np.random.default_rng(0).permutation(10)
    hashes = hashes_of(10)[rows]
    again = mixed(pixels[rows], targets[rows], hashes, BOTH, seed=0, epoch=0)
    assert torch.equal(again[0], mixture[rows])
    assert torch.equal(again[1], shares[rows])


def test_seed_and_epoch_mix_otherwise():
    pixels, targets = noise(10), torch.eye(10)
    found = [mix(pixels, targets, BOTH, seed=seed, epoch=epoch)[0] for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]]
    assert torch.equal(found[0], found[3])
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(("n", "augment"), [(1, BOTH), (6, OFF), (6, Augment(rotation=10)), (0, BOTH)])
def test_one_picture_alone_and_a_mix_that_is_off_are_left_as_they_are(n, augment):
    pixels, targets = noise(n), torch.eye(n)
    mixture, shares = mix(pixels, targets, augment)
    assert mixture is pixels
    assert shares is targets


def test_what_is_given_to_mix_is_not_written_to():
    pixels, targets = noise(6), torch.eye(6)
    before = pixels.clone(), targets.clone()
    mix(pixels, targets, BOTH)
    assert torch.equal(pixels, before[0])
    assert torch.equal(targets, before[1])


def test_mixed_pixels_stay_in_range_and_keep_their_layout():
    pixels = noise(6).contiguous(memory_format=torch.channels_last)
    mixture, _ = mix(pixels, torch.eye(6), BOTH)
    assert mixture.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= mixture.min() <= mixture.max() <= 1


@pytest.mark.gpu
def test_mixing_is_the_same_on_an_accelerator():
    pixels, targets = noise(6), torch.eye(6)
    here, there = mix(pixels, targets, BOTH), mix(pixels.cuda(), targets.cuda(), BOTH)
    torch.testing.assert_close(there[0].cpu(), here[0])
    torch.testing.assert_close(there[1].cpu(), here[1])
