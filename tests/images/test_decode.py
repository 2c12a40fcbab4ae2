"""One decoder, one policy: whatever the bytes are, the answer is an upright RGB picture or an ImageError that says why."""

import io
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pictures import as_stored, encoded, gif, jpeg, noise, plain, png, png_claiming
from PIL import Image, TiffImagePlugin

from eyebright.core.errors import ImageError
from eyebright.images import decode as openers
from eyebright.images import limits as room
from eyebright.images.decode import FORMATS, announced_pixels, decode, decode_any, from_array, picture_format
from eyebright.images.sniff import HEAD

LOSSLESS = ["PNG", "BMP", "TIFF", "PPM"]
SEEDS = {
    "JPEG": jpeg(
        noise(24, 24), exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    ),
    "PNG": png(noise(9, 9)),
    "GIF": gif([noise(9, 9, 1), noise(9, 9, 2)]),
    "TIFF": encoded(noise(9, 9), "TIFF", compression="tiff_lzw"),
    "WEBP": encoded(noise(9, 9), "WEBP"),
    "BMP": encoded(noise(9, 9), "BMP"),
    "PPM": encoded(noise(9, 9), "PPM"),
}


def grey16(values, kind="PNG"):
    return encoded(Image.fromarray(np.asarray(values, dtype=np.uint16)), kind)


def with_orientation(picture, orientation, kind="JPEG", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture, kind, exif=exif, **options)


def close(a, b, tolerance=3):
    return np.abs(a.astype(int) - b.astype(int)).max() <= tolerance


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_picture_comes_back_byte_for_byte(kind):
    decoded = decode(encoded(noise(), kind))
    assert np.array_equal(decoded.image, noise())
    assert (decoded.format, decoded.mode, decoded.warnings) == (kind, "RGB", ())
    assert (decoded.height, decoded.width) == (12, 16)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "GIF"])
def test_every_common_format_is_read_by_its_content(kind):
    decoded = decode(encoded(plain((200, 100, 50), 16, 24), kind))
    assert decoded.format == kind
    assert decoded.image.shape == (16, 24, 3)
    assert close(decoded.image, plain((200, 100, 50), 16, 24), 8)


def test_the_second_picture_of_an_mpo_is_left_alone():
    first, second = Image.fromarray(plain((250, 0, 0))), Image.fromarray(plain((0, 0, 250)))
    decoded = decode(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert decoded.format == "JPEG"
    assert decoded.image[0, 0, 0] > 200


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_in_any_way_gives_the_upright_picture(kind, orientation):
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16] = (255, 0, 0)
    upright[8:, :16] = (0, 255, 0)
    upright[:8, 16:] = (0, 0, 255)
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(with_orientation(as_stored(upright, orientation), orientation, kind, **options))
    assert close(decoded.image, upright)


def test_an_orientation_that_does_not_exist_leaves_the_picture_as_stored():
    assert np.array_equal(decode(with_orientation(noise(), 77, "PNG")).image, noise())


def test_transparency_is_laid_on_white():
    half = np.dstack([plain((0, 0, 0)), np.full((8, 8), 128, dtype=np.uint8)])
    # black at 128/255 over white: 255 * (1 - 128/255) = 127
    assert (decode(png(half)).image == 127).all()
    clear = np.dstack([plain((9, 9, 9)), np.zeros((8, 8), dtype=np.uint8)])
    assert (decode(png(clear)).image == 255).all()


def test_grey_with_alpha_is_laid_on_white():
    picture = Image.merge("LA", [Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 0)])
    assert (decode(png(picture)).image == 255).all()


def test_a_palette_with_a_transparent_entry_is_laid_on_white():
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    assert (decode(png(picture, transparency=1)).image == 255).all()
    assert (decode(png(picture, transparency=0)).image == (255, 0, 0)).all()
    assert (decode(png(picture, transparency=b"\xff\x00")).image == 255).all()
    assert (decode(encoded(picture, "GIF", transparency=1)).image == 255).all()


