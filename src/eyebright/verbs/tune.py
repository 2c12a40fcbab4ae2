"""``tune``: which settings of ``train`` do best on the validation pictures, and which of them matter."""

import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import tomli_w
from pydantic import Field, model_validator

from eyebright.core.errors import DataError, InterruptedRunError, ResourceError, SettingsError
from eyebright.core.events import Choice, Epoch, Event, OnEvent, Phase, Progress, silent
from eyebright.core.files import write_text
from eyebright.core.report import Search
from eyebright.core.run import new_run_path
from eyebright.core.settings import argument, read_toml
from eyebright.verbs.making.placing import anchored, name_of_data, require_same, settings_toml
from eyebright.verbs.making.settings import TrainSettings

if TYPE_CHECKING:
    from eyebright.verbs.tuning.space import Choice as Values
    from eyebright.verbs.tuning.space import Range
    from eyebright.verbs.tuning.study import Description
    from eyebright.verbs.tuning.trial import Workbench

LEAST_SECONDS = 5.0  # for a trial, however many there are: less is no training
ASKED, BEST, PAGE, RESULT = "search.toml", "best.toml", "search.html", "search.json"
CHANGEABLE = {"resume", "out", "minutes", "trials", "parallel"}  # when a search is gone on with
FOR_TRAIN = ("folds", "ensemble", "distil", "learning_curve", "tensorboard", "dry_run")


def _search(default: Any, **options: Any) -> Any:
    return argument(default, section="The search", **options)


class TuneSettings(TrainSettings):
    """What ``tune`` needs to know: how to search, and all that ``train`` can be told, which then holds for every trial."""

    minutes: float = argument(15.0, help="Time for the whole search.", gt=0, le=100_000)
    out: Path | None = argument(None, help="The search's folder. Default: the first free of runs/NAME-tune-1 ...")
    resume: bool = argument(False, help="Go on with the search in --out; more --trials may be asked for.")
    method: Literal["grid", "random", "bayesian"] = _search("bayesian", help="How values are proposed.")
    trials: int = _search(20, help="How many sets of values are tried, besides the usual ones.", ge=1, le=100_000)
    search: tuple[str, ...] = _search(
        (), help="What is searched: NAME=LOW..HIGH or NAME=A,B,C for any setting of train. Default: what usually matters."
    )
    levels: int = _search(3, help="Values of a range in a grid.", ge=2, le=100)
    metric: Literal["log_loss", "accuracy", "f1_macro"] = _search(
        "log_loss", help="What is to be best on the validation pictures; log_loss is the least noisy."
    )
    parallel: int | None = _search(None, help="Trials side by side. Default: as many as pays, timed.", ge=1, le=256)

    @model_validator(mode="after")
    def _searchable(self) -> Self:
        for name in FOR_TRAIN:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"--{name.replace('_', '-')} is for train; a search judges each trial by the validation part")
        return self


class TuneResult(Search):
    """What the search found, where it lies, and the command that trains with the best settings."""

    path: Path
    command: str = Field(description="trains by the best settings, and judges them on the test part")


def tune(data: str | Path, *, on_event: OnEvent = silent, **settings: Any) -> TuneResult:
    """The search over settings for ``data``: its folder holds every trial, the best settings as TOML, and a page.

    ``settings`` are those of ``TuneSettings``. Raises ``DataError`` where the data is unfit, ``SettingsError`` for a space that
    cannot be searched, and ``InterruptedRunError`` on Ctrl-C, with the command that goes on.
    """
    return run(TuneSettings.resolve({"data": str(data), **settings}), on_event)


def run(settings: TuneSettings, on_event: OnEvent = silent) -> TuneResult:
    """The search that ``settings`` ask for."""
    from eyebright.verbs.train import require_extra
    from eyebright.verbs.tuning.space import read_space
    from eyebright.verbs.tuning.study import optuna

    require_extra(settings)
    optuna()
    read_space(settings.search)  # refused before the data is read
    began = time.time()
    folder, settings = _place(settings)
    try:
        _work(settings, folder, began + 60 * settings.minutes, on_event)
    except (InterruptedRunError, KeyboardInterrupt) as error:
        command = f"eyebright tune {shlex.quote(settings.data)} --out {shlex.quote(str(folder))} --resume"
        stopped = InterruptedRunError(f"The search was stopped; its trials are kept. Go on with: {command}")
        stopped.exit_code = getattr(error, "exit_code", stopped.exit_code)
        raise stopped from error
    except (DataError, SettingsError):
        if not settings.resume and not any((folder / "trials").iterdir()):
            shutil.rmtree(folder)  # refused before anything was tried: no folder is left to stumble over
        raise
    return _conclude(settings, folder)


