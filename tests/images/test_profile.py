"""Colour profiles: what a phone calls red is the same red everywhere, and sRGB is not touched."""

import struct

import numpy as np
import pytest
from pictures import encoded, jpeg, noise, plain, png
from PIL import Image, ImageCms

from eyebright.images.decode import decode

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CONVERTED = ("Its colours were converted from its own colour profile to sRGB.",)
# The colour of each channel at full strength under D50 (ICC): Display P3 as Apple writes it.
P3 = {"rXYZ": (0.51512, 0.2412, -0.00105), "gXYZ": (0.29198, 0.69225, 0.04189), "bXYZ": (0.1571, 0.06657, 0.78407)}


def profile(colours):
    """sRGB's profile with the channels' colours replaced."""
    content = bytearray(SRGB)
    for entry in range(struct.unpack(">I", content[128:132])[0]):
        name, place, _ = struct.unpack(">4sII", content[132 + 12 * entry : 144 + 12 * entry])
        if name.decode() in colours:
            values = [round(value * 65536) for value in colours[name.decode()]]
            content[place + 8 : place + 20] = struct.pack(">3i", *values)  # ICC.1, 10.31: XYZType
    return bytes(content)


def test_a_picture_in_srgb_is_not_touched_by_its_profile():
    assert np.array_equal(decode(png(icc_profile=SRGB)).image, noise())
    assert decode(png(icc_profile=SRGB)).warnings == ()


def test_display_p3_becomes_srgb():
    # By the matrices of both spaces in linear light P3 (200, 100, 100) is sRGB (215, 93, 97); greys are the same in both.
    decoded = decode(png(np.hstack([plain((200, 100, 100)), plain((77, 77, 77))]), icc_profile=profile(P3)))
    assert np.abs(decoded.image[0, 0].astype(int) - converted_by_hand((200, 100, 100))).max() <= 1
    assert decoded.image[0, -1].tolist() == [77, 77, 77]
    assert decoded.warnings == CONVERTED


def converted_by_hand(colour):
    def linear(level):
        return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4

    def encoded_level(level):
        return 12.92 * level if level <= 0.0031308 else 1.055 * level ** (1 / 2.4) - 0.055

    to_xyz = np.array([P3[name] for name in ("rXYZ", "gXYZ", "bXYZ")]).T
    srgb = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.7141]]).T
    light = np.linalg.solve(srgb, to_xyz @ [linear(level / 255) for level in colour])
    return [round(255 * encoded_level(level)) for level in light]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "AVIF"])
def test_profiles_are_found_in_every_format(kind):
    assert CONVERTED[0] in decode(encoded(plain((200, 100, 100), 16, 16), kind, icc_profile=profile(P3))).warnings


def test_transparent_and_indexed_colours_are_converted_too():
    clear = np.dstack([plain((200, 100, 100)), np.full((8, 8), 255, dtype=np.uint8)])
    wanted = decode(png(plain((200, 100, 100)), icc_profile=profile(P3))).image
    assert np.array_equal(decode(png(clear, icc_profile=profile(P3))).image, wanted)
    indexed = Image.fromarray(plain((200, 100, 100))).convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.array_equal(decode(png(indexed, icc_profile=profile(P3))).image, wanted)


def test_grey_and_inks_are_left_alone():
    grey = noise()[..., 0]
    assert np.array_equal(decode(png(grey, icc_profile=profile(P3))).image[..., 0], grey)
    inks = Image.new("CMYK", (8, 8), (10, 200, 30, 40))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert np.array_equal(decode(jpeg(inks, icc_profile=lab)).image, decode(jpeg(inks)).image)


@pytest.mark.parametrize("damaged", [b"words", SRGB[:200], SRGB[:132] + b"\xff" * 400])
def test_a_damaged_profile_costs_a_warning_and_not_the_picture(damaged):
    decoded = decode(png(icc_profile=damaged))
    assert np.array_equal(decoded.image, noise())
    assert decoded.warnings == ("Its colour profile could not be used; its colours are taken for sRGB.",)


def test_a_profile_larger_than_any_is_not_read():
    assert decode(jpeg(icc_profile=profile(P3) + bytes(2**20))).warnings == (
        "Its colour profile could not be used; its colours are taken for sRGB.",
    )
