"""One version of a model: the numbers of ``predict``, proved before it answers, and asked in batches only where that pays."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import jpeg, noise, png

import eyebright
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import DataError, ModelError
from eyebright.core.events import Choice, Note
from eyebright.core.files import sha256
from eyebright.core.predictor import Outputs
from eyebright.core.preprocess import Preprocess
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels
from eyebright.serving import served
from eyebright.serving.answers import RefusalError
from eyebright.serving.served import LONGEST_BATCH, ServedModel, best_batch
from eyebright.verbs import predict

from .shelves import CLASSES, bundle_of, edit


@pytest.fixture
def folder(tmp_path):
    return bundle_of(tmp_path / "rose")


@pytest.fixture
def model(folder):
    return ServedModel.open("rose", read_bundle(folder))


def changed(outputs=lambda logits: logits):
    """A predictor of three classes whose logits are what ``outputs`` makes of the mean of the pixels."""

    class Changed:
        classes, form = CLASSES, "toy"

        def __call__(self, pixels):
            mean = pixels.mean(axis=(1, 2, 3))
            return Outputs(outputs(np.stack([mean, mean, mean], axis=1)))

    return Changed()


# --- the same numbers


def test_it_gives_the_numbers_of_predict(folder, model, tmp_path):
    files = [tmp_path / "a.jpg", tmp_path / "b.png"]
    for file, content in zip(files, (jpeg(noise(30, 40)), png(noise(9, 7, 1))), strict=True):
        file.write_bytes(content)
    expected = eyebright.predict(folder, *files, top_k=3)
    answers = model.answer([file.read_bytes() for file in files])
    found = [predict.top_answers(answer.probabilities, model.about.classes, 3) for answer in answers]
    assert found == [result.predictions for result in expected.results]
    assert model.about.sha256 == expected.model.sha256


def test_one_picture_is_answered_alike_alone_with_others_and_on_all_cores(model):
    """A batch's sums may be made in another order, which changes a last digit; a picture of its own is the same bit for bit."""
    contents = [jpeg(noise(20, 20, seed)) for seed in range(5)]
    alone = [model.answer([content])[0].probabilities for content in contents]
    wide = [model.answer([content], alone=True)[0].probabilities for content in contents]
    together = [answer.probabilities for answer in model.answer(contents)]
    assert np.array_equal(alone, wide)
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_pixels_are_answered_as_the_picture_they_were_made_from(model):
    content = jpeg(noise(20, 20))
    pixels = to_pixels(prepare(decode(content).image, model.preprocess)[None])[0]
    as_pixels, as_picture = (model.answer([one])[0].probabilities for one in (pixels, content))
    assert np.array_equal(as_pixels, as_picture)


def test_a_picture_that_cannot_be_read_does_not_keep_the_others_from_their_answers(model):
    bad, good = model.answer([b"no picture", png()])
    assert bad.probabilities is None
    assert "text" in bad.error
    assert good.error is None
    assert good.probabilities.sum() == pytest.approx(1)
    assert [answer.error is None for answer in model.answer([b"", b"x"])] == [False, False]


def test_warnings_of_the_decoder_are_passed_on(model):
    (answer,) = model.answer([png(noise()[..., 0].astype(np.uint16) * 256)])
    assert "16-bit grey" in answer.warnings[0]


def test_an_answer_that_is_no_number_is_an_error(folder):
    bundle = read_bundle(folder)
    about = ServedModel.open("rose", bundle).about
    broken = ServedModel(bundle, about, changed(lambda logits: logits * np.float32("nan")))
    (answer,) = broken.answer([png()])
    assert answer.probabilities is None
    assert "not made of finite numbers" in answer.error


