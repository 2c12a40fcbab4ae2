"""Cues: what a picture says beside its subject. Metadata is written by Pillow and read by us; figures are derived in sight."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, jpeg, noise, plain, png
from PIL import Image as Pillow
from PIL import ImageFilter
from scipy import ndimage

from eyebright.images.cues import cues_of
from eyebright.images.decode import decode_any
from eyebright.images.header import Header, read_header

FOUR_YEARS_ON = (4 * 365 + 1) * 24 * 60  # minutes from 0001-01-01 to 0005-01-01


def exif():
    """EXIF as a camera writes it, with what nobody should keep."""
    block = Pillow.Exif()
    block[0x010F], block[0x0110], block[0x0131] = "Canon", "Canon EOS 40D", "GIMP 2.10"
    block[0x013B] = block[0x8298] = "Jane Doe"  # artist, copyright
    below = block.get_ifd(0x8769)
    below[0x9003] = "0005:01:01 14:02:59"  # taken
    below[0xA430], below[0xA431] = "Jane Doe", "SERIAL-4711"  # owner, body
    block.get_ifd(0x8825)[1] = "N"  # a place
    return block


WHOLE = {kind: encoded(noise(2, 2), kind, exif=exif()) for kind in ("JPEG", "PNG", "WEBP", "TIFF")}


def cues(content):
    return cues_of(content, decode_any(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_camera_software_and_time_are_read_from_each_format_that_has_them(kind):
    header = read_header(encoded(noise(), kind, exif=exif()), kind)
    assert (header.camera, header.software) == ("Canon EOS 40D", "GIMP 2.10")
    assert header.taken == FOUR_YEARS_ON + 14 * 60 + 2


def test_a_tiff_has_the_same_tags_in_its_own_directory():
    block = exif()
    block[0x0132] = "0005:01:01 00:01:00"  # Pillow writes no directory below into a TIFF
    header = read_header(encoded(noise(), "TIFF", exif=block), "TIFF")
    assert (header.camera, header.software, header.taken) == ("Canon EOS 40D", "GIMP 2.10", FOUR_YEARS_ON + 1)


def test_exif_of_the_other_byte_order_and_without_a_time_of_taking_is_read_too():
    block = Pillow.Exif()
    block.endian = ">"
    block[0x0110], block[0x0132] = "D40", "0005:01:01 00:00:00"
    header = read_header(jpeg(exif=block), "JPEG")
    assert (header.camera, header.taken) == ("D40", FOUR_YEARS_ON)


def test_nothing_personal_is_kept():
    said = repr(cues(jpeg(exif=exif())))
    assert "EOS" in said
    for secret in ("Jane", "SERIAL", "4711"):
        assert secret not in said


def test_of_the_coarsest_jpegs_a_coarser_one_has_less_quality():
    found = [read_header(jpeg(quality=quality), "JPEG").quality for quality in (2, 5, 10, 20, 30)]
    assert found == sorted(set(found))


@pytest.mark.parametrize("quality", [25, 40, 50, 75, 90, 95])
def test_the_quality_is_the_one_that_was_asked_of_libjpeg(quality):
    assert read_header(jpeg(quality=quality), "JPEG").quality == pytest.approx(quality, abs=1)


def test_how_a_jpeg_is_coded_is_told_in_a_word():
    assert read_header(jpeg(subsampling="4:2:0"), "JPEG").coding == "2x2"
    assert read_header(jpeg(subsampling="4:4:4", progressive=True), "JPEG").coding == "1x1 progressive"
    assert read_header(jpeg(Pillow.fromarray(noise()).convert("L")), "JPEG").coding == "grey"


def test_a_file_that_says_nothing_has_an_empty_header():
    assert read_header(png(), "PNG") == read_header(encoded(noise(), "BMP"), "BMP") == Header()


@given(st.integers(2, 400), st.binary(max_size=30))
def test_cut_and_spoilt_metadata_is_left_out_and_never_raised(place, rubbish):
    for kind, content in WHOLE.items():
        read_header(content[:place], kind)
        read_header(content[:place] + rubbish + content[place + len(rubbish) :], kind)


def test_an_array_is_no_file():
    found = cues(noise(30, 40))
    assert (found.height, found.width, found.file_bytes, found.header) == (30, 40, None, Header())
    assert cues(png()).file_bytes == len(png())


def by_place(levels):
    """Mean and spread, spread of the vividness, and detail, of each place."""
    return [levels[place : place + 2] for place in range(0, 16, 4)], levels[2::4], levels[3::4]


def test_border_and_corners_have_their_own_mean_and_spread():
    picture = plain((100, 100, 100), 64, 64)
    picture[:4] = 200  # the top 16th
    picture[60:, 48:] = 50  # half of the bottom right corner, which is the last 8 rows and 16 columns
    found = cues(picture)
    # Right: 4 rows of 200, 56 of 100, 4 of 50 -> mean 103.1; E[x^2] = (4 * 40000 + 56 * 10000 + 4 * 2500) / 64 = 11406 -> 28
    # Bottom: 48 columns of 100, 16 of 50 -> mean 87.5, spread 50 * sqrt(3/16) = 21.7
    # Left: 4 rows of 200, 60 of 100 -> mean 106.25, spread 100 * sqrt(4 * 60) / 64 = 24.2
    assert by_place(found.border)[0] == [(200, 0), (103, 28), (88, 22), (106, 24)]
    # Top corners: 4 of 8 rows are 200 -> 150, 50; bottom right: 4 of 8 are 50 -> 75, 25; bottom left: plain
    assert by_place(found.corners)[0] == [(150, 50), (150, 50), (75, 25), (100, 0)]


def test_a_chequered_corner_has_detail_and_the_others_none():
    picture = plain((100, 100, 100), 66, 66)
    picture[-10:, -20:] = 100 * (np.indices((10, 20)).sum(axis=0) % 2)[:, :, None]
    details = by_place(cues(picture).corners)[2]
    # Inside a chequerboard of 0 and 100 each pixel differs from its four neighbours by 100: 400^2 = 160,000 = 2^17.3
    assert details == (0, 0, 207, 0)  # 12 * 17.288; the Laplacian's corner of 8 x 16 pixels lies within the board
    assert by_place(cues(picture).border)[2][0] == 0


def test_coloured_letters_show_in_a_corner_of_the_same_luminance():
    picture = plain((100, 100, 100), 64, 64)
    picture[-8:, -16:-8] = (160, 69, 101)  # 0.299 * 160 + 0.587 * 69 + 0.114 * 101 = 99.9, on half of the corner
    levels, vivid, _ = by_place(cues(picture).corners)
    assert levels[2] == (100, 0)
    assert vivid == (0, 0, 46, 0)  # 160 - 69 = 91 on one half, 0 on the other: 45.5


def test_colour_and_extremes_are_those_of_the_whole_picture():
    picture = plain((255, 0, 0), 64, 64)
    picture[:, 32:48], picture[:, 48:] = 0, 255
    found = cues(picture)
    # Half red, a quarter black, a quarter white. Red: 255 * 3/4 = 191.25; green and blue: 255 / 4 = 63.75
    assert found.colour == (191, 64, 64)
    assert found.extremes == (64, 64, 128)


def test_cues_but_the_size_hardly_change_with_the_size_of_the_picture():
    small = Pillow.fromarray(noise(8, 8)).resize((64, 64), Pillow.Resampling.BICUBIC)
    large = small.resize((320, 320), Pillow.Resampling.BOX)
    one, other = cues(np.asarray(small)), cues(np.asarray(large))
    for name in ("colour", "extremes"):
        assert np.allclose(getattr(one, name), getattr(other, name), atol=1)
    for name in ("border", "corners"):  # the detail of what was enlarged is less
        assert np.allclose(by_place(getattr(one, name))[0], by_place(getattr(other, name))[0], atol=1)
    assert one.sharpness[1] == pytest.approx(other.sharpness[1], abs=0.01)


def test_sharpness_is_the_variance_of_scipys_laplacian():
    picture = noise(40, 50)
    grey = np.asarray(Pillow.fromarray(picture).convert("L"), dtype=float)
    inside = ndimage.laplace(grey)[1:-1, 1:-1]
    assert cues(picture).sharpness == pytest.approx([np.log2(1 + inside.var())] * 2, rel=1e-3)  # its mean is 0 but for chance


def test_a_blurred_picture_is_less_sharp_and_a_plain_one_not_at_all():
    picture = Pillow.fromarray(noise(200, 200))
    sharp, blurred = cues(np.asarray(picture)), cues(np.asarray(picture.filter(ImageFilter.GaussianBlur(2))))
    assert blurred.sharpness[0] < sharp.sharpness[0] - 2
    assert cues(plain((9, 9, 9))).sharpness == (0.0, 0.0)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2, 3), (3000, 2)])
def test_the_narrowest_pictures_have_cues_too(size):
    found = cues(noise(*size))
    assert (found.height, found.width) == size
    assert all(0 <= level <= 255 for level in (*found.border, *found.corners, *found.colour, *found.extremes))


def test_the_cues_of_a_picture_weigh_less_than_a_kilobyte():
    found = cues(jpeg(noise(300, 300), exif=exif()))
    parts = [getattr(found, name) for name in found.__slots__]
    numbers = [number for part in parts if isinstance(part, tuple) for number in part if isinstance(number, float)]
    assert sum(sys.getsizeof(part) for part in [found, *parts, *numbers]) < 1024
