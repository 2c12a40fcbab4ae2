"""``compare``: two runs on the same test pictures, by paired figures."""

from pathlib import Path
from typing import Any

from eyebright.core.bundle import read_bundle
from eyebright.core.decision import Decision
from eyebright.core.errors import DataError
from eyebright.core.events import OnEvent, Phase, silent
from eyebright.core.predictions import Predictions, load_predictions
from eyebright.core.report import Comparison
from eyebright.core.run import Run, open_run
from eyebright.core.settings import Settings, argument


class CompareSettings(Settings):
    """What ``compare`` needs to know."""

    first: Path = argument(help="A run's folder, for example the one you use now.", positional=True)
    second: Path = argument(help="The run to compare it with.", positional=True)
    seed: int = argument(0, help="Decides the resamples behind the intervals.", ge=0)


def compare(first: str | Path, second: str | Path, *, on_event: OnEvent = silent, **settings: Any) -> Comparison:
    """The comparison of two finished runs on the test pictures that they share; differences are second minus first.

    Raises ``DataError`` where a run is not finished, the classes differ or no test picture is shared.
    """
    return run(CompareSettings.resolve({"first": Path(first), "second": Path(second), **settings}), on_event)


def run(settings: CompareSettings, on_event: OnEvent = silent) -> Comparison:
    """The comparison that ``settings`` ask for."""
    from eyebright.evaluation.comparison import compare_tables

    places = open_run(settings.first), open_run(settings.second)
    on_event(Phase("Comparing"))
    names = _names(settings.first, settings.second)
    comparison = compare_tables(_judged(places[0]), _judged(places[1]), names=names, seed=settings.seed)
    warnings = [*comparison.warnings, *_unfair(places, names, comparison)]
    return comparison.model_copy(update={"warnings": warnings})


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The folders' own names; their whole paths where these are the same."""
    short = first.resolve().name, second.resolve().name
    return short if short[0] != short[1] else (str(first), str(second))


def _judged(place: Run) -> tuple[Predictions, Decision]:
    if not place.finished:
        raise DataError(
            f"{place.path} is not finished: it has no figures to compare. Go on with it: eyebright train ... --resume"
        )
    return load_predictions(place.predictions / "test.safetensors"), read_bundle(place.bundle).decision()


def _unfair(places: tuple[Run, Run], names: tuple[str, str], comparison: Comparison) -> list[str]:
    """A warning for each run that was trained on pictures the other is tested on: on those it has seen the answers."""
    import json

    splits = [json.loads(place.split.read_text(encoding="utf-8"))["parts"] for place in places]
    found = []
    for own, other in ((0, 1), (1, 0)):
        seen = {key for part in ("train", "validation", "calibration") for key in splits[own].get(part, ())}
        if overlap := len(seen & set(splits[other].get("test", ()))):
            found.append(
                f"{names[own]} was trained on {overlap:,} of {names[other]}'s test pictures. They are not compared, but the "
                "two were made from different splits: give both runs the same --seed and data."
            )
    return found
