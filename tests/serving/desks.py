"""A desk for tests of what lies above it: a tiny ONNX bundle, asked at once and in turn, without queue or threads.

It keeps the border that ``serving.desk`` has, and what it says of a picture is what ``eyebright predict`` says.
"""

from contextlib import contextmanager
from http import HTTPStatus

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from pictures import png
from starlette.testclient import TestClient

from eyebright.backends.open import open_predictor
from eyebright.core.arrays import array_sha256
from eyebright.core.bundle import Form, Manifest, ProbePicture, read_bundle
from eyebright.core.decision import Decision, save_decision
from eyebright.core.files import sha256
from eyebright.core.preprocess import Preprocess
from eyebright.core.registry import unknown
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels
from eyebright.serving.answers import About, Answered, HeatMap, PictureAnswer, RefusalError
from eyebright.serving.app import make_app
from eyebright.serving.batching import Load
from eyebright.verbs.answering import judged, prepare_picture

CLASSES = ("cat", "dog", 'a "b" <b>c</b>', "été", "emu", "fox", "猫")
HEIGHT, WIDTH = 10, 12


def write_bundle(folder, *, name="animals", temperature=1.5):
    """A whole bundle, probe and card too, whose logits are a drawn matrix times the pixels; its one form is ONNX."""
    (folder / "probe").mkdir(parents=True)
    weight = np.random.default_rng(0).normal(0, 0.3, (3 * HEIGHT * WIDTH, len(CLASSES))).astype(np.float32)
    (folder / "model.onnx").write_bytes(_graph(weight))
    save_decision(Decision(temperature=temperature), folder / "decision.json")
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n\n# Animals\n\nKnows seven words.\n", encoding="utf-8")
    (folder / "probe" / "noise.png").write_bytes(png())
    preprocess = Preprocess(height=HEIGHT, width=WIDTH)
    manifest = Manifest(
        name=name,
        classes=CLASSES,
        preprocess=preprocess,
        forms={"onnx": Form(file="model.onnx", sha256=sha256(folder / "model.onnx"), bytes=weight.nbytes)},
        decision_sha256=sha256(folder / "decision.json"),
        card_sha256=sha256(folder / "README.md"),
        probe=(_golden(folder / "probe" / "noise.png", preprocess, weight),),
    )
    (folder / "bundle.json").write_text(manifest.model_dump_json(by_alias=True))
    return folder


def _graph(weight):
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, HEIGHT, WIDTH])
    said = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)])
    graph = helper.make_graph(nodes, "toy", [given], [said], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model.SerializeToString()


def _golden(file, preprocess, weight):
    prepared = prepare(decode(file.read_bytes()).image, preprocess)
    logits = to_pixels(prepared[None]).reshape(1, -1) @ weight
    return ProbePicture(
        file=f"probe/{file.name}",
        sha256=sha256(file),
        pixels_sha256=array_sha256(prepared),
        logits=tuple(logits[0].tolist()),
    )


class PlainDesk:
    """The border of ``serving.desk.Desk`` over one bundle under one or more names."""

    load = explaining = Load(0, 0, 0, 0, 0, 0, 0, 0.0)  # nothing ever waits

    def __init__(self, folder, names=("animals",)):
        self.names, self.ready = tuple(names), True
        self._bundle = read_bundle(folder)
        self._predictor, _ = open_predictor(self._bundle, threads=1)
        self.asked = []  # how many pictures each request put

    async def start(self):
        self.ready = True

    async def drain(self, seconds):
        self.ready = False

    def about(self, name):
        name = self.names[0] if name is None else name
        if name not in self.names:
            raise RefusalError(HTTPStatus.NOT_FOUND, unknown("model", name, self.names))
        return About(name, self._bundle.sha256, CLASSES, HEIGHT, WIDTH, "onnx", "Animals", "Knows seven words.")

    def card(self, name):
        return f"# Animals\n\nThe card of {self.about(name).name}."

    async def classify(self, name, pictures):
        self.asked.append(len(pictures))
        prepared = [prepare_picture(picture, self._bundle.manifest.preprocess) for picture in pictures]
        said = judged(self._predictor, self._bundle.decision(), prepared)
        answers = [PictureAnswer(one.probabilities, None, one.warnings, one.error) for one in said]
        return Answered(self.about(name), tuple(answers))

    async def classify_pixels(self, name, pixels):
        if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, "The pixels go beyond [0, 1].")
        rows = self._bundle.decision().probabilities(self._predictor(pixels).logits)
        return Answered(self.about(name), tuple(PictureAnswer(row) for row in rows))

    async def explain(self, name, picture, label):
        answered = await self.classify(name, [picture])
        row = answered.answers[0].probabilities
        if row is None:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, f"The picture cannot be read: {answered.answers[0].error}")
        if label is not None and label not in CLASSES:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, unknown("class", label, CLASSES))
        values = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
        return HeatMap(answered.about, label or CLASSES[row.argmax()], "occlusion", values, 0.0, -0.1, 1.0, 1.1)

    async def reload(self, name):
        return self.about(name)


@contextmanager
def asking(desk, environment=None, **options):
    """A client of the whole application over ``desk``."""
    with TestClient(make_app(desk, environment=environment, **options), "http://localhost") as client:
        yield client
