"""Judges predictions: how often they are right, how far their probabilities can be believed, and how sure we are of both.

Pure functions over a ``Predictions`` table and a ``Decision``; only ``measure`` asks a predictor. With numpy alone, so that the
base install can judge an ONNX bundle. This room never reads a picture, never changes a model and never draws: it hands figures
with n and intervals to the report.
"""

from eyebright.evaluation.calibration import fit_temperature
from eyebright.evaluation.intervals import paired_difference, wilson
from eyebright.evaluation.judge import judge
from eyebright.evaluation.latency import measure

__all__ = ["fit_temperature", "judge", "measure", "paired_difference", "wilson"]
