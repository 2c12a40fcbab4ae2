"""What both halves of docs/performance.md are written with: tables, figures over runs, and where each part ran."""

import statistics
from collections.abc import Iterable
from typing import Any


def measured_on(found: dict[str, Any], parts: Iterable[str], packages: Iterable[str]) -> str:
    """Processor, cores and versions as a paragraph; where parts ran on unlike machines, a line for each, with their names."""
    places: dict[str, list[str]] = {}
    for part in parts:
        if part in found:
            places.setdefault(_place(found["machines"][part], packages), []).append(part)
    if len(places) == 1:
        return f"{next(iter(places))}.\n"
    return "Not all on one machine:\n\n" + "\n".join(f"- {', '.join(own)}: {place}." for place, own in places.items()) + "\n"


def _place(machine: dict[str, Any], packages: Iterable[str]) -> str:
    versions = [f"{name} {machine['versions'][name]}" for name in packages if name in machine["versions"]]
    return f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {', '.join(versions)}"


def over(values: list[float]) -> str:
    """The mean and Student's 95 % interval, where there are two values or more."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    half = half_width(values)
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def half_width(values: list[float]) -> float:
    """How far Student's 95 % interval of the mean reaches to either side; of two values or more."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
