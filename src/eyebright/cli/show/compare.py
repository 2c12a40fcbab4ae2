"""The comparison of two runs, as text."""

from typing import Any

from rich.table import Table

from eyebright.cli.show.common import blank_table, cell, output, print_findings, print_line, print_title
from eyebright.cli.show.figures import number, signed
from eyebright.cli.terminal import neutral
from eyebright.render.words import metric_name


def show_comparison(comparison: Any) -> None:
    """Prints the verdict, each figure of the two models beside its paired difference, and the classes that differ."""
    console = output()
    print_title(console, f"{comparison.first} and {comparison.second} on the same {comparison.n:,} test pictures")
    print_line(console, comparison.verdict)
    heads = (">" + neutral(comparison.first), ">" + neutral(comparison.second), ">difference", "95 % interval", "better")
    table = blank_table("figure", *heads)
    for name, row in comparison.figures.items():
        _compared_row(table, metric_name(name), row, comparison)
    for name, row in comparison.recalls.items():
        if row.better != "neither":
            _compared_row(table, f"Recall of {name}", row, comparison)
    console.print(table)
    counts = (
        f"Both right {comparison.both_right:,}, only {comparison.first} {comparison.only_first:,}, "
        f"only {comparison.second} {comparison.only_second:,}, both wrong {comparison.both_wrong:,}."
    )
    chance = "" if comparison.p_value is None else f" McNemar's exact test: p = {comparison.p_value:.3g}."
    print_line(console, counts + chance)
    print_findings(console, "One alone has these right", comparison.disagreements)
    print_findings(console, "Warnings", comparison.warnings)


def _compared_row(table: Table, name: str, row: Any, comparison: Any) -> None:
    n, difference = comparison.n, row.difference
    high = signed(difference.high, n)
    winner = {"first": comparison.first, "second": comparison.second, "neither": ""}[row.better]
    table.add_row(
        cell(name),
        number(row.first, n),
        number(row.second, n),
        signed(difference.value, n),
        f"{signed(difference.low, n)} to {high}" if high else "",
        cell(winner),
    )
