"""What `eyebright inspect` found, as text."""

from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any

from rich.table import Table

from eyebright.cli.show.common import blank_table, cell, facts_table, output, print_findings, print_path, print_title
from eyebright.cli.terminal import neutral


def show_inspect(inspection: Any) -> None:
    """Prints what a data set holds and what is wrong with it."""
    console = output()
    print_title(console, f"{inspection.name}: {inspection.n:,} pictures in {len(inspection.classes)} classes")
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
    console.print(facts_table(facts))
    print_findings(console, "Unreadable", [f"{_of(row, 'key')}: {_of(row, 'reason')}" for row in inspection.unreadable])
    conflicts = [_words(row) for row in inspection.conflicts]
    print_findings(console, "Duplicates", [said for said in map(_words, inspection.duplicates) if said not in set(conflicts)])
    print_findings(console, "Same picture, different class: decide which is right", conflicts)
    near_conflicts = [_words(row, " ~ ") for row in inspection.near_conflicts]
    near = [_words(row, " ~ ") for row in inspection.near_duplicates]
    print_findings(console, "Near copies", [said for said in near if said not in set(near_conflicts)])
    print_findings(console, "Nearly the same picture, different class: look which is right", near_conflicts)
    print_findings(console, "Leaks between the parts", inspection.leaks)
    suspicious = [shortcut.sentence for shortcut in inspection.shortcuts if shortcut.suspicious]
    print_findings(console, "Shortcuts: what tells the classes apart beside the subject", suspicious)
    print_findings(console, "Warnings", inspection.warnings)
    print_findings(console, "Notes", inspection.notes)
    if inspection.sheet:
        print_path(console, "Contact sheet", Path(inspection.sheet))


def _class_counts(inspection: Any) -> Table:
    parts = list(inspection.parts)
    table = blank_table("class", ">pictures", *(f">{neutral(part)}" for part in parts))
    for name, count in inspection.classes.items():
        table.add_row(cell(name), f"{count:,}", *(f"{inspection.parts[part].get(name, 0):,}" for part in parts))
    return table


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
