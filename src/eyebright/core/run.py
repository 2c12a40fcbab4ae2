"""A run's directory: where each thing lies. Never overwritten silently.

settings.toml       resolved settings, each automatic choice with its reason
environment.json    versions, processor, cores
split.json          which key is in which part
events.jsonl        what happened, as it happened
checkpoints/        safetensors and JSON, optimiser included
predictions/        test.safetensors, and unseen.safetensors: what the temperature was fitted on
report.html, report.json
bundle/
"""

import dataclasses
from pathlib import Path

from eyebright.core.errors import DataError, ResourceError, SettingsError


@dataclasses.dataclass(frozen=True)
class Run:
    """The paths of one run."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "settings.toml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def split(self) -> Path:
        return self.path / "split.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def report_html(self) -> Path:
        return self.path / "report.html"

    @property
    def report_json(self) -> Path:
        return self.path / "report.json"

    @property
    def bundle(self) -> Path:
        return self.path / "bundle"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end: the report is the last thing that is written."""
        return self.report_json.is_file()


def new_run_path(parent: Path, name: str) -> Path:
    """The first of ``parent/name-1``, ``parent/name-2`` ... that does not exist."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def create_run(path: Path) -> Run:
    """A new run in ``path``. Raises ``SettingsError`` where the folder holds something already."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        how = f"go on with it by --resume, or choose another --out. A finished run is read by: eyebright report {path}"
        raise SettingsError(f"{path} exists and is not empty; {how}")
    try:
        path.mkdir(parents=True, exist_ok=True)
        run = Run(path)
        run.checkpoints.mkdir()
        run.predictions.mkdir()
    except OSError as error:
        raise ResourceError(
            f"{path} cannot be created: {error.strerror}. Choose a folder that can be written with --out."
        ) from None
    return run


def open_run(path: Path) -> Run:
    """The run in ``path``. Raises ``DataError`` where there is none."""
    run = Run(path)
    if not run.settings.is_file():
        raise DataError(f"{path} is not a run: it holds no settings.toml. Give the folder that train wrote.")
    return run
