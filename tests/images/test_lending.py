"""A picture's memory, lent and not copied, and read in the right order."""

import numpy as np
import pytest
from pictures import noise
from PIL import Image

from eyebright.images import lending
from eyebright.images.lending import lent


def bytes_of(pixels):
    """Red, green and blue of each pixel."""
    return pixels.view(np.uint8).reshape(*pixels.shape, 4)[..., :3]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (640, 480)])
def test_the_pixels_are_the_pictures(size):
    image = noise(size[1], size[0])
    with lent(Image.fromarray(image)) as pixels:
        assert np.array_equal(bytes_of(pixels), image)


def test_nothing_is_copied_and_nothing_can_be_written():
    picture = Image.fromarray(noise(4, 6))
    with lent(picture) as one, lent(picture) as other:
        assert one.__array_interface__["data"][0] == other.__array_interface__["data"][0]
        with pytest.raises(ValueError, match="read-only"):
            one[0, 0] = 1


def test_a_picture_in_several_pieces_is_copied():
    """Pillow keeps up to 16 MiB together: 4,194,304 pixels."""
    image = noise(2049, 2048)
    with lent(Image.fromarray(image)) as pixels:
        assert np.array_equal(bytes_of(pixels), image)


def test_where_pillow_lends_in_another_way_it_is_copied(monkeypatch):
    image = noise(4, 6)
    with monkeypatch.context() as patch:
        patch.setattr(lending, "_behind", lambda capsule, picture: (_ for _ in ()).throw(ValueError("another layout")))
        with lent(Image.fromarray(image)) as pixels:
            assert np.array_equal(bytes_of(pixels), image)
    monkeypatch.delattr(Image.Image, "__arrow_c_array__")
    with lent(Image.fromarray(image)) as pixels:
        assert np.array_equal(bytes_of(pixels), image)


def test_another_layout_is_noticed():
    grey = Image.fromarray(noise(4, 6)[:, :, 0])
    with pytest.raises(ValueError, match="another layout"):
        lending._behind(grey.__arrow_c_array__()[1], grey)


def held():
    """Pillow's blocks of memory that are in use."""
    stats = Image.core.get_stats()
    return stats["allocated_blocks"] - stats["freed_blocks"] - stats["blocks_cached"]


def test_the_memory_is_given_back():
    before = held()
    for _ in range(20):
        with lent(Image.new("RGB", (2000, 2000))) as pixels:
            assert held() > before
            assert not bytes_of(pixels[:1]).any()
        del pixels
    assert held() == before
