"""What the steps of training share: the network, the prepared pictures of train and validation, and where things are kept."""

import time
from collections.abc import Sequence

import numpy as np

from eyebright.backends.stages_ import GraphStages
from eyebright.core import seeds
from eyebright.core.arrays import Features, Logits
from eyebright.core.decision import Decision
from eyebright.core.files import cache_home
from eyebright.core.predictions import Predictions, save_predictions
from eyebright.core.run import Run
from eyebright.data.balance import class_weights
from eyebright.data.pixels import prepare_all
from eyebright.data.source import Sample
from eyebright.data.split import unit_names
from eyebright.evaluation import fit_temperature
from eyebright.models.catalogue import build_seeded, load_pretrained
from eyebright.models.network import Classifier, PixelNetwork
from eyebright.training.features import Embedder, FeatureCache, embed, unknown_rows
from eyebright.training.fit import LabelledPictures, Pace, outputs_of
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import Learned
from eyebright.verbs.making.choosing import Plan, write_plan
from eyebright.verbs.making.embedding import WORTH_A_GRAPH, backbone_name, features_name, quick_embedder, quick_stages
from eyebright.verbs.making.gathering import Material, labels_of
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story

TRIED = 32  # pictures, to know how long embedding takes


class Work:
    """The state that training carries from step to step. ``plan`` is replaced as more of it is settled."""

    def __init__(
        self,
        settings: TrainSettings,
        material: Material,
        plan: Plan,
        run: Run,
        story: Story,
        deadline: float,
        *,
        pictures: LabelledPictures | None = None,
    ) -> None:
        self.settings, self.material, self.plan = settings, material, plan
        self.run, self.story, self.deadline = run, story, deadline
        self.paces: dict[str, Pace] = {}  # of capacities that were timed
        self._stages: GraphStages | None = None
        self._embedder: Embedder | None = None
        self._asked_with = 0  # pictures, when it was last asked what embeds quickest
        self._embedded = (0.0, 0)  # seconds, and pictures whose features were not known
        self.classes = len(material.source.classes)
        self.samples = material.samples("train", "validation")
        self.units = unit_names(self.samples, material.audit)  # folds tear no group and no cluster of copies
        for leftover in run.checkpoints.glob("pixels-*.npy"):
            leftover.unlink()  # of a run that was killed
        self.pictures = self.prepare(self.samples) if pictures is None else pictures
        validation = set(material.split.parts["validation"])
        self.held_out = np.array([sample.key in validation for sample in self.samples])

    def fresh_network(self, *, member: int = 0) -> tuple[PixelNetwork, str]:
        """The network as it is before training, and where its weights come from. ``member`` gives other initial weights."""
        stream = "initial weights" if member == 0 else f"initial weights {member}"
        network = build_seeded(self.plan.architecture, self.classes, seeds.integer(self.settings.seed, stream))
        origin = load_pretrained(network, self.plan.architecture.name, self.plan.weights)
        network.frozen_stages = self._stages
        return network, origin

    def quicken(self, network: PixelNetwork, recipe: Recipe) -> None:
        """Has what ``recipe`` freezes of ``network``, its copies and all fresh ones computed by something quicker."""
        size = (self.plan.preprocess.height, self.plan.preprocess.width)
        self._stages = network.frozen_stages = quick_stages(network, recipe, size)
        if self._stages is not None:
            why = f"the first {self._stages.stages} stages are not trained"
            self.story.choose("frozen stages run in", "ONNX Runtime", why)

    @property
    def is_quickened(self) -> bool:
        """Whether something quicker computes the frozen stages now."""
        return self._stages is not None

    def let_go_of_stages(self) -> None:
        """Every network computes all of its stages again: what is written, explained and asked later is the network alone."""
        if self._stages is not None:
            self._stages.close()
        self._stages = None

    def prepare(self, samples: list[Sample]) -> LabelledPictures:
        """The samples' pictures at the model's size."""
        keys = [sample.key for sample in samples]
        pictures = prepare_all(
            self.material.source,
            keys,
            self.plan.preprocess,
            on_event=self.story,
            scratch=self.run.checkpoints,
            contents=self.material.contents(samples),
            cache=self.material.pixel_cache,
        )
        return LabelledPictures(pictures, labels_of(samples), seeds.key_hashes(keys))

    def embed(self, network: PixelNetwork, *, mirrored: bool = False) -> Features:
        """The frozen features of train and validation, or of their mirror images, from the cache where they are known."""
        return self._embed(network, self.samples, mirrored=mirrored)

    def seconds_for_mirrored(self, network: PixelNetwork) -> float:
        """How long embedding the mirror images that are not known will take; where it has to be tried, those tried are kept."""
        _, cache = self._cache(network, mirrored=True)
        unknown = unknown_rows(self.material.contents(self.samples), cache)
        if unknown and self._embedded[1] < TRIED:
            self._embed(network, [self.samples[row] for row in unknown[:TRIED]], mirrored=True)
            unknown = unknown[TRIED:]
        seconds, pictures = self._embedded
        return len(unknown) * seconds / max(1, pictures)

    def _cache(self, network: PixelNetwork, *, mirrored: bool) -> tuple[str, FeatureCache]:
        name = backbone_name(network, self.plan.architecture, self.plan.preprocess)
        return name, FeatureCache(cache_home() / "features", features_name(name, mirrored=mirrored))

    def _embed(self, network: PixelNetwork, samples: Sequence[Sample], *, mirrored: bool) -> Features:
        recipe = self.plan.recipe.model_copy(update={"precision": "fp32"})  # the head must fit the exported network: fp32
        name, cache = self._cache(network, mirrored=mirrored)
        contents = self.material.contents(samples)
        pictures = self.pictures.pictures
        assert isinstance(pictures, np.ndarray)
        if len(samples) < len(self.samples):
            place = {sample.key: row for row, sample in enumerate(self.samples)}
            pictures = pictures[[place[sample.key] for sample in samples]]
        if mirrored:
            pictures = pictures[..., ::-1]
        unknown = unknown_rows(contents, cache)
        if len(unknown) > self._asked_with:
            self._embedder, why = quick_embedder(network, pictures[unknown[:WORTH_A_GRAPH]], recipe, name)
            self._asked_with = len(unknown) if len(unknown) < WORTH_A_GRAPH else len(self.samples)  # few are asked again
            self.story.choose("backbone runs in", "torch" if self._embedder is None else "ONNX Runtime", why)
        started = time.monotonic()
        what = "Embedding mirror images" if mirrored else "Embedding with the frozen backbone"
        features = embed(network, pictures, contents, recipe, cache, on_event=self.story, embedder=self._embedder, what=what)
        seconds, before = self._embedded
        self._embedded = (seconds + time.monotonic() - started, before + len(unknown))
        return features

    def class_weights(self) -> np.ndarray | None:
        """The weight of each class in training, or None where all weigh the same."""
        scheme = self.settings.class_weights
        seen = self.pictures.labels[~self.held_out]
        return None if scheme == "none" else class_weights(seen, self.classes, scheme=scheme)

    def logits_of(self, network: Classifier, pictures: LabelledPictures) -> Logits:
        """Logits in fp32 over the plan's views, as the exported forms give them."""
        recipe = self.plan.recipe.model_copy(update={"precision": "fp32"})
        return outputs_of(network, pictures.pictures, recipe, views=self.plan.views)[0]

    def table(self, samples: list[Sample], logits: Logits) -> Predictions:
        """The predictions table of ``samples``."""
        return Predictions(
            keys=tuple(sample.key for sample in samples),
            labels=labels_of(samples),
            logits=logits,
            classes=self.material.source.classes,
            groups=tuple(unit_names(samples, self.material.audit)),
        )

    def unseen(self, learned: Learned) -> Predictions:
        """What was predicted by a model that had not seen the pictures, as a table."""
        return self.table([self.samples[row] for row in learned.rows.tolist()], learned.logits)

    def temperature(self, unseen: Predictions, fitted_on: str) -> Decision:
        """The temperature that ``unseen`` gives, and the table stored for whoever asks what it came from."""
        save_predictions(unseen, self.run.predictions / "unseen.safetensors")
        return fit_temperature(unseen, fitted_on=fitted_on)

    def adopt(self, plan: Plan) -> None:
        """Takes ``plan`` for the rest of the run, and stores it."""
        self.plan = plan
        write_plan(plan, self.run.checkpoints / "plan.json")
