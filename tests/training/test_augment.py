"""Changes to training pictures: drawn by key, bounded, and geometrically right."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic import ValidationError

from eyebright.core import seeds
from eyebright.core.errors import SettingsError
from eyebright.images.preprocess import to_pixels
from eyebright.training.augment import DIALS, OFF, Augment, augmented, dial, shrunk, thumbnails, to_batch
from eyebright.training.augment import batch as room

from .changes import changed, hashes_of, noise

FIRST = Augment(flip=True, shift=0.2, rotation=30, zoom=0.3, brightness=0.3, contrast=0.4)
EVERYTHING = Augment(
    flip=True, shift=0.2, rotation=30, zoom=0.3, brightness=0.3, contrast=0.4, vertical=True, shear=10, perspective=0.1,
    crop=0.4, saturation=0.5, hue=0.1, noise=0.1, blur=0.05, jpeg=0.6, erase=0.3,
)  # fmt: skip
FURTHEST = Augment(shift=0.5, rotation=180, zoom=0.9)
# The column of the first stream's draws that each change reads, counted from the angle; before it comes the mirror.
ANGLE, ZOOM, RIGHT, DOWN, CONTRAST, BRIGHTNESS = range(1, 7)
ON = {name: getattr(EVERYTHING, name) for name in Augment.model_fields if getattr(EVERYTHING, name)}


@pytest.fixture
def draw(monkeypatch):
    """``draw(column=1)`` fixes the draws: -1 and 1 are the limits of a change, columns that are not named change nothing."""

    def fix(*columns, mirror=False, sign=1):
        row = np.full(8, 0.5, dtype=np.float32)
        row[0] = 0.0 if mirror else 0.9
        row[list(columns)] = (1 + sign) / 2
        monkeypatch.setattr(seeds, "uniform", lambda seed, stream, epoch, hashes, n: np.tile(row[:n], (len(hashes), 1)))

    return fix


def as_in_the_first_version(pixels, hashes, augment, *, seed, epoch):
    """The arithmetic by which published results were trained, for the changes that there were."""
    draws = torch.from_numpy(seeds.uniform(seed, "augment", epoch, hashes, 8))
    signed = draws[:, 1:] * 2 - 1
    height, width = pixels.shape[2:]
    angle = signed[:, 0] * math.radians(augment.rotation)
    scale = 1 / (1 + signed[:, 1] * augment.zoom)
    flip = torch.where((draws[:, 0] < 0.5) & augment.flip, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [
        torch.stack([flip * cosine, -sine * height / width, signed[:, 2] * 2 * augment.shift], dim=1),
        torch.stack([flip * sine * width / height, cosine, signed[:, 3] * 2 * augment.shift], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False).clamp(0, 1)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * (1 + signed[:, 4, None, None, None] * augment.contrast)
    return (pixels + signed[:, 5, None, None, None] * augment.brightness).clamp(0, 1)


@pytest.mark.parametrize("size", [(12, 16), (28, 28), (96, 96)])
def test_the_first_changes_are_those_of_the_first_version_to_the_last_bit(size):
    pixels, hashes = noise(30, *size), hashes_of(30)
    before = as_in_the_first_version(pixels, hashes, FIRST, seed=3, epoch=2)
    assert torch.equal(augmented(pixels, hashes, FIRST, seed=3, epoch=2), before)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(8)), st.integers(1, 8), st.integers(0, 50), st.integers(0, 2**40))
def test_a_picture_changes_in_the_same_way_in_any_company(rows, count, epoch, seed):
    pixels, hashes = noise(8), hashes_of(8)
    together = augmented(pixels, hashes, EVERYTHING, seed=seed, epoch=epoch)
    chosen = rows[:count]
    alone = augmented(pixels[chosen], hashes[chosen], EVERYTHING, seed=seed, epoch=epoch)
    assert torch.equal(alone, together[chosen])


def test_another_epoch_seed_or_key_changes_otherwise():
    pixels, hashes = noise(1), hashes_of(2)
    changes = [
        augmented(pixels, hashes[key : key + 1], EVERYTHING, seed=seed, epoch=epoch)
        for seed, epoch, key in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)]
    ]
    assert len({change.numpy().tobytes() for change in changes}) == 4


def test_off_gives_the_pictures_back_untouched():
    pixels = noise()
    assert changed(pixels, OFF) is pixels
    assert Augment() == OFF
    assert changed(pixels, Augment(mixup=0.2, cutmix=1)) is pixels  # mixing comes after


@pytest.mark.parametrize("name", [*ON, "everything"])
def test_each_change_changes_something_and_writes_to_nothing_that_it_was_given(name):
    pixels = noise(20)
    before = pixels.clone()
    after = changed(pixels, EVERYTHING if name == "everything" else Augment(**{name: ON[name]}))
    assert not torch.equal(after, before)
    assert torch.equal(pixels, before)
    assert after.shape == pixels.shape
    assert 0 <= after.min() <= after.max() <= 1


@pytest.mark.parametrize("name", ON)
def test_one_more_change_does_not_change_what_the_others_draw(name, monkeypatch):
    """Every stream is its own: the numbers of ``name`` are the same with and without the others."""
    asked = {}

    def spy(seed, stream, epoch, hashes, columns, uniform=seeds.uniform):
        numbers = uniform(seed, stream, epoch, hashes, columns)
        asked.setdefault(stream, []).append(numbers)
        return numbers

    monkeypatch.setattr(seeds, "uniform", spy)
    changed(noise(4), Augment(**{name: ON[name]}))
    alone = {stream: numbers[0] for stream, numbers in asked.items()}
    asked.clear()
    changed(noise(4), EVERYTHING)
    for stream, numbers in alone.items():
        np.testing.assert_array_equal(asked[stream][0], numbers)


def test_a_batch_that_is_worked_on_in_pieces_is_the_same_batch(monkeypatch):
    pixels = noise(7)
    whole = changed(pixels, EVERYTHING)
    monkeypatch.setattr(room, "PIECE_BYTES", 2 * pixels[0].numel() * 4)
    assert torch.equal(changed(pixels, EVERYTHING), whole)


def test_layout_and_type_stay_as_they_are():
    pixels = noise().contiguous(memory_format=torch.channels_last)
    after = changed(pixels, EVERYTHING)
    assert after.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(after, changed(pixels.contiguous(), EVERYTHING))
    assert changed(pixels.double(), EVERYTHING).dtype == torch.float64


def test_no_pictures_are_no_pictures():
    assert changed(noise(0), EVERYTHING).shape == (0, 3, 12, 16)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 5)])
def test_tiny_and_narrow_pictures_go_through_every_change(size):
    assert changed(noise(16, *size), EVERYTHING).shape == (16, 3, *size)


@pytest.mark.gpu
def test_every_change_runs_on_an_accelerator():
    pixels = noise(20)
    after = changed(pixels.cuda(), EVERYTHING)
    assert after.device.type == "cuda"
    assert 0 <= after.min() <= after.max() <= 1
    without_noise = EVERYTHING.model_copy(update={"noise": 0.0, "jpeg": 0.0})  # another generator, and rounding
    torch.testing.assert_close(changed(pixels.cuda(), without_noise).cpu(), changed(pixels, without_noise), atol=1e-3, rtol=0)


def test_flip_mirrors_half_of_the_pictures_exactly():
    pixels = noise(2000, 2, 4)
    after = changed(pixels, Augment(flip=True))
    mirrored = (after == pixels.flip(3)).all(dim=(1, 2, 3))
    same = (after == pixels).all(dim=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert abs(mirrored.float().mean() - 0.5) < 0.045  # four standard errors: 4 * sqrt(0.25 / 2000)


def test_a_mirror_within_a_resampling_is_the_same_mirror(draw):
    draw(mirror=True)
    pixels = noise()
    torch.testing.assert_close(changed(pixels, Augment(flip=True, zoom=0.5)), pixels.flip(3), atol=1e-5, rtol=0)


def test_without_flip_nothing_is_mirrored(draw):
    draw(mirror=True)
    pixels = noise()
    torch.testing.assert_close(changed(pixels, Augment(zoom=0.5)), pixels, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("column", "axis", "pixels_moved"), [(RIGHT, 3, 4), (DOWN, 2, 3)])
def test_a_shift_moves_a_planted_pixel_by_a_share_of_the_side(draw, column, axis, pixels_moved):
    draw(column)
    planted = torch.zeros(1, 3, 12, 16)
    planted[..., 6, 9] = 1.0
    # a quarter of 16 columns is 4, a quarter of 12 rows is 3; a positive draw looks further right or down
    moved = changed(planted, Augment(shift=0.25))
    torch.testing.assert_close(moved, planted.roll(-pixels_moved, axis), atol=1e-5, rtol=0)


def test_places_from_outside_repeat_the_border_by_reflection(draw):
    draw(RIGHT)
    pixels = noise(width=8)
    # two of eight columns come from beyond the right border: columns 7 and 6 again
    expected = pixels[..., [2, 3, 4, 5, 6, 7, 7, 6]]
    torch.testing.assert_close(changed(pixels, Augment(shift=0.25)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("sign", "turns"), [(1, 1), (-1, -1)])
def test_a_quarter_turn_of_a_square_is_that_of_torch(draw, sign, turns):
    draw(ANGLE, sign=sign)
    pixels = noise(height=11, width=11)
    torch.testing.assert_close(changed(pixels, Augment(rotation=90)), pixels.rot90(turns, (2, 3)), atol=1e-5, rtol=0)


def test_a_turn_keeps_shapes_in_a_picture_that_is_not_square(draw):
    draw(ANGLE)
    pixels = noise(height=10, width=24)
    middle = slice(7, 17)  # the 10 x 10 pixels about the centre turn among themselves
    turned = changed(pixels, Augment(rotation=90))
    torch.testing.assert_close(turned[..., middle], pixels[..., middle].rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_half_a_turn_reverses_both_sides(draw):
    draw(ANGLE)
    pixels = noise()
    torch.testing.assert_close(changed(pixels, Augment(rotation=180)), pixels.flip(2, 3), atol=1e-5, rtol=0)


def test_zooming_out_to_half_the_size_averages_two_by_two_in_the_middle(draw):
    draw(ZOOM, sign=-1)
    pixels = noise(height=12, width=16)
    small = changed(pixels, Augment(zoom=0.5))[..., 3:9, 4:12]
    torch.testing.assert_close(small, F.avg_pool2d(pixels, 2), atol=1e-5, rtol=0)


def test_zooming_in_enlarges(draw):
    draw(ZOOM)
    planted = torch.zeros(1, 3, 20, 20)
    planted[..., 8:12, 8:12] = 1.0
    # 1.5 times each way: the area of the square is 2.25 times as large
    assert changed(planted, Augment(zoom=0.5)).sum() / planted.sum() == pytest.approx(2.25, rel=0.05)


def test_draws_fill_the_range_between_the_limits():
    grey = torch.full((500, 3, 2, 2), 0.5)
    steps = (changed(grey, Augment(brightness=0.2)) - 0.5)[:, 0, 0, 0]
    assert -0.2 <= steps.min() < -0.19
    assert 0.19 < steps.max() <= 0.2
    assert abs(steps.mean()) < 0.021  # four standard errors of a uniform draw: 4 * 0.4 / sqrt(12 * 500)


@pytest.mark.parametrize(("sign", "factor"), [(1, 1.4), (-1, 0.6)])
def test_contrast_scales_about_the_pictures_own_mean(draw, sign, factor):
    draw(CONTRAST, sign=sign)
    pixels = 0.4 + 0.2 * noise()
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    after = changed(pixels, Augment(contrast=0.4))
    torch.testing.assert_close(after, mean + factor * (pixels - mean))


@pytest.mark.parametrize("sign", [1, -1])
def test_brightness_is_added_and_what_overflows_is_cut(draw, sign):
    draw(BRIGHTNESS, sign=sign)
    pixels = noise()
    torch.testing.assert_close(changed(pixels, Augment(brightness=0.3)), (pixels + sign * 0.3).clamp(0, 1))


@pytest.mark.parametrize("augment", [EVERYTHING, FURTHEST, Augment(brightness=1, contrast=0.9)])
@pytest.mark.parametrize("pixels", [torch.zeros(40, 3, 33, 40), torch.ones(40, 3, 33, 40), noise(40, 33, 40)])
def test_pixels_stay_between_zero_and_one(augment, pixels):
    after = changed(pixels, augment)
    assert after.shape == pixels.shape
    assert after.dtype == torch.float32
    assert after.min() >= 0
    assert after.max() <= 1


@pytest.mark.parametrize("name", ["light", "medium", "strong"])
def test_a_dial_is_a_value_with_or_without_mirrored_copies(name):
    assert dial(name, flip=False) == DIALS[name]
    assert dial(name, flip=True) == DIALS[name].model_copy(update={"flip": True})


def test_each_dial_goes_at_least_as_far_as_the_one_before():
    light, medium, strong = (DIALS[name].model_dump().values() for name in ("light", "medium", "strong"))
    assert all(a <= b <= c for a, b, c in zip(light, medium, strong, strict=True))


def test_the_light_dial_is_what_transfer_learning_was_measured_with():
    assert dial("light", flip=False) == Augment(shift=0.06, rotation=8, zoom=0.1, brightness=0.1, contrast=0.2)


def test_an_unknown_dial_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"Unknown augmentation 'mediun'\. Did you mean medium\?"):
        dial("mediun", flip=True)


@pytest.mark.parametrize(
    "options",
    [
        {"shift": 0.6}, {"rotation": -1}, {"zoom": 1}, {"contrast": 1}, {"turn": 3}, {"crop": 1}, {"perspective": 0.3},
        {"hue": 0.6}, {"jpeg": 1}, {"erase": 0.9}, {"mixup": -1}, {"shear": 90},
    ],
)  # fmt: skip
def test_limits_without_a_meaning_are_refused(options):
    with pytest.raises(ValidationError):
        Augment(**options)


def test_a_batch_holds_the_same_pixels_as_every_other_room():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), dtype=np.uint8)
    np.testing.assert_array_equal(to_batch(pictures).numpy(), to_pixels(pictures))
    assert to_batch(pictures.transpose(0, 1, 3, 2)).is_contiguous()


def test_a_store_that_cannot_be_written_gives_a_batch_that_can():
    pictures = np.full((1, 3, 2, 2), 255, dtype=np.uint8)
    pictures.flags.writeable = False
    assert to_batch(pictures).mul_(0).sum() == 0
    assert pictures.min() == 255


# --- smaller pictures


def test_shrunk_pictures_are_pillows_reduced_with_antialiasing():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 24), dtype=np.uint8)
    found = shrunk(pictures, 16)
    assert (found.shape, found.dtype) == ((2, 3, 16, 12), np.uint8)
    expected = Pillow.fromarray(pictures[0].transpose(1, 2, 0)).resize((12, 16), Pillow.Resampling.BILINEAR)
    assert np.abs(found[0].transpose(1, 2, 0).astype(int) - np.asarray(expected).astype(int)).max() <= 1


@pytest.mark.parametrize("side", [None, 32, 40])
def test_pictures_that_are_small_enough_stay_as_they_are(side):
    pictures = np.zeros((1, 3, 32, 24), dtype=np.uint8)
    assert shrunk(pictures, side) is pictures


def test_thumbnails_are_the_means_of_all_pictures_pooled_at_once_and_of_their_mirror_images():
    """In slices of 64, the last of them of two pictures: the same to the last bit."""
    pictures = np.random.default_rng(0).integers(0, 256, (130, 3, 37, 50), dtype=np.uint8)
    plain, mirrored = thumbnails(pictures, 16)
    whole = F.adaptive_avg_pool2d(torch.from_numpy(pictures).float().div(255), 16)
    np.testing.assert_array_equal(plain, whole.flatten(1).numpy())
    np.testing.assert_array_equal(mirrored, whole.flip(3).flatten(1).numpy())


def test_thumbnails_need_few_pictures_at_a_time(monkeypatch):
    asked = []
    monkeypatch.setattr(room, "to_batch", lambda some: asked.append(len(some)) or to_batch(some))
    thumbnails(np.zeros((130, 3, 20, 20), np.uint8), 16)
    assert asked == [64, 64, 2]
