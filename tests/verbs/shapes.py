"""Data sets of coloured squares, runs that skip what takes seconds, and the words that a test wants to see."""

import json
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

import eyebright
from eyebright.core.errors import ModelError
from eyebright.core.predictions import load_predictions
from eyebright.core.run import Run

CLASSES = ("blue", "green", "red")
SETTINGS = {"epochs": 3, "precision": "fp32", "batch_size": 16, "learning_rate": 0.005, "device": "cpu"}


def square(label, number, size=16, *, grey=False, seed=0):
    """A bright square somewhere on noise, as [size, size, 3]: its colour, or in grey its place, is the class."""
    generator = np.random.default_rng([seed, label, number])
    picture = generator.integers(0, 60, (size, size, 3), dtype=np.uint8)
    top, left = generator.integers(1, size - 7, 2)
    if grey:
        top = 1 + label * (size - 8) // 2
        picture = picture[..., :1].repeat(3, axis=2)
        picture[top : top + 6, left : left + 6] += 150
    else:
        picture[top : top + 6, left : left + 6, 2 - label] += 150
    return picture


def squares(root, count=30, size=16, *, grey=False, seed=0, classes=CLASSES, first=0):
    """``count`` pictures a class below ``root``, named by their number."""
    for label, name in enumerate(classes):
        folder = Path(root) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            picture = Pillow.fromarray(square(label, number, size, grey=grey, seed=seed))
            (picture.convert("L") if grey else picture).save(folder / f"{number:03}.png")
    return Path(root)


def skip_the_slow(patch):
    """Training without the ONNX form, without timings and without the search for shortcuts: a second instead of ten."""

    def refuse(network, size, path, *, classes, name):
        raise ModelError(f"{name} is not written as ONNX in this test.")

    patch.setattr("eyebright.verbs.making.bundling.write_onnx", refuse)
    patch.setattr("eyebright.verbs.making.finishing.speed_of", lambda bundle: [])
    patch.setattr("eyebright.verbs.making.reporting.shortcuts_of", lambda source, audit, *, seed: [])


def trained(data, out, **settings):
    """The run that ``train`` leaves in ``out``."""
    result = eyebright.train(data, out=out, **{**SETTINGS, **settings})
    assert result.run is not None
    return result.run


def report_of(run: Run):
    return json.loads(run.report_json.read_text(encoding="utf-8"))


def weights_of(run: Run):
    return (run.bundle / "torch.safetensors").read_bytes()


def outcome(run: Run):
    """All that must not change when a run is done again: the weights, the answers, the temperature, the split."""
    table = load_predictions(run.predictions / "test.safetensors")
    answers = (table.keys, table.classes, table.labels.tobytes(), table.logits.tobytes(), table.features.tobytes())
    decision, split = (run.bundle / "decision.json").read_bytes(), (run.bundle / "split.json").read_bytes()
    return weights_of(run), answers, decision, split


def story_of(run: Run):
    """The events in ``events.jsonl``."""
    return [json.loads(line) for line in run.events.read_text(encoding="utf-8").splitlines()]
