"""HEIC pictures, as phones store them, follow the same policy as all others."""

import io
import struct
import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import as_stored, noise, plain
from PIL import Image

from eyebright.core.errors import ImageError
from eyebright.images.decode import decode, picture_format
from eyebright.images.sniff import HEAD


def heic(*pictures, **options):
    """The bytes of one HEIC file with these arrays, nearly without loss."""
    first, *others = [pillow_heif.from_pillow(Image.fromarray(picture)) for picture in pictures]
    buffer = io.BytesIO()
    first.save(buffer, quality=-1, chroma=444, append_images=[other[0] for other in others], **options)
    return buffer.getvalue()


WHOLE = heic(noise(64, 64))


def test_a_heic_picture_is_read_by_its_content():
    decoded = decode(heic(plain((200, 100, 50), 16, 24)))
    assert (decoded.format, decoded.mode, decoded.warnings) == ("HEIF", "RGB", ())
    assert np.abs(decoded.image.astype(int) - plain((200, 100, 50), 16, 24)).max() <= 2
    assert picture_format(WHOLE[:HEAD]) == "HEIF"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_held_in_any_way_gives_the_upright_picture(orientation):
    upright = np.zeros((32, 64, 3), dtype=np.uint8)
    upright[:16, :32], upright[16:, :32], upright[:16, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(heic(as_stored(upright, orientation), exif=exif.tobytes())).image
    assert np.abs(image.astype(int) - upright).max() <= 2


def test_transparency_is_laid_on_white():
    half = np.dstack([plain((0, 0, 0), 16, 16), np.full((16, 16), 128, dtype=np.uint8)])
    assert (decode(heic(half)).image == 127).all()  # 255 * (1 - 128 / 255)


def test_grey_stays_grey():
    decoded = decode(heic(plain((90, 90, 90), 16, 16)[..., 0]))
    assert (decoded.mode, decoded.image[0, 0].tolist()) == ("L", [90, 90, 90])


def test_the_main_picture_of_several_is_used_and_said():
    red, blue = plain((255, 0, 0), 16, 16), plain((0, 0, 255), 16, 16)
    for main, colour in ((0, (254, 0, 0)), (1, (0, 0, 254))):
        decoded = decode(heic(red, blue, primary_index=main))
        assert np.abs(decoded.image.astype(int) - colour).max() <= 2
        assert decoded.warnings == ("It has several frames; the one that it names as its main one is used.",)


def test_a_size_that_is_too_large_is_refused_by_the_header():
    content = bytearray(WHOLE)
    place = content.index(b"ispe") + 8  # ISO/IEC 23008-12, 6.5.3: version and flags, then width and height
    content[place : place + 8] = struct.pack(">II", 20_000, 20_000)
    with pytest.raises(ImageError, match=r"400\.0 megapixels"):
        decode(bytes(content))


@pytest.mark.parametrize("length", [20, 100, 500, len(WHOLE) // 2, len(WHOLE) - 100])
def test_half_a_picture_is_no_picture(length):
    with pytest.raises(ImageError, match="HEIF is truncated or damaged"):
        decode(WHOLE[:length])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_picture_or_an_image_error(data):
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(12, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(content)).image.ndim == 3
    except ImageError:
        return


def test_without_the_package_the_command_that_installs_it_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(ImageError, match=r"pillow-heif.*pip install 'eyebright\[heic\]'.*JPEG"):
        decode(WHOLE)


def test_pillow_itself_learns_nothing(tmp_path):
    (tmp_path / "a.heic").write_bytes(WHOLE)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from PIL import Image\n"
        "from eyebright.images.decode import decode\n"
        "decode(Path(sys.argv[1]).read_bytes())\n"
        "print('HEIF' in Image.OPEN)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.heic")], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