def test_a_colour_key_in_an_rgb_png_is_laid_on_white():
    assert (decode(png(plain((1, 2, 3)), transparency=(1, 2, 3))).image == 255).all()


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (Image.new("1", (4, 4), 1), "PNG"),
        (Image.new("L", (4, 4), 255), "PNG"),
        (Image.new("RGB", (4, 4), "white").convert("P"), "PNG"),
        (Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF"),
        (Image.new("RGB", (4, 4), "white").convert("YCbCr"), "TIFF"),
        (Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF"),
        (Image.new("RGBX", (4, 4), "white"), "TIFF"),
    ],
)
def test_white_is_white_in_every_mode(picture, kind):
    decoded = decode(encoded(picture, kind))
    assert decoded.image.shape == (4, 4, 3)
    assert (decoded.image >= 250).all()


def test_an_inverted_cmyk_jpeg_keeps_its_colours():
    decoded = decode(jpeg(Image.new("RGB", (8, 8), (255, 0, 0)).convert("CMYK"), quality=95))
    assert decoded.mode == "CMYK"
    assert decoded.image[0, 0, 0] > 240
    assert decoded.image[0, 0, 1:].max() < 15


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    # v / 257 rounded: 0 -> 0, 257 -> 1, 128 -> 0.498 -> 0, 129 -> 0.502 -> 1, 32768 -> 127.502 -> 128, 65535 -> 255
    decoded = decode(grey16([[0, 257, 128, 129, 32768, 65535]]))
    assert decoded.image[0, :, 0].tolist() == [0, 1, 0, 1, 128, 255]
    assert (decoded.image == decoded.image[:, :, :1]).all()
    assert "divided by 257" in decoded.warnings[0]


def test_twelve_bits_stored_as_sixteen_are_remarked_on():
    assert any("12 of 16 bits" in warning for warning in decode(grey16([[0, 4095]])).warnings)
    assert not any("12 of 16 bits" in warning for warning in decode(grey16([[0, 4096]])).warnings)


def test_sixteen_bit_colour_is_scaled_too():
    # Two pixels of 48 bits in a TIFF, little-endian: 0, 0x8000, 0xFFFF and 0x0101, 0x1234, 0xFE00; the upper byte counts
    entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 3, 180), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 200),
               (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 12)]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    depths = struct.pack("<3H", 16, 16, 16)
    content = (b"II*\x00\x08\x00\x00\x00" + directory).ljust(180, b"\0") + depths.ljust(20, b"\0")
    pixels = struct.pack("<6H", 0, 0x8000, 0xFFFF, 0x0101, 0x1234, 0xFE00)
    assert decode(content + pixels).image.tolist() == [[[0, 0x80, 0xFF], [1, 0x12, 0xFE]]]


def test_all_256_levels_survive_in_16_bit_grey():
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for kind in ("PNG", "TIFF", "PPM"):
        assert np.array_equal(decode(grey16(ramp, kind)).image[:, :, 0].ravel(), np.arange(256)), kind


def test_big_endian_16_bit_grey_is_the_same_picture():
    header = b"MM\x00*\x00\x00\x00\x08"
    entries = [(256, 3, 1, 2 << 16), (257, 3, 1, 1 << 16), (258, 3, 1, 16 << 16), (259, 3, 1, 1 << 16),
               (262, 3, 1, 1 << 16), (273, 4, 1, 200), (277, 3, 1, 1 << 16), (278, 3, 1, 1 << 16), (279, 4, 1, 4)]  # fmt: skip
    directory = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHII", *entry) for entry in entries) + bytes(4)
    content = (header + directory).ljust(200, b"\0") + struct.pack(">HH", 257, 65535)
    assert decode(content).image[0, :, 0].tolist() == [1, 255]


