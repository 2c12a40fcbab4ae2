"""Predict once, judge often: the table that every judgement is a pure function of."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from eyebright.core.arrays import Features, Labels, Logits
from eyebright.core.errors import DataError
from eyebright.core.files import write_bytes

UNLABELLED = -1


@dataclasses.dataclass(frozen=True)
class Predictions:
    """One row a picture. ``labels`` index into ``classes`` (-1 where unknown); ``groups`` name what belongs together: a
    patient, a track, copies of one picture.

    A picture that belongs to no other is its own group, named by its key.
    """

    keys: tuple[str, ...]
    labels: Labels
    logits: Logits
    classes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    features: Features | None = None

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", self.keys)
        shape = (len(self.keys), len(self.classes))
        if self.logits.shape != shape or len(self.labels) != shape[0] or len(self.groups) != shape[0]:
            raise ValueError(
                f"logits {self.logits.shape}, labels {len(self.labels)}; expected {shape} for the keys and classes"
            )

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: np.ndarray) -> "Predictions":
        """The table with only ``rows`` (indices or a boolean mask), in that order."""
        picked = np.arange(len(self))[rows]
        return dataclasses.replace(
            self,
            keys=tuple(self.keys[i] for i in picked),
            groups=tuple(self.groups[i] for i in picked),
            labels=self.labels[picked],
            logits=self.logits[picked],
            features=None if self.features is None else self.features[picked],
        )

    @property
    def grouped(self) -> bool:
        """Whether some group holds more than one picture, so that errors are not independent."""
        return len(set(self.groups)) < len(self.groups)


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Writes the table as one safetensors file; keys, groups and classes are JSON in its metadata."""
    from safetensors.numpy import save

    tensors = {"labels": predictions.labels, "logits": np.ascontiguousarray(predictions.logits)}
    if predictions.features is not None:
        tensors["features"] = np.ascontiguousarray(predictions.features)
    names = {"keys": predictions.keys, "groups": predictions.groups, "classes": predictions.classes}
    # One entry: safetensors writes several in any order, and equal tables should be equal files.
    write_bytes(path, save(tensors, metadata={"names": json.dumps(names, ensure_ascii=False)}))


def load_predictions(path: Path) -> Predictions:
    """The table that ``save_predictions`` wrote. Raises ``DataError`` where the file is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = {name: tuple(value) for name, value in json.loads((file.metadata() or {})["names"]).items()}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return Predictions(labels=arrays["labels"], logits=arrays["logits"], features=arrays.get("features"), **names)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a table of predictions ({error}). Run evaluate again to make it.") from None
