"""The fifth step of ``train``: the evaluation with its story around it."""

import datetime
from typing import Any

from eyebright import __version__
from eyebright.core.errors import DataError
from eyebright.core.machine import machine_line
from eyebright.core.report import (
    DataSummary,
    Evaluation,
    Figure,
    Mistake,
    NearPair,
    PartCounts,
    Report,
    SamplePicture,
    TrainingSummary,
)
from eyebright.core.words import rounded
from eyebright.data.audit import class_counts, imbalance, near_count, size_summary
from eyebright.data.source import Sample, Source, group_of
from eyebright.images.decode import decode_any
from eyebright.images.thumbnail import thumbnail_uri
from eyebright.verbs.making.gathering import Material
from eyebright.verbs.making.handcrafted import Crafted
from eyebright.verbs.making.learning import Model
from eyebright.verbs.making.story import Story
from eyebright.verbs.making.suspecting import shortcuts_of

SHOWN_PAIRS = 12  # near-duplicates shown side by side
SAMPLES = 24  # pictures shown as examples, spread over the classes
TRY_IT = "eyebright predict RUN IMAGE"  # the report names no path: it may be moved, and be shown to others
FEW_IN_CLASS = 20  # test pictures below which a class's recall is hardly known: Wilson's interval at 80 % is 35 points wide


def with_thumbnails(evaluation: Evaluation, source: Source) -> Evaluation:
    """The evaluation, its mistakes with small pictures."""
    return evaluation.model_copy(update={"mistakes": [_pictured(mistake, source) for mistake in evaluation.mistakes]})


def _pictured(mistake: Mistake, source: Source) -> Mistake:
    return mistake.model_copy(update={"thumbnail": _thumbnail(source, mistake.key)})


def _thumbnail(source: Source, key: str) -> str | None:
    try:
        return thumbnail_uri(decode_any(source.read(key)).image)
    except (DataError, OSError):
        return None  # the file went away since the scan; the row stays, without its picture


def training_summary(model: Model | Crafted, story: Story, seconds: float) -> TrainingSummary:
    """How the model came about."""
    return TrainingSummary(
        seconds=seconds,
        model=f"{model.plan.architecture.name} at {model.plan.preprocess.height} pixels, weights: {model.weights_origin}",
        parameters=model.parameters,
        curves=story.curves,
        attempts=model.learned.attempts,
        choices=list(story.choices.values()),
        ended=model.learned.ended,
        cross_validation=model.cross_validation,
        learning_curve=model.learning_curve,
    )


def data_summary(material: Material) -> DataSummary:
    """The data set as it was used."""
    source, audit, split = material.source, material.audit, material.split
    sizes = size_summary(audit)
    listed = ", ".join(f"{name} {height} x {width}" for name, (height, width) in sizes.items())
    return DataSummary(
        name=source.name,
        n=len(source.samples),
        classes=class_counts(source),
        parts={part: _counts(material, part) for part, keys in split.parts.items() if keys},
        split=split.how,
        fingerprint=split.fingerprint,
        leaks=[leak.sentence for leak in split.leaks],
        near_duplicates=near_count(audit),
        near_pairs=_near_pairs(material),
        shortcuts=shortcuts_of(source, audit, seed=split.seed),
        duplicates=sum(len(cluster) - 1 for cluster in audit.duplicates),
        unreadable=dict(audit.unreadable),
        stray=len(source.stray),
        imbalance=imbalance(class_counts(source, audit)),
        sizes=f"Height x width: {listed} pixels." if sizes else "",
        samples=_examples(material),
    )


def _near_pairs(material: Material) -> list[NearPair]:
    """Some pairs for the eye: first those whose labels differ, then those that are least alike."""
    label = {sample.key: sample.label for sample in material.source.samples}
    pairs = sorted(material.audit.near_pairs, key=lambda pair: (label[pair.first] == label[pair.second], pair.correlation))
    return [
        NearPair(
            first=pair.first,
            second=pair.second,
            correlation=pair.correlation,
            same_label=label[pair.first] == label[pair.second],
            thumbnails=_both(_thumbnail(material.source, pair.first), _thumbnail(material.source, pair.second)),
        )
        for pair in pairs[:SHOWN_PAIRS]
    ]


def _both(first: str | None, second: str | None) -> tuple[str, str] | None:
    return None if first is None or second is None else (first, second)


def _counts(material: Material, part: str) -> PartCounts:
    samples = material.samples(part)
    counts = dict.fromkeys(material.source.classes, 0)
    for sample in samples:
        counts[material.source.classes[sample.label]] += 1
    return PartCounts(n=len(samples), classes=counts, groups=len({group_of(sample) for sample in samples}))


