"""The fourth step of ``train``: the model measured once on the test pictures, with what was asked for beside it."""

import contextlib
import tempfile
from pathlib import Path

from eyebright.backends.handcrafted_ import HandcraftedPredictor
from eyebright.backends.loop import predictions_of
from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.open import with_views
from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.errors import ModelError
from eyebright.core.events import Choice, OnEvent, Phase
from eyebright.core.memory import keep_memory, release_memory
from eyebright.core.parity import require_parity
from eyebright.core.predictions import Predictions, save_predictions
from eyebright.core.predictor import Predictor
from eyebright.core.report import Evaluation, Figure
from eyebright.core.run import Run
from eyebright.data.split import leaked_keys, unit_names
from eyebright.evaluation import judge
from eyebright.evaluation.subgroups import subgroups
from eyebright.verbs.making.bundling import write_on_known_backbone
from eyebright.verbs.making.choosing import Plan
from eyebright.verbs.making.gathering import Material
from eyebright.verbs.making.handcrafted import Crafted, predictions_beside
from eyebright.verbs.making.learning import Model
from eyebright.verbs.making.packing import make_probe
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story


def judge_model(settings: TrainSettings, material: Material, model: Model | Crafted, run: Run, story: Story) -> Evaluation:
    """The figures on the test part, the subgroups' and the baselines' too; the predictions behind them are stored."""
    story(Phase("Measuring on the test pictures"))
    keep_memory()  # batches of the same size follow one another: eager torch takes twice as long where it is given back
    predictions = _test_predictions(material, model, run, story)
    release_memory()
    save_predictions(predictions, run.predictions / "test.safetensors")
    evaluation = judge(
        predictions,
        model.decision,
        part="test",
        leaked=leaked_keys(material.split),
        majority=material.majority,
        views=model.plan.views.names,
        views_below=model.plan.views.below,
        seed=settings.seed,
    )
    baselines = _baselines(settings, material, model.plan, run, story)
    rows = subgroups(predictions, material.source.columns, settings.subgroups, seed=settings.seed)
    return evaluation.model_copy(update={"subgroups": rows, "baselines": {**evaluation.baselines, **baselines}})


def _test_predictions(material: Material, model: Model | Crafted, run: Run, story: Story) -> Predictions:
    samples = material.samples("test")
    return predictions_of(
        predictor_of(model, material.source.classes),
        material.source,
        samples,
        model.plan.preprocess,
        on_event=story,
        scratch=run.checkpoints,
        contents=material.contents(samples),
        cache=material.pixel_cache,
        units=unit_names(samples, material.audit),
    )


def predictor_of(model: Model | Crafted, classes: tuple[str, ...]) -> Predictor:
    """What answers for the model just learned, before its bundle is written.

    A head on a frozen backbone is asked in ONNX Runtime, by the very graph that the bundle will hold, where that gives torch's
    answers: it is quicker.
    """
    if isinstance(model, Crafted):
        return HandcraftedPredictor(model.network, classes)
    in_torch = TorchPredictor(model.network, classes)
    return with_views(_on_known_backbone(model, in_torch) or in_torch, model.plan.views)


def _on_known_backbone(model: Model, in_torch: TorchPredictor) -> Predictor | None:
    preprocess, classes = model.plan.preprocess, in_torch.classes
    with contextlib.suppress(ModelError, OSError), tempfile.TemporaryDirectory() as aside:  # no room for it: torch answers
        path = Path(aside, "model.onnx")
        if write_on_known_backbone(model.network, model.architecture, preprocess, path, classes=classes):
            predictor = OnnxPredictor(path, classes)
            require_parity(in_torch, predictor, make_probe(preprocess).pixels)
            return predictor
    return None


def _baselines(settings: TrainSettings, material: Material, plan: Plan, run: Run, story: Story) -> dict[str, dict[str, Figure]]:
    """The figures of the handcrafted models that were asked for, fitted and judged on the same pictures."""
    found = {}
    for name in settings.baselines:
        story(Phase(f"Fitting {name} to put it beside"))
        table, decision = predictions_beside(name, settings, material, plan, run, Story(_all_but_choices(story)))
        found[name] = judge(table, decision, part="test", seed=settings.seed).figures
    return found


def _all_but_choices(story: Story) -> OnEvent:
    """Hands on what a baseline tells, but for its choices, which are none of this model's."""
    return lambda event: None if isinstance(event, Choice) else story(event)
