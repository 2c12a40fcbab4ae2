"""The report's drawings: each with the finding as its title, and a caption that tells how to read it."""

from collections.abc import Iterator

from markupsafe import Markup

from eyebright.core.report import Report
from eyebright.core.words import rounded
from eyebright.render import findings, plots, words
from eyebright.render.page import Plot
from eyebright.render.tables import NUMBERED_CLASSES


def balance_plot(report: Report) -> Plot | None:
    """How many pictures each class has; None where there is one class."""
    if len(report.data.classes) < 2:
        return None
    title = findings.balance_finding(report)
    caption = "How many pictures each class has, in all parts together."
    return Plot("balance", title, Markup(plots.class_counts(report.data.classes, name="balance", label=title)), caption)


def curve_plots(report: Report) -> Iterator[Plot]:
    """Each measure over the epochs of the trainings that made the model; none where there were fewer than two epochs."""
    curves = report.training.curves if report.training else []
    main, left_out = plots.main_curves(curves), _left_out(plots.repetitions(curves))
    for index, measure in enumerate(plots.curve_metrics(main)):
        series = plots.curve_series(main, measure)
        if max(len(steps) for steps, _ in series.values()) < 2:
            continue
        name, title = f"curve{index}", _curve_finding(measure, series)
        svg = plots.training_curves(main, measure, name=name, label=title)
        caption = "Low is good." if measure == "loss" else "High is good."
        if len(series) > 1:
            caption += " Where training goes on and validation does not follow, the model learns its pictures by heart."
        yield Plot(name, title, Markup(svg), caption + left_out)
        left_out = ""  # said once


def _left_out(kinds: list[tuple[int, str, str]]) -> str:
    if not kinds:
        return ""
    names = words.listed([words.plural(n, one, many) for n, one, many in kinds])
    return f" Not drawn, as they repeat the same training: {names}."


def learning_plot(report: Report) -> Plot | None:
    """Accuracy over the number of training pictures; None where fewer than two sizes were tried."""
    curve = report.training.learning_curve if report.training else None
    if curve is None or len(findings.measured_points(curve)) < 2:
        return None
    title = findings.learning_finding(curve)
    caption = f"Each point is a model made from that many pictures: {curve.how}. Bars are 95 % intervals."
    if curve.advice:
        caption += " Whether the last step may be chance is said under “Would more pictures help?”"
    return Plot("learning", title, Markup(plots.learning_curve(curve, name="learning", label=title)), caption)


def _curve_finding(measure: str, series: dict[str, tuple[list[int], list[float]]]) -> str:
    part = "validation" if "validation" in series else next(iter(series))
    steps, values = series[part]
    best = (min if measure == "loss" else max)(range(len(values)), key=values.__getitem__)
    word, value = words.metric_name(measure), values[best]
    shown = f"{value:.2f}" if measure == "loss" else f"{rounded(value * 100, 0, 100)} %"
    subject = f"{part.capitalize()} {word if word.isupper() or word[-1].isdigit() else word.lower()}"
    if len(steps) == 1:  # it was asked once, so nothing was best
        return f"{subject} after epoch {steps[best]}: {shown}"
    return f"{subject} was best in epoch {steps[best]}: {shown}"


def confusion_plot(report: Report) -> Plot | None:
    """The confusion matrix as a heat map, where it has more classes than numbers can be read of."""
    if len(report.confusion) <= NUMBERED_CLASSES:
        return None
    title = findings.confusion_finding(report)
    caption = (
        "Row: the true class; column: the answer; numbered as the bundle lists them. The darker a cell, the more "
        "of its row it holds (the shade grows with the square root). Off the diagonal are mistakes."
    )
    return Plot("confusion", title, Markup(plots.confusion_map(report, name="confusion", label=title)), caption)


def roc_plot(report: Report) -> Plot | None:
    """Each class told from the rest at every threshold."""
    areas = plots.roc_areas(report)
    if not areas:
        return None
    hardest = next(iter(areas))
    title = f"{words.capital(hardest)} is hardest to tell from the rest (AUC {areas[hardest]:.2f})"
    caption = f"{_which_curves(len(areas))} The nearer to the upper left corner, the better; the dotted diagonal is guessing."
    return Plot("roc", title, Markup(plots.roc(report, name="roc", label=title)), caption)


def _which_curves(classes: int) -> str:
    if classes <= plots.LABELLED_CLASSES:
        return "One line a class; the figure is the area under it."
    return f"In colour the {plots.WORST_CLASSES} hardest classes with the area under each line; the others are grey."


def precision_recall_plot(report: Report) -> Plot | None:
    """What it costs to find more of each class."""
    areas = plots.average_precisions(report)
    if not areas:
        return None
    hardest = next(iter(areas))
    title = f"{words.capital(hardest)} is hardest to find without false alarms (average precision {areas[hardest]:.2f})"
    caption = (
        f"{_which_curves(len(areas))} To the right, more of the class’s pictures are found; the higher, the more of what is "
        f"then called by its name is right. {_prevalence(report)}"
    ).rstrip()
    return Plot("recall", title, Markup(plots.precision_recall(report, name="recall", label=title)), caption)


def _prevalence(report: Report) -> str:
    """What guessing gives: the share of the class."""
    shares = [figures.n / report.n for figures in report.classes.values()] if report.n else []
    if not shares:
        return ""
    low, high = (words.share(each, report.n) for each in (min(shares), max(shares)))
    level = f"at {low}" if low == high else f"between {low} and {high}"
    return f"Guessing is a level line at the class’s share of the pictures, here {level}."


def reliability_plot(report: Report) -> Plot | None:
    """How often it was right at each confidence."""
    if not any(each.n for bins in report.reliability.values() for each in bins):
        return None
    title = findings.calibration_finding(report)
    caption = (
        "Each point is a group of pictures with like confidence; larger points hold more. On the dotted diagonal the model "
        f"is right as often as it says, below it less often. {findings.calibration_sentence(report)}"
    )
    return Plot("reliability", title, Markup(plots.reliability(report, name="reliability", label=title)), caption)
