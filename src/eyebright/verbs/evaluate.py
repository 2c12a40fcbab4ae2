"""``evaluate``: how well a model does on labelled pictures, with an interval on every figure."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from eyebright.core.bundle import Bundle
from eyebright.core.errors import DataError, ModelError
from eyebright.core.events import Note, OnEvent, silent
from eyebright.core.files import cache_home
from eyebright.core.registry import nearest
from eyebright.core.report import Evaluation
from eyebright.core.settings import Settings, argument
from eyebright.data.audit import Audit
from eyebright.data.source import Sample, Source
from eyebright.data.split import Known, known_pictures


class EvaluateSettings(Settings):
    """What ``evaluate`` needs to know."""

    bundle: str = argument(help="A bundle's folder, a run's folder, or the word imagenet.", positional=True, min_length=1)
    data: str = argument(
        help="Labelled pictures: a folder, a CSV table, an archive, an .npz, or a known name.", positional=True, min_length=1
    )
    part: Literal["train", "validation", "calibration", "test", "all"] = argument("test", help="Which pictures to judge by.")
    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")
    group: str | None = argument(
        None, help="Regular expression over the keys that names a picture's group, e.g. '(?P<group>person\\d+)_'."
    )
    subgroups: tuple[str, ...] = argument((), help="Columns of the table, such as site or sex, to give figures by.")
    form: Literal["auto", "onnx", "openvino", "torch", "handcrafted", "litert"] = argument(
        "auto", help="Which form of the model is judged."
    )
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
    from eyebright.data import pixel_cache, scan_cache
    from eyebright.data.audit import audit
    from eyebright.data.open import open_source
    from eyebright.data.split import unit_names
    from eyebright.evaluation import judge
    from eyebright.evaluation.subgroups import check_columns, subgroups
    from eyebright.verbs.making.imagenet import open_bundle
    from eyebright.verbs.opening import open_quickest

    bundle = open_bundle(settings.bundle, on_event)
    source = open_source(settings.data, data_home=settings.data_home, group=settings.group)
    check_columns(source.columns, settings.subgroups)
    found = audit(source, depth="exact", on_event=on_event, cache=cache_home() / scan_cache.FOLDER)
    _refuse_bad(list(found.unreadable), len(source.samples), settings.allow_bad)
    chosen = _choose(bundle, source, found, settings.part)
    for note in chosen.notes:
        on_event(Note(note, "warning"))
    relabelled = _relabelled(dataclasses.replace(source, samples=chosen.samples), bundle.manifest.classes)
    n = len(relabelled.samples)
    predictor, why = open_quickest(bundle, form=settings.form, pictures=n, threads=settings.threads)
    on_event(Note(f"The {predictor.form} form is judged: {why}."))
    predictions = predictions_of(
        predictor,
        relabelled,
        relabelled.samples,
        bundle.manifest.preprocess,
        on_event=on_event,
        contents=[found.scanned[sample.key].pixels_sha256 for sample in relabelled.samples],
        cache=pixel_cache.place_for(found.scanned.values()),
        units=unit_names(relabelled.samples, found),
    )
    evaluation = judge(
        predictions,
        bundle.decision(),
        part=settings.part,
        leaked=chosen.leaked,
        majority=_majority(bundle),
        views=bundle.manifest.views,
        views_below=bundle.manifest.views_below,
        seed=settings.seed,
    )
    rows = subgroups(predictions, source.columns, settings.subgroups, seed=settings.seed)
    warnings = [*evaluation.warnings, *chosen.notes]
    if found.unreadable:
        names = ", ".join(list(found.unreadable)[:5])
        warnings.append(f"{len(found.unreadable)} pictures could not be read and are not counted: {names}")
    return evaluation.model_copy(update={"warnings": warnings, "subgroups": rows})


@dataclasses.dataclass(frozen=True)
class _Chosen:
    """The samples to judge by, what to say of the choice, and the keys among them that the model was made with."""

    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    leaked: frozenset[str]


def _choose(bundle: Bundle, source: Source, found: Audit, part: str) -> _Chosen:
    """The pictures of ``part``: by the bundle's own split where it knows them, by the data's parts or all of them elsewhere."""
    hashed = _split(bundle)
    known = known_pictures(hashed, found) if hashed else Known({}, frozenset(), frozenset())
    readable = [sample for sample in source.samples if sample.key in found.scanned]
    notes: list[str] = []
    if part == "all":
        wanted = {sample.key for sample in readable}
    elif any(known.parts.values()):
        wanted = set(known.parts[part])
        if strange := len(readable) - sum(map(len, known.parts.values())):
            notes.append(
                f"{strange:,} of these pictures are not known to the model and are left out; --part all judges them too."
            )
    elif source.has_parts:
        wanted = {sample.key for sample in source.part(part)}
    else:
        wanted = {sample.key for sample in readable}
        seen = "does not know these pictures" if hashed else "does not say which pictures it was made with"
        changed = " (were they changed since it was trained on them, the figures are too good)" if hashed else ""
        notes.append(f"The model {seen}{changed}, and they have no parts: all {len(readable):,} are judged.")
    samples = tuple(sample for sample in readable if sample.key in wanted)
    if not samples:
        raise DataError(f"{source.name} holds no pictures of the part {part!r}. Choose another --part, or --part all.")
    if part in ("train", "validation", "calibration"):
        notes.append(
            f"The model was made with the {part} pictures: these figures say how well it learned, not how well it does."
        )
        return _Chosen(samples, tuple(notes), frozenset())
    return _Chosen(samples, tuple(notes), known.leaked & {sample.key for sample in samples})


def _majority(bundle: Bundle) -> int | None:
    """The most frequent class in the model's training, where the bundle says so."""
    name = bundle.manifest.provenance.get("largest training class")
    return bundle.manifest.classes.index(name) if name in bundle.manifest.classes else None


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


def _refuse_bad(bad: list[str], n: int, allowed: float) -> None:
    if len(bad) > allowed * n:
        raise DataError(
            f"{len(bad)} of {n} pictures cannot be read ({', '.join(bad[:3])}); at most {allowed:.0%} may fail. "
            "Mend or remove them, or raise --allow-bad."
        )
