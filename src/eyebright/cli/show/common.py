"""What every printer is made of: a console on stdout, tables, sentences, lists of findings, paths."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from eyebright.cli.terminal import neutral

PIPE_WIDTH = 120  # columns where stdout is no terminal: rich would take 80 and break paths
LONG = 12  # rows after which a list of findings is cut, with the number of those left out


def output() -> Console:
    """A console on stdout that reads no markup, and is wide where nobody's window limits it."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def cell(value: Any, style: str = "") -> Text:
    """A table cell with a stranger's words in it."""
    return Text(neutral(str(value)), style, overflow="fold")


def print_title(console: Console, text: str) -> None:
    """Prints a heading."""
    console.print(cell(text, "bold"))


def print_line(console: Console, text: str, *, indent: int = 0) -> None:
    """Prints a sentence, folded to a person's window and left whole for a pipe, where the next program wants it on one line."""
    if console.is_terminal:
        console.print(Padding(cell(text), (0, 0, 0, indent)))
    else:
        console.print(cell(" " * indent + text), soft_wrap=True)


def print_findings(console: Console, title: str, sentences: Iterable[Any], *, limit: int | None = LONG) -> None:
    """Prints sentences under a heading, the first ``limit`` of them (None: all), and nothing at all where there are none."""
    rows = [str(sentence) for sentence in sentences]
    if not rows:
        return
    print_title(console, title)
    for row in rows[:limit]:
        print_line(console, row, indent=2)
    if limit is not None and len(rows) > limit:
        print_line(console, f"and {len(rows) - limit:,} more; --json lists them all", indent=2)


def print_path(console: Console, name: str, path: Path) -> None:
    """Prints a path on a line of its own, unbroken, so that it can be clicked or copied."""
    link = Style(link=Path(path).absolute().as_uri()) if console.is_terminal else Style()
    console.print(Text.assemble((f"{name}: ", "dim"), (neutral(str(path)), link)), soft_wrap=True)


def blank_table(*columns: str) -> Table:
    """A table with hairlines at most; a column that begins with ``>`` is set right."""
    table = Table(box=None, show_header=any(columns), header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and what is to be said of them; those with nothing to say are left out."""
    table = blank_table("", "")
    for name, value in facts.items():
        if value:
            table.add_row(Text(name, "dim"), cell(value))
    return table
