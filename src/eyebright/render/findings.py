"""Sentences about a report: each says what was found, so that it can be the title of what shows it. All functions are pure."""

import math
from typing import NamedTuple

from eyebright.core.report import (
    ClassFigures,
    CrossValidation,
    DataSummary,
    Evaluation,
    Figure,
    LearningCurve,
    LearningPoint,
    ReliabilityBin,
    Report,
    Shortcut,
    Subgroup,
)
from eyebright.render.words import (
    baseline_name,
    capital,
    figure_text,
    lower_is_better,
    metric_name,
    percent,
    plural,
    points,
    said,
    share,
    spread_text,
    value_text,
    value_texts,
)

IMBALANCE_LIMIT = 10.0  # over 10:1 accuracy mostly tells how the large classes do


def imbalanced(report: Report) -> bool:
    """Whether the macro figures go in front."""
    return report.data.imbalance > IMBALANCE_LIMIT


def imbalance_sentence(report: Report) -> str:
    """That the classes are uneven, and what follows for reading the figures."""
    return (
        f"The largest class has {report.data.imbalance:.0f} times as many pictures as the smallest. "
        "Accuracy mostly tells how the large classes do, so the figures that count each class the same come first."
    )


def leak_sentence(report: Report) -> str:
    """The figure with and without what leaked, the macro one where classes are uneven; empty where it is not known."""
    names = ("f1_macro", "accuracy") if imbalanced(report) else ("accuracy", "f1_macro")
    without = report.without_leaks or {}
    for name in names:
        if name in without and name in report.figures:
            leaked = plural(report.leaked, "leaked picture") if report.leaked else "the leaked pictures"
            return (
                f"{metric_name(name)} is {figure_text(name, report.figures[name])} as measured, and "
                f"{figure_text(name, without[name])} without {leaked}."
            )
    return "The figures below count these pictures too; they are better than new pictures will be."


def best_baseline(report: Evaluation, metric: str) -> tuple[str, Figure] | None:
    """The baseline that does best on ``metric``, and its figure."""
    known = [(name, figures[metric]) for name, figures in report.baselines.items() if metric in figures]
    defined = [(figure.value, name, figure) for name, figure in known if figure.value is not None]
    if not defined:
        return None
    _, name, figure = (min if lower_is_better(metric) else max)(defined, key=lambda entry: entry[0])
    return name, figure


class Verdict(NamedTuple):
    """``mark`` is good, caution or bad; ``text`` says it in words."""

    mark: str
    text: str


def verdict(report: Evaluation, metric: str) -> Verdict | None:
    """How the metric stands against its best baseline: clear of it, below it, or not told apart."""
    figure, baseline = report.figures.get(metric), best_baseline(report, metric)
    if figure is None or figure.value is None or baseline is None or baseline[1].value is None:
        return None
    low, high = (figure.value if limit is None else limit for limit in (figure.low, figure.high))
    if lower_is_better(metric):
        low, high, other = -high, -low, -baseline[1].value
    else:
        other = baseline[1].value
    against = f"{baseline_name(baseline[0])} ({value_text(metric, baseline[1])})"
    if low > other:
        return Verdict("good", f"better than {against}")
    if high < other:
        return Verdict("bad", f"worse than {against}")
    return Verdict("caution", f"not shown to be better than {against}")


class Confusion(NamedTuple):
    """``times`` of the ``n`` pictures of ``label`` were taken for ``answer``."""

    label: str
    answer: str
    times: int
    n: int


