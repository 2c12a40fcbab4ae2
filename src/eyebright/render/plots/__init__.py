"""Plots as SVG strings to inline in a page. The same values give the same string.

``classes``  a place for each class: counts, confusion
``scores``   what the scores are worth: reliability, ROC, precision-recall
``training`` over epochs, and over ever more pictures
``style``    the house style: text stays text, colours are the page's own CSS variables
"""

from eyebright.render.plots.classes import class_counts, confusion_map
from eyebright.render.plots.scores import (
    LABELLED_CLASSES,
    WORST_CLASSES,
    average_precisions,
    precision_recall,
    reliability,
    roc,
    roc_areas,
)
from eyebright.render.plots.style import drawing, spread
from eyebright.render.plots.training import (
    curve_metrics,
    curve_series,
    learning_curve,
    main_curves,
    repetitions,
    training_curves,
)

__all__ = [
    "LABELLED_CLASSES",
    "WORST_CLASSES",
    "average_precisions",
    "class_counts",
    "confusion_map",
    "curve_metrics",
    "curve_series",
    "drawing",
    "learning_curve",
    "main_curves",
    "precision_recall",
    "reliability",
    "repetitions",
    "roc",
    "roc_areas",
    "spread",
    "training_curves",
]
