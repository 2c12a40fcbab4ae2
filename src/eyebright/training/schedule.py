"""How the learning rate rises and falls: a factor of its full value at each step."""

import math
from collections.abc import Sequence

from eyebright.core.errors import SettingsError
from eyebright.training.recipe import Recipe

PLATEAU_FACTOR = 0.1  # the default of torch's and of Keras's ReduceLROnPlateau


class Schedule:
    """The recipe's factor of the rate at each of ``steps`` steps. ``begin_epoch`` comes before the steps of each epoch."""

    def __init__(self, recipe: Recipe, steps: int, *, watched: bool) -> None:
        """``watched``: there is a validation part. Raises ``SettingsError`` where a plateau has nothing to go by."""
        if recipe.schedule == "plateau" and not watched and recipe.rate_falls is None:
            raise SettingsError(
                "The plateau schedule goes by the validation loss, and there is no validation part. Hold some pictures out, "
                "or choose the schedule cosine or constant."
            )
        self._recipe, self._steps = recipe, steps
        self._level = 1.0

    def begin_epoch(self, validation_losses: Sequence[float], epoch: int) -> None:
        """Takes in the validation losses of the epochs so far; ``epoch`` counts from 0."""
        if self._recipe.schedule == "plateau":
            falls = self._recipe.rate_falls
            if falls is None:
                falls = plateau_falls(validation_losses, self._recipe.plateau_patience)
            self._level = PLATEAU_FACTOR ** sum(fall <= epoch for fall in falls)

    def factor(self, step: int) -> float:
        """The share of the full rate at ``step``."""
        if self._recipe.schedule == "cosine":
            return rate_factor(step, self._steps, self._recipe.warm_up)
        if self._recipe.schedule == "linear":
            return linear_factor(step, self._steps, self._recipe.warm_up)
        return self._level * min(1.0, (step + 1) / max(1, _rising(self._steps, self._recipe.warm_up)))


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """The share of the full rate at ``step`` of ``steps``: a linear rise, then half a cosine down to zero.

    >>> [round(rate_factor(step, 10, 0.2), 2) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]
    """
    rising = _rising(steps, warm_up)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def linear_factor(step: int, steps: int, warm_up: float) -> float:
    """The share of the full rate at ``step`` of ``steps``: a linear rise, then a straight line down to zero.

    >>> [linear_factor(step, 8, 0.0) for step in (0, 4, 7)]
    [1.0, 0.5, 0.125]
    """
    rising = _rising(steps, warm_up)
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)


def _rising(steps: int, warm_up: float) -> int:
    return math.ceil(warm_up * steps)


def side_at(sides: Sequence[tuple[float, int]], progress: float) -> int | None:
    """The side in pixels at which pictures are shown after the share ``progress`` of the steps; None for their own.

    >>> [side_at([(0.25, 20), (0.5, 24)], progress) for progress in (0.0, 0.25, 0.9)]
    [20, 24, None]
    """
    return next((side for until, side in sides if progress < until), None)


def plateau_falls(losses: Sequence[float], patience: int) -> tuple[int, ...]:
    """After how many epochs the rate falls: each time ``patience`` epochs in a row, since the last fall, were not the best.

    A function of the losses alone, so that a checkpoint that holds them holds the schedule's whole state.

    >>> plateau_falls([0.9, 0.5, 0.6, 0.5, 0.4, 0.7, 0.7, 0.7, 0.7], 2)
    (4, 7, 9)
    """
    falls: list[int] = []
    best, waited = math.inf, 0
    for epoch, loss in enumerate(losses, 1):
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == patience:
            falls.append(epoch)
            waited = 0
    return tuple(falls)
