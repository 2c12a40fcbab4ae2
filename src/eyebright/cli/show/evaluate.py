"""What `eyebright evaluate` measured, as text."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from eyebright.cli.show.common import blank_table, cell, output, print_findings, print_line, print_title
from eyebright.cli.show.figures import evaluation_table, figures_table, interval, number, span
from eyebright.render.words import metric_name


def show_evaluation(evaluation: Any) -> None:
    """Prints the figures with their intervals beside the baseline, then the classes, weakest first."""
    console = output()
    print_title(console, f"{evaluation.n:,} pictures of the part {evaluation.part}")
    console.print(evaluation_table(evaluation))
    console.print(_by_class(evaluation.classes))
    if evaluation.subgroups:
        console.print(_by_subgroup(evaluation.subgroups))
    if evaluation.leaked and evaluation.without_leaks:
        print_line(console, f"{evaluation.leaked:,} of these pictures were also in training. Without them:")
        console.print(figures_table(evaluation.without_leaks, {}))
    print_findings(console, "Warnings", evaluation.warnings)


def _by_class(classes: Mapping[str, Any]) -> Table:
    table = blank_table("class", ">n", ">precision", ">recall", "95 % interval", ">f1", "most often taken for")
    weakest_first = sorted(classes.items(), key=lambda item: (item[1].recall is None, item[1].recall or 0.0))
    for name, row in weakest_first:
        table.add_row(
            cell(name),
            f"{row.n:,}",
            number(row.precision, row.n),
            number(row.recall, row.n),
            span(row.recall_low, row.recall_high, row.n),
            number(row.f1, row.n),
            cell(row.most_confused_with or ""),
        )
    return table


def _by_subgroup(rows: Iterable[Any]) -> Table:
    table = blank_table(
        "column",
        "value",
        ">n",
        ">accuracy",
        "95 % interval",
        f">{metric_name('f1_macro')}",
        ">less or more than the rest",
        "95 % interval",
    )
    for row in rows:
        accuracy, difference = row.figures["accuracy"], row.difference
        table.add_row(
            cell(row.column),
            cell(row.value),
            f"{row.n:,}",
            number(accuracy.value, row.n),
            interval(accuracy),
            number(row.figures["f1_macro"].value, row.n),
            f"{difference.value:+.2f}" if difference and difference.value is not None else "",
            interval(difference) if difference else "",
        )
    return table