def confusions(report: Evaluation) -> list[Confusion]:
    """Every pair that was confused, the weightiest first: how many pictures and how large a share of the class both count."""
    names = list(report.classes)
    found = [
        Confusion(names[row], names[column], count, sum(counts))
        for row, counts in enumerate(report.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(found, key=lambda pair: (-(pair.times**2) / pair.n, pair.label, pair.answer))


def confusion_finding(report: Evaluation) -> str:
    """Which class is most taken for which other."""
    found = confusions(report)
    if not found:
        return "No picture was taken for another class"
    worst = found[0]
    return f"{capital(worst.label)} is taken for {said(worst.answer)}: {worst.times:,} of {worst.n:,} times"


def by_recall(report: Evaluation) -> list[tuple[str, ClassFigures]]:
    """The classes, worst recall first; those without a test picture last."""
    return sorted(report.classes.items(), key=lambda item: (item[1].recall is None, item[1].recall or 0.0, item[0]))


def recall_figure(figures: ClassFigures) -> Figure:
    """A class's recall as a figure with its interval."""
    return Figure(value=figures.recall, low=figures.recall_low, high=figures.recall_high, n=figures.n, method="none")


def class_finding(report: Evaluation) -> str:
    """Which class is found least often."""
    measured = [item for item in by_recall(report) if item[1].recall is not None]
    if not measured:
        return "No class has a picture in this part"
    name, figures = measured[0]
    if figures.recall == 1.0:
        return "Every class was found every time"
    return f"{capital(name)} is missed most: {share(figures.recall, figures.n)} of its {plural(figures.n, 'picture')} found"


def balance_finding(report: Report) -> str:
    """Whether the classes are evenly filled."""
    counts = report.data.classes
    largest, smallest = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    if report.data.imbalance < 1.5:
        return "The classes are about equally large"
    times = f"{report.data.imbalance:.1f}" if report.data.imbalance < IMBALANCE_LIMIT else f"{report.data.imbalance:.0f}"
    return f"{capital(largest)} has {times} times as many pictures as {said(smallest)}"


def expected_calibration_error(bins: list[ReliabilityBin]) -> float | None:
    """The mean distance of confidence from accuracy over the bins, weighted by pictures (Guo et al. 2017, eq. 3)."""
    n = sum(each.n for each in bins)
    return sum(each.n * abs(each.confidence - each.accuracy) for each in bins) / n if n else None


def calibration(report: Evaluation) -> Verdict | None:
    """Whether the model is as sure as it is right, after calibration where there is one; None without confidences.

    Too high at some confidences and too low at others may be right on the whole: that is said, and is no tick.
    """
    bins = report.reliability.get("after") or report.reliability.get("before") or []
    n = sum(each.n for each in bins)
    if not n:
        return None
    gap = sum(each.n * (each.confidence - each.accuracy) for each in bins) / n
    # Within two standard errors of a share (at most 0.5 / sqrt(n) each) the lean may well be chance.
    if abs(gap) > 1 / math.sqrt(n):
        return Verdict("caution", "it is surer than it is right" if gap > 0 else "it is right more often than it says")
    if report.misleads_by_confidence:
        return Verdict("caution", "it is right as often as it says on the whole, not at each confidence")
    return Verdict("good", "on the whole it is right as often as it says")


def calibration_finding(report: Evaluation) -> str:
    """The same as a title."""
    found = calibration(report)
    return found.text[:1].upper() + found.text[1:] if found else "No confidences were recorded"


def calibration_sentence(report: Evaluation) -> str:
    """By how much confidence and accuracy differ, before and after the temperature."""
    before = expected_calibration_error(report.reliability.get("before", []))
    after = report.figures.get("ece")
    if after is None or after.value is None:
        value = expected_calibration_error(report.reliability.get("after", []))
        after = None if value is None else Figure(value=value, n=report.n, method="none")
    if after is None:
        return "" if before is None else f"On average its confidence is {share(before, report.n)} off (ECE)."
    told = f"On average its confidence is {percent(after)} off (ECE)"
    if before is None or report.temperature == 1.0:
        return told + "."
    return f"{told}; before it was corrected (by the temperature {report.temperature:.2f}) it was {share(before, report.n)}."


def suspicious_first(shortcuts: list[Shortcut]) -> list[Shortcut]:
    """The suspicious cues, then the others, each in the order given: the surest first."""
    return sorted(shortcuts, key=lambda shortcut: not shortcut.suspicious)


def shortcut_finding(shortcuts: list[Shortcut]) -> str:
    """What beside the subject tells classes apart."""
    found = [shortcut for shortcut in shortcuts if shortcut.suspicious]
    if not found:
        return "No cue beside the subject tells the classes apart"
    first = found[0]
    rates = f"{score_text(first)} right where guessing gives {chance_text(first)}"
    told = f"Classes can be told apart by {said(first.cue)} alone: {rates}"
    return told + (f"; {plural(len(found) - 1, 'more cue')} can do so too" if len(found) > 1 else "")


def score_text(shortcut: Shortcut) -> str:
    """How often answers made from the cue alone are right, each class counting the same."""
    return value_text("balanced_accuracy", shortcut.score)


def chance_text(shortcut: Shortcut) -> str:
    """What guessing gives, as exact as the score."""
    return value_text("balanced_accuracy", shortcut.score.model_copy(update={"value": shortcut.chance}))


def near_finding(data: DataSummary) -> str:
    """How many pictures are nearly the same as another, and whether labels contradict each other."""
    verb = "is" if data.near_duplicates == 1 else "are"
    told = f"{plural(data.near_duplicates, 'picture')} {verb} nearly the same as another"
    torn = sum(not pair.same_label for pair in data.near_pairs)
    return told + (f", and {plural(torn, 'pair')} {'has' if torn == 1 else 'have'} two labels" if torn else "")


def _chance_limit(freedom: int) -> float:
    """What chi squared stays below 19 times in 20 by chance (Wilson and Hilferty 1931)."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + 1.645 * math.sqrt(part)) ** 3


def folds_finding(found: CrossValidation) -> str:
    """Whether the folds' accuracies lie as near together as chance lets them, with their mean and spread.

    Chance alone, in which pictures a fold got, makes the folds' standard deviation that of the pooled accuracy (a quarter of
    its interval, nearly) times the square root of their number; the spread is held against that by chi squared.
    """
    count = len(found.folds)
    told = f"accuracy {mean_text('accuracy', found)}"
    pooled = found.figures.get("accuracy")
    if count < 2 or pooled is None or pooled.low is None or pooled.high is None or pooled.high <= pooled.low:
        return f"{plural(count, 'fold')}: {told}"
    expected = (pooled.high - pooled.low) / (2 * 1.96) * math.sqrt(count)
    if (count - 1) * (found.spread["accuracy"] / expected) ** 2 <= _chance_limit(count - 1):
        return f"{count} folds agree: {told}"
    return f"{count} folds differ more than chance explains: {told}"


def mean_text(metric: str, found: CrossValidation) -> str:
    """The mean over the folds and its standard deviation, as in ``84.1 % ± 1.9``."""
    return spread_text(metric, found.mean[metric], found.spread[metric])


def measured_points(curve: LearningCurve) -> list[tuple[LearningPoint, Figure]]:
    """The points whose accuracy is known, by the number of training pictures."""
    known = [(point, point.figures["accuracy"]) for point in curve.points if "accuracy" in point.figures]
    return sorted((pair for pair in known if pair[1].value is not None), key=lambda pair: pair[0].n)


def learning_finding(curve: LearningCurve) -> str:
    """What the last step to more pictures gave."""
    measured = measured_points(curve)
    (before, was), (after, now) = measured[-2:]
    was_text, now_text = value_texts("accuracy", [figure for _, figure in measured])[-2:]
    numbers = f"From {before.n:,} to {after.n:,} training pictures accuracy"
    if was_text == now_text:
        return f"{numbers} stayed at {now_text}"
    return f"{numbers} {'rose' if (now.value or 0) > (was.value or 0) else 'fell'} from {was_text} to {now_text}"


def subgroup_verdict(row: Subgroup) -> Verdict | None:
    """Worse or better than all other pictures, where the interval of the difference leaves no doubt; else None."""
    difference = row.difference
    if difference is None or difference.low is None or difference.high is None:
        return None
    if difference.high < 0:
        return Verdict("bad", "worse")
    return Verdict("good", "better") if difference.low > 0 else None


def subgroup_finding(rows: list[Subgroup]) -> str:
    """The subgroup that is answered worst beside the others, where one is shown to be."""
    worse = [row for row in rows if (verdict := subgroup_verdict(row)) and verdict.text == "worse"]
    if not worse:
        return "No subgroup is shown to be answered worse than the other pictures"
    worst = min(worse, key=lambda row: row.difference.value if row.difference and row.difference.value is not None else 0.0)
    assert worst.difference is not None
    subject = f"{capital(worst.column)} “{said(worst.value)}”"
    told = f"{subject} is answered worse than the other pictures: {points(worst.difference)} points"
    if len(worse) == 1:
        return told
    return f"{told}; {len(worse) - 1} more {'is' if len(worse) == 2 else 'are'} worse too"
