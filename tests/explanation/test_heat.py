"""The heat map: the right method, the right place, the right sign, and never a number that is none."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.core.events import Choice
from eyebright.explanation import METHODS, heat_map
from eyebright.explanation.perturbation import occlusion
from eyebright.models.cnn import cnn
from eyebright.models.ensemble import Ensemble
from eyebright.models.mlp import mlp

from .toys import CLASSES, Asked, OneCorner, constant, picture, pooled, random_sums, top_left, with_bright_corner

pytestmark = pytest.mark.usefixtures("one_thread")
SIDES = st.integers(1, 70)


def in_corner(values, share):
    """How much of the heat lies in the top left square whose side is ``share`` of the long side."""
    cells = round(max(values.shape) * share)
    return np.abs(values[:cells, :cells]).sum() / np.abs(values).sum()


@pytest.mark.parametrize("size", [(224, 224), (32, 32), (28, 28), (96, 160), (64, 16)])
def test_a_model_that_looks_at_one_corner_is_found_out_by_occlusion(size):
    pixels = with_bright_corner(*size)
    heat = heat_map(Asked(top_left), pixels, 0)
    assert heat.method == "occlusion"
    assert np.unravel_index(heat.values.argmax(), heat.values.shape) == (0, 0)
    assert heat.values.max() == 1.0
    assert in_corner(heat.values, 0.3) > 0.9  # a coarse tile is a quarter of the long side
    against = heat_map(Asked(top_left), pixels, 1)
    np.testing.assert_allclose(against.values, -heat.values, atol=1e-5)


def test_a_network_that_looks_at_one_corner_is_found_out_by_grad_cam():
    heat = heat_map(TorchPredictor(pooled(OneCorner()), CLASSES), picture(64, 64), 0)
    assert heat.method == "grad-cam"
    assert in_corner(heat.values, 0.52) > 0.99  # half the side, and what interpolation adds
    occluded = heat_map(TorchPredictor(pooled(OneCorner()), CLASSES), picture(64, 64), 0, method="occlusion")
    assert in_corner(occluded.values, 0.55) > 0.9


@pytest.mark.parametrize("predictor", [
    constant(), Asked(lambda pixels: np.full((len(pixels), 1), 3.0), ("cat",)),
    Asked(lambda pixels: 1e-6 * np.random.default_rng(len(pixels)).random((len(pixels), 2))),  # rounding is no reason
], ids=["constant", "one class", "rounding"])  # fmt: skip
def test_a_model_that_looks_at_nothing_gives_zeros(predictor):
    heat = heat_map(predictor, picture(), 0)
    assert not heat.values.any()
    assert heat.peak == 0.0


def test_a_network_that_looks_at_nothing_gives_zeros():
    network = pooled()
    torch.nn.init.zeros_(network.head.weight)
    for method in ("grad-cam", "occlusion"):
        assert not heat_map(TorchPredictor(network, CLASSES), picture(), 0, method=method).values.any()


@given(SIDES, SIDES, st.integers(0, 2))
def test_values_lie_between_minus_one_and_one_and_the_strongest_is_one_of_them(height, width, target):
    model = random_sums(height, width, classes=3)
    model.classes = ("a", "b", "c")
    heat = heat_map(model, picture(height, width), target)
    assert heat.values.dtype == np.float32
    assert np.isfinite(heat.values).all()
    strongest = np.abs(heat.values).max()
    assert strongest == (1.0 if heat.peak else 0.0)


@pytest.mark.parametrize(("size", "grid"), [
    ((224, 224), (56, 56)), ((28, 28), (28, 28)), ((224, 112), (56, 28)), ((300, 1), (56, 1)), ((1, 1), (1, 1)),
    ((1000, 4), (56, 1)),
])  # fmt: skip
def test_the_map_has_the_pictures_shape_and_at_most_56_cells_a_side(size, grid):
    assert heat_map(random_sums(*size), picture(*size), 0).values.shape == grid
    assert heat_map(TorchPredictor(pooled(), CLASSES), picture(*size), 0).values.shape == grid


def test_cells_times_peak_add_up_to_the_log_odds_where_the_network_is_a_mean_over_places():
    network = pooled(seed=4)
    predictor, pixels = TorchPredictor(network, CLASSES), picture(64, 64)
    logits = predictor(pixels).logits[0] - network.head.bias.detach().numpy()
    heat = heat_map(predictor, pixels, 0)
    # Up to what smoothing moves over the border.
    assert (heat.values * heat.peak).sum() == pytest.approx(logits[0] - logits[1], rel=0.05)


def test_cells_times_peak_add_up_to_what_was_lost_under_the_tiles():
    predictor, pixels = Asked(top_left), with_bright_corner(64, 64)
    heat = heat_map(predictor, pixels, 0)
    assert (heat.values * heat.peak).sum() == pytest.approx(occlusion(predictor, pixels, 0).sum(), rel=0.1)


def chosen(predictor, pixels):
    events = []
    heat = heat_map(predictor, pixels, 0, on_event=events.append)
    (choice,) = [event for event in events if isinstance(event, Choice)]
    assert choice.value == heat.method
    return heat.method, choice.reason


def test_the_choice_of_the_method_has_its_reason():
    assert chosen(TorchPredictor(pooled(), CLASSES), picture()) == (
        "grad-cam",
        "the model's last layer with places can be seen",
    )
    assert chosen(TorchPredictor(mlp(2), CLASSES), picture()) == (
        "occlusion",
        "the model shows no layer that knows places",
    )
    assert chosen(Asked(top_left), picture())[0] == "occlusion"


def test_a_network_that_flattens_its_map_is_asked_by_occlusion_and_by_grad_cam_where_that_is_wanted():
    predictor = TorchPredictor(cnn(2), CLASSES)
    method, why = chosen(predictor, picture())
    assert (method, "depends on the place" in why) == ("occlusion", True)
    assert heat_map(predictor, picture(), 0, method="grad-cam").method == "grad-cam"


def test_an_ensembles_map_is_the_mean_of_its_members():
    members, pixels = [pooled(seed=1), pooled(seed=2)], picture()
    maps = [heat_map(TorchPredictor(member, CLASSES), pixels, 0) for member in members]
    together = heat_map(TorchPredictor(Ensemble(members), CLASSES), pixels, 0)
    expected = (maps[0].values * maps[0].peak + maps[1].values * maps[1].peak) / 2
    np.testing.assert_allclose(together.values * together.peak, expected, atol=1e-6)


def test_what_was_asked_for_is_checked_before_the_model_is():
    model = constant()
    with pytest.raises(SettingsError, match=r"Unknown method 'rise'\. The methods are auto, grad-cam, occlusion"):
        heat_map(model, picture(), 0, method="rise")
    for target in (-1, 2):
        with pytest.raises(SettingsError, match=f"Class {target} was asked for; the model has classes 0 to 1"):
            heat_map(model, picture(), target)
    for shape in ((2, 3, 8, 8), (3, 8, 8), (1, 1, 8, 8), (1, 3, 0, 8)):
        with pytest.raises(DataError, match="one picture"):
            heat_map(model, np.zeros(shape, dtype=np.float32), 0)
    assert model.pictures == 0


@pytest.mark.parametrize("predictor", [constant(), TorchPredictor(mlp(2), CLASSES)])
def test_grad_cam_of_a_model_without_places_is_refused_with_the_way_round(predictor):
    with pytest.raises(ModelError, match="Use occlusion"):
        heat_map(predictor, picture(), 0, method="grad-cam")


def test_weights_that_are_no_numbers_are_refused():
    network = pooled()
    network.head.weight.data[:] = float("nan")
    for method in METHODS:
        with pytest.raises(ModelError, match="not finite"):
            heat_map(TorchPredictor(network, CLASSES), picture(), 0, method=method)


def test_the_room_needs_neither_torch_nor_scipy():
    code = "import sys; import eyebright.explanation; assert not {'torch', 'scipy', 'PIL', 'onnxruntime'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
