"""Names to ``module:attribute`` strings. Listing imports nothing; loading imports one module.

Entry points use the same syntax, so built-ins and plug-ins look alike.
"""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from eyebright.core.errors import SettingsError


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like ``name``, best first; empty where none is close."""
    return difflib.get_close_matches(name, list(names), n=count, cutoff=0.5)


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
