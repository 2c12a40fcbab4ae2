"""``report``: a run's page, written again from its figures."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from eyebright.core.errors import DataError, SettingsError
from eyebright.core.events import OnEvent, silent
from eyebright.core.files import write_text
from eyebright.core.report import Report
from eyebright.core.run import open_run
from eyebright.core.settings import Settings, argument


class ReportSettings(Settings):
    """What ``report`` needs to know."""

    run: Path = argument(help="The run's folder.", positional=True)
    out: Path | None = argument(None, help="Where to write the page. Default: report.html in the run.")


class ReportResult(BaseModel):
    """Where the page lies."""

    model_config = ConfigDict(frozen=True)

    path: Path


def report(run_folder: str | Path, *, on_event: OnEvent = silent, **settings: Any) -> ReportResult:
    """The page of a finished run, rendered again.

    Raises ``DataError`` where the run has no figures yet and ``SettingsError`` where ``out`` is a folder.
    """
    return run(ReportSettings.resolve({"run": Path(run_folder), **settings}), on_event)


def run(settings: ReportSettings, on_event: OnEvent = silent) -> ReportResult:
    """The page that ``settings`` ask for."""
    from eyebright.render.html import render_report

    if settings.out is not None and settings.out.is_dir():
        raise SettingsError(f"--out is {settings.out}, a folder; give a file name such as {settings.out / 'report.html'}.")
    place = open_run(settings.run)
    if not place.finished:
        raise DataError(f"{place.path} is not finished: it has no report.json. Go on with it: eyebright train ... --resume")
    try:
        figures = Report.model_validate_json(place.report_json.read_bytes())
    except ValidationError as error:
        raise DataError(f"{place.report_json} is not a report this version reads: {error.errors()[0]['msg']}.") from None
    path = settings.out or place.report_html
    write_text(path, render_report(figures))
    return ReportResult(path=path)
