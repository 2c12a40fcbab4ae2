import base64
import io

import numpy as np
from PIL import Image

from eyebright.images.thumbnail import thumbnail_uri


def decoded(uri):
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_the_longer_side_of_a_large_picture_shrinks_to_the_side_asked_for():
    picture = decoded(thumbnail_uri(np.zeros((300, 600, 3), np.uint8), side=128))
    assert picture.size == (128, 64)


def test_a_tiny_picture_grows_by_a_whole_factor_so_that_its_pixels_can_be_seen():
    checks = np.indices((8, 8)).sum(axis=0) % 2 * 255
    picture = decoded(thumbnail_uri(np.repeat(checks[..., None], 3, axis=2).astype(np.uint8), side=128))
    assert picture.size == (128, 128)  # 16 times
    grey = np.asarray(picture.convert("L"))
    assert grey[4, 4] < 60
    assert grey[4, 20] > 200  # the first square is black, its neighbour white


def test_nothing_of_the_original_file_but_its_pixels_is_kept():
    assert not decoded(thumbnail_uri(np.zeros((9, 9, 3), np.uint8))).getexif()
