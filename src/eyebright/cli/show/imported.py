"""The new bundle of `eyebright import`, as text."""

from typing import Any

from eyebright.cli.show.common import blank_table, cell, output, print_findings, print_path, print_title


def show_import(result: Any) -> None:
    """Prints what the file was, the bundle's forms, and what is said of how pictures reach the model."""
    console = output()
    what = f"{result.classes:,} classes, {result.height} x {result.width} pixels, from {result.kind}"
    print_title(console, f"{result.name} is ready: {what}")
    table = blank_table("form", "file", ">MB", "off by at most")
    for name, form in result.forms.items():
        off = f"{form.max_difference:.1g} from {form.reference}" if form.reference else ""
        table.add_row(cell(name), cell(form.file), cell(f"{form.bytes / 1e6:.1f}"), cell(off))
    console.print(table)
    print_findings(console, "What was found and taken", result.notes, limit=None)
    print_path(console, "Bundle", result.bundle)
