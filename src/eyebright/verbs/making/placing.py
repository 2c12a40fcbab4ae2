"""Where a run lies: its folder, new or resumed, the settings that hold for it, and what is left there when it ends."""

import contextlib
import os
import shlex
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeVar

import tomli_w

from eyebright.core.bundle import safe_name
from eyebright.core.errors import DataError, InterruptedRunError, SettingsError
from eyebright.core.files import write_json, write_text
from eyebright.core.machine import environment
from eyebright.core.run import Run, create_run, new_run_path, open_run
from eyebright.core.settings import read_toml
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story

RIVAL = "rival"  # the folder, below the checkpoints, of a network that is trained beside the plan's
SCRATCH = (  # of no use to a finished run
    "pixels-*.npy", "fold-*.safetensors", "fine-tuning-*.safetensors", "member-*.safetensors", "curve-*.safetensors",
)  # fmt: skip

AnySettings = TypeVar("AnySettings", bound=TrainSettings)


def place_run(settings: TrainSettings) -> tuple[Run, TrainSettings]:
    """The run's folder, new or resumed, and the settings that hold for it.

    Raises ``SettingsError`` where the folder is in use, finished, or was begun with other settings.
    """
    if settings.resume:
        assert settings.out is not None
        place = open_run(settings.out)
        if place.finished:
            raise SettingsError(f"{place.path} is finished: there is nothing to resume. Its report is {place.report_html}.")
        stored = TrainSettings.resolve(read_toml(place.settings))
        require_same(settings, stored, place.path, kind="run", changeable=("resume", "out"))
        _sweep(place)
        return place, stored.model_copy(update={"out": place.path})
    settings = anchored(settings)
    place = create_run(settings.out or default_out(settings))
    settings = settings.model_copy(update={"out": place.path})
    write_json(place.environment, environment())
    write_settings(settings, place, Story())
    return place, settings


def default_out(settings: TrainSettings) -> Path:
    """The first free folder for a run on this data."""
    return new_run_path(Path("runs"), name_of_data(settings.data))


def name_of_data(data: str) -> str:
    """A name for a folder from what was given as data: its last part, without what an archive or a table ends in."""
    from eyebright.data.archive import archive_name

    path = Path(data)
    if not path.is_file():
        return safe_name(path.name or "data")
    bare = archive_name(path)
    return safe_name(bare if bare != path.name else path.stem)


def anchored(settings: AnySettings) -> AnySettings:
    """The settings with absolute paths, which still hold when the run is resumed from another folder. Names stay names."""
    home = settings.data_home
    return settings.model_copy(
        update={
            "data": os.path.abspath(settings.data) if os.path.exists(settings.data) else settings.data,
            "weights": os.path.abspath(settings.weights) if os.path.isfile(settings.weights) else settings.weights,
            "data_home": None if home is None else Path(os.path.abspath(home)),
        }
    )


def require_same(settings: AnySettings, stored: AnySettings, folder: Path, *, kind: str, changeable: Collection[str]) -> None:
    """Raises ``SettingsError`` where what is given now contradicts what the run or search in ``folder`` was begun with."""
    now = anchored(settings)
    for name in sorted(settings.model_fields_set - set(changeable)):
        given, begun = getattr(now, name), getattr(stored, name)
        if given != begun:
            flag = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise SettingsError(
                f"{flag} is {str(given)!r}; the {kind} in {folder} was begun with {str(begun)!r}. "
                f"Give the same to go on, or begin a new {kind}."
            )


def settings_toml(settings: TrainSettings, **more: dict[str, str]) -> str:
    """The settings as TOML that ``--config`` reads; ``more`` are tables to stand below them."""
    return tomli_w.dumps({**settings.model_dump(mode="json", exclude_none=True, exclude={"resume", "dry_run", "out"}), **more})


def write_settings(settings: TrainSettings, place: Run, story: Story) -> None:
    """Stores the settings, with the reasons of what was chosen so far."""
    reasons = {choice.name: f"{choice.value}: {choice.reason}" for choice in story.choices.values()}
    write_text(place.settings, settings_toml(settings, reasons=reasons))


def clear_scratch(place: Run) -> None:
    """Removes what only an unfinished run needs, and what the network beside the plan's left of it."""
    for checkpoints in (place.checkpoints, Run(place.checkpoints / RIVAL).checkpoints):
        for pattern in SCRATCH:
            for leftover in checkpoints.glob(pattern):
                leftover.unlink()


def _sweep(place: Run) -> None:
    """Removes what a killed process left half written."""
    rival = Run(place.checkpoints / RIVAL)
    for folder in (place.path, place.checkpoints, rival.checkpoints, place.predictions):
        for leftover in [*folder.glob(".*.part"), *folder.glob(".*.old")]:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def no_trace_of_a_refusal(settings: TrainSettings, place: Run) -> Iterator[None]:
    """Removes the folder of a new run that the block refuses before anything was made: nothing is left to stumble over."""
    try:
        yield
    except (DataError, SettingsError):
        if not settings.resume and not any(place.checkpoints.iterdir()) and not any(place.predictions.iterdir()):
            shutil.rmtree(place.path)
        raise


@contextlib.contextmanager
def resumable(settings: TrainSettings, place: Run) -> Iterator[None]:
    """Adds the command that goes on to whatever interrupts the block."""
    command = f"eyebright train {shlex.quote(settings.data)} --out {shlex.quote(str(place.path))} --resume"
    try:
        yield
    except InterruptedRunError as error:
        stopped = InterruptedRunError(f"{error} What was done is kept. Go on with: {command}")
        stopped.exit_code = error.exit_code
        raise stopped from error
    except KeyboardInterrupt as error:
        raise InterruptedRunError(f"Stopped. What was done is kept. Go on with: {command}") from error