def test_predict_says_of_an_answer_that_is_no_number_what_the_server_says(folder, tmp_path, monkeypatch):
    """A model that divides by what it sees, asked for a black picture beside a grey one."""
    seen = changed(lambda mean: np.where(mean == 0, np.float32("nan"), mean))
    monkeypatch.setattr("eyebright.verbs.opening.open_quickest", lambda *_, **__: (seen, "a test"))
    files = [tmp_path / "black.png", tmp_path / "grey.png"]
    for file, shade in zip(files, (0, 90), strict=True):
        file.write_bytes(png(np.full((8, 8, 3), shade, dtype=np.uint8)))
    result = eyebright.predict(folder, *files)
    black, grey = result.results
    bundle = read_bundle(folder)
    broken = ServedModel(bundle, ServedModel.open("rose", bundle).about, seen)
    assert black.error == broken.answer([files[0].read_bytes()])[0].error
    assert "not made of finite numbers" in black.error
    assert (black.predictions, len(grey.predictions), grey.error) == ([], 3, None)
    assert result.exit_code == 3


@pytest.mark.parametrize("label", [None, "thorn"])
def test_a_heat_map_of_an_answer_that_is_no_number_is_refused(folder, label):
    bundle = read_bundle(folder)
    about = ServedModel.open("rose", bundle).about
    broken = ServedModel(bundle, about, changed(lambda logits: logits * np.float32("nan")))
    with pytest.raises(RefusalError, match=r"finite.* eyebright verify says") as refused:
        broken.explain(png(), label)
    assert refused.value.status == 422


def test_nothing_of_a_picture_is_kept_after_its_answer(model):
    content = jpeg(noise(20, 20))
    before = sys.getrefcount(content)
    model.answer([content])
    assert sys.getrefcount(content) == before


# --- what is known of it


def test_what_a_client_may_know_comes_from_manifest_and_card(folder, model):
    about = model.about
    assert (about.name, about.classes, about.height, about.width, about.form) == ("rose", CLASSES, 8, 8, "onnx")
    assert (about.title, about.summary) == ("Parts of a rose", "Tells leaf, petal and thorn.")
    assert model.card.startswith("# Parts of a rose")


def test_a_bundle_without_a_card_is_known_by_its_name(folder):
    bundle = edit(folder, lambda manifest: manifest.pop("card_sha256"))
    model = ServedModel.open("served", bundle)
    assert (model.card, model.about.title, model.about.summary) == ("", "rose", "")


# --- the proof


def test_other_answers_than_the_golden_ones_are_refused(folder):
    def other(manifest):
        manifest["probe"][2]["logits"][1] += 0.1

    with pytest.raises(ModelError, match=r"grey16.png is off by"):
        ServedModel.open("rose", edit(folder, other))


@pytest.mark.parametrize("change", [lambda manifest: manifest.pop("probe"), lambda manifest: manifest.update(probe=[])])
def test_a_bundle_that_cannot_prove_itself_is_refused(folder, change):
    with pytest.raises(ModelError, match="cannot show that its answers"):
        ServedModel.open("rose", edit(folder, change))


def test_a_probe_picture_that_is_missing_is_refused(folder):
    (folder / "probe" / "grey.jpg").unlink()
    with pytest.raises(ModelError, match=r"grey.jpg is missing"):
        ServedModel.open("rose", read_bundle(folder))


def test_pixels_of_another_decoder_are_said_and_judged_by_the_answers(folder):
    events = []

    def other(manifest):
        manifest["probe"][0]["pixels_sha256"] = "0" * 64

    ServedModel.open("rose", edit(folder, other), on_event=events.append)
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.level == "warning"
    assert "decoding probe/turned.jpg" in note.text


def test_a_bundle_that_changes_while_it_is_read_is_refused(folder, monkeypatch):
    really = served.golden_difference

    def replaced(predictor, prepared):
        edit(folder, lambda manifest: manifest.update(name="another"))
        return really(predictor, prepared)

    monkeypatch.setattr(served, "golden_difference", replaced)
    with pytest.raises(ModelError, match="changed while it was read"):
        ServedModel.open("rose", read_bundle(folder))


