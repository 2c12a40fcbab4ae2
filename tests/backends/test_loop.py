"""The one loop: splitting into batches and chunks changes no answer, and rows stay with their pictures."""

import dataclasses

import numpy as np
import pytest
from pictures import noise, png

from eyebright.backends import loop as room
from eyebright.backends.loop import ask, predictions_of
from eyebright.core.errors import ImageError, ResourceError
from eyebright.core.events import Phase
from eyebright.core.predictor import Outputs
from eyebright.core.preprocess import Preprocess
from eyebright.data.pixels import MEMORY_LIMIT
from eyebright.data.source import Sample, Source

SPEC = Preprocess(height=8, width=8)
CLASSES = ("dark", "light")


class Brightness:
    """Logits are the sums over the picture's halves; features the mean of each channel."""

    classes, form = CLASSES, "toy"

    def __init__(self):
        self.asked = []

    def __call__(self, pixels):
        self.asked.append(len(pixels))
        logits = np.stack([pixels[..., :4].sum(axis=(1, 2, 3)), pixels[..., 4:].sum(axis=(1, 2, 3))], axis=1)
        return Outputs(logits, pixels.mean(axis=(2, 3)))


class WithoutFeatures(Brightness):
    def __call__(self, pixels):
        return dataclasses.replace(super().__call__(pixels), features=None)


def source_of(n):
    files = {f"{number:03}.png": png(noise(8, 8, number)) for number in range(n)}
    samples = tuple(Sample(key, number % 2, group="a" if number < 2 else None) for number, key in enumerate(files))
    return Source("toy", CLASSES, samples, files.__getitem__)


def test_rows_are_in_the_order_of_the_samples_that_were_given():
    source = source_of(7)
    samples = source.samples[::-1]
    table = predictions_of(Brightness(), source, samples, SPEC)
    assert table.keys == tuple(sample.key for sample in samples)
    assert table.labels.tolist() == [sample.label for sample in samples]
    assert table.groups[-2:] == ("a", "a")
    assert table.groups[0] == "006.png"  # a picture without a group is its own
    last = noise(8, 8, 6).astype(np.float32) / 255
    np.testing.assert_allclose(table.logits[0], [last[:, :4].sum(), last[:, 4:].sum()], rtol=1e-5)
    np.testing.assert_allclose(table.features[0], last.mean(axis=(0, 1)), rtol=1e-5)


@pytest.mark.parametrize(("batch", "chunk"), [(1, 100), (3, 4), (5, 5), (100, 2)])
def test_batches_and_chunks_change_no_answer(monkeypatch, batch, chunk):
    source = source_of(11)
    whole = predictions_of(Brightness(), source, source.samples, SPEC)
    monkeypatch.setattr(room, "BATCH", batch)
    monkeypatch.setattr(room, "CHUNK", chunk)
    asked = Brightness()
    table = predictions_of(asked, source, source.samples, SPEC)
    assert table.keys == whole.keys
    np.testing.assert_allclose(table.logits, whole.logits, rtol=1e-6)
    np.testing.assert_allclose(table.features, whole.features, rtol=1e-6)
    assert max(asked.asked) <= min(batch, chunk)
    assert sum(asked.asked) == 11


def test_a_form_without_features_gives_a_table_without_them():
    source = source_of(3)
    assert predictions_of(WithoutFeatures(), source, source.samples, SPEC).features is None


def test_no_pictures_give_an_empty_table():
    table = predictions_of(Brightness(), source_of(1), (), SPEC)
    assert (len(table), table.logits.shape) == (0, (0, 2))


def test_a_picture_that_cannot_be_read_is_named():
    source = source_of(3)
    broken = dataclasses.replace(source, read=lambda key: b"nothing" if key == "001.png" else source.read(key))
    with pytest.raises(ImageError, match=r"001\.png"):
        predictions_of(Brightness(), broken, broken.samples, SPEC)


def test_the_listener_hears_both_phases():
    heard = []
    source = source_of(3)
    predictions_of(Brightness(), source, source.samples, SPEC, on_event=heard.append)
    assert [event.name for event in heard if isinstance(event, Phase)] == ["Preparing pictures", "Asking the model"]


def test_ask_hands_over_pixels_between_zero_and_one():
    seen = []

    class Looking(Brightness):
        def __call__(self, pixels):
            seen.append((pixels.dtype, float(pixels.min()), float(pixels.max())))
            return super().__call__(pixels)

    ask(Looking(), np.stack([np.zeros((3, 8, 8), np.uint8), np.full((3, 8, 8), 255, np.uint8)]))
    assert seen == [(np.dtype(np.float32), 0.0, 1.0)]


@pytest.mark.parametrize(("side", "pictures"), [(8, 4096), (224, 4096), (512, 768), (4096, 12)])
def test_a_chunk_of_large_pictures_has_fewer_and_always_fits_into_memory(side, pictures):
    """616,562,688 bytes / (3 x 512 x 512) = 784, in whole batches of 64: 768. Of 4096 pixels 12, less than a batch."""
    assert room._chunk(Preprocess(height=side, width=side)) == pictures
    assert pictures * 3 * side**2 < MEMORY_LIMIT


def test_large_pictures_are_prepared_without_a_file(monkeypatch):
    """Seven pictures of 192 bytes where 500 are allowed: in twos, though one chunk of seven would want a scratch folder."""
    monkeypatch.setattr("eyebright.data.pixels.MEMORY_LIMIT", 1000)
    source = source_of(7)
    with pytest.raises(ResourceError, match="Give a scratch folder"):
        predictions_of(Brightness(), source, source.samples, SPEC)
    monkeypatch.setattr(room, "CHUNK_BYTES", 500)
    assert len(predictions_of(Brightness(), source, source.samples, SPEC)) == 7
