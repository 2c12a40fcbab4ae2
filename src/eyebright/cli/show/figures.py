"""Figures as text: called as the report calls them, as many decimals as their pictures support, with their intervals."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from eyebright.cli.show.common import blank_table, cell
from eyebright.core.words import rounded
from eyebright.render.words import metric_name

FINE = 1000  # pictures from which a third decimal means something


def evaluation_table(evaluation: Any) -> Table:
    """Each figure with its interval, beside the answer that is always the largest class."""
    return figures_table(evaluation.figures, evaluation.baselines.get("majority", {}))


def figures_table(figures: Mapping[str, Any], baseline: Mapping[str, Any]) -> Table:
    """Each figure with its interval and its number of pictures; a column for the baseline where there is one."""
    table = blank_table("figure", ">value", "95 % interval", ">n", *([">always the largest class"] if baseline else []))
    for name, figure in figures.items():
        beside = [number(baseline[name].value, figure.n) if name in baseline else ""] if baseline else []
        table.add_row(cell(metric_name(name)), number(figure.value, figure.n), interval(figure), f"{figure.n:,}", *beside)
    return table


def number(value: float | None, n: int) -> str:
    """A figure with as many decimals as ``n`` pictures support, and so many that only what is whole reads so.

    >>> number(0.91234, 999), number(0.91234, 1000), number(0.9971, 999), number(1.0, 999), number(None, 1000)
    ('0.91', '0.912', '0.997', '1.00', '-')
    """
    return "-" if value is None else rounded(value, _decimals(n))


def signed(value: float | None, n: int) -> str:
    """A difference of two figures, with its sign; empty where there is none.

    >>> signed(0.0123, 50), signed(-0.0123, 2000), signed(None, 50)
    ('+0.01', '-0.012', '')
    """
    return "" if value is None else f"{value:+.{_decimals(n)}f}"


def interval(figure: Any) -> str:
    """From the lower to the upper end of a figure's interval; empty where it has none."""
    return span(figure.low, figure.high, figure.n)


def span(low: float | None, high: float | None, n: int) -> str:
    """From ``low`` to ``high``, with as many decimals as ``n`` pictures support; empty where one is missing."""
    return "" if low is None or high is None else f"{low:.{_decimals(n)}f} to {high:.{_decimals(n)}f}"


def _decimals(n: int) -> int:
    return 3 if n >= FINE else 2