def tiff_from_white(depth, pixels, order="<", kind=1):
    """A TIFF of one row whose zero is white."""
    width = len(pixels) * 8 // depth
    entries = [(256, width), (257, 1), (258, depth), (259, 1), (262, 0), (273, 200), (277, 1), (278, 1), (279, len(pixels)),
               (339, kind)]  # fmt: skip
    short = {"<": lambda value: value, ">": lambda value: value << 16}[order]
    directory = struct.pack(order + "H", len(entries))
    directory += b"".join(struct.pack(order + "HHII", tag, 3, 1, short(value)) for tag, value in entries) + bytes(4)
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return (start + directory).ljust(200, b"\0") + pixels


def test_a_deep_tiff_whose_zero_is_white_is_the_same_picture_as_its_8_bit_copy():
    shallow = decode(tiff_from_white(8, bytes([0, 1, 100, 255]))).image
    deep = decode(tiff_from_white(16, struct.pack("<4H", 0, 257, 25_700, 65_535))).image
    assert shallow[0, :, 0].tolist() == [255, 254, 155, 0]
    assert np.array_equal(deep, shallow)
    assert decode(tiff_from_white(32, struct.pack("<2f", 0, 1), kind=3)).image[0, :, 0].tolist() == [255, 0]


def test_a_tiff_in_a_layout_without_a_reader_is_not_called_damaged():
    with pytest.raises(ImageError, match="a layout that is not read") as caught:
        decode(tiff_from_white(16, struct.pack(">4H", 0, 257, 25_700, 65_535), ">"))
    assert "damaged" not in str(caught.value)


def test_deeper_grey_is_scaled_by_its_own_range_and_says_so():
    decoded = decode(encoded(Image.fromarray(np.array([[-100, 0, 155]], dtype=np.int32)), "TIFF"))
    # -100..155 spans 255, so each value moves up by 100
    assert decoded.image[0, :, 0].tolist() == [0, 100, 255]
    assert "own range, -100 to 155" in decoded.warnings[0]
    floating = decode(encoded(Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)), "TIFF"))
    assert floating.image[0, :, 0].tolist() == [0, 128, 255]  # 127.5 is rounded to even
    assert (decode(encoded(Image.fromarray(np.full((2, 2), 0.5, np.float32)), "TIFF")).image == 0).all()


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ImageError, match="not finite"):
        decode(encoded(Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32)), "TIFF"))


def test_grey_means_one_fixed_luminance_in_three_channels():
    # ITU-R 601: 0.299 * 255 = 76.2, 0.587 * 255 = 149.7, 0.114 * 255 = 29.07
    picture = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)
    assert decode(png(picture), colour="grey").image[0].tolist() == [[76] * 3, [150] * 3, [29] * 3]


def test_grey_leaves_a_grey_picture_as_it_is():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode(png(Image.fromarray(ramp)), colour="grey").image[:, :, 1], ramp)
    assert np.array_equal(decode(png(np.dstack([ramp] * 3)), colour="grey").image[:, :, 2], ramp)


def test_the_first_frame_of_an_animation_is_used_and_said():
    for content in (
        gif([plain((255, 0, 0)), plain((0, 0, 255))]),
        encoded(Image.fromarray(plain((255, 0, 0))), "WEBP", save_all=True, lossless=True,
                append_images=[Image.fromarray(plain((0, 0, 255)))]),
        png(Image.fromarray(plain((255, 0, 0))), save_all=True, append_images=[Image.fromarray(plain((0, 0, 255)))]),
        encoded(Image.fromarray(plain((255, 0, 0))), "TIFF", save_all=True, append_images=[Image.fromarray(noise())]),
    ):  # fmt: skip
        decoded = decode(content)
        assert (decoded.image == (255, 0, 0)).all(), decoded.format
        assert "first one is used" in decoded.warnings[0], decoded.format