def test_a_bundle_that_vanishes_while_it_is_read_is_refused(folder, monkeypatch):
    monkeypatch.setattr(served, "golden_difference", lambda predictor, prepared: (folder / "bundle.json").unlink())
    with pytest.raises((DataError, OSError)):
        ServedModel.open("rose", read_bundle(folder))


# --- batches


class Costly:
    """A predictor whose calls cost ``call`` seconds, and ``each`` for every picture, on a clock of its own."""

    def __init__(self, call, each):
        self.call, self.each, self.now, self.sizes = call, each, 0.0, []

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        self.now += self.call + self.each * len(pixels)

    def clock(self):
        return self.now


@pytest.mark.parametrize(
    ("call", "each", "expected"),
    [
        (0.000, 0.009, (1, 0.009)),  # a batch brings nothing
        (0.001, 0.009, (1, 0.010)),  # 10 ms at most become 9.1: not worth it
        (0.010, 0.001, (8, 0.00225)),  # 11, 6, 3.5 and 2.25 ms a picture
        (0.004, 0.010, (2, 0.012)),  # 14, 12, 11 and 10.5 ms: 12 is within 15 % of the best
    ],
)
def test_the_smallest_batch_that_is_nearly_the_best_is_chosen(call, each, expected):
    predictor = Costly(call, each)
    batch, seconds = best_batch(predictor, np.zeros((4, 3, 2, 2), dtype=np.float32), clock=predictor.clock)
    assert (batch, seconds) == (expected[0], pytest.approx(expected[1]))


def test_no_batch_takes_longer_than_a_picture_may_wait():
    predictor = Costly(LONGEST_BATCH / 3, 0.0)
    best_batch(predictor, np.zeros((1, 3, 2, 2), dtype=np.float32), clock=predictor.clock)
    assert max(predictor.sizes) == 8
    slow = Costly(0.0, LONGEST_BATCH / 3)
    best_batch(slow, np.zeros((1, 3, 2, 2), dtype=np.float32), clock=slow.clock)
    assert max(slow.sizes) == 2


def test_choices_are_told_with_their_reasons(folder):
    events = []
    ServedModel.open("rose", read_bundle(folder), on_event=events.append)
    choices = {event.name: event for event in events if isinstance(event, Choice)}
    assert choices["form of rose"].value == "onnx"
    assert "measured" in choices["batch of rose"].reason


def test_all_cores_are_given_to_a_picture_alone_only_where_they_are_quicker(folder, monkeypatch):
    monkeypatch.setattr(served, "usable_cores", lambda: 2)
    # Narrow and wide in turns, three times for each model: the least are 2 and 1 s, then 1 and 1 s.
    times = iter([2.0, 5.0, 3.0, 1.0, 2.5, 4.0, *[1.0] * 6])
    monkeypatch.setattr(served, "least_seconds", lambda *_: next(times))
    monkeypatch.setattr(served, "best_batch", lambda *_: (1, 1.0))
    quicker, as_quick = (ServedModel.open("rose", read_bundle(folder)) for _ in range(2))
    assert quicker._wide is not quicker._predictor
    assert as_quick._wide is as_quick._predictor


# --- heat maps


def test_a_label_that_the_model_does_not_know_is_refused_with_the_nearest(model):
    with pytest.raises(RefusalError, match="Did you mean petal") as refused:
        model.explain(png(), "pedal")
    assert refused.value.status == 422


def test_a_heat_map_of_no_picture_is_refused(model):
    with pytest.raises(RefusalError, match="text") as refused:
        model.explain(b"no picture", None)
    assert refused.value.status == 422


@pytest.fixture
def drawn(monkeypatch):
    """The arguments of each heat map that is asked for; the map itself is all ones."""
    asked = []

    def heat_map(predictor, pixels, target, *, on_event):
        asked.append((predictor, pixels, target))
        return SimpleNamespace(values=np.ones((2, 3), dtype=np.float32), method=f"by {predictor.form}")

    monkeypatch.setattr(served, "heat_map", heat_map)
    return asked


