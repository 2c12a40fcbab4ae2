"""``speed``: fused functions against torch's own, the whitening against its definition, and the network as any other."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from eyebright.core.errors import SettingsError
from eyebright.models.network import parameter_count
from eyebright.models.speed import engine, kernels
from eyebright.models.speed import weight_gradient as gradients
from eyebright.models.speed.arrays import rows
from eyebright.models.speed.block import Block, Whitening
from eyebright.models.speed.fused import FusedBlock, activate_in_place
from eyebright.models.speed.network import CAPACITIES, WIDTHS, speed

LAST = torch.channels_last
# What rounding to bfloat16 may cost: half a unit of 8 bits is .004 of a value; .01 in the norm leaves room for a few in a row.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 0.01}


def random(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(*shape, generator=generator).to(dtype)
    return made.contiguous(memory_format=LAST) if len(shape) == 4 else made


def distance(found, expected):
    found, expected = found.detach().float(), expected.detach().float()
    return float((found - expected).norm() / expected.norm())


# --- fused functions


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("slope", [1.0, 1.702])
@pytest.mark.parametrize(("pool", "height", "width"), [(False, 5, 4), (True, 6, 8), (True, 7, 5)])
def test_a_fused_block_and_its_gradients_are_torchs(dtype, slope, pool, height, width):
    """Odd sides leave a row and a column out of the pooling, where gradients are zero."""
    x, weight, bias = random(9, 6, height, width, dtype=dtype), random(10, 6, 3, 3, seed=1) / 7, random(10, seed=2)
    inputs = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
    found, mean, variance = FusedBlock.apply(*inputs, pool, slope, 1e-5)
    sent = random(*found.shape, seed=3, dtype=dtype)
    found.backward(sent)

    others = [tensor.clone().float().requires_grad_() for tensor in (x, weight.to(dtype), bias)]
    y = F.conv2d(others[0], others[1], padding=1).to(dtype).float()
    y = F.max_pool2d(y, 2) if pool else y
    z = F.batch_norm(y, None, None, None, others[2], True, 0.0, 1e-5)
    expected = z * torch.sigmoid(slope * z)
    expected.backward(sent.float())

    assert found.dtype == dtype
    assert distance(found, expected) < TOLERANCE[dtype]
    torch.testing.assert_close(mean, y.mean((0, 2, 3)), atol=2e-3, rtol=0.01)
    torch.testing.assert_close(variance, y.var((0, 2, 3), correction=0), atol=2e-3, rtol=0.01)
    for own, oracle in zip(inputs, others, strict=True):
        assert distance(own.grad, oracle.grad) < TOLERANCE[dtype]


def test_of_equal_values_in_a_window_one_alone_gets_the_gradient():
    """torch takes the first of them; so do we, and nothing is counted twice."""
    x = torch.zeros(1, 1, 2, 2).contiguous(memory_format=LAST)
    pooled, winner = np.empty((1, 1, 1, 1), np.float32), np.empty((1, 1, 1, 1), np.uint8)
    kernels.pool_and_sums(rows(x), pooled, winner, np.empty((kernels.CHUNKS, 2, 1), np.float32))
    assert winner.item() == 0


def test_the_activation_keeps_to_the_right_values_at_both_ends():
    """Far left it is 0 and far right x itself, without an overflow on the way; in the middle it is torch's SiLU."""
    x = torch.tensor([-1e4, -100.0, -88.0, -5.0, -0.1, 0.0, 0.1, 5.0, 100.0, 1e4]).reshape(1, 10, 1, 1).clone()
    expected = F.silu(x)
    torch.testing.assert_close(activate_in_place(x.contiguous(memory_format=LAST), 1.0), expected, atol=1e-6, rtol=1e-5)


def test_bfloat16_is_rounded_as_torch_rounds():
    """Half a unit up and down, ties to even: 1 + 2^-8 lies between 1 and 1 + 2^-7, and goes to 1, whose last bit is 0."""
    values = torch.cat([random(2000), torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8), 0.0])]).reshape(1, 1, -1, 1)
    values = values.repeat(1, 2, 1, 1).contiguous(memory_format=LAST)
    # An activation with a slope of 200 leaves values above 1 as they are.
    out = torch.empty_like(values, dtype=torch.bfloat16, memory_format=LAST)
    kept = values.abs() + 1
    kernels.activate(
        rows(kept).reshape(-1, 2), rows(out).reshape(-1, 2), np.ones(2, np.float32), np.zeros(2, np.float32), np.float32(200)
    )
    assert torch.equal(out, kept.to(torch.bfloat16))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("several", [2, 4, 10])
