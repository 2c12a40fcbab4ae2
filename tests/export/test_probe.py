"""The probe: always the same few bytes, and between them every rule of the decoder."""

import io

import numpy as np
from PIL import Image as Pillow

from eyebright.core.arrays import array_sha256
from eyebright.export.probe import SIDE, probe_pictures
from eyebright.images.decode import decode


def opened(name):
    return Pillow.open(io.BytesIO(probe_pictures()[name]))


def test_every_call_gives_the_same_bytes():
    assert probe_pictures() == probe_pictures()


def test_the_files_are_small_and_lie_in_the_folder_of_the_probe():
    found = probe_pictures()
    assert all(name.startswith("probe/") for name in found)
    assert sum(map(len, found.values())) < 60_000


def test_between_them_they_are_jpeg_and_png_colour_and_grey_of_8_and_16_bit():
    assert {(opened(name).format, opened(name).mode) for name in probe_pictures()} == {
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
    }


def test_each_picture_decodes_to_pixels_of_its_own():
    assert len({array_sha256(decode(content).image) for content in probe_pictures().values()}) == 4


def test_exif_must_be_obeyed_to_get_the_turned_pictures_pixels():
    picture = opened("probe/turned.jpg")
    assert picture.getexif()[0x0112] == 6
    lying = np.asarray(picture)
    upright = decode(probe_pictures()["probe/turned.jpg"]).image
    assert (lying.shape, upright.shape) == ((SIDE // 2, SIDE, 3), (SIDE, SIDE // 2, 3))
    np.testing.assert_array_equal(upright, np.rot90(lying, -1))


def test_alpha_must_be_composited_to_get_the_transparent_pictures_pixels():
    plain = np.asarray(opened("probe/transparent.png").convert("RGB"))
    assert not np.array_equal(decode(probe_pictures()["probe/transparent.png"]).image, plain)


def test_16_bits_must_be_scaled_to_get_the_deep_pictures_pixels():
    """Clipped instead of scaled, nearly all of its 9,216 pixels would be white."""
    image = decode(probe_pictures()["probe/grey16.png"]).image
    assert len(np.unique(image)) > 100
    assert (image == 255).mean() < 0.1
