"""How the model does on subgroups: the pictures of one hospital, one camera, one sex, by any column of the user's table."""

from collections.abc import Mapping, Sequence

import numpy as np

from eyebright.core.errors import SettingsError
from eyebright.core.predictions import Predictions
from eyebright.core.registry import nearest
from eyebright.core.report import Figure, Subgroup
from eyebright.evaluation import accuracy
from eyebright.evaluation.intervals import Values, Weights, estimate, share, weighted_mean

MOST_VALUES = 20  # values of a column; one with more is a name or a date, not a subgroup
EMPTY = "(empty)"


def subgroups(
    predictions: Predictions, columns: Mapping[str, Mapping[str, str]], wanted: Sequence[str], *, seed: int = 0
) -> list[Subgroup]:
    """One row a value of each column in ``wanted``, the rows of a column by value; pictures without a label are left out.

    ``difference`` is the accuracy on the subgroup minus that on all other pictures, with its interval: whole groups are
    resampled, so a patient who has pictures on both sides counts on both. Raises ``SettingsError`` where the table has no such
    column or the column has more than 20 values.
    """
    check_columns(columns, wanted)
    table = accuracy.labelled(predictions)
    rows: list[Subgroup] = []
    for column in wanted:
        cells = np.array([columns[column].get(key, "") or EMPTY for key in table.keys])
        rows += [_subgroup(table, column, value, cells == value, seed=seed) for value in sorted(set(cells.tolist()))]
    return rows


def check_columns(columns: Mapping[str, Mapping[str, str]], wanted: Sequence[str]) -> None:
    """Raises ``SettingsError`` where a wanted column does not exist or is no column of kinds: before anything is trained."""
    for column in wanted:
        values = len(set(_cells(columns, column).values()))
        if values > MOST_VALUES:
            raise SettingsError(
                f"--subgroups names the column {column!r}, which has {values} values; at most {MOST_VALUES} were expected. "
                "Give a column of kinds (site, camera, sex), not of names or numbers."
            )


def _cells(columns: Mapping[str, Mapping[str, str]], column: str) -> Mapping[str, str]:
    if column in columns:
        return columns[column]
    close = nearest(column, columns)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    known = f"it has {', '.join(columns)}" if columns else "the data has no table with further columns"
    raise SettingsError(f"--subgroups names the column {column!r}; {known}.{hint}")


def _subgroup(table: Predictions, column: str, value: str, inside: np.ndarray, *, seed: int) -> Subgroup:
    part = table.select(inside)
    figures = {
        "accuracy": share(accuracy.right_answers(part), part.groups),
        **estimate(
            lambda weights: {"f1_macro": accuracy.figures(accuracy.count(part, weights))["f1_macro"]},
            part.groups,
            bounds={"f1_macro": (0.0, 1.0)},
            seed=seed,
        ),
    }
    return Subgroup(column=column, value=value, n=len(part), figures=figures, difference=_difference(table, inside, seed=seed))


def _difference(table: Predictions, inside: np.ndarray, *, seed: int) -> Figure | None:
    """None where all pictures are in the subgroup."""
    if inside.all():
        return None
    right = accuracy.right_answers(table).astype(np.float64)

    def statistics(weights: Weights) -> dict[str, Values]:
        return {"difference": _mean_where(inside, right, weights) - _mean_where(~inside, right, weights)}

    return estimate(statistics, table.groups, bounds={"difference": (-1.0, 1.0)}, seed=seed)["difference"]


def _mean_where(rows: np.ndarray, values: np.ndarray, weights: Weights) -> Values:
    """The mean over ``rows``; nan for a resample that drew none of them."""
    drawn = weights[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        return weighted_mean(values[rows], drawn)
