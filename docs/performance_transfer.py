"""The part of docs/performance.md on photographs, made from bench/results/transfer.json."""

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from performance_tables import measured_on, over, table

from eyebright.evaluation.accuracy import count_answers, f1, macro

RESULTS = Path(__file__).parent.parent / "bench" / "results" / "transfer.json"
SETS = {"trashnet": "TrashNet", "rice": "rice leaves", "xrays": "chest X-rays"}
WAYS = {
    "head": "eyebright, `--unfreeze head --minutes 0.25`",
    "equal minutes": "eyebright, fastai's minutes",
    "logistic": "logistic regression on frozen features",
    "fastai": "fastai `fine_tune`",
}
COMPARED = """
Beside fastai and logistic regression: the same network (EfficientNet-Lite0, ImageNet) for all, five grouped resplits, a fifth
of each set held out; means with Student's 95 % interval over resplits, median seconds from the command to the model, nothing
cached. fastai 2.8.12, scikit-learn 1.9.1.
"""
LOADERS = {
    "pillow": "DataLoader, Pillow",
    "torchvision": "DataLoader, torchvision",
    "cold": "eyebright",
    "filled": "eyebright, until its cache is filled too",
    "cached": "eyebright, again",
}
OURS = ("cold", "filled", "cached")


def section() -> str:
    """The section in markdown; empty where the bench was not run."""
    if not RESULTS.exists():
        return ""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    where = measured_on(found, PARTS, ("torch", "onnxruntime", "numpy"))
    head = f"## From photographs\n\n{where}\n`make bench-transfer` runs it all, `python -m bench.transfer PART` a part.\n"
    if set(SETS) & set(found):
        head += COMPARED
    return "\n".join([head, *(write(found[name]) for name, write in PARTS.items() if name in found)])


def macro_f1(row: dict[str, Any]) -> float:
    """The mean over classes of F1 on the test part of a resplit."""
    counts = count_answers(np.array(row["labels"]), np.array(row["answers"]), len(row["classes"]))
    return float(macro(f1(counts), counts))


def _compared(name: str, rows: list[dict[str, Any]]) -> str:
    scores = {way: _by_resplit(rows, way, macro_f1) for way in WAYS}
    seconds = {way: statistics.median(_by_resplit(rows, way, _seconds).values()) for way in WAYS}
    lines = []
    for way, said in WAYS.items():
        less = [over(_less(scores[ours], scores[way])) if way in ("logistic", "fastai") else "" for ours in list(WAYS)[:2]]
        share = f"{seconds[way] / seconds['fastai']:.3f}x"
        lines.append([said, over(list(scores[way].values())), *less, f"{seconds[way]:.0f}", share])
    head = ["way", "macro F1", "head less it, paired", "equal minutes less it, paired", "s", "of fastai's time"]
    return f"### {SETS[name]}\n\n{table(head, lines)}\n"


def _heads(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == name]
        scores = {way: _by_resplit(own, way, macro_f1) for way in ("head", "logistic")}
        seconds = [f"{statistics.median(_by_resplit(own, way, _seconds).values()):.0f}" for way in scores]
        figures = [over(list(score.values())) for score in scores.values()]
        lines.append([SETS[name], *figures, over(_less(scores["head"], scores["logistic"])), *seconds])
    head = ["set", "macro F1, head", "logistic regression", "head less it, paired", "s, head", "s, logistic regression"]
    return f"### The head alone beside logistic regression\n\nFive resplits as above, without fastai.\n\n{table(head, lines)}\n"


def _less(ours: dict[int, float], theirs: dict[int, float]) -> list[float]:
    return [ours[number] - theirs[number] for number in ours]


def _by_resplit(rows: list[dict[str, Any]], way: str, value: Callable[[dict[str, Any]], float]) -> dict[int, float]:
    return {row["resplit"]: value(row) for row in rows if row["way"] == way}


def _seconds(row: dict[str, Any]) -> float:
    return float(row["seconds"])


def _loading(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        own = [row | {"filled": row["cold"] + row["written"]} for row in rows if row["set"] == name]
        n, median = own[0]["pictures"], partial(_median_of, own)
        ways = {way: said for way, said in LOADERS.items() if own[0][way] is not None}  # some have no decoder here
        best = min(median(way) for way in ways if way in ("pillow", "torchvision"))
        for way, said in ways.items():
            ratio = f"{best / median(way):.1f}x" if way in OURS else ""
            lines.append([name, said, f"{n / median(way):.0f}", ratio])
        for said, first in (("eyebright's audit, first", "auditing"), ("eyebright's audit, again", "auditing_again")):
            lines.append([name, said, f"{n / median(first):.0f}", ""])
        lines.append([name, "Pillow's decoding alone, two threads", f"{n / median('decoding_alone'):.0f}", ""])
    head = ["set", "way", "pictures a second", "the quicker DataLoader's speed"]
    return (
        "### Loading\n\nFrom JPEG files to float batches at 224 pixels, both cores, medians of five rounds, imports left out.\n"
        "*Again*: the second run on the same files, from the cache. What each file decodes to is known by then from the\n"
        "audit, which every training begins with and which has rows of its own. The cache is filled\n"
        "behind the training's back. *Five times over*: copies of the same files, as no larger set is at hand.\n\n"
        f"{table(head, lines)}\n"
    )


def _latency(rows: list[dict[str, Any]]) -> str:
    ways = {way: [row for row in rows if row["way"] == way] for way in dict.fromkeys(row["way"] for row in rows)}
    medians = {way: _median_of(own, "p50_ms") for way, own in ways.items()}
    best = min(median for way, median in medians.items() if not way.startswith("eyebright"))
    lines = []
    for way in sorted(ways, key=medians.__getitem__):
        own = ways[way]
        slowest = "" if own[0]["p99_ms"] is None else f"{_median_of(own, 'p99_ms'):.2f}"
        spread = f"{min(row['p50_ms'] for row in own):.2f} to {max(row['p50_ms'] for row in own):.2f}"
        lines.append([way, f"{medians[way]:.2f}", spread, slowest, f"{medians[way] / best:.2f}x"])
    head = ["way", "p50, ms", "over rounds", "p99, ms", "time, of the best other way's"]
    rounds = len(next(iter(ways.values())))
    return (
        "### One picture at a time\n\nEfficientNet-Lite0 with its 1,000 classes, 224 pixels, float32, a thread a core,\n"
        "pictures already decoded. LiteRT's file begins behind the normalisation and ends in the logits; the others' graph\n"
        f"has features too. Medians of {rounds} rounds in turns.\n\n{table(head, lines)}\n"
    )


def _median_of(rows: list[dict[str, Any]], way: str) -> float:
    return statistics.median(row[way] for row in rows)


PARTS: dict[str, Callable[[Any], str]] = {
    **{name: partial(_compared, name) for name in SETS},
    "heads": _heads,
    "loading": _loading,
    "latency": _latency,
}