def _place(settings: TuneSettings) -> tuple[Path, TuneSettings]:
    """The search's folder, new or resumed, and the settings that hold for it."""
    if settings.resume:
        assert settings.out is not None
        return settings.out, _stored(settings, settings.out)
    settings = anchored(settings)
    folder = settings.out or new_run_path(Path("runs"), f"{name_of_data(settings.data)}-tune")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} exists and is not empty. Go on with its search by --resume, or choose another --out.")
    try:
        (folder / "trials").mkdir(parents=True)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be created: {error.strerror}. Choose another --out.") from None
    write_text(folder / ASKED, settings_toml(settings))
    return folder, settings


def _stored(settings: TuneSettings, folder: Path) -> TuneSettings:
    """The settings that the search was begun with. What is given now must not contradict them, but may lengthen it."""
    if not (folder / ASKED).is_file():
        raise SettingsError(f"{folder} is no search: it holds no {ASKED}. Give the folder that tune wrote.")
    stored = TuneSettings.resolve(read_toml(folder / ASKED))
    require_same(settings, stored, folder, kind="search", changeable=CHANGEABLE)
    return stored.model_copy(update={name: getattr(settings, name) for name in settings.model_fields_set & CHANGEABLE})


def _work(settings: TuneSettings, folder: Path, deadline: float, on_event: OnEvent) -> None:
    """Trial 0 where it is not done yet, then the others, as far as the time goes."""
    from eyebright.verbs.tuning.records import records
    from eyebright.verbs.tuning.study import Study, mend_journal
    from eyebright.verbs.tuning.trial import Workbench
    from eyebright.verbs.tuning.workers import side_by_side

    description, bench = _begun(settings, folder, deadline, on_event)
    on_event(Choice("trials side by side", str(description.parallel), description.why_parallel))
    before = len(records(folder))
    left = description.trials + 1 - before
    if left <= 0 or time.time() >= deadline:
        return
    mend_journal(folder)
    on_event(Phase("Trying settings", left, "trials"))
    listen = _Teller(folder, description, before, on_event)
    if description.parallel > 1:
        bench = None  # each process has its own; this one's pictures would only take memory
        side_by_side(folder, description.parallel, deadline, on_event, listen.tell)
    else:
        bench = bench or Workbench(TrainSettings.resolve(description.base), folder, silent)
        Study(folder, description).work_through(bench, deadline, listen, lambda trial: listen.tell())


class _Teller:
    """Tells how the search goes: how many trials are done, the best score, and how the current trial goes."""

    def __init__(self, folder: Path, description: "Description", before: int, on_event: OnEvent) -> None:
        self._folder, self._description = folder, description
        self._before, self._on_event = before, on_event

    def __call__(self, event: Event) -> None:
        """An epoch of the current trial."""
        if isinstance(event, Epoch):
            self.tell({f"{event.stage} loss": event.metrics["validation_loss"]})

    def tell(self, metrics: dict[str, float] | None = None) -> None:
        from eyebright.verbs.tuning.records import records
        from eyebright.verbs.tuning.summary import best_of

        done = records(self._folder)
        best = best_of(done, self._description.metric).score
        assert best is not None
        self._on_event(Progress(len(done) - self._before, {f"best {self._description.metric}": best, **(metrics or {})}))


def _begun(settings: TuneSettings, folder: Path, deadline: float, on_event: OnEvent) -> "tuple[Description, Workbench | None]":
    """What the search is, with the data where that had to be read for it: now, or as an earlier part of it left it."""
    from eyebright.verbs.tuning.space import read_space
    from eyebright.verbs.tuning.study import Description
    from eyebright.verbs.tuning.trial import Workbench

    file = folder / "study.json"
    if not file.is_file():
        bench = Workbench(_plain(settings), folder, on_event)
        description = _begin(settings, bench, folder, deadline, on_event)
        write_text(file, description.model_dump_json(indent=1) + "\n")
        return description, bench
    description = Description.model_validate_json(file.read_bytes())
    changes: dict[str, Any] = {"trials": _trials(settings, read_space(description.space))}
    if "parallel" in settings.model_fields_set and settings.parallel:
        changes |= {"parallel": settings.parallel, "why_parallel": "it was asked for"}
    description = description.model_copy(update=changes)
    write_text(file, description.model_dump_json(indent=1) + "\n")
    return description, None


