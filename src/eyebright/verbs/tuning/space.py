"""What a search may change: settings of ``train`` by name, each with a range or a list of values.

``learning_rate=0.0001..0.01``   a range; searched by its logarithm where it spans a factor of ten or more
``dropout=0..0.5``               a range that begins at zero is searched evenly
``batch_size=16..128``           whole numbers where the setting is one
``model=cnn,lenet``              a list
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from eyebright.core.errors import SettingsError
from eyebright.core.registry import unknown
from eyebright.verbs.making.settings import TrainSettings

LOGARITHMIC = 10.0  # ranges that span this factor are searched by their logarithm
DIGITS = 6  # of a value that a grid or a draw gives: enough for any setting, and short enough to be read
FIXED = frozenset(  # they decide what is measured, for how long, or where things are kept, not how a model is made
    (
        *("data", "out", "data_home", "group", "resume", "dry_run", "minutes", "test", "validation", "calibration", "seed"),
        *("folds", "ensemble", "members", "distil", "learning_curve", "subgroups", "on_leak", "allow_bad", "tensorboard"),
        *("baselines", "intended_use", "limits", "device", "epochs", "patience"),
    )
)

Value = str | int | float | bool

# What usually matters, the first the most: a grid takes the first few alone, for it grows with every setting.
FROM_SCRATCH = (
    "learning_rate=0.0001..0.01",
    "batch_size=32,64,128",
    "augment=none,light,medium",
    "dropout=0..0.6",
    "weight_decay=0.000001..0.01",
    "label_smoothing=0,0.05,0.1",
)
SPEED = (  # Muon's rate is a share of a filter's size
    "learning_rate=0.05..0.4",
    "augment=none,light,medium",
    "label_smoothing=0,0.09,0.2",
    "dropout=0..0.5",
    "weight_decay=0.00001..0.01",
)
FINE_TUNING = (
    "learning_rate=0.00003..0.003",
    "unfreeze=head,2,5,all",
    "augment=none,light,medium",
    "weight_decay=0.0001..0.1",
    "label_smoothing=0,0.1",
)
IN_A_GRID = 3


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included."""

    low: float
    high: float
    whole: bool = False

    @property
    def logarithmic(self) -> bool:
        """Whether factors matter, not differences."""
        return self.low > 0 and self.high / self.low >= LOGARITHMIC

    def at(self, share: float) -> Value:
        """The value at ``share`` of the way from end to end, by the logarithm where that is how the range is searched.

        >>> Range(0.001, 0.1).at(0.5), Range(0, 0.5).at(0.5), Range(16, 64, whole=True).at(1.0)
        (0.01, 0.25, 64)
        """
        evenly = self.low + share * (self.high - self.low)
        return self.rounded(self.low * (self.high / self.low) ** share if self.logarithmic else evenly)

    def rounded(self, value: float) -> Value:
        """The value as it is tried: of few digits, or whole, and within the range."""
        value = min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)
        return round(value) if self.whole else value

    def levels(self, count: int) -> list[Value]:
        """``count`` different values from end to end, spaced as the range is searched; fewer where there are no more.

        >>> Range(0.001, 0.1).levels(3), Range(1, 2, whole=True).levels(5)
        ([0.001, 0.01, 0.1], [1, 2])
        """
        return list(dict.fromkeys(self.at(place / max(1, count - 1)) for place in range(count)))

    @property
    def count(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if self.whole else math.inf

    def __str__(self) -> str:
        numbers = f"{self.low:g} to {self.high:g}"
        return f"{numbers}, by its logarithm" if self.logarithmic else numbers


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Value, ...]

    def at(self, share: float) -> Value:
        """The value whose equal part of [0, 1) holds ``share``."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def levels(self, count: int) -> list[Value]:
        """All of them, whatever ``count`` is."""
        return list(self.values)

    @property
    def count(self) -> float:
        """How many values there are."""
        return len(self.values)

    def __str__(self) -> str:
        return ", ".join(f"{value:g}" if isinstance(value, float) else spoken(value) for value in self.values)


Space = Mapping[str, Range | Choice]


def spoken(value: Value) -> str:
    """The value as ``--search`` would take it: a switch is on or off."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def usual_space(name: str, way: str, method: str) -> list[str]:
    """What is searched where nothing was asked for, in the words of ``--search``."""
    words = SPEED if name == "speed" else FROM_SCRATCH if way == "scratch" else FINE_TUNING
    return list(words[:IN_A_GRID] if method == "grid" else words)


def combinations(space: Space) -> float:
    """How many sets of values the space holds; infinity where a range in it is not of whole numbers."""
    return math.prod(entry.count for entry in space.values())


def read_space(words: Sequence[str]) -> dict[str, Range | Choice]:
    """The space that ``NAME=LOW..HIGH`` and ``NAME=A,B,C`` describe.

    Raises ``SettingsError`` for a name that is no setting, may not be searched or comes twice, and for values that the setting
    refuses.
    """
    space: dict[str, Range | Choice] = {}
    for word in words:
        name, entry = _entry(word)
        if name in space:
            raise SettingsError(f"--search names {name} twice. Give all its values at once: {name}=A,B,C.")
        space[name] = entry
    return space


def _entry(word: str) -> tuple[str, Range | Choice]:
    name, equals, text = word.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    fields = {key: value for key, value in TrainSettings.model_fields.items() if key not in FIXED}
    if name in FIXED:
        raise SettingsError(f"--search names {name}, which decides what is measured and cannot be searched. Leave it out.")
    if name not in fields:
        raise SettingsError(unknown("setting", name, fields))
    if not equals or not all(part.strip() for part in text.split(",")):
        raise SettingsError(
            f"--search is {word!r}; NAME=LOW..HIGH or NAME=A,B,C was expected, such as learning_rate=1e-4..1e-2."
        )
    kind = _kind(fields[name].annotation)
    entry = _range(name, text, kind) if ".." in text else _list(name, text, kind)
    for value in entry.levels(2):
        TrainSettings.resolve({"data": "any", name: value})
    return name, entry


def _kind(annotation: Any) -> type:
    """The plain type behind a setting's annotation: int, float, bool or str."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is typing.Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return str
    return annotation if annotation in (int, float, bool) else str


def _range(name: str, text: str, kind: type) -> Range:
    if kind not in (int, float):
        raise SettingsError(f"--search gives {name} a range, {text!r}; it takes words. Give a list: {name}=A,B.")
    try:
        low, high = (float(end) for end in text.split("..", 1))
    except ValueError:
        raise SettingsError(f"--search gives {name} the range {text!r}; two numbers were expected, such as 0.1..0.5.") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingsError(f"--search gives {name} the range {text!r}; the first number must be below the second.")
    if kind is int and not (low.is_integer() and high.is_integer()):
        raise SettingsError(f"--search gives {name} the range {text!r}; it takes whole numbers, such as 16..128.")
    return Range(low, high, whole=kind is int)


def _list(name: str, text: str, kind: type) -> Choice:
    return Choice(tuple(dict.fromkeys(_value(name, part.strip(), kind) for part in text.split(","))))


def _value(name: str, text: str, kind: type) -> Value:
    if kind is bool:
        if text.lower() in ("true", "false", "on", "off"):
            return text.lower() in ("true", "on")
        raise SettingsError(f"--search gives {name} the value {text!r}; on or off was expected.")
    if kind is str:
        return text
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        raise SettingsError(f"--search gives {name} the value {text!r}; a number was expected.") from None
