"""Results as text on stdout: small tables for people, one JSON document for programs.

Every name that comes from the user's files or classes is neutralised and never read as markup. What a function is handed is
read by attribute, so that printing loads nothing that the verb itself did not.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sized
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
PATH_SHARE = 0.4  # of the width, the most that a picture's path may take; its end says more than its beginning
FINE = 1000  # pictures from which a third decimal means something


def output() -> Console:
    """A console on stdout that reads no markup, and is wide where nobody's window limits it."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def as_json(result: Any, verb: str) -> str:
    """One JSON document for ``result``, with ``"schema": 1``; what is not finite becomes null.

    A result that is a list is put under the verb's own name: ``{"schema": 1, "models": [...]}``.
    """
    from pydantic_core import to_jsonable_python

    value = _finite(to_jsonable_python(result, by_alias=True))
    document = value if isinstance(value, dict) else {verb: value}
    return json.dumps({"schema": 1, **document}, indent=2, allow_nan=False)


def show_inspect(inspection: Any) -> None:
    """Prints what a data set holds and what is wrong with it."""
    console = output()
    _title(console, f"{inspection.name}: {inspection.n:,} pictures in {len(inspection.classes)} classes")
    console.print(_class_counts(inspection))
    facts = {
        "groups": _amount(inspection.groups),
        "largest class over smallest": f"{inspection.imbalance:.3g}" if inspection.imbalance else "",
        "sizes, height x width": _sizes(inspection.sizes),
        "colour modes": _tally(inspection.modes),
        "formats": _tally(inspection.formats),
        "stray files": _amount(inspection.stray),
        "sets of duplicates": _amount(inspection.duplicates),
        "sets of near copies": _amount(inspection.near_duplicates),
    }
    console.print(_pairs(facts))
    _findings(console, "Unreadable", [f"{_of(row, 'key')}: {_of(row, 'reason')}" for row in inspection.unreadable])
    conflicts = [_words(row) for row in inspection.conflicts]
    _findings(console, "Duplicates", [said for said in map(_words, inspection.duplicates) if said not in set(conflicts)])
    _findings(console, "Same picture, different class: decide which is right", conflicts)
    near_conflicts = [_words(row, " ~ ") for row in inspection.near_conflicts]
    near = [_words(row, " ~ ") for row in inspection.near_duplicates]
    _findings(console, "Near copies", [said for said in near if said not in set(near_conflicts)])
    _findings(console, "Nearly the same picture, different class: look which is right", near_conflicts)
    _findings(console, "Leaks between the parts", inspection.leaks)
    suspicious = [shortcut.sentence for shortcut in inspection.shortcuts if shortcut.suspicious]
    _findings(console, "Shortcuts: what tells the classes apart beside the subject", suspicious)
    _findings(console, "Warnings", inspection.warnings)
    _findings(console, "Notes", inspection.notes)
    if inspection.sheet:
        _path(console, "Contact sheet", Path(inspection.sheet))


def show_evaluation(evaluation: Any) -> None:
    """Prints the figures with their intervals beside the baseline, then the classes, weakest first."""
    console = output()
    _title(console, f"{evaluation.n:,} pictures of the part {evaluation.part}")
    console.print(_figures(evaluation))
    console.print(_by_class(evaluation.classes))
    if evaluation.subgroups:
        console.print(_by_subgroup(evaluation.subgroups))
    if evaluation.leaked and evaluation.without_leaks:
        _line(console, f"{evaluation.leaked:,} of these pictures were also in training. Without them:")
        console.print(_figure_rows(evaluation.without_leaks, {}))
    _findings(console, "Warnings", evaluation.warnings)


def show_predictions(result: Any) -> None:
    """Prints one row a picture: the answer, how probable it is, what comes next, and what speaks against it."""
    console = output()
    table = _table("picture", "answer", ">probability", "next", "remark")
    table.columns[0].no_wrap = True
    for row in result.results:
        first = row.predictions[0] if row.predictions else None
        remark = [f"not read: {row.error}"] if row.error else [*([row.verdict] if row.verdict else []), *row.warnings]
        table.add_row(
            _cell(_end_of_path(row.key, int(console.width * PATH_SHARE))),
            _cell(first.label if first else ""),
            f"{first.probability:.3f}" if first else "",
            _cell(", ".join(f"{answer.label} {answer.probability:.2f}" for answer in row.predictions[1:])),
            _cell("; ".join(map(str, remark)), "red" if row.error else ""),
        )
    console.print(table)
    failed = sum(bool(row.error) for row in result.results)
    if failed:
        _line(console, f"{failed} of {len(result.results)} pictures could not be read.")