def _plain(settings: TuneSettings) -> TrainSettings:
    """The settings that ``train`` knows."""
    known = settings.model_dump(include=set(TrainSettings.model_fields))
    return TrainSettings.model_validate({**known, "out": None, "resume": False})


def _begin(settings: TuneSettings, bench: "Workbench", folder: Path, deadline: float, on_event: OnEvent) -> "Description":
    """Trial 0, with the settings that would be used without a search, and what follows from it for all others."""
    from eyebright.verbs.making.choosing import TUNING_EPOCHS
    from eyebright.verbs.tuning import records
    from eyebright.verbs.tuning.space import read_space, usual_space
    from eyebright.verbs.tuning.study import Description, finished
    from eyebright.verbs.tuning.trial import losses_of, values_used
    from eyebright.verbs.tuning.workers import what_pays

    plain = _plain(settings)
    plan = bench.plan(plain, silent)
    words = list(settings.search) or usual_space(plan.architecture.name, plan.way, settings.method)
    space = read_space(words)
    trials = _trials(settings, space)
    on_event(Phase("Trying the usual settings first"))
    share = max(LEAST_SECONDS, (deadline - time.time()) / (trials + 1))
    listen, losses = losses_of(on_event)
    outcome, work = bench.try_out(plain, records.checkpoints_of(folder, 0), listen, seconds=share)
    usual = finished(0, values_used(space, plain, work), outcome, settings.metric, losses)
    records.keep(folder, usual, outcome.predictions)
    recipe = work.plan.recipe
    settled = {
        "epochs": recipe.epochs or (TUNING_EPOCHS if plain.unfreeze == "head" else 1),
        "precision": recipe.precision,
        "flip": "off" if not recipe.augment.flip else "alternate" if recipe.augment.alternate else "on",
        "model": work.plan.architecture.name,
    }
    if work.plan.mirrored_head is not None:
        settled["mirrored_head"] = "yes" if work.plan.mirrored_head else "no"
    if work.plan.dialled:
        settled["capacity"] = str(work.plan.architecture.arguments["capacity"])
    if settings.parallel:
        parallel, why = settings.parallel, "it was asked for"
    else:
        parallel, why = what_pays(work, trials, gathering=bench.seconds, left=deadline - time.time())
    return Description(
        method=settings.method,
        metric=settings.metric,
        trials=trials,
        levels=settings.levels,
        space=words,
        base={**plain.model_dump(mode="json", exclude_none=True), **settled},
        parallel=parallel,
        why_parallel=why,
    )


def _trials(settings: TuneSettings, space: "dict[str, Range | Values]") -> int:
    """How many trials there will be: no more than there are sets of values, and all of a grid."""
    from eyebright.verbs.tuning.proposing import grid_size
    from eyebright.verbs.tuning.space import combinations

    if settings.method != "grid":
        return int(min(settings.trials, combinations(space)))
    size = grid_size(space, settings.levels)
    if size > settings.trials and "trials" in settings.model_fields_set:
        raise SettingsError(
            f"The grid has {size:,} combinations; --trials {settings.trials:,} would leave some out. Give --trials {size}, "
            "fewer values by --search or --levels, or --method random."
        )
    return size


def _conclude(settings: TuneSettings, folder: Path) -> TuneResult:
    from eyebright.render.search import render_search
    from eyebright.verbs.tuning.summary import best_settings, summarise

    search = summarise(folder)
    command = f"eyebright train {shlex.quote(settings.data)} --config {shlex.quote(str(folder / BEST))}"
    write_text(folder / BEST, tomli_w.dumps(best_settings(folder, search)))
    write_text(folder / PAGE, render_search(search, command=command))
    write_text(folder / RESULT, search.model_dump_json(by_alias=True, indent=1) + "\n")
    return TuneResult(**dict(search), path=folder, command=command)