def test_pictures_side_by_side_give_the_same_weight_gradient(dtype, several):
    """Nine pictures: the last row of several is filled with none."""
    x, gradient, weight = (
        random(9, 5, 4, 3, dtype=dtype),
        random(9, 6, 4, 3, seed=1, dtype=dtype),
        random(6, 5, 3, 3, dtype=dtype),
    )
    expected = gradients.weight_gradient_by(x.float(), weight.float(), gradient.float(), 1)
    assert distance(gradients.weight_gradient_by(x, weight, gradient, several), expected) < TOLERANCE[dtype]


def test_a_row_of_several_pictures_has_a_column_of_zeros_after_each():
    x = torch.arange(1, 13).reshape(3, 1, 2, 2).float()
    assert gradients.in_rows(x.contiguous(memory_format=LAST), 2).tolist() == [
        [[[1, 2, 0, 5, 6, 0], [3, 4, 0, 7, 8, 0]]],
        [[[9, 10, 0, 0, 0, 0], [11, 12, 0, 0, 0, 0]]],
    ]


def test_short_rows_are_put_side_by_side_whatever_the_number_of_pictures():
    x, weight = random(40, 4, 3, 3, dtype=torch.bfloat16), random(4, 4, 3, 3, dtype=torch.bfloat16)
    found = gradients.weight_gradient(x, weight, x)
    assert torch.equal(found, gradients.weight_gradient_by(x, weight, x, 30))
    assert distance(found, gradients.weight_gradient_by(x, weight, x, 1)) < 0.01


# --- layers


@pytest.fixture
def always(monkeypatch):
    """Fused functions for few pictures too, and in float32, where they can be compared closely."""
    monkeypatch.setattr(engine, "LEAST", 1)
    monkeypatch.setattr(engine, "PRECISIONS", (torch.float32, torch.bfloat16))


def both_ways(monkeypatch, make, x):
    """Output and gradients, and then the state, of the layer with the fused functions, and of the layer with torch's."""
    found = []
    for fused in (True, False):
        monkeypatch.setattr(engine, "_compiler", lambda fused=fused: fused)
        torch.manual_seed(3)
        layer = make().train()
        out = layer(x)
        out = out[0] if isinstance(out, tuple) else out
        out.square().sum().backward()
        found.append(({"out": out.detach()} | {n: p.grad for n, p in layer.named_parameters()}, layer.state_dict()))
    return found


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Block(5, 8, pool=True, slope=1.0, momentum=0.4), (6, 5, 8, 8)),
        (lambda: speed(4, height=20, width=20, capacity="narrow"), (8, 3, 20, 20)),
        (lambda: speed(4, height=20, width=20, capacity="deep"), (4, 3, 20, 20)),
    ],
    ids=["block", "network", "deep network"],
)
def test_training_is_the_same_with_and_without_the_compiler(always, monkeypatch, make, shape):
    """The state too: running means and variances, and how many batches they have seen."""
    (fused, state), (plain, expected) = both_ways(monkeypatch, make, random(*shape))
    assert all(distance(fused[name], plain[name]) < 1e-3 for name in plain)
    torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-4)


def test_a_gradient_by_the_pixels_is_torchs(always, monkeypatch):
    """As for adversarial examples of a network in training; the first layer then leaves its shortcut."""
    found = []
    for fused in (True, False):
        monkeypatch.setattr(engine, "_compiler", lambda fused=fused: fused)
        torch.manual_seed(3)
        network, pixels = speed(4, height=20, width=20, capacity="narrow").train(), random(4, 3, 20, 20).requires_grad_()
        network(pixels)[0].square().sum().backward()
        found.append(pixels.grad)
    assert distance(*found) < 1e-3


def test_answers_in_bfloat16_without_gradients_are_those_of_torch(always, monkeypatch):
    network = speed(4, height=20, width=20, capacity="narrow")
    network.begin(torch.rand(20, 3, 20, 20))
    network.train()(torch.rand(16, 3, 20, 20))
    found = []
    for fused in (True, False):
        monkeypatch.setattr(engine, "_compiler", lambda fused=fused: fused)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            found.append(network.eval()(torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(1)))[1])
    assert distance(*found) < 0.04  # six layers round, each by up to .004, and not at the same places