def show_train(result: Any) -> None:
    """Prints what came out and where it lies; for a dry run, what would be done."""
    console = output()
    if result.report is None:
        _findings(console, "What would be done", result.plan, limit=None)
        return
    report = result.report
    _title(console, report.title)
    for sentence in report.summary:
        _line(console, sentence)
    console.print(_figures(report))
    _findings(console, "When not to trust it", report.cautions)
    _findings(console, "Warnings", report.warnings)
    _findings(console, "What to do next", report.next_steps)
    _path(console, "Report", result.run.report_html)
    _path(console, "Model", result.run.bundle)


def show_tune(result: Any) -> None:
    """Prints the best settings beside the usual ones, what mattered, and the command that trains with the best."""
    console = output()
    _title(console, result.title)
    for sentence in result.advice:
        _line(console, sentence)
    trials = {trial.number: trial for trial in result.trials}
    usual, best = trials[0], trials[result.best]
    table = _table("setting", ">usual", ">best", ">share of the differences")
    for name in result.space:
        share = f"{100 * result.importances[name]:.0f} %" if name in result.importances else ""
        mark = "" if not share or name in result.mattered else ", may be chance"
        table.add_row(_cell(name), _setting(usual, name), _setting(best, name), share + mark)
    for name, pair in {result.metric: (usual.score, best.score), "accuracy": (usual.accuracy, best.accuracy)}.items():
        table.add_row(_cell(name), *(_number(value, FINE if name == "log_loss" else result.n) for value in pair), "")
    console.print(table)
    _path(console, "Page", result.path / "search.html")
    _path(console, "Settings", result.path / "best.toml")
    _line(console, f"Train by them: {result.command}")


def _setting(trial: Any, name: str) -> Text:
    """A trial's value of a setting, or that it was left to eyebright."""
    value = trial.values.get(name)
    if isinstance(value, float):
        return _cell(f"{value:.3g}")
    return _cell("automatic" if value is None else str(value).lower() if isinstance(value, bool) else value)


def show_verify(result: Any) -> None:
    """Prints each check, the failed and skipped ones in words and colour."""
    console = output()
    marks = {"ok": Text("ok", "green"), "failed": Text("FAILED", "bold red"), "skipped": Text("skipped", "yellow")}
    table = _table("check", "result", "detail")
    for check in result.checks:
        table.add_row(_cell(check.name), marks[check.state], _cell(check.detail))
    console.print(table)
    states = [check.state for check in result.checks]
    failed, skipped = states.count("failed"), states.count("skipped")
    made = len(states) - skipped
    said = f"{failed} of {made} checks failed" if failed else f"All {made} checks passed"
    _line(console, f"{said}, {skipped} skipped." if skipped else f"{said}.")


def show_comparison(comparison: Any) -> None:
    """Prints the verdict, each figure of the two models beside its paired difference, and the classes that differ."""
    console = output()
    _title(console, f"{comparison.first} and {comparison.second} on the same {comparison.n:,} test pictures")
    _line(console, comparison.verdict)
    heads = (">" + neutral(comparison.first), ">" + neutral(comparison.second), ">difference", "95 % interval", "better")
    table = _table("figure", *heads)
    for name, row in comparison.figures.items():
        _compared_row(table, name, row, comparison)
    for name, row in comparison.recalls.items():
        if row.better != "neither":
            _compared_row(table, f"recall of {name}", row, comparison)
    console.print(table)
    counts = (
        f"Both right {comparison.both_right:,}, only {comparison.first} {comparison.only_first:,}, "
        f"only {comparison.second} {comparison.only_second:,}, both wrong {comparison.both_wrong:,}."
    )
    _line(console, counts if comparison.p_value is None else f"{counts} McNemar's exact test: p = {comparison.p_value:.3g}.")
    _findings(console, "One alone has these right", comparison.disagreements)
    _findings(console, "Warnings", comparison.warnings)