def test_a_thousand_frames_take_no_longer_than_one():
    content = gif([plain((index % 256, index // 256, 7), 64, 64) for index in range(1000)])
    started = time.perf_counter()
    decoded = decode(content)
    assert time.perf_counter() - started < 0.5
    assert (decoded.image == (0, 0, 7)).all()


def test_a_whole_first_frame_is_enough():
    content = gif([plain((255, 0, 0)), noise(8, 8)])
    assert (decode(content[:-60]).image == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM"])
def test_half_a_picture_is_no_picture(kind):
    content = encoded(noise(64, 64), kind)
    with pytest.raises(ImageError, match="truncated or damaged"):
        decode(content[: len(content) // 2])


def test_a_small_file_that_holds_144_megapixels_is_refused_before_memory_is_spent(tmp_path):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_claiming(12_000, 12_000))
    assert bomb.stat().st_size < 200_000
    program = (
        "import resource, sys\n"
        "from eyebright.images.decode import ImageError, decode\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    decode(open(sys.argv[1], 'rb').read())\n"
        "except ImageError as error:\n"
        "    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    told, grown = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", program, str(bomb)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "144.0 megapixels; at most 40 megapixels" in told
    assert int(grown) < 8_000  # KiB; decoded it would be 432 MB


@pytest.mark.parametrize("side", [20_000, 65_000])
def test_even_larger_claims_are_refused_by_their_header(side):
    content = bytearray(png(plain((0, 0, 0))))
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    with pytest.raises(ImageError, match="megapixels"):
        decode(bytes(content))


def test_a_webp_canvas_that_is_too_large_is_refused():
    content = bytearray(encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WEBP", exif=b"Exif\0\0"))
    assert content[12:16] == b"VP8X"
    content[24:30] = (16_000).to_bytes(3, "little") * 2
    with pytest.raises(ImageError):
        decode(bytes(content))


def test_a_very_long_picture_is_refused_because_of_its_side():
    with pytest.raises(ImageError, match="65535 a side"):
        decode(png_claiming(70_000, 1))


def test_a_picture_of_exactly_the_limit_is_decoded(monkeypatch):
    monkeypatch.setattr(room, "MAX_PIXELS", 12 * 16)
    assert decode(png(noise())).image.shape == (12, 16, 3)
    monkeypatch.setattr(room, "MAX_PIXELS", 12 * 16 - 1)
    with pytest.raises(ImageError, match="megapixels"):
        decode(png(noise()))


def test_too_many_bytes_are_refused(monkeypatch):
    monkeypatch.setattr(room, "MAX_BYTES", 100)
    with pytest.raises(ImageError, match="at most 0 MiB"):
        decode(png())


def test_an_empty_file_is_called_empty():
    with pytest.raises(ImageError, match="empty"):
        decode(b"")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
        (b"\n  <HTML>", "an HTML page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"<?xml version='1.0'?><note/>", "XML"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\x1f\x8b\x08....", "gzip"),
        (b"just some words\n", "text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00", "a video"),
        (b"\x00" * 500, "zero bytes"),
        (b"\x00\x00\x00\x0cJXL \r\n", "JPEG XL"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08", "of an unknown kind"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(content, word):
    with pytest.raises(ImageError, match="a picture was expected") as caught:
        decode(content)
    assert word in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_page_that_pretends_to_be_a_gif_gives_no_picture():
    with pytest.raises(ImageError, match="GIF is truncated or damaged"):
        decode(b"GIF89a/*<script>alert(1)</script>*/=1;<html>")


def test_a_page_behind_a_whole_picture_changes_nothing():
    for content in (png(), encoded(noise(), "BMP")):
        decoded = decode(content + b"<html><script>alert(1)</script></html>")
        assert np.array_equal(decoded.image, noise())


def test_broken_exif_costs_neither_the_picture_nor_a_python_warning():
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00" + b"\x12\x01\x03\x00\xff\xff\xff\x7f\xff\xff\xff\x7f" * 3
    content = jpeg(exif=exif)
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        decoded = decode(content)
    assert leaked == []
    assert decoded.image.shape == (12, 16, 3)
    assert decoded.warnings


def test_pillow_still_warns_where_nobody_listens():
    exif = Image.Exif()
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        exif.load(b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00\x12\x01")
    assert TiffImagePlugin.warnings.catch_warnings is warnings.catch_warnings


def test_threads_do_not_hear_each_others_warnings():
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00" + b"\x12\x01\x03\x00\xff\xff\xff\x7f\xff\xff\xff\x7f" * 3
    contents = [jpeg(noise(32, 32, 1), exif=exif), jpeg(noise(32, 32, 2))] * 100
    barrier = threading.Barrier(4)

    def work(index):
        if index < 4:
            barrier.wait(10)
        return bool(decode(contents[index]).warnings)

    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(work, range(len(contents))))
    assert heard == [True, False] * 100


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SEEDS)), st.data())
def test_damaged_bytes_give_a_picture_or_an_image_error_and_nothing_else(kind, data):
    content = bytearray(SEEDS[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))] + data.draw(st.binary(max_size=16))
    try:
        image = decode(bytes(content)).image
    except ImageError:
        return
    assert (image.dtype, image.ndim) == (np.uint8, 3)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", *(content[:12] for content in SEEDS.values()), b"\x00\x00\x00\x1cftypavif"]), st.binary(max_size=200)
)
@example(b"", b"P6 ")
def test_a_header_before_noise_gives_a_picture_or_an_image_error(head, tail):
    try:
        decode(head + tail)
    except ImageError:
        return


def test_arrays_go_the_same_way_as_bytes():
    assert np.array_equal(decode_any(noise()).image, decode_any(png()).image)
    assert np.array_equal(from_array(noise()[:, :, 0]).image[:, :, 2], noise()[:, :, 0])
    assert np.array_equal(decode_any(noise(), colour="grey").image, decode_any(png(), colour="grey").image)
    assert (from_array(noise()[:, :, 0]).mode, from_array(noise()).mode) == ("L", "RGB")


@pytest.mark.parametrize("array", [noise() / 255.0, noise()[..., :2], np.zeros((0, 4), np.uint8), np.zeros(5, np.uint8)])
def test_an_array_of_another_kind_is_refused(array):
    with pytest.raises(ImageError, match="expected"):
        from_array(array)


def test_every_format_that_is_named_has_an_opener():
    assert {*FORMATS} == {*openers._OPENERS, "DICOM"}


def test_the_source_array_is_not_shared_with_the_decoded_one():
    for source in (noise(), noise()[:, :, 0].copy()):
        decoded, before = from_array(source), source.copy()
        source[:] = 0
        assert np.array_equal(np.asarray(decoded.picture), before)
        decoded.image[:] = 7
        assert not source.any()


def test_a_format_is_announced_by_the_first_bytes():
    for kind, content in SEEDS.items():
        assert picture_format(content[:HEAD]) == kind
    assert picture_format(encoded(noise(), "AVIF")[:HEAD]) == "AVIF"
    assert picture_format(b"Path,label\n") is None
    assert picture_format(b"") is None


def test_reading_does_not_need_a_file():
    assert decode(io.BytesIO(png()).getvalue()).format == "PNG"


@pytest.mark.parametrize("kind", [*SEEDS, "AVIF"])
def test_the_size_is_announced_without_decoding(kind):
    content = encoded(noise(30, 20), kind)
    cut = content[: len(content) * 3 // 4] if kind in {"JPEG", "PNG", "BMP", "PPM"} else content
    assert announced_pixels(cut) == 600


def test_what_a_bomb_announces_is_told_at_once():
    assert announced_pixels(png_claiming(9_000, 9_000)) == 81_000_000


def test_the_size_of_a_dicom_is_in_its_header():
    pytest.importorskip("pydicom")
    from .dicoms import dicom, ramp

    assert announced_pixels(dicom(ramp(12, 10))) == 120


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*SEEDS.values()]), st.integers(0, 400), st.binary(max_size=30))
def test_broken_headers_announce_nothing_or_a_size_and_never_fail(content, place, rubbish):
    assert announced_pixels(content[:place] + rubbish + content[place + len(rubbish) :]) >= 0
    assert announced_pixels(rubbish) >= 0