@pytest.mark.parametrize(("n", "bf16", "expected"), [(128, True, True), (127, True, False), (128, False, False)])
def test_few_pictures_and_float32_are_left_to_torch(n, bf16, expected):
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        assert engine.usable(torch.zeros(n, 3, 4, 4)) == expected


def test_what_is_exported_is_torchs_own(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with torch.autocast("cpu", torch.bfloat16):
        assert not engine.usable(torch.zeros(128, 3, 4, 4))


def test_whitened_patches_are_uncorrelated_and_of_equal_size():
    """By definition: filters applied to the patches give the identity for their second moments, but for the small constant."""
    pixels = torch.rand(40, 3, 12, 12, generator=torch.Generator().manual_seed(0)).cumsum(3) / 12  # neighbours are correlated
    layer = Whitening(3, 2, 1.0)
    layer.learn(pixels)
    given = F.conv2d((pixels - layer.mean) / layer.std, layer.weight)[:, :12].permute(0, 2, 3, 1).reshape(-1, 12)
    moments = given.T @ given / len(given)
    assert (moments - torch.diag(moments.diagonal())).abs().max() < 1e-3
    assert moments.diagonal().max() < 1.001
    assert torch.equal(layer.weight[12:], -layer.weight[:12])


def test_a_channel_that_never_changes_is_no_trouble():
    layer = Whitening(3, 2, 1.0)
    layer.learn(torch.full((4, 3, 8, 8), 0.5))
    assert layer(torch.full((1, 3, 8, 8), 0.5)).isfinite().all()


def test_the_first_layer_is_learned_once():
    network = speed(3, height=16, width=16, capacity="narrow")
    network.begin(torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    before = network.backbone.whitening.weight.clone()
    network.begin(torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(network.backbone.whitening.weight, before)


# --- the network


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_every_capacity_has_the_weights_of_its_widths(capacity):
    """Per group 9 (in out + out out), once more out out where it is deep, and a bias a channel; whitening gives 24 channels."""
    width, expected = 24, 0
    convolutions = 3 if capacity == "deep" else 2
    for out in WIDTHS[capacity]:
        expected += 9 * (width * out + (convolutions - 1) * out * out) + convolutions * out
        width = out
    assert parameter_count(speed(10, capacity=capacity)) == expected + 10 * width


@pytest.mark.parametrize(("height", "width", "grey"), [(10, 10, False), (28, 28, True), (32, 20, False), (64, 64, False)])
def test_logits_and_features_have_their_shapes_at_any_size(height, width, grey):
    network = speed(7, height=height, width=width, grey=grey, capacity="narrow").eval()
    logits, features = network(torch.rand(2, 3, height, width))
    assert (logits.shape, features.shape) == ((2, 7), (2, 128))


def test_a_head_sees_features_that_begin_small():
    """The record divides logits by the width; here the features are divided, so that the head is an ordinary layer."""
    network = speed(10, capacity="narrow").eval()
    x = torch.rand(4, 3, 32, 32)
    logits, features = network(x)
    torch.testing.assert_close(logits, features @ network.head.weight.T)
    assert network.head.weight.std().item() == pytest.approx(1)


@pytest.mark.parametrize("wrong", [{"height": 9}, {"capacity": "huge"}])
def test_what_cannot_be_built_is_refused_with_what_can(wrong):
    with pytest.raises(SettingsError, match=r"expected|larger"):
        speed(10, **wrong)


# --- threads and a place for what is compiled


def test_the_number_of_threads_does_not_change_a_bit():
    """Work is cut into the same pieces whatever their number, and sums are made piece by piece."""
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            kernels.follow_torch()
            sums = np.empty((kernels.CHUNKS, 2, 5), np.float32)
            kernels.plain_sums(random(1000, 5).numpy(), sums)
            found.append(sums)
    finally:
        torch.set_num_threads(before)
    assert (found[0] == found[1]).all()


def test_kernels_use_as_many_threads_as_torch_does():
    import numba

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        kernels.follow_torch()
        assert numba.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
