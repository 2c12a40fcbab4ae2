"""Names and numbers in words: printable, of bearable length, rounded to what n supports. All functions are pure."""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from eyebright.core.report import Figure, Report
from eyebright.core.words import rounded

UNDEFINED = "not defined"

_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1_macro": "Macro F1",
    "f1_weighted": "Weighted F1",
    "precision_macro": "Macro precision",
    "recall_macro": "Macro recall",
    "roc_auc": "ROC-AUC",
    "roc_auc_ovr": "Macro ROC-AUC",
    "precision_weighted": "Weighted precision",
    "recall_weighted": "Weighted recall",
    "ece": "Calibration error",
    "ece_before": "Calibration error, uncorrected",
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
    "roc_auc_ovr": "how well each class is told from the rest; 0.5 is chance",
    "ece": "how far its confidence is from how often it is right",
}
_BASELINES = {
    "majority": "always answering the most common class",
    "random": "answering at random",
}
_METHODS = {
    "wilson": "Wilson",
    "cluster-wilson": "Wilson, over groups",
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
    """The same report with every string, names and keys included, made ``plain``.

    What its makers wrote in paragraphs of their own becomes one: a line's end in it is no character to be shown.
    """
    own = {"intended_use": " ".join(report.intended_use.split()), "limits": " ".join(report.limits.split())}
    return Report.model_validate(plain_tree(report.model_dump() | own))


def plain_tree(value: Any) -> Any:
    """The same lists and dictionaries with every string in them, keys included, made ``plain``."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain_tree(key): plain_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_tree(item) for item in value]
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
    return rounded(figure.value * scale, decimals(_width(figure) * scale), scale)


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


def value_texts(metric: str, figures: Sequence[Figure]) -> list[str]:
    """The figures' values alone, all rounded to what the least exact of them supports, so that they can be compared."""
    scale = 100.0 if is_share(metric) else 1.0
    places = min((decimals(_width(figure) * scale) for figure in figures), default=0)
    unit = " %" if is_share(metric) else ""
    return [UNDEFINED if each.value is None else f"{rounded(each.value * scale, places, scale)}{unit}" for each in figures]


def interval_text(metric: str, figure: Figure) -> str:
    """The figure's interval alone; empty where there is none."""
    return _interval(figure, 100.0 if is_share(metric) else 1.0) if figure.value is not None else ""


def share(value: float | None, n: int) -> str:
    """A share of ``n`` pictures without its interval; empty where it is not defined.

    >>> share(0.8571, 28), share(None, 0)
    ('86 %', '')
    """
    return "" if value is None else percent(Figure(value=value, n=n, method="none"))


def spread_text(metric: str, mean: float, spread: float) -> str:
    """A mean with its standard deviation, both rounded to what the deviation supports.

    >>> spread_text("accuracy", 0.8412, 0.0191), spread_text("log_loss", 0.4412, 0.052)
    ('84.1 % ± 1.9', '0.44 ± 0.05')
    """
    scale = 100.0 if is_share(metric) else 1.0
    places = decimals(2 * spread * scale)
    return f"{rounded(mean * scale, places, scale)}{' %' if is_share(metric) else ''} ± {spread * scale:.{places}f}"


def points(figure: Figure) -> str:
    """A difference of two shares in percentage points, signed, with its interval.

    >>> points(Figure(value=-0.121, low=-0.194, high=-0.052, n=203, method="bootstrap"))
    '−12 (−19 to −5)'
    """
    if figure.value is None:
        return UNDEFINED
    places = decimals(_width(figure) * 100)
    value, *limits = (_signed(100 * each, places) for each in (figure.value, figure.low, figure.high) if each is not None)
    return value + (f" ({limits[0]} to {limits[1]})" if len(limits) == 2 else "")


def _signed(value: float, places: int) -> str:
    text = f"{value:+.{places}f}".replace("-", "−")
    return text if any(digit in text for digit in "123456789") else text[1:]


def correlation(value: float) -> str:
    """A correlation near 1; that is said of the very same alone.

    >>> correlation(0.9731), correlation(0.99962), correlation(1.0)
    ('0.973', '0.999', '1')
    """
    return "1" if value >= 1 else f"{min(value, 0.999):.3f}"


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
