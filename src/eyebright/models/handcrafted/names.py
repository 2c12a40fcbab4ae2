"""What a handcrafted model is called: its features, a dash, its classifier. No heavy import, so that lists can be shown."""

import itertools
from typing import Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field

from eyebright.core.errors import SettingsError
from eyebright.core.registry import unknown

Feature = Literal["hog", "sift", "colour"]
Kind = Literal["svm", "knn", "forest"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
KINDS: tuple[Kind, ...] = get_args(Kind)

_ABOUT_FEATURE = {
    "hog": "histograms of oriented gradients",
    "sift": "visual words of dense SIFT descriptors",
    "colour": "colour histograms",
}
_ABOUT_KIND = {"svm": "support vector machine", "knn": "nearest neighbours", "forest": "random forest"}

MINIMUM_SIZE = 16  # pixels: the finest grid has 16 cells a side
MAXIMUM_SIZE = 128  # the grids are of 8 and 16 cells: more pixels than this a side add time, hardly detail


class Handcrafted(BaseModel):
    """Which features, side by side, and which classifier decides on them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[Feature, ...] = Field(min_length=1, max_length=len(FEATURES))
    classifier: Kind

    @property
    def name(self) -> str:
        """The name that ``parse`` understands, e.g. ``hog+colour-svm``."""
        return f"{'+'.join(self.features)}-{self.classifier}"

    @property
    def about(self) -> str:
        """One line for lists."""
        return f"{', '.join(_ABOUT_FEATURE[one] for one in self.features)}; {_ABOUT_KIND[self.classifier]}"


NAMES = (*(f"{feature}-{kind}" for feature, kind in itertools.product(FEATURES, KINDS)), "hog+colour-svm")


def is_handcrafted(name: str) -> bool:
    """Whether ``parse`` understands ``name``: features joined by ``+``, each once, a dash, a classifier."""
    features, dash, classifier = name.rpartition("-")
    parts = features.split("+")
    return bool(dash) and classifier in KINDS and len(set(parts)) == len(parts) and set(parts) <= set(FEATURES)


def parse(name: str) -> Handcrafted:
    """The model that ``name`` stands for; features may be joined freely, such as ``sift+colour-forest``.

    Raises ``SettingsError`` with the nearest names where there is none.
    """
    if not is_handcrafted(name):
        raise SettingsError(unknown("model", name, NAMES))
    features, _, classifier = name.rpartition("-")
    chosen = set(features.split("+"))
    ordered = tuple(feature for feature in FEATURES if feature in chosen)
    return Handcrafted(features=ordered, classifier=cast("Kind", classifier))


def fitting_size(side: int) -> int:
    """The size in pixels for pictures whose short side is ``side``: a multiple of 16, so that all cells are alike.

    >>> fitting_size(28), fitting_size(50), fitting_size(600)
    (32, 48, 128)
    """
    return min(max(MINIMUM_SIZE, round(side / MINIMUM_SIZE) * MINIMUM_SIZE), MAXIMUM_SIZE)