def test_a_heat_map_is_of_the_first_class_and_lies_where_the_model_looked(tmp_path, drawn):
    """A picture twice as wide as high, cut to its middle: the map lies over the second and third quarter of its width."""
    bundle = read_bundle(bundle_of(tmp_path / "crop", preprocess=Preprocess(height=8, width=8, resize="crop")))
    model = ServedModel.open("crop", bundle)
    content = png(noise(20, 40))
    first = CLASSES[model.answer([content])[0].probabilities.argmax()]
    heat = model.explain(content, None)
    assert (heat.label, heat.method, heat.about) == (first, "by onnx", model.about)
    assert (heat.left, heat.top, heat.right, heat.bottom) == (0.25, 0.0, 0.75, 1.0)
    assert heat.values.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert model.explain(content, "thorn").label == "thorn"
    (_, pixels, target), (_, same, thorn) = drawn
    assert (CLASSES[target], CLASSES[thorn]) == (first, "thorn")
    assert np.array_equal(pixels, same)
    assert np.array_equal(pixels[0], to_pixels(prepare(decode(content).image, model.preprocess)[None])[0])


def with_torch(folder):
    """The bundle with a torch form beside the other one."""
    from safetensors.torch import save_file

    from eyebright.models.cnn import cnn

    save_file(cnn(3, height=12, width=12, hidden=4).state_dict(), folder / "torch.safetensors")
    form = {"file": "torch.safetensors", "sha256": sha256(folder / "torch.safetensors"), "bytes": 1}

    def change(manifest):
        manifest["forms"]["torch"] = form
        manifest["architecture"] = {"name": "cnn", "arguments": {"height": 12, "width": 12, "hidden": 4}}

    return edit(folder, change)


def test_the_torch_form_is_opened_once_and_only_for_heat_maps(folder, drawn, one_thread):
    model = ServedModel.open("rose", with_torch(folder))
    assert (model.about.form, model._explained) == ("onnx", None)
    assert {model.explain(png(), None).method for _ in range(2)} == {"by torch"}
    assert drawn[0][0] is drawn[1][0]


@pytest.mark.parametrize("why", ["torch is not installed", "the file has gone"])
def test_without_a_torch_form_the_open_one_is_explained(folder, drawn, monkeypatch, why):
    model = ServedModel.open("rose", with_torch(folder))
    if why == "the file has gone":
        (folder / "torch.safetensors").unlink()
    else:
        monkeypatch.setattr("eyebright.backends.open._installed", lambda form: form != "torch")
    assert model.explain(png(), None).method == "by onnx"


# --- without torch

BARE = """
import importlib.machinery, sys
find = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    blocked = ("torch", "torchvision", "timm", "scipy", "matplotlib", "onnx", "sklearn", "skimage", "fastapi", "uvicorn")
    return None if name.partition(".")[0] in blocked else find(name, path, target)
importlib.machinery.PathFinder.find_spec = find_spec
import asyncio
from eyebright.serving.desk import Desk
from eyebright.serving.shelf import open_shelf
async def main():
    desk = Desk(open_shelf([sys.argv[1]]))
    await desk.start()
    content = open(sys.argv[2], "rb").read()
    answered = await desk.classify(None, [content])
    heat = await desk.explain(None, content, None)
    await desk.drain(5)
    print(answered.answers[0].error, answered.about.form, heat.method, abs(heat.values).max())
asyncio.run(main())
"""


def test_a_bundle_with_onnx_is_served_and_explained_without_torch(folder, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(noise(20, 20)))
    command = [sys.executable, "-c", BARE, str(folder), str(tmp_path / "a.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("None onnx occlusion 1.0", 0), done.stderr
