"""Small files that would hold a decoder for minutes are refused at once."""

import io
import os
import time

import numpy as np
import pytest
from pictures import encoded, jpeg, noise
from PIL import Image

from eyebright.core.errors import ImageError
from eyebright.images import slow
from eyebright.images.decode import announced_pixels, decode


def with_scans(count, *, between=b""):
    """A progressive JPEG whose last scan is repeated so that there are ``count``."""
    content = jpeg(noise(32, 32), progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + (between + last) * (count - content.count(b"\xff\xda")) + content[-2:]


def test_a_jpeg_of_a_hundred_scans_is_read_and_one_of_more_is_refused():
    assert decode(with_scans(100)).image.shape == (32, 32, 3)
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode(with_scans(101))


def test_scans_are_counted_through_what_lies_between_them():
    for between in (b"\xff\xfe\x00\x04\xff\xd9", b"\xff\xff\xff", b"\xff\xd3"):  # an end in a comment, filling, a restart
        with pytest.raises(ImageError, match="more than 100 scans"):
            slow.refuse_many_scans(with_scans(500, between=between))


def test_what_looks_like_scans_behind_or_beside_the_picture_does_not_count():
    film = b"\xff\xda" * 5000
    assert decode(jpeg(noise(32, 32)) + film).image.shape == (32, 32, 3)
    assert decode(jpeg(noise(32, 32), comment=film)).image.shape == (32, 32, 3)


def test_a_hidden_scan_is_no_bomb_in_time():
    started = time.perf_counter()
    slow.refuse_many_scans(jpeg(noise(32, 32)) + os.urandom(2**24))
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(("magic", "highest", "shape"), [("P1", "", (2, 3)), ("P2", "255 ", (2, 3)), ("P3", "255 ", (2, 3, 3))])
def test_a_plain_pnm_with_a_comment_is_read(magic, highest, shape):
    values = np.arange(np.prod(shape)) % 2
    text = f"{magic} # by hand\n3 2 {highest}\n# the pixels\n{' '.join(map(str, values))}\n"
    found = decode(text.encode()).image
    expected = (1 - values) * 255 if magic == "P1" else values  # in P1, one is black
    assert np.array_equal(found, np.broadcast_to(expected.reshape(shape + (1,) * (3 - len(shape))), found.shape))


def test_a_plain_pnm_of_a_million_comments_is_refused_at_once():
    content = b"P2 10 10 255\n" + b"#\n" * 1_000_000 + b"1 " * 100
    started = time.perf_counter()
    with pytest.raises(ImageError, match="1,000,000 comments; at most 1,000"):
        decode(content)
    assert time.perf_counter() - started < 2


def test_a_binary_pnm_may_hold_the_byte_that_begins_a_comment():
    grey = np.full((64, 64), ord("#"), dtype=np.uint8)
    assert (decode(encoded(Image.fromarray(grey), "PPM")).image == ord("#")).all()


def test_a_header_of_comments_is_refused_at_once():
    content = b"P5\n" + b"#" * 30_000_000 + b"\n1 1 255\n0"
    started = time.perf_counter()
    with pytest.raises(ImageError, match="truncated or damaged"):
        decode(content)
    assert announced_pixels(content) == 0
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("head", [b"P2 2 2 255\n", b"P5 2 2 254\n"])
def test_values_that_are_read_one_by_one_are_bounded(head, monkeypatch):
    content = head + b"1 1 1 1 "
    assert decode(content).image.shape == (2, 2, 3)
    monkeypatch.setattr(slow, "MOST_SLOW_VALUES", 3)
    with pytest.raises(ImageError, match="The PPM has 4 values"):
        decode(content)
    assert decode(b"P5 2 2 255\n1234").image.shape == (2, 2, 3)


def test_the_file_is_read_from_its_beginning_whatever_its_length():
    big = np.arange(3 * 300 * 300, dtype=np.uint32).astype(np.uint8).reshape(300, 300, 3)  # longer than a header may be
    assert np.array_equal(decode(encoded(big, "PPM")).image, big)
    assert announced_pixels(encoded(big, "PPM")) == 90_000
    assert slow.open_pnm(io.BytesIO(encoded(big, "PPM"))).size == (300, 300)
