"""What `eyebright tune` found, as text."""

from typing import Any

from rich.text import Text

from eyebright.cli.show.common import blank_table, cell, output, print_line, print_path, print_title
from eyebright.cli.show.figures import FINE, number
from eyebright.render.words import metric_name


def show_tune(result: Any) -> None:
    """Prints the best settings beside the usual ones, what mattered, and the command that trains with the best."""
    console = output()
    print_title(console, result.title)
    for sentence in result.advice:
        print_line(console, sentence)
    trials = {trial.number: trial for trial in result.trials}
    usual, best = trials[0], trials[result.best]
    table = blank_table("setting", ">usual", ">best", ">share of the differences")
    for name in result.space:
        share = f"{100 * result.importances[name]:.0f} %" if name in result.importances else ""
        mark = "" if not share or name in result.mattered else ", may be chance"
        table.add_row(cell(name), _setting(usual, name), _setting(best, name), share + mark)
    for name, pair in {result.metric: (usual.score, best.score), "accuracy": (usual.accuracy, best.accuracy)}.items():
        table.add_row(cell(metric_name(name)), *(number(value, FINE if name == "log_loss" else result.n) for value in pair), "")
    console.print(table)
    print_path(console, "Page", result.path / "search.html")
    print_path(console, "Settings", result.path / "best.toml")
    print_line(console, f"Train by them: {result.command}")


def _setting(trial: Any, name: str) -> Text:
    """A trial's value of a setting, or that it was left to eyebright."""
    value = trial.values.get(name)
    if isinstance(value, float):
        return cell(f"{value:.3g}")
    return cell("automatic" if value is None else str(value).lower() if isinstance(value, bool) else value)
