"""docs/performance.md and its plot, made from bench/results: no figure on the page is written by hand."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import performance_transfer
from performance_tables import half_width, measured_on, table

from eyebright.evaluation.intervals import wilson

HERE = Path(__file__).parent
SCRATCH = HERE.parent / "bench" / "results" / "scratch.json"
PLOT = HERE / "performance-scratch.svg"
ROOM = 15  # minutes: a line that ends later has its name above it
PORT_STEPS = 200  # of the record's recipe in full
INTRODUCTION = """# How fast it is, and beside what

This page is written by `make docs` from `bench/results/`; run the benches, do not change the page. Accuracy stands with its
number of pictures and a 95 % interval: Wilson's for one model, Student's over seeds.
"""


def page() -> str:
    """The whole page, in markdown; parts of the bench that were not run are left out."""
    found = json.loads(SCRATCH.read_text(encoding="utf-8"))
    where = measured_on(found, PARTS, ("torch", "numba", "numpy"))
    head = f"## From scratch\n\n{where}\n`make bench-scratch` runs it all, `python -m bench.scratch PART` a part.\n"
    parts = [write(found) for name, write in PARTS.items() if name in found]
    return "\n".join([INTRODUCTION, head, *parts, *filter(None, [performance_transfer.section()])])


def _segments(found: dict[str, Any]) -> str:
    part = found["segments"]
    rounds = part["rounds"]
    sides = list(rounds[0]["ours"])
    rows = []
    for number, row in enumerate(rounds, 1):
        rows.append([str(number), f"{row['port']:.2f}", *(f"{row['ours'][side]:.2f}" for side in sides), f"{row['load']:.1f}"])
    drawn = table(["round", "port, 2,000 pictures", *(f"ours at {side} px, 1,536" for side in sides), "load"], rows)
    ratios = [_steps_seconds(part["steps_ours"], row["ours"]) / (part["steps_port"] * row["port"]) for row in rounds]
    steps = ", ".join(f"{count} at {side} px" for side, count in part["steps_ours"].items())
    return (
        f"### A step\n\nSeconds (medians of 20 steps), one after the other: `python -m bench.scratch segments`.\n\n{drawn}\n\n"
        f"The whole recipe ({steps}) takes **{statistics.median(ratios):.2f}x** the port's {part['steps_port']} steps\n"
        f"by these figures (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}), views apart.\n"
    )


def _steps_seconds(counts: dict[str, int], seconds: dict[str, float]) -> float:
    return sum(count * seconds[side] for side, count in counts.items())


def _port(found: dict[str, Any]) -> str:
    rows = [[str(row["steps"]), f"{row['step_seconds']:.2f}", f"{row['seconds']:.0f}", _accuracy(row)] for row in found["port"]]
    drawn = table(["steps", "s a step", "s in all", "test accuracy, one seed"], rows)
    return f"### The record's recipe, ported plainly\n\nbf16, eager, its views included.\n\n{drawn}\n"


def _seeds(found: dict[str, Any]) -> str:
    part = found["seeds"]
    seconds = [run["seconds"] for run in part["runs"]]
    views = statistics.median(run["views_seconds"] for run in part["runs"])
    accuracies = [run["right"] / run["n"] for run in part["runs"]]
    lines = [
        "### 94 % on CIFAR-10\n",
        f"`{part['capacity']}`, {part['epochs']} epochs of all 50,000 training pictures, {len(seconds)} seeds. The 10,000 test",
        "pictures were read once by each; seconds are from initial weights to the last answer, views included.\n",
        f"- accuracy {_over_seeds(accuracies)} (each: {', '.join(f'{100 * each:.2f}' for each in accuracies)} %)",
        f"- seconds: median {statistics.median(seconds):.0f} ({min(seconds):.0f} to {max(seconds):.0f}), views {views:.0f}",
    ]
    full = [run for run in found.get("port", []) if run["steps"] == PORT_STEPS]
    if full:
        ratio = statistics.median(seconds) / full[0]["seconds"]
        lines.append(
            f"- the port needs {full[0]['seconds']:.0f} s for {_accuracy(full[0])}: ours takes **{ratio:.2f}x** its time"
        )
    return "\n".join(lines) + "\n"


def _curve(found: dict[str, Any]) -> str:
    rows = []
    for row in found["curve"]:
        figure = row["accuracy"]
        accuracy = f"{100 * figure['value']:.1f} % ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"
        settled = [row[name].split(" ")[0] for name in ("capacity", "epochs")]
        rows.append(
            [f"{row['minutes']:g}", accuracy, f"{row['training_seconds']:.0f}", f"{row['command_seconds']:.0f}", *settled]
        )
    head = ["--minutes", "accuracy, n = 10,000", "s to the last step", "s, whole command", "capacity", "epochs"]
    return (
        "### What the minutes buy\n\n`eyebright train cifar10 --model speed --minutes M`: reading, audit and timing included,\n"
        f"45,000 pictures for training, 5,000 for validation.\n\n{table(head, rows)}\n\n"
        f"![Accuracy over minutes]({PLOT.name})\n"
    )


def _keras(found: dict[str, Any]) -> str:
    rows = found["keras"]
    best = max(rows, key=lambda row: row["right"])
    marks = [next((row for row in rows if row["seconds"] >= 60 * minutes), rows[-1]) for minutes in (1, 2.5, 5, 10)]
    said = "; ".join(f"{_accuracy(row)} after {row['seconds'] / 60:.1f} minutes" for row in marks)
    return f"### Keras' usual network\n\n{said}. Its best epoch on the test part: {_accuracy(best)}.\n"


def _deep(found: dict[str, Any]) -> str:
    part = found["deep"]
    said = "; ".join(f"{_accuracy(run)} in {run['seconds'] / 60:.1f} minutes" for run in part["runs"])
    return f"### The largest network\n\n`{part['capacity']}`, {part['epochs']} epochs: {said}.\n"


def _grey(found: dict[str, Any]) -> str:
    rows = []
    for name, part in found["grey"].items():
        accuracies = [run["right"] / run["n"] for run in part["runs"]]
        seconds = statistics.median(run["seconds"] for run in part["runs"])
        rows.append([name, part["capacity"], str(part["epochs"]), _over_seeds(accuracies), f"{seconds:.0f}"])
    drawn = table(["set", "capacity", "epochs", "test accuracy", "s, median"], rows)
    return f"### Grey pictures of 28 pixels\n\n60,000 training pictures, 10,000 test pictures.\n\n{drawn}\n"


def _signs(found: dict[str, Any]) -> str:
    row = found["signs"][0]
    figure = row["accuracy"]
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    capacity, epochs = (row[name].split(" ")[0] for name in ("capacity", "epochs"))
    return (
        f"### Traffic signs of 48 pixels\n\n`eyebright train gtsrb --model speed --minutes {row['minutes']:g}`, tracks kept\n"
        f"together: {value:.1f} % ({low:.1f} to {high:.1f}, n = {figure['n']:,}) in {row['command_seconds']:.0f} s, the whole\n"
        f"command; {capacity}, {epochs} epochs.\n"
    )


def _profile(found: dict[str, Any]) -> str:
    rows = found["profile"]
    largest = rows[-1]["milliseconds"]
    names = sorted({name for row in rows for name in row["milliseconds"]}, key=lambda name: (-largest.get(name, 0), name))
    lines = [[name, *(f"{row['milliseconds'].get(name, 0):.0f}" for row in rows)] for name in names]
    lines.append(["the arithmetic alone", *(f"{row['arithmetic']:.0f}" for row in rows)])
    best = ", ".join(f"{row['best_rate'] / 1e12:.1f}" for row in rows)
    drawn = table(["milliseconds", *(f"{row['side']} px" for row in rows)], lines)
    return (
        "### Where a step goes\n\nA step of 1,536 pictures, `standard`: `python -m bench.scratch profile`. The arithmetic\n"
        "alone is what the convolutions' operations take at the best rate any of them reaches here, forward, in bf16\n"
        f"({best} TFLOP/s).\n\n"
        f"{drawn}\n"
    )


PARTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "segments": _segments, "port": _port, "seeds": _seeds, "curve": _curve, "keras": _keras, "deep": _deep, "grey": _grey,
    "signs": _signs, "profile": _profile,
}  # fmt: skip


def _accuracy(row: dict[str, Any]) -> str:
    low, high = wilson(row["right"], row["n"])
    return f"{100 * row['right'] / row['n']:.2f} % ({100 * low:.1f} to {100 * high:.1f})"


def _over_seeds(values: list[float]) -> str:
    mean, n = statistics.mean(values), len(values)
    if n < 2:
        return f"{100 * mean:.2f} % (one seed)"
    half = half_width(values)
    return f"{100 * mean:.2f} % ({100 * (mean - half):.2f} to {100 * (mean + half):.2f}, {n} seeds)"


def draw() -> None:
    """Accuracy over minutes: ours, the port's at several lengths, Keras' after each epoch."""
    import matplotlib.pyplot as plt

    found = json.loads(SCRATCH.read_text(encoding="utf-8"))
    if "curve" not in found:
        return
    ours = [(row["command_seconds"], row["accuracy"]["value"]) for row in found["curve"]]
    lines = [("eyebright, whole command", "#5b3fa0", "o", ours)]
    for name, part, colour, mark in (
        ("the record's recipe, ported", "port", "#9a5b00", "s"),
        ("Keras' usual network", "keras", "#5c6166", ""),
    ):
        lines.append((name, colour, mark, [(row["seconds"], row["right"] / row["n"]) for row in found.get(part, [])]))
    with plt.rc_context({"svg.hashsalt": "eyebright", "svg.fonttype": "none", "font.size": 11}):
        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        for name, colour, mark, points in lines:
            if points:
                places, values = [place / 60 for place, _ in points], [100 * value for _, value in points]
                axes.plot(places, values, color=colour, marker=mark or None)
                last = (places[-1], values[-1])
                beside = {"xytext": (-4, 9), "ha": "right"} if last[0] > ROOM else {"xytext": (9, -14), "ha": "left"}
                axes.annotate(name, last, textcoords="offset points", color=colour, **beside)
        axes.set_ylim(top=100)
        axes.set_xlabel("minutes on two cores")
        axes.set_ylabel("test accuracy on CIFAR-10, %")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(PLOT, format="svg", metadata={"Date": None}, bbox_inches="tight", facecolor="white")
        plt.close(figure)
