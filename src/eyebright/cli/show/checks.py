"""The checks of `eyebright verify` and `eyebright doctor`, as text."""

from typing import Any

from rich.text import Text

from eyebright.cli.show.common import blank_table, cell, output, print_findings, print_line


def show_verify(result: Any) -> None:
    """Prints each check, the failed and skipped ones in words and colour."""
    console = output()
    marks = {"ok": Text("ok", "green"), "failed": Text("FAILED", "bold red"), "skipped": Text("skipped", "yellow")}
    table = blank_table("check", "result", "detail")
    for check in result.checks:
        table.add_row(cell(check.name), marks[check.state], cell(check.detail))
    console.print(table)
    states = [check.state for check in result.checks]
    failed, skipped = states.count("failed"), states.count("skipped")
    made = len(states) - skipped
    said = f"{failed} of {made} checks failed" if failed else f"All {made} checks passed"
    print_line(console, f"{said}, {skipped} skipped." if skipped else f"{said}.")


def show_doctor(diagnosis: Any) -> None:
    """Prints the checks group by group, and the commands that get what is missing."""
    console = output()
    marks = {"ok": Text("ok", "green"), "optional": Text("optional", "dim")}
    marks |= {state: Text(state, "yellow") for state in ("missing", "caution")}
    table = blank_table("", "", "", "")
    group = ""
    for check in diagnosis.checks:
        head = "" if check.group == group else check.group
        group = check.group
        table.add_row(cell(head, "bold"), cell(check.name), marks.get(check.state, Text()), cell(check.detail))
    console.print(table)
    remedies = dict.fromkeys(check.remedy for check in diagnosis.checks if check.remedy)
    print_findings(console, "What to do", remedies, limit=None)
