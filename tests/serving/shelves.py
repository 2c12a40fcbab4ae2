"""Tiny whole bundles of an ONNX form, with a probe and golden answers, and models that do as a test tells them."""

import json
import threading

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.core.arrays import array_sha256
from eyebright.core.bundle import Form, Manifest, ProbePicture, read_bundle
from eyebright.core.decision import Decision, save_decision
from eyebright.core.files import sha256
from eyebright.core.preprocess import Preprocess
from eyebright.export.probe import probe_pictures
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels

CLASSES = ("leaf", "petal", "thorn")
CARD = "---\nlicense: mit\n---\n\n# Parts of a rose\n\nTells `leaf`, petal\nand thorn.\n\nMore.\n"


def bundle_of(folder, *, seed=0, name="rose", preprocess=None):
    """A bundle whose logits are a drawn matrix, by ``seed``, times the pixels."""
    folder.mkdir(parents=True)
    preprocess = preprocess or Preprocess(height=8, width=8)
    height, width = preprocess.size
    weight = np.random.default_rng(seed).normal(0, 0.1, (3 * height * width, len(CLASSES))).astype(np.float32)
    _write_graph(folder / "model.onnx", weight, height, width)
    save_decision(Decision(temperature=1.5), folder / "decision.json")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    manifest = Manifest(
        name=name,
        classes=CLASSES,
        preprocess=preprocess,
        forms={"onnx": Form(file="model.onnx", sha256=sha256(folder / "model.onnx"), bytes=1)},
        decision_sha256=sha256(folder / "decision.json"),
        card_sha256=sha256(folder / "README.md"),
        probe=_probe(folder, preprocess),
    )
    (folder / "bundle.json").write_text(manifest.model_dump_json(by_alias=True), encoding="utf-8")
    return folder


def _write_graph(path, weight, height, width):
    nodes = [helper.make_node("Flatten", ["pixels"], ["flat"], axis=1), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, height, width])
    said = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", weight.shape[1]])
    graph = helper.make_graph(nodes, "toy", [given], [said], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    path.write_bytes(model.SerializeToString())


def _probe(folder, preprocess):
    (folder / "probe").mkdir()
    predictor = OnnxPredictor(folder / "model.onnx", CLASSES, threads=1)
    pictures = []
    for file, content in probe_pictures().items():
        (folder / file).write_bytes(content)
        prepared = prepare(decode(content, colour=preprocess.colour).image, preprocess)
        logits = tuple(map(float, predictor(to_pixels(prepared[None])).logits[0]))
        described = {"sha256": sha256(folder / file), "pixels_sha256": array_sha256(prepared), "logits": logits}
        pictures.append(ProbePicture(file=file, **described))
    return tuple(pictures)


def edit(folder, change):
    """Rewrites a bundle's manifest after ``change`` had its way with the JSON."""
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return read_bundle(folder)


class Doubling:
    """Answers twice each item. It notes what it was asked, and waits for ``gate`` where that is closed."""

    def __init__(self, batch=1):
        self.batch = batch
        self.gate, self.begun = threading.Event(), threading.Semaphore(0)
        self.gate.set()
        self.batches, self.alone = [], []

    def answer(self, items, *, alone):
        self.batches.append(list(items))
        self.alone.append(alone)
        self.begun.release()
        assert self.gate.wait(10)
        if "bad" in items:
            raise ValueError("a bad item")
        return [2 * item for item in items]
