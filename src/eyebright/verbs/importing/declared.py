"""What the user says of a model that was trained elsewhere, and what a reader of such files hands back."""

import dataclasses
from typing import Any, Literal

from eyebright.core.bundle import Architecture, Form
from eyebright.core.errors import SettingsError
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess, Resampler, Resize

Scale = Literal["0..1", "0..255", "-1..1"]
Channels = Literal["rgb", "bgr", "grey"]
Layout = Literal["auto", "nhwc", "nchw"]
Gives = Literal["auto", "logits", "probabilities"]

RANGES: dict[Scale, tuple[float, float]] = {"0..1": (0.0, 1.0), "0..255": (0.0, 255.0), "-1..1": (-1.0, 1.0)}


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """``(pixel - mean) / std`` for pixels in [0, 1], a value for each channel in the order in which the model takes them."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def is_identity(self) -> bool:
        """Whether the model takes pixels in [0, 1] as they are."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    def __str__(self) -> str:
        """The two in words, four digits each."""
        told = {"mean": self.mean, "std": self.std}
        return " and ".join(f"{name} {', '.join(f'{value:.4g}' for value in values)}" for name, values in told.items())


@dataclasses.dataclass(frozen=True)
class Declared:
    """How the model was fed where it was trained. None is what was not said: the file or the architecture may know it.

    ``size`` is height and width in pixels. ``mean`` and ``std`` are in the unit of ``scale`` and in the order of ``channels``,
    one value for all or one a channel: a picture is brought to ``scale`` first, then comes ``- mean``, then ``/ std``.
    """

    size: tuple[int, int] | None = None
    resize: Resize | None = None
    crop_fraction: float | None = None
    resampler: Resampler | None = None
    scale: Scale | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: Channels = "rgb"
    layout: Layout = "auto"
    gives: Gives = "auto"

    @property
    def planes(self) -> int:
        """How many channels the model takes: 1 where it is a grey one, else 3."""
        return 1 if self.channels == "grey" else 3

    @property
    def says_normalisation(self) -> bool:
        """Whether anything was said of the values that the model takes."""
        return not (self.scale is None and self.mean is None and self.std is None)

    def normalisation(self) -> Normalisation:
        """What turns pixels in [0, 1] into the model's values; pixels as they are where nothing was said.

        With a range from ``low`` to ``high``, ``(low + pixel (high - low) - mean) / std`` is
        ``(pixel - (mean - low) / (high - low)) / (std / (high - low))``. Raises ``SettingsError`` for a number of values that
        is neither one nor one a channel.

        >>> Declared(scale="0..255", mean=(51.0,), std=(1.0,), channels="grey").normalisation().mean
        (0.2,)
        """
        low, high = RANGES[self.scale or "0..1"]
        span = high - low
        mean, std = self._each("mean", self.mean, 0.0), self._each("std", self.std, 1.0)
        return Normalisation(tuple((value - low) / span for value in mean), tuple(value / span for value in std))

    def preprocess(self, size: tuple[int, int]) -> Preprocess:
        """How pictures come to ``size``, height and width, which stands where none was declared."""
        height, width = self.size or size
        return Preprocess(
            height=height,
            width=width,
            resize=self.resize or "squash",
            crop_fraction=1.0 if self.crop_fraction is None else self.crop_fraction,
            resampler=self.resampler or "pillow-bicubic",
            colour="grey" if self.channels == "grey" else "colour",
        )

    def _each(self, flag: str, values: tuple[float, ...] | None, usual: float) -> tuple[float, ...]:
        if values is None:
            return (usual,) * self.planes
        if len(values) not in (1, self.planes):
            raise SettingsError(
                f"--{flag} has {len(values)} values; one, or {self.planes} for --channels {self.channels}, was expected."
            )
        return values if len(values) == self.planes else values * self.planes


@dataclasses.dataclass(frozen=True)
class Brought:
    """A foreign model made into forms of a bundle; their files lie in the folder that the reader was given.

    ``predictor`` takes pixels [n, 3, height, width] in [0, 1] of ``size`` and is the one whose answers the probe keeps: the
    form that is nearest to the file. ``provenance`` is what the reader knows of the file, ``notes`` are sentences for the user
    and the card. ``architecture`` is what rebuilds a torch form, where there is one.
    """

    forms: dict[str, Form]
    predictor: Predictor
    size: tuple[int, int]
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    architecture: Architecture | None = None
