"""The report as one HTML file that asks for nothing from anywhere: no script, no font, no picture but its own."""

from typing import Any

from eyebright.core.report import Report
from eyebright.render import findings, illustrations, tables, words
from eyebright.render.page import render_page

TOP_CONFUSIONS = 12
SHOWN_UNREADABLE = 20
SHOWN_PAIRS = 12


def render_report(report: Report) -> str:
    """The whole report as one HTML page; equal reports give equal pages. Every name in it is escaped."""
    report = words.cleaned(report)
    return render_page("report.html.j2", _context(report))


def _context(report: Report) -> dict[str, Any]:
    return {
        "title": report.title,
        "report": report,
        "created": report.created.replace("T", " ").replace("+00:00", "Z").replace("Z", " UTC"),
        **_first_page(report),
        **_data(report),
        **_training(report),
        **_results(report),
    }


def _first_page(report: Report) -> dict[str, Any]:
    return {
        "imbalanced": findings.imbalanced(report),
        "headlines": tables.headlines(report),
        "cautions": list(dict.fromkeys([*report.cautions, *report.warnings])),
    }


def _data(report: Report) -> dict[str, Any]:
    return {
        "counts": tables.counts(report),
        "balance_plot": illustrations.balance_plot(report),
        "unreadable": list(report.data.unreadable.items())[:SHOWN_UNREADABLE],
        # Contradicting labels first: one of each such pair is wrong, or both are doubtful.
        "near_pairs": sorted(report.data.near_pairs, key=lambda pair: pair.same_label)[:SHOWN_PAIRS],
        "suspicions": [shortcut.sentence for shortcut in report.data.shortcuts if shortcut.suspicious],
        "cue_rows": [tables.cue_row(shortcut) for shortcut in findings.suspicious_first(report.data.shortcuts)],
    }


def _training(report: Report) -> dict[str, Any]:
    found = report.training.cross_validation if report.training else None
    return {
        "curve_plots": list(illustrations.curve_plots(report)),
        "cross_validation": found,
        "folds": tables.fold_table(found, imbalanced=findings.imbalanced(report)) if found and found.folds else None,
        "learning_plot": illustrations.learning_plot(report),
        "advice": report.training.learning_curve.advice if report.training and report.training.learning_curve else [],
    }


def _results(report: Report) -> dict[str, Any]:
    return {
        "class_rows": [tables.class_row(name, figures) for name, figures in findings.by_recall(report)],
        "shows_average_precision": any(figures.average_precision is not None for figures in report.classes.values()),
        "subgroup_rows": tables.subgroup_rows(report.subgroups, report.figures.get("accuracy")),
        "matrix": tables.matrix(report),
        "confusion_plot": illustrations.confusion_plot(report),
        "top_confusions": findings.confusions(report)[:TOP_CONFUSIONS],
        "reliability_plot": illustrations.reliability_plot(report),
        "roc_plot": illustrations.roc_plot(report),
        "precision_recall_plot": illustrations.precision_recall_plot(report),
        "figure_columns": [*tables.baseline_columns(report), *(["without leaks"] if report.without_leaks else [])],
        "figure_rows": tables.figure_rows(report),
        "provenance": list(tables.flattened(report.provenance)),
    }
