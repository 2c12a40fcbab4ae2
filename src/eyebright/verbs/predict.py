"""``predict``: what a model sees in pictures."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from eyebright.core.bundle import Manifest
from eyebright.core.decision import Decision
from eyebright.core.errors import DataError, ImageError
from eyebright.core.events import Choice, OnEvent, Phase, Progress, silent
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess
from eyebright.core.settings import Settings, argument
from eyebright.data.folder import pictures_in, read_file

if TYPE_CHECKING:
    from eyebright.verbs.answering import Prepared

BATCH = 16  # pictures decoded and asked together: memory stays small, and the cores stay busy


class PredictSettings(Settings):
    """What ``predict`` needs to know."""

    bundle: str = argument(help="A bundle's folder, a run's folder, or the word imagenet.", positional=True, min_length=1)
    images: tuple[str, ...] = argument(help="Pictures, or folders of pictures.", positional=True, min_length=1)
    top_k: int = argument(5, help="How many classes to name.", ge=1, le=1000)
    form: Literal["auto", "onnx", "openvino", "torch", "handcrafted", "litert"] = argument(
        "auto", help="Which form of the model answers."
    )
    threads: int | None = argument(None, help="Threads for the arithmetic. Default: all cores.", ge=1, le=1024)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Answer(_Value):
    """One class and its calibrated probability."""

    label: str
    probability: float


class PictureResult(_Value):
    """What the model says of one picture, most probable class first; or why there is no answer."""

    key: str
    predictions: list[Answer] = Field(default_factory=list)
    verdict: str | None = None
    warnings: list[str] = Field(default_factory=list)
    error: str | None = None


class ModelName(_Value):
    """Which model answered. ``sha256`` is its manifest's."""

    name: str
    sha256: str


class PredictResult(_Value):
    """What ``predict --json`` prints. The exit code is 3 where some picture has no answer."""

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    model: ModelName
    results: list[PictureResult]

    @property
    def exit_code(self) -> int:
        """0, or 3 where some picture has no answer."""
        return DataError.exit_code if any(result.error for result in self.results) else 0


def predict(bundle: str | Path, *images: str | Path, on_event: OnEvent = silent, **settings: Any) -> PredictResult:
    """The answers for ``images``, in their order; a picture that cannot be read has an ``error``, the others are answered.

    Raises ``DataError`` where the bundle is missing or a folder holds no picture, ``ModelError`` where the bundle is refused.
    """
    given = {"bundle": str(bundle), "images": tuple(str(image) for image in images), **settings}
    return run(PredictSettings.resolve(given), on_event)


def run(settings: PredictSettings, on_event: OnEvent = silent) -> PredictResult:
    """The answers that ``settings`` ask for."""
    from eyebright.verbs.making.imagenet import open_bundle
    from eyebright.verbs.opening import open_quickest

    paths = list(_pictures(settings.images))
    bundle = open_bundle(settings.bundle, on_event)
    predictor, why = open_quickest(bundle, form=settings.form, pictures=len(paths), threads=settings.threads)
    on_event(Choice("form", predictor.form, why))
    on_event(Phase("Asking the model", len(paths)))
    decision = bundle.decision()
    results: list[PictureResult] = []
    for start in range(0, len(paths), BATCH):
        results += _answers(bundle.manifest, predictor, decision, paths[start : start + BATCH], settings.top_k)
        on_event(Progress(len(results)))
    return PredictResult(model=ModelName(name=bundle.manifest.name, sha256=bundle.sha256), results=results)


def _pictures(given: Iterable[str]) -> Iterator[Path]:
    """The files that were named, and the pictures directly in the folders that were named, in the order of their names."""
    for name in given:
        path = Path(name)
        if path.is_dir():
            yield from pictures_in(path)
        else:
            yield path


def _answers(
    manifest: Manifest, predictor: Predictor, decision: Decision, paths: Sequence[Path], top_k: int
) -> list[PictureResult]:
    from eyebright.verbs.answering import judged

    said = judged(predictor, decision, [_read(path, manifest.preprocess) for path in paths])
    return [
        PictureResult(
            key=str(path),
            predictions=[] if one.probabilities is None else top_answers(one.probabilities, manifest.classes, top_k),
            warnings=list(one.warnings),
            error=one.error,
        )
        for path, one in zip(paths, said, strict=True)
    ]


def _read(path: Path, preprocess: Preprocess) -> "Prepared":
    from eyebright.verbs.answering import Prepared, prepare_picture

    try:
        content = read_file(path)
    except ImageError as error:
        return Prepared(error=str(error))
    return prepare_picture(content, preprocess)


def top_answers(probabilities: np.ndarray, classes: Sequence[str], top_k: int) -> list[Answer]:
    """The ``top_k`` most probable classes, most probable first, of one picture's row of ``probabilities``."""
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    return [Answer(label=classes[index], probability=round(float(probabilities[index]), 6)) for index in best]
