"""Which values each trial of a grid or of a random search has: a function of the seed and the trial's number alone.

Interruptions, processes side by side and how long each trial takes change nothing of it.
"""

import itertools
import json
import math
from collections.abc import Mapping

from eyebright.core import seeds
from eyebright.verbs.tuning.space import Space, Value

REDRAWS = 50  # of a set of values that was drawn before: where most are used up, the last few are left


def grid_size(space: Space, levels: int) -> int:
    """How many combinations a grid has."""
    return math.prod(len(entry.levels(levels)) for entry in space.values())


def grid(space: Space, levels: int, seed: int) -> list[dict[str, Value]]:
    """Every combination, in an order that the seed decides: a search that is cut short has seen all corners alike."""
    every = itertools.product(*(entry.levels(levels) for entry in space.values()))
    combinations = [dict(zip(space, values, strict=True)) for values in every]
    hashes = seeds.key_hashes([same(combination) for combination in combinations])
    return [combinations[place] for place in seeds.order(seed, "grid", 0, hashes)]


def draws(space: Space, count: int, seed: int) -> list[dict[str, Value]]:
    """``count`` sets of values, drawn evenly over the space (ranges by their logarithm where that is how they are searched).

    None comes twice, as far as the space has others: a trial done again would tell nothing.
    """
    found: dict[str, dict[str, Value]] = {}
    for number in range(count):
        for attempt in range(REDRAWS):
            drawn = _draw(space, seed, number, attempt)
            if same(drawn) not in found:
                found[same(drawn)] = drawn
                break
    return list(found.values())


def _draw(space: Space, seed: int, number: int, attempt: int) -> dict[str, Value]:
    stream = f"search {attempt}" if attempt else "search"
    shares = seeds.uniform(seed, stream, number, seeds.key_hashes(list(space)))[:, 0]
    return {name: entry.at(float(share)) for (name, entry), share in zip(space.items(), shares, strict=True)}


def same(values: Mapping[str, Value | None]) -> str:
    """A text that is equal for equal values."""
    return json.dumps(values, sort_keys=True)
