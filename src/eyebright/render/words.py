"""Figures and findings in words: rounded to what n supports, and calm. All functions are pure."""

import math
import re
import unicodedata
from typing import Any, NamedTuple

from eyebright.core.report import ClassFigures, Evaluation, Figure, ReliabilityBin, Report

IMBALANCE_LIMIT = 10.0  # over 10:1 accuracy mostly tells how the large classes do
UNDEFINED = "not defined"

_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1_macro": "Macro F1",
    "f1_weighted": "Weighted F1",
    "precision_macro": "Macro precision",
    "recall_macro": "Macro recall",
    "roc_auc": "ROC-AUC",
    "roc_auc_macro": "Macro ROC-AUC",
    "ece": "Calibration error",
    "ece_before": "Calibration error before",
    "nll": "Log loss",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "matthews_corrcoef": "Matthews correlation",
    "cohen_kappa": "Cohen’s kappa",
    "loss": "Loss",
    "f1": "F1",
    "lr": "Learning rate",
}
_MEANINGS = {
    "accuracy": "how many answers are right",
    "balanced_accuracy": "recall, each class counting the same",
    "f1_macro": "precision and recall together, each class counting the same",
    "roc_auc_macro": "how well each class is told from the rest; 0.5 is chance",
    "ece": "how far its confidence is from how often it is right",
}
_BASELINES = {
    "majority": "always answering the most common class",
    "random": "answering at random",
}
_METHODS = {
    "wilson": "Wilson",
    "bootstrap": "bootstrap",
    "cluster-bootstrap": "bootstrap over groups",
    "none": "none",
}
_SHARES = ("accuracy", "balanced", "f1", "precision", "recall", "top", "ece", "mce", "error", "coverage")
_LOWER_IS_BETTER = ("ece", "mce", "nll", "log_loss", "brier", "error", "loss", "aurc")
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})


def plain(text: str) -> str:
    r"""``text`` with what cannot be printed written out, so that it can neither break a file nor turn a line around.

    Joiners stay (many scripts and emoji need them); control characters, separators and direction overrides do not.

    >>> plain("a\x00b")
    'a\\x00b'
    """
    if text.isprintable():
        return text
    return "".join(
        f"\\x{ord(letter):02x}" if letter in _BIDI_CONTROLS or unicodedata.category(letter) in _UNPRINTABLE else letter
        for letter in text
    )


def cleaned(report: Report) -> Report:
    """The same report with every string, names and keys included, made ``plain``."""
    return Report.model_validate(_plain_tree(report.model_dump()))


