"""The contact sheet: true pixels, in their places, with captions that fit."""

import numpy as np
import pytest

from eyebright.core import seeds
from eyebright.training.augment import OFF, Augment, augmented, dial, to_batch
from eyebright.training.contact import GAP, INK, MARGIN, PAPER, WIDEST, _drawable_names, contact_sheet, in_words

PAPER_RGB = tuple(bytes.fromhex(PAPER[1:]))


def pictures_of(n, height=20, width=30):
    """Bytes below 200 only, so that they are told from the paper."""
    return np.random.default_rng(0).integers(0, 200, (n, 3, height, width), dtype=np.uint8)


def sheet_of(pictures, augment, *, epochs=3, names=("cat", "dog"), **options):
    labels = np.arange(len(pictures)) % len(names)
    hashes = seeds.key_hashes([str(row) for row in range(len(pictures))])
    return contact_sheet(pictures, labels, names, augment, hashes=hashes, epochs=epochs, **options)


def found(sheet, picture, factor):
    """Whether the picture [3, height, width], each pixel ``factor`` times as large, is somewhere on the sheet."""
    large = picture.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = large.shape[:2]
    starts = np.argwhere((sheet == large[0, 0]).all(axis=2))
    return any(np.array_equal(sheet[top : top + height, left : left + width], large) for top, left in starts)


def test_each_row_begins_with_the_picture_as_prepared():
    pictures = pictures_of(3)
    sheet = sheet_of(pictures, dial("medium", flip=True))
    assert sheet.dtype == np.uint8
    assert all(found(sheet, picture, 144 // 30) for picture in pictures)


def test_the_other_columns_are_what_training_draws_epoch_by_epoch():
    pictures, augment = pictures_of(2), Augment(flip=True, rotation=20, brightness=0.1)
    sheet = sheet_of(pictures, augment, seed=5)
    hashes = seeds.key_hashes(["0", "1"])
    for epoch in range(3):
        seen = augmented(to_batch(pictures), hashes, augment, seed=5, epoch=epoch)
        assert all(found(sheet, picture, 4) for picture in (seen * 255).round().byte().numpy())
    another = augmented(to_batch(pictures), hashes, augment, seed=5, epoch=3)
    assert not found(sheet, (another[0] * 255).round().byte().numpy(), 4)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (96, 96), (224, 224), (300, 600), (600, 20)])
def test_a_sheet_is_never_wider_than_a_screen(size):
    sheet = sheet_of(pictures_of(2, *size), OFF, epochs=6)
    assert sheet.shape[1] <= WIDEST


def test_the_paper_is_warm_and_the_margin_empty():
    sheet = sheet_of(pictures_of(2), OFF)
    for border in (sheet[:MARGIN], sheet[:, :MARGIN], sheet[-GAP:], sheet[:, -MARGIN:]):
        assert (border == PAPER_RGB).all()


def test_captions_are_drawn_in_ink():
    sheet = sheet_of(pictures_of(1), OFF, names=("wwwwwwwww",))
    without = sheet_of(pictures_of(1), OFF, names=(".",))
    dark = [(each.astype(int) <= np.frombuffer(bytes.fromhex(INK[1:]), np.uint8) + 40).all(axis=2) for each in (sheet, without)]
    assert dark[0].sum() > dark[1].sum() + 20


def test_mixed_pictures_have_room_for_two_classes():
    plain, mixing = (sheet_of(pictures_of(2), augment) for augment in (OFF, Augment(mixup=1)))
    assert mixing.shape[0] > plain.shape[0]


def test_a_name_too_long_for_its_column_is_cut_and_the_sheet_stays_as_wide():
    short, long = (sheet_of(pictures_of(2), OFF, names=(name, "dog")) for name in ("cat", "cat" * 200))
    assert short.shape == long.shape


def test_names_are_in_letters_that_the_font_has():
    assert _drawable_names(["glass", "épée", "猫", "naïve cat", ""]) == ["glass", "epee", "class 3", "naive cat", ""]


def test_every_change_has_its_words():
    everything = Augment(
        flip=True, alternate=True, pad=2, vertical=True,
        shift=0.1, rotation=10, zoom=0.1, brightness=0.1, contrast=0.1, shear=5, perspective=0.1,
        crop=0.3, saturation=0.1, hue=0.05, noise=0.02, blur=0.01, jpeg=0.4, erase=0.2, mixup=0.2, cutmix=1,
    )  # fmt: skip
    words = in_words(everything)
    assert len(words) == len(Augment.model_fields)
    assert {
        "mirrored",
        "moved by up to 2 pixels",
        "crop up to 30 %",
        "hue 18°",
        "JPEG down to quality 60",
        "CutMix, alpha 1",
    } <= set(words)
    assert in_words(OFF) == []
