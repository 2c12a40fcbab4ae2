"""Tables of predictions for the tests of evaluation: random ones, and ones written out by hand."""

import numpy as np

from eyebright.core.predictions import Predictions


def random_table(seed: int, n: int = 200, classes: int = 4, *, group_size: int = 1, missing: int | None = None) -> Predictions:
    """A model that is right more often than not. ``missing`` is a class that no label has; it may still be answered."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    if missing is not None:
        labels[labels == missing] = (missing + 1) % classes
    logits = generator.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += 1
    groups = tuple(f"patient-{row // group_size}" for row in range(n)) if group_size > 1 else ()
    return Predictions(keys_of(n), labels, logits, names_of(classes), groups)


def table_from(probabilities: list[list[float]], labels: list[int], groups: tuple[str, ...] = ()) -> Predictions:
    """A table whose softmax gives ``probabilities``, up to float32."""
    logits = np.log(np.array(probabilities)).astype(np.float32)
    return Predictions(keys_of(len(labels)), np.array(labels, dtype=np.int64), logits, names_of(logits.shape[1]), groups)


def keys_of(n: int) -> tuple[str, ...]:
    return tuple(f"{row:05}.jpg" for row in range(n))


def names_of(classes: int) -> tuple[str, ...]:
    return tuple(f"class-{k}" for k in range(classes))
