"""Deletion (Petsiuk et al. 2018, RISE, section 4.2) on photographs: what the map calls hot is what the answer hangs on."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from eyebright.backends.open import open_predictor
from eyebright.core.arrays import softmax
from eyebright.core.events import silent
from eyebright.explanation import heat_map
from eyebright.explanation.grid import resized
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels
from eyebright.verbs.making.imagenet import imagenet_bundle

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

PHOTOGRAPHS = {
    "skimage.data": ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png"),
    "sklearn.datasets.images": ("flower.jpg", "china.jpg"),
}
SHARE = 0.2  # of the pixels is removed
BLOCK = 16  # pixels of a side: what is removed at random comes in blocks, else it would be noise and hurt any model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EYEBRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield imagenet_bundle(silent)


@pytest.fixture(scope="module")
def photographs(bundle):
    found = []
    for package, names in PHOTOGRAPHS.items():
        pytest.importorskip(package.partition(".")[0])
        paths = [Path(str(files(package) / name)) for name in names]
        found += [decode(path.read_bytes()).image for path in paths if path.is_file()]
    return [to_pixels(prepare(image, bundle.manifest.preprocess)[None]) for image in found]


def most(values):
    """The ``SHARE`` of places with the highest values."""
    kept = np.zeros(values.size, dtype=bool)
    kept[np.argsort(values.ravel(), kind="stable")[::-1][: round(SHARE * values.size)]] = True
    return kept.reshape(values.shape)


def left(predictor, pixels, target, removed):
    """The share of the target's probability that is left where the pixels ``removed`` have the picture's mean colour."""
    without = np.where(removed, pixels.mean(axis=(2, 3), keepdims=True), pixels).astype(np.float32)
    before, after = (softmax(predictor(one).logits)[0, target] for one in (pixels, without))
    return after / before


def at_random(pixels, draws=10):
    """Masks of as many pixels, in blocks."""
    rows, columns = (side // BLOCK for side in pixels.shape[2:])
    generator = np.random.default_rng(0)
    return [np.kron(most(generator.random((rows, columns))), np.ones((BLOCK, BLOCK))) > 0 for _ in range(draws)]


@pytest.mark.parametrize(("form", "method"), [("torch", "grad-cam"), ("onnx", "occlusion")])
def test_without_the_hottest_fifth_the_answer_suffers_more_than_without_a_random_fifth(bundle, photographs, form, method):
    predictor, _ = open_predictor(bundle, form=form, threads=1)
    hot, cold, random = [], [], []
    for pixels in photographs:
        target = int(predictor(pixels).logits.argmax())
        heat = heat_map(predictor, pixels, target)
        assert heat.method == method
        values = resized(heat.values, *pixels.shape[2:])
        hot.append(left(predictor, pixels, target, most(values)))
        cold.append(left(predictor, pixels, target, most(-values)))
        random.append(np.mean([left(predictor, pixels, target, removed) for removed in at_random(pixels)]))
    said = f"n={len(hot)}: left {np.round(hot, 2)}, at random {np.round(random, 2)}, coldest {np.round(cold, 2)}"
    assert np.mean(hot) < np.mean(random) / 2, said
    assert np.mean(np.array(hot) < np.array(random)) > 0.7, said
    assert np.mean(hot) < np.mean(cold), said