def _compared_row(table: Table, name: str, row: Any, comparison: Any) -> None:
    n, difference = comparison.n, row.difference
    signed = [
        f"{value:+.{3 if n >= FINE else 2}f}" if value is not None else "" for value in (difference.value, difference.low)
    ]
    high = f"{difference.high:+.{3 if n >= FINE else 2}f}" if difference.high is not None else ""
    winner = {"first": comparison.first, "second": comparison.second, "neither": ""}[row.better]
    table.add_row(
        _cell(name),
        _number(row.first, n),
        _number(row.second, n),
        signed[0],
        f"{signed[1]} to {high}" if high else "",
        _cell(winner),
    )


def show_report(result: Any) -> None:
    """Prints where the report lies."""
    _path(output(), "Report", result.path)


def show_models(models: Iterable[Any]) -> None:
    """Prints the models that can be trained, and which of them need an extra."""
    table = _table("model", "kind", "about", "available")
    for model in models:
        available = Text("yes", "green") if model.available else Text("missing: pip install 'eyebright[train]'", "yellow")
        table.add_row(_cell(model.name, "bold"), _cell(model.kind), _cell(model.about), available)
    output().print(table)


def show_datasets(datasets: Iterable[Any]) -> None:
    """Prints the data sets known by name, and where each lies on this computer."""
    console = output()
    table = _table("data set", "about", "where")
    missing = False
    for dataset in datasets:
        missing = missing or not dataset.where
        where = _cell(dataset.where) if dataset.where else Text("not on this computer", "yellow")
        table.add_row(_cell(dataset.name, "bold"), _cell(dataset.about), where)
    console.print(table)
    if missing:
        _line(console, "eyebright download NAME fetches a set from its publisher.")


def show_download(result: Any) -> None:
    """Prints the files of the set, where each came from and what shows that it is the right one."""
    console = output()
    _title(console, f"{result.name} is {'there already' if result.was_there else 'ready'}: eyebright train {result.name}")
    table = _table("file", "from", "checked by")
    for file in result.files:
        table.add_row(_cell(file.file), _cell(file.from_url or "was there already"), _cell(file.proof))
    console.print(table)
    console.print(_pairs({"publisher": result.page, "licence": result.licence}))
    _path(console, "Folder", result.folder)


def show_doctor(diagnosis: Any) -> None:
    """Prints the checks group by group, and the commands that get what is missing."""
    console = output()
    marks = {"ok": Text("ok", "green"), "missing": Text("missing", "yellow"), "caution": Text("caution", "yellow")}
    table = _table("", "", "", "")
    group = ""
    for check in diagnosis.checks:
        head = "" if check.group == group else check.group
        group = check.group
        table.add_row(_cell(head, "bold"), _cell(check.name), marks.get(check.state, Text()), _cell(check.detail))
    console.print(table)
    _findings(
        console, "What to do", list(dict.fromkeys(check.remedy for check in diagnosis.checks if check.remedy)), limit=None
    )


def _cell(value: Any, style: str = "") -> Text:
    """A table cell with a stranger's words in it."""
    return Text(neutral(str(value)), style, overflow="fold")


def _end_of_path(path: str, room: int) -> str:
    """The whole path where it fits in ``room`` characters, else its end, from a ``/`` on where one is in reach.

    >>> _end_of_path("pets/cats/sofa.jpg", 18), _end_of_path("pets/cats/sofa.jpg", 17)
    ('pets/cats/sofa.jpg', '.../cats/sofa.jpg')
    """
    if len(path) <= room:
        return path
    end = path[-max(room - 3, 1) :]
    return "..." + end[max(end.find("/"), 0) :]


def _line(console: Console, text: str, *, indent: int = 0) -> None:
    """A sentence, folded to a person's window and left whole for a pipe, where the next program wants it on one line."""
    if console.is_terminal:
        console.print(Padding(_cell(text), (0, 0, 0, indent)))
    else:
        console.print(_cell(" " * indent + text), soft_wrap=True)


def _title(console: Console, text: str) -> None:
    console.print(_cell(text, "bold"))


