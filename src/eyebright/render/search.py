"""The page of a search: the best settings beside the usual ones, what mattered, and every trial. Offline, like the report."""

import dataclasses
from typing import Any

from markupsafe import Markup

from eyebright.core.report import Search, Trial
from eyebright.core.words import duration
from eyebright.render import words
from eyebright.render.page import Plot, render_page
from eyebright.render.plots import searching

AUTOMATIC = "automatic"
STATE_MARKS = {"finished": "", "stopped early": "× stopped early", "failed": "△ failed"}


@dataclasses.dataclass(frozen=True)
class Compared:
    """A row of the first table: a setting or a figure, with the usual settings and with the best ones."""

    name: str
    usual: str
    best: str

    @property
    def changed(self) -> bool:
        """Whether the best is not the usual."""
        return self.usual != self.best


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table of all trials. ``mark`` is how it ended, in a word; ``reason`` says why."""

    number: int
    score: str
    accuracy: str
    values: list[str]
    epochs: int
    time: str
    mark: str
    reason: str
    best: bool


def render_search(search: Search, *, command: str = "") -> str:
    """The whole search as one HTML page; equal searches give equal pages. Every name in it is escaped.

    ``command`` trains with the best settings.
    """
    search = Search.model_validate(words.plain_tree(search.model_dump()))
    return render_page("search.html.j2", _context(search, words.plain(command)))


def _context(search: Search, command: str) -> dict[str, Any]:
    return {
        "title": search.title,
        "search": search,
        "command": command,
        "created": search.created.replace("T", " ").replace("+00:00", "Z").replace("Z", " UTC"),
        "metric": words.metric_name(search.metric),
        "direction": "low is good" if words.lower_is_better(search.metric) else "high is good",
        "compared": compared(search),
        "importance_plot": _importance_plot(search),
        "setting_plots": [_setting_plot(search, name, index) for index, name in enumerate(search.space)],
        "curve_plot": _curve_plot(search),
        "reasons": any(trial.reason for trial in search.trials),
        "names": [words.short(name, 30) for name in search.space],
        "rows": [_row(search, trial) for trial in best_first(search)],
    }


def compared(search: Search) -> list[Compared]:
    """Each setting that was searched, then the figures, usual and best."""
    usual, best = _trial(search, 0), _trial(search, search.best)
    rows = [Compared(name, value_said(usual.values.get(name)), value_said(best.values.get(name))) for name in search.space]
    rows.append(Compared(words.metric_name(search.metric), score_said(usual), score_said(best)))
    if search.metric != "accuracy":
        rows.append(Compared("Accuracy", words.share(usual.accuracy, search.n), words.share(best.accuracy, search.n)))
    return rows


def best_first(search: Search) -> list[Trial]:
    """The trials, the best first; those without a score after all others, by their number."""
    sign = 1.0 if words.lower_is_better(search.metric) else -1.0
    return sorted(
        search.trials,
        key=lambda trial: (trial.score is None, sign * (trial.score or 0.0), trial.state == "failed", trial.number),
    )


def value_said(value: str | float | bool | None) -> str:
    """A setting's value, with as many digits as a person compares.

    >>> value_said(0.00314159), value_said(True), value_said(None), value_said(64)
    ('0.00314', 'on', 'automatic', '64')
    """
    if value is None:
        return AUTOMATIC
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def score_said(trial: Trial) -> str:
    """The score with three decimals; empty where there is none."""
    return "" if trial.score is None else f"{trial.score:.3f}"


def _row(search: Search, trial: Trial) -> Row:
    marks = [STATE_MARKS[trial.state]]
    if trial.number == search.best:
        marks.append("● best")
    if trial.number == 0:
        marks.append("□ usual")
    return Row(
        number=trial.number,
        score=score_said(trial),
        accuracy=words.share(trial.accuracy, search.n),
        values=[words.short(value_said(trial.values.get(name)), 24) for name in search.space],
        epochs=len(trial.curve),
        time="under 1 s" if trial.seconds < 1 else duration(trial.seconds),
        mark=", ".join(mark for mark in marks if mark),
        reason=trial.reason,
        best=trial.number == search.best,
    )


def _trial(search: Search, number: int) -> Trial:
    return next(trial for trial in search.trials if trial.number == number)


def _importance_plot(search: Search) -> Plot | None:
    if not search.importances:
        return None
    if search.mattered:
        named = words.listed([words.said(name) for name in search.mattered[:3]])
        title = f"What mattered: {named}"
    else:
        title = "No setting made more difference than chance would"
    caption = (
        "Each setting's share of the differences: how differently the best trials are spread over its values from all trials "
        "(PED-ANOVA). Grey bars are within what shuffled scores give; they say nothing."
    )
    svg = searching.importance_bars(search, name="importance", label=title)
    return Plot("importance", title, Markup(svg), caption)


def _setting_plot(search: Search, setting: str, index: int) -> Plot:
    name = f"setting{index}"
    best = value_said(_trial(search, search.best).values.get(setting))
    title = f"{words.said(setting)}: best at {words.said(best)}"
    svg = searching.score_by_value(search, setting, name=name, label=title)
    return Plot(name, title, Markup(svg), f"Searched: {search.space[setting]}.")


def _curve_plot(search: Search) -> Plot | None:
    curves = [trial for trial in search.trials if len(trial.curve) > 1]
    if not curves:
        return None
    stopped = sum(trial.state == "stopped early" for trial in search.trials)
    title = f"{words.plural(stopped, 'trial')} stopped early" if stopped else "How the trials learned"
    caption = (
        "Validation loss over the epochs, before its temperature is fitted; low is good. Grey: one line a trial; a cross ends "
        "what was stopped early."
    )
    return Plot("curves", title, Markup(searching.curves_of_trials(search, name="curves", label=title)), caption)
