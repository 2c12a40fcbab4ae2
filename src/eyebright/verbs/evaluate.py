"""``evaluate``: how well a model does on labelled pictures, with an interval on every figure."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from eyebright.core.bundle import Bundle
from eyebright.core.errors import DataError, ModelError
from eyebright.core.events import Note, OnEvent, silent
from eyebright.core.registry import nearest
from eyebright.core.report import Evaluation
from eyebright.core.settings import Settings, argument
from eyebright.data.source import Sample, Source


class EvaluateSettings(Settings):
    """What ``evaluate`` needs to know."""

    bundle: str = argument(help="A bundle's folder, a run's folder, or the word imagenet.", positional=True, min_length=1)
    data: str = argument(
        help="Labelled pictures: a folder, a CSV table, a zip, or a known name.", positional=True, min_length=1
    )
    part: Literal["train", "validation", "calibration", "test", "all"] = argument("test", help="Which pictures to judge by.")
    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")
    group: str | None = argument(
        None, help="Regular expression over the keys that names a picture's group, e.g. '(?P<group>person\\d+)_'."
    )
    form: Literal["auto", "onnx", "torch"] = argument("auto", help="Which form of the model is judged.")
    threads: int | None = argument(None, help="Threads for the arithmetic. Default: all cores.", ge=1, le=1024)
    allow_bad: float = argument(0.01, help="Fraction of pictures that may be unreadable.", ge=0, le=1)
    seed: int = argument(0, help="Decides the resamples behind the intervals.", ge=0)


def evaluate(bundle: str | Path, data: str | Path, *, on_event: OnEvent = silent, **settings: Any) -> Evaluation:
    """The evaluation of ``bundle`` on the pictures of ``data``. ``settings`` are those of ``EvaluateSettings``.

    The bundle's own split is obeyed: pictures it was trained on are in ``train`` whatever ``data`` says. Raises ``DataError``
    where data or classes do not fit, ``ModelError`` where the bundle is refused.
    """
    return run(EvaluateSettings.resolve({"bundle": str(bundle), "data": str(data), **settings}), on_event)


def run(settings: EvaluateSettings, on_event: OnEvent = silent) -> Evaluation:
    """The evaluation that ``settings`` ask for."""
    from eyebright.backends.loop import predictions_of
    from eyebright.backends.open import open_predictor
    from eyebright.data.audit import audit
    from eyebright.data.open import open_source
    from eyebright.evaluation import judge
    from eyebright.verbs.making.imagenet import open_bundle

    bundle = open_bundle(settings.bundle, on_event)
    source = open_source(settings.data, data_home=settings.data_home, group=settings.group)
    samples, note, leaked = _chosen(bundle, source, settings.part)
    chosen = _relabelled(dataclasses.replace(source, samples=tuple(samples)), bundle.manifest.classes)
    if note:
        on_event(Note(note, "warning"))
    found = audit(chosen, on_event=on_event)
    _refuse_bad(len(found.unreadable), len(samples), settings.allow_bad, list(found.unreadable))
    readable = [sample for sample in chosen.samples if sample.key in found.scanned]
    predictor, why = open_predictor(bundle, form=settings.form, threads=settings.threads)
    on_event(Note(f"The {predictor.form} form is judged: {why}."))
    predictions = predictions_of(predictor, chosen, readable, bundle.manifest.preprocess, on_event=on_event)
    evaluation = judge(
        predictions, bundle.decision(), part=settings.part, leaked=leaked, views=bundle.manifest.views, seed=settings.seed
    )
    warnings = [*evaluation.warnings, *([note] if note else [])]
    if found.unreadable:
        warnings.append(
            f"{len(found.unreadable)} pictures could not be read and are not counted: {', '.join(found.unreadable)}"
        )
    return evaluation.model_copy(update={"warnings": warnings})


def _chosen(bundle: Bundle, source: Source, part: str) -> tuple[list[Sample], str, frozenset[str]]:
    """The samples to judge by, a warning or nothing, and the keys among them that the model was trained on or leaked."""
    from eyebright.data.split import leaked_from_hashed, part_from_hashed

    hashed = _split(bundle)
    keys = [sample.key for sample in source.samples]
    parts = part_from_hashed(hashed, keys) if hashed else {}
    trained = {key for name, known in parts.items() if name != "test" for key in known}
    leaked = leaked_from_hashed(hashed, keys) if hashed else frozenset()
    if part == "all":
        return list(source.samples), "", frozenset(trained) | leaked
    if any(parts.values()):
        wanted = set(parts.get(part, ()))
        note = ""
    elif source.has_parts:
        wanted = {sample.key for sample in source.part(part)}
        note = ""
    else:
        wanted = set(keys)
        note = f"The model has never seen these pictures and they have no parts: all {len(keys):,} are judged."
    samples = [sample for sample in source.samples if sample.key in wanted]
    if not samples:
        raise DataError(f"{source.name} holds no pictures of the part {part!r}. Choose another --part, or --part all.")
    return samples, note, leaked if part == "test" else frozenset()


def _split(bundle: Bundle) -> dict[str, Any] | None:
    expected = bundle.manifest.split_sha256
    if expected is None:
        return None
    try:
        value = json.loads(bundle.file("split.json", expected).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{bundle.path}/split.json is not JSON ({error}). Copy or train the bundle again.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{bundle.path}/split.json is not a split. Copy or train the bundle again.")
    return value


def _relabelled(source: Source, classes: tuple[str, ...]) -> Source:
    """The source with labels that index the model's classes, matched by name, never by position.

    Raises ``DataError`` naming classes that the model does not know.
    """
    used = {source.classes[sample.label] for sample in source.samples if sample.label >= 0}
    strange = sorted(used - set(classes))
    if strange:
        close = nearest(strange[0], classes)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise DataError(
            f"{source.name} has classes that the model does not know: {', '.join(strange[:5])}. It knows "
            f"{', '.join(classes[:10])}{' ...' if len(classes) > 10 else ''}. Rename or leave out these pictures.{hint}"
        )
    place = {name: index for index, name in enumerate(classes)}
    samples = tuple(
        dataclasses.replace(sample, label=place[source.classes[sample.label]] if sample.label >= 0 else -1)
        for sample in source.samples
    )
    return dataclasses.replace(source, classes=classes, samples=samples)


def _refuse_bad(bad: int, n: int, allowed: float, names: list[str]) -> None:
    if bad > allowed * n:
        raise DataError(
            f"{bad} of {n} pictures cannot be read ({', '.join(names[:3])}); at most {allowed:.0%} may fail. "
            "Mend or remove them, or raise --allow-bad."
        )