def _table(*columns: str) -> Table:
    """A table with hairlines at most; a column that begins with ``>`` is set right."""
    table = Table(box=None, show_header=any(columns), header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def _pairs(facts: Mapping[str, str]) -> Table:
    table = _table("", "")
    for name, value in facts.items():
        if value:
            table.add_row(Text(name, "dim"), _cell(value))
    return table


def _findings(console: Console, title: str, sentences: Iterable[Any], *, limit: int | None = LONG) -> None:
    rows = [str(sentence) for sentence in sentences]
    if not rows:
        return
    _title(console, title)
    for row in rows[:limit]:
        _line(console, row, indent=2)
    if limit is not None and len(rows) > limit:
        _line(console, f"and {len(rows) - limit:,} more; --json lists them all", indent=2)


def _path(console: Console, name: str, path: Path) -> None:
    """A path on a line of its own, unbroken, so that it can be clicked or copied."""
    link = Style(link=Path(path).absolute().as_uri()) if console.is_terminal else Style()
    console.print(Text.assemble((f"{name}: ", "dim"), (neutral(str(path)), link)), soft_wrap=True)


def _class_counts(inspection: Any) -> Table:
    parts = list(inspection.parts)
    table = _table("class", ">pictures", *(f">{neutral(part)}" for part in parts))
    for name, count in inspection.classes.items():
        table.add_row(_cell(name), f"{count:,}", *(f"{inspection.parts[part].get(name, 0):,}" for part in parts))
    return table


def _figures(evaluation: Any) -> Table:
    return _figure_rows(evaluation.figures, evaluation.baselines.get("majority", {}))


def _figure_rows(figures: Mapping[str, Any], baseline: Mapping[str, Any]) -> Table:
    table = _table("figure", ">value", "95 % interval", ">n", *([">always the largest class"] if baseline else []))
    for name, figure in figures.items():
        beside = [_number(baseline[name].value, figure.n) if name in baseline else ""] if baseline else []
        table.add_row(_cell(name), _number(figure.value, figure.n), _interval(figure), f"{figure.n:,}", *beside)
    return table


def _by_class(classes: Mapping[str, Any]) -> Table:
    table = _table("class", ">n", ">precision", ">recall", "95 % interval", ">f1", "most often taken for")
    weakest_first = sorted(classes.items(), key=lambda item: (item[1].recall is None, item[1].recall or 0.0))
    for name, row in weakest_first:
        table.add_row(
            _cell(name),
            f"{row.n:,}",
            _number(row.precision, row.n),
            _number(row.recall, row.n),
            _span(row.recall_low, row.recall_high, row.n),
            _number(row.f1, row.n),
            _cell(row.most_confused_with or ""),
        )
    return table


def _by_subgroup(rows: Iterable[Any]) -> Table:
    table = _table(
        "column", "value", ">n", ">accuracy", "95 % interval", ">f1_macro", ">less or more than the rest", "95 % interval"
    )
    for row in rows:
        accuracy, difference = row.figures["accuracy"], row.difference
        table.add_row(
            _cell(row.column),
            _cell(row.value),
            f"{row.n:,}",
            _number(accuracy.value, row.n),
            _interval(accuracy),
            _number(row.figures["f1_macro"].value, row.n),
            f"{difference.value:+.2f}" if difference and difference.value is not None else "",
            _interval(difference) if difference else "",
        )
    return table


def _number(value: float | None, n: int) -> str:
    """A figure with as many decimals as ``n`` pictures support."""
    return "-" if value is None else f"{value:.{3 if n >= FINE else 2}f}"


def _interval(figure: Any) -> str:
    return _span(figure.low, figure.high, figure.n)


def _span(low: float | None, high: float | None, n: int) -> str:
    return "" if low is None or high is None else f"{_number(low, n)} to {_number(high, n)}"


def _sizes(sizes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {size[0]} x {size[1]}" for name, size in sizes.items() if size)


def _tally(counts: Any) -> str:
    if isinstance(counts, Mapping):
        return ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return ", ".join(map(str, counts))


def _amount(value: Any) -> str:
    """A number, or the length of a collection; empty where there is none."""
    count = len(value) if isinstance(value, Sized) else int(value or 0)
    return f"{count:,}" if count else ""


def _words(row: Any, sign: str = " = ") -> str:
    return row if isinstance(row, str) else sign.join(map(str, row))


def _of(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def _finite(value: Any) -> Any:
    """``value`` with None in the place of NaN and infinities, which JSON has no words for."""
    if isinstance(value, float):
        return value if float("-inf") < value < float("inf") else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
