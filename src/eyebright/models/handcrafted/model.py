"""A whole handcrafted model: from pixels to features to logits; and how it lies in a file, as arrays and a little JSON."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from eyebright.core.arrays import Features, Logits, Pixels
from eyebright.core.errors import ModelError, SettingsError
from eyebright.models.handcrafted.classifiers import Classifier, Forest, KernelSvm, LinearSvm, Neighbours
from eyebright.models.handcrafted.descriptors import colour_histogram, hog
from eyebright.models.handcrafted.names import MINIMUM_SIZE, Handcrafted
from eyebright.models.handcrafted.words import WIDTH, Vocabulary, bag_of_words

FILE_LIMIT = 2 * 2**30  # bytes; the largest we write, 20,000 neighbours of all features, is some 130 MB
WORDS_LIMIT = 65_536
_STORED: dict[str, type[Classifier]] = {
    "linear-svm": LinearSvm,
    "kernel-svm": KernelSvm,
    "neighbours": Neighbours,
    "forest": Forest,
}
_OF_KIND = {"svm": ("linear-svm", "kernel-svm"), "knn": ("neighbours",), "forest": ("forest",)}


def describe(spec: Handcrafted, pixels: Pixels, vocabulary: Vocabulary | None) -> Features:
    """The features of ``spec`` side by side, [n, width], each kind's norm one at most, so that none outweighs another.

    Raises ``SettingsError`` for pictures under 16 pixels.
    """
    if min(pixels.shape[2:]) < MINIMUM_SIZE:
        found = f"{pixels.shape[2]} x {pixels.shape[3]}"
        raise SettingsError(f"--size is {found}; {spec.name} needs at least {MINIMUM_SIZE} pixels. Give a larger --size.")
    found_features = []
    for feature in spec.features:
        if feature == "hog":
            blocks = hog(pixels)
            found_features.append(blocks / np.float32(np.sqrt(blocks.shape[1] / 36)))  # 36 numbers a block, of norm one
        elif feature == "colour":
            found_features.append(colour_histogram(pixels))
        else:
            assert vocabulary is not None
            found_features.append(bag_of_words(pixels, vocabulary))
    return np.concatenate(found_features, axis=1)


@dataclasses.dataclass(frozen=True)
class HandcraftedModel:
    """What was fitted. ``vocabulary`` is None where the features have no ``sift``."""

    spec: Handcrafted
    classes: int
    classifier: Classifier
    vocabulary: Vocabulary | None = None

    def embed(self, pixels: Pixels) -> Features:
        """The features of each picture, [n, width]."""
        return describe(self.spec, pixels, self.vocabulary)

    def __call__(self, pixels: Pixels) -> tuple[Logits, Features]:
        """Logits and features for pixels in [0, 1], one row a picture."""
        features = self.embed(pixels)
        return self.classifier(features), features

    @property
    def parameter_count(self) -> int:
        """How many numbers the model holds."""
        held = _arrays(self.classifier).values()
        return sum(array.size for array in held) + (0 if self.vocabulary is None else self.vocabulary.size)


class _Head(BaseModel):
    """The JSON in the file's metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    model: Handcrafted
    classes: int
    stored: str
    numbers: dict[str, int]


def _arrays(classifier: Classifier) -> dict[str, np.ndarray]:
    values = {field.name: getattr(classifier, field.name) for field in dataclasses.fields(classifier)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def model_bytes(model: HandcraftedModel) -> bytes:
    """The model as one safetensors file: its arrays, and what they are as JSON in the metadata."""
    from safetensors.numpy import save

    arrays = _arrays(model.classifier)
    numbers = {
        f.name: v for f in dataclasses.fields(model.classifier) if isinstance(v := getattr(model.classifier, f.name), int)
    }
    stored = next(name for name, kind in _STORED.items() if isinstance(model.classifier, kind))
    head = _Head(model=model.spec, classes=model.classes, stored=stored, numbers=numbers)
    if model.vocabulary is not None:
        arrays["vocabulary"] = model.vocabulary
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(tensors, metadata={"handcrafted": head.model_dump_json()})


def load_model(path: Path, classes: int) -> HandcraftedModel:
    """The model in the file ``path``, every array checked.

    Raises ``ModelError`` where the file is damaged, of another kind, or not for ``classes`` classes.
    """
    head, arrays = _read(path)
    vocabulary = arrays.pop("vocabulary", None)
    if head.classes != classes or head.stored not in _OF_KIND[head.model.classifier]:
        raise _refused(path, f"a {head.stored} for {head.classes} classes; {head.model.name} for {classes} was expected")
    if ("sift" in head.model.features) != (vocabulary is not None):
        raise _refused(path, "the vocabulary and the features do not go together")
    if vocabulary is not None:
        _check_vocabulary(path, vocabulary)
    values: dict[str, Any] = {**arrays, **head.numbers}
    kind = _STORED[head.stored]
    if set(values) != {field.name for field in dataclasses.fields(kind)}:
        raise _refused(path, f"it holds {', '.join(sorted(values))}")
    classifier = kind(**values)
    try:
        classifier.check(_width(head.model, vocabulary), classes)
    except (TypeError, AttributeError) as error:
        raise _refused(path, str(error)) from None
    return HandcraftedModel(head.model, classes, classifier, vocabulary)


def _read(path: Path) -> tuple[_Head, dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    if path.stat().st_size > FILE_LIMIT:
        raise _refused(path, f"it is larger than {FILE_LIMIT >> 30} GiB")
    try:
        with safe_open(path, framework="numpy") as file:
            head = _Head.model_validate_json((file.metadata() or {}).get("handcrafted", ""))
            return head, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, ValidationError, ValueError, TypeError, KeyError) as error:
        raise _refused(path, str(error).splitlines()[0]) from None


def _check_vocabulary(path: Path, vocabulary: np.ndarray) -> None:
    fits = vocabulary.ndim == 2 and vocabulary.dtype == np.float32 and 0 < len(vocabulary) <= WORDS_LIMIT
    if not fits or vocabulary.shape[1] != WIDTH or not np.isfinite(vocabulary).all():
        raise _refused(path, f"its vocabulary is {vocabulary.dtype} {vocabulary.shape}; float32 words of {WIDTH} were expected")


def _width(spec: Handcrafted, vocabulary: np.ndarray | None) -> int:
    """How many features one picture has, asked of a black one."""
    black = np.zeros((1, 3, MINIMUM_SIZE, MINIMUM_SIZE), dtype=np.float32)
    return int(describe(spec, black, vocabulary).shape[1])


def _refused(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path} does not hold a handcrafted model: {reason}. Copy or train the bundle again.")