def _plain_tree(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {_plain_tree(key): _plain_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_tree(item) for item in value]
    return value


def isolated(name: str) -> str:
    """A name that may stand in a sentence of ours: right-to-left letters in it do not reorder the words around it."""
    right_to_left = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return f"\u2068{name}\u2069" if right_to_left else name


def short(name: str, letters: int = 18) -> str:
    """A name that fits a plot: the rest is an ellipsis.

    >>> short("a very long name", 8)
    'a very …'
    """
    return name if len(name) <= letters else name[: letters - 1] + "…"


def said(name: str) -> str:
    """A name inside a sentence of ours: of bearable length, and isolated."""
    return isolated(short(name, 40))


def capital(name: str) -> str:
    """The name as the first word of a sentence.

    >>> capital("glass")
    'Glass'
    """
    return said(name[:1].upper() + name[1:])


def plural(n: int, one: str, many: str | None = None) -> str:
    """The number with its noun, thousands set apart by a comma.

    >>> plural(1, "picture"), plural(2527, "picture"), plural(2, "class", "classes")
    ('1 picture', '2,527 pictures', '2 classes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(items: list[str]) -> str:
    """The items as a sentence says them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def decimals(width: float) -> int:
    """How many decimals a number is worth whose interval is ``width`` wide, 0 to 4.

    The last digit's step is at most a quarter of the interval: finer ones would be noise, coarser ones would hide it.

    >>> decimals(9.0), decimals(3.0), decimals(0.09)
    (0, 1, 2)
    """
    if width <= 0:
        return 1
    return min(4, max(0, math.ceil(-math.log10(width / 4))))


def _width(figure: Figure) -> float:
    if figure.low is not None and figure.high is not None:
        return figure.high - figure.low
    # Without an interval: the widest Wald interval that a share of n pictures can have, 1.96 standard errors each side.
    return 2 * 1.96 * math.sqrt(0.25 / max(figure.n, 1))


def _rounded(value: float, places: int, whole: float) -> str:
    text = f"{value:.{places}f}"
    # "100 %" is said only of what was always right, "0 %" only of what never was.
    if float(text) in (0.0, whole) and abs(value - float(text)) > 1e-9 and places < 4:
        return _rounded(value, places + 1, whole)
    return text


def percent(figure: Figure) -> str:
    """A share with its interval.

    >>> percent(Figure(value=0.872, low=0.819, high=0.911, n=203, method="wilson"))
    '87 % (82 to 91)'
    """
    if figure.value is None:
        return UNDEFINED
    interval = _interval(figure, 100.0)
    return f"{value_only(figure, 100.0)} %" + (f" ({interval})" if interval else "")


def number(figure: Figure) -> str:
    """A figure that is no share, with its interval.

    >>> number(Figure(value=0.4312, low=0.38, high=0.49, n=203, method="bootstrap"))
    '0.43 (0.38 to 0.49)'
    """
    if figure.value is None:
        return UNDEFINED
    interval = _interval(figure, 1.0)
    return value_only(figure) + (f" ({interval})" if interval else "")


def value_only(figure: Figure, scale: float = 1.0) -> str:
    """The value alone, times ``scale``, rounded to what its interval supports."""
    if figure.value is None:
        return UNDEFINED
    return _rounded(figure.value * scale, decimals(_width(figure) * scale), scale)


def _interval(figure: Figure, scale: float) -> str:
    if figure.low is None or figure.high is None:
        return ""
    places = decimals(_width(figure) * scale)
    return f"{figure.low * scale:.{places}f} to {figure.high * scale:.{places}f}"


def is_share(metric: str) -> bool:
    """Whether the metric is a share of pictures and so reads as a percentage."""
    return metric.startswith(_SHARES)


def lower_is_better(metric: str) -> bool:
    """Whether a smaller figure is a better one."""
    return metric.startswith(_LOWER_IS_BETTER)


def figure_text(metric: str, figure: Figure) -> str:
    """The figure as its kind reads: shares in per cent, the rest as numbers."""
    return percent(figure) if is_share(metric) else number(figure)


def value_text(metric: str, figure: Figure) -> str:
    """The figure's value alone, with its unit."""
    if figure.value is None:
        return UNDEFINED
    return f"{value_only(figure, 100.0)} %" if is_share(metric) else value_only(figure)


def interval_text(metric: str, figure: Figure) -> str:
    """The figure's interval alone; empty where there is none."""
    return _interval(figure, 100.0 if is_share(metric) else 1.0) if figure.value is not None else ""


def share(value: float | None, n: int) -> str:
    """A share of ``n`` pictures without its interval; empty where it is not defined.

    >>> share(0.8571, 28), share(None, 0)
    ('86 %', '')
    """
    return "" if value is None else percent(Figure(value=value, n=n, method="none"))


def metric_name(metric: str) -> str:
    """The metric as a person calls it.

    >>> metric_name("f1_macro"), metric_name("top5_accuracy")
    ('Macro F1', 'Top-5 accuracy')
    """
    if metric in _NAMES:
        return _NAMES[metric]
    words = re.sub(r"^top_?(\d)", r"top-\1", metric).replace("_", " ")
    return words[:1].upper() + words[1:]


def metric_meaning(metric: str) -> str:
    """What the metric tells, in one clause; empty for those that are not shown alone."""
    return _MEANINGS.get(metric, "")


def baseline_name(baseline: str) -> str:
    """What the baseline does, in words."""
    return _BASELINES.get(baseline, baseline)


def method_name(method: str) -> str:
    """How the interval was computed, in words."""
    return _METHODS.get(method, method)


def duration(seconds: float) -> str:
    """A time span as one would say it.

    >>> duration(42), duration(754), duration(5400)
    ('42 s', '12 min 34 s', '1 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


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


def calibration_finding(report: Evaluation) -> str:
    """Whether the model is surer than it is right, after calibration where there is one."""
    bins = report.reliability.get("after") or report.reliability.get("before") or []
    n = sum(each.n for each in bins)
    if not n:
        return "No confidences were recorded"
    gap = sum(each.n * (each.confidence - each.accuracy) for each in bins) / n
    # Within two standard errors of a share (at most 0.5 / sqrt(n) each) the lean may well be chance.
    if abs(gap) <= 1 / math.sqrt(n):
        return "On the whole it is right as often as it says"
    return "It is surer than it is right" if gap > 0 else "It is right more often than it says"


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
    return f"{told}; before dividing the logits by the temperature {report.temperature:.2f} it was {share(before, report.n)}."
