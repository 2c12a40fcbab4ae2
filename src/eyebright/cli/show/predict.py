"""What `eyebright predict` answers, as text."""

from typing import Any

from eyebright.cli.show.common import blank_table, cell, output, print_line
from eyebright.core.words import probability

PATH_SHARE = 0.4  # of the width, the most that a picture's path may take; its end says more than its beginning


def show_predictions(result: Any) -> None:
    """Prints one row a picture: the answer, how probable it is, what comes next, and what speaks against it."""
    console = output()
    table = blank_table("picture", "answer", ">probability", "next", "remark")
    table.columns[0].no_wrap = True
    for row in result.results:
        first = row.predictions[0] if row.predictions else None
        remark = [f"no answer: {row.error}"] if row.error else [*([row.verdict] if row.verdict else []), *row.warnings]
        table.add_row(
            cell(_end_of_path(row.key, int(console.width * PATH_SHARE))),
            cell(first.label if first else ""),
            probability(first.probability, 3) if first else "",
            cell(", ".join(f"{answer.label} {probability(answer.probability, 2)}" for answer in row.predictions[1:])),
            cell("; ".join(map(str, remark)), "red" if row.error else ""),
        )
    console.print(table)
    failed = sum(bool(row.error) for row in result.results)
    if failed:
        print_line(console, f"{failed} of {len(result.results)} pictures could not be answered.")


def _end_of_path(path: str, room: int) -> str:
    """The whole path where it fits in ``room`` characters, else its end, from a ``/`` on where one is in reach.

    >>> _end_of_path("pets/cats/sofa.jpg", 18), _end_of_path("pets/cats/sofa.jpg", 17)
    ('pets/cats/sofa.jpg', '.../cats/sofa.jpg')
    """
    if len(path) <= room:
        return path
    end = path[-max(room - 3, 1) :]
    return "..." + end[max(end.find("/"), 0) :]
