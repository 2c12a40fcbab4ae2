"""Names to ``module:attribute`` strings. Listing imports nothing; loading imports one module.

Entry points use the same syntax, so built-ins and plug-ins look alike.
"""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from eyebright.core.errors import SettingsError

LIKE, TYPING_ERROR = 0.5, 0.85  # difflib's likeness: worth a guess, and a slip of one letter in a word of six or so
WORD = 3  # letters below which one name in another is chance


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like ``name``, best first; empty where none is close.

    A name that is contained in ``name``, or contains it, is near however long the rest is.

    >>> nearest("test_fraction", ["calibration", "test"])
    ['test']
    """
    names = list(dict.fromkeys(names))
    likeness = {known: difflib.SequenceMatcher(None, known, name).ratio() for known in names}
    near = [known for known in names if likeness[known] >= TYPING_ERROR or _one_in_the_other(name, known)]
    found = near or [known for known in names if likeness[known] >= LIKE]
    return sorted(found, key=lambda known: likeness[known], reverse=True)[:count]


def _one_in_the_other(name: str, known: str) -> bool:
    shorter, longer = sorted((name.casefold(), known.casefold()), key=len)
    return len(shorter) >= WORD and shorter in longer


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """The sentence for an unknown name, with the nearest known ones.

    >>> unknown("model", "cn", ["cnn", "lite0"])
    "Unknown model 'cn'. Did you mean cnn?"
    """
    names = list(names)
    close = nearest(name, names)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(sorted(names)[:20])}."
    return f"Unknown {kind} {name!r}. {hint}"


class Registry:
    """Names of one kind of thing; ``group`` names the entry points that may add to it."""

    def __init__(self, kind: str, targets: Mapping[str, str], *, group: str | None = None) -> None:
        self.kind = kind
        self._targets = dict(targets)
        self._group = group

    def targets(self) -> dict[str, str]:
        """Every known name and its ``module:attribute``; a built-in name wins over a plug-in's."""
        plugged = {point.name: point.value for point in entry_points(group=self._group)} if self._group else {}
        return {**plugged, **self._targets}

    def load(self, name: str) -> Any:
        """The thing called ``name``. Raises ``SettingsError`` with the nearest names where there is none."""
        targets = self.targets()
        if name not in targets:
            raise SettingsError(unknown(self.kind, name, targets))
        module, _, attribute = targets[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