def _examples(material: Material) -> list[SamplePicture]:
    """A few training pictures of each class, the first of its keys; of many classes, one of each of the first ones."""
    classes = material.source.classes
    each = max(1, SAMPLES // len(classes))
    shown: list[SamplePicture] = []
    taken = dict.fromkeys(range(len(classes)), 0)
    for sample in material.samples("train"):
        if taken[sample.label] < each and len(shown) < SAMPLES:
            taken[sample.label] += 1
            shown += _example(material.source, sample)
    return sorted(shown, key=lambda picture: picture.label)


def _example(source: Source, sample: Sample) -> list[SamplePicture]:
    thumbnail = _thumbnail(source, sample.key)
    return [SamplePicture(key=sample.key, label=source.classes[sample.label], thumbnail=thumbnail)] if thumbnail else []


def make_report(
    evaluation: Evaluation,
    material: Material,
    training: TrainingSummary,
    provenance: dict[str, Any],
    *,
    intended_use: str = "",
    limits: str = "",
) -> Report:
    """The report, but for the speed of the bundle's forms, which does not exist yet."""
    data = data_summary(material)
    return Report(
        **dict(evaluation),
        title=f"{data.name}: {len(data.classes)} classes, {data.n:,} pictures",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        summary=_summary(evaluation, data, training),
        cautions=_cautions(evaluation, data),
        next_steps=_next_steps(evaluation, data),
        data=data,
        training=training,
        machine=machine_line(),
        intended_use=intended_use,
        limits=limits,
        provenance=provenance,
    )


def _summary(evaluation: Evaluation, data: DataSummary, training: TrainingSummary) -> list[str]:
    accuracy = evaluation.figures["accuracy"]
    seen = sum(counts.n for part, counts in data.parts.items() if part != "test")
    return [
        f"The model tells {len(data.classes)} classes apart: {_some(list(data.classes))}.",
        f"It was made from {seen:,} pictures in {training.seconds:.0f} seconds and measured once on {evaluation.n:,} others.",
        f"It was right {_times(accuracy)}{_against(evaluation)}.",
    ]


def _times(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "as the figures below say"
    interval = f"{100 * figure.low:.0f} to {100 * figure.high:.0f}"
    return f"{_in_100(figure.value)} times in 100 (95 % interval {interval})"


def _in_100(share: float) -> str:
    return rounded(100 * share, 0, 100)


def _against(evaluation: Evaluation) -> str:
    majority = evaluation.baselines.get("majority", {}).get("accuracy")
    if majority is None or majority.value is None:
        return ""
    return f"; always answering the largest class would be right {_in_100(majority.value)} times"


def _cautions(evaluation: Evaluation, data: DataSummary) -> list[str]:
    found = []
    rare = [name for name, figures in evaluation.classes.items() if 0 < figures.n < FEW_IN_CLASS]
    if rare:
        found.append(f"Fewer than {FEW_IN_CLASS} test pictures stand behind {_some(rare)}: their own figures are hardly known.")
    found += [shortcut.sentence for shortcut in data.shortcuts if shortcut.suspicious]
    if evaluation.misleads_by_confidence:
        error = _in_100(evaluation.figures["ece"].value or 0.0)
        found.append(f"Its probabilities are off by {error} points on average; do not read them as certainties.")
    found.append("Pictures from another camera, place or season than these may be answered worse, and just as confidently.")
    found.append("It always names one of its classes, also for a picture of something else.")
    return found


def _next_steps(evaluation: Evaluation, data: DataSummary) -> list[str]:
    steps = []
    if data.leaks:
        steps.append("Move the leaking pictures into one part and train again; trust the figures without them until then.")
    known = {name: figures for name, figures in evaluation.classes.items() if figures.recall is not None and figures.n}
    if known:
        worst = min(known, key=lambda name: known[name].recall or 0.0)
        if (known[worst].recall or 0.0) < 0.9:
            steps.append(f"Add pictures of {worst}: it is found least often ({_in_100(known[worst].recall or 0.0)} in 100).")
    if evaluation.mistakes:
        steps.append("Look at the confident mistakes in the report: wrong labels are as common there as wrong answers.")
    steps.append(f"Try it on your own pictures: {TRY_IT}.")
    return steps


def _some(names: list[str], most: int = 6) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def provenance(material: Material, model: Model | Crafted, seed: int) -> dict[str, Any]:
    """Where the model comes from, in hashes and versions; no path, no user, no machine name."""
    return {
        "eyebright": __version__,
        "data": material.source.name,
        "largest training class": material.source.classes[material.majority],
        "split": material.split.fingerprint,
        "seed": seed,
        "pretrained weights": model.weights_origin,
        "recipe": model.learned.ended if isinstance(model, Crafted) else model.plan.recipe.model_dump(mode="json"),
    }
