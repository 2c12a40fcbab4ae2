"""What was declared of a graph, held beside what its file says: layout, size, and what its numbers are."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from eyebright.core.arrays import Pixels
from eyebright.core.errors import ModelError, SettingsError
from eyebright.core.foreign import Foreign
from eyebright.core.seeds import key_hashes, uniform
from eyebright.verbs.importing.declared import Declared

CHECKS = 6  # pictures on which a form is compared with its file
TILE = 64  # pixels a side of the noise that is laid out over a picture
FIELDS = 8  # a side, in pictures of plain fields, which move a network more than noise does
SUM_TOLERANCE = 0.01  # of float16 probabilities over a thousand classes

Sides = Sequence[int | None]


def fit_input(shape: Sides, declared: Declared, origin: str) -> tuple[Literal["nhwc", "nchw"], tuple[int, int]]:
    """Layout and size, height and width, of a graph that takes pictures of ``shape``: three sides, None where one is open.

    Raises ``ModelError`` where shape and declaration disagree, ``SettingsError`` where both leave something open.
    """
    layout = _layout(shape, declared, origin)
    high, wide = shape[:2] if layout == "nhwc" else shape[1:]
    planes = shape[2] if layout == "nhwc" else shape[0]
    if planes not in (None, declared.planes):
        raise ModelError(
            f"{origin} takes {planes} channels, as {list(shape)} in layout {layout}; {declared.planes} were expected. "
            "Say --channels grey for a model of grey pictures, or --layout."
        )
    size = declared.size or (high, wide)
    if declared.size and any(side not in (None, said) for side, said in zip((high, wide), declared.size, strict=True)):
        raise ModelError(f"{origin} takes pictures of {high} x {wide} pixels; --size says {size[0]} x {size[1]}. Leave it out.")
    if size[0] is None or size[1] is None:
        raise SettingsError(f"{origin} takes pictures of any size. Say --size, the one that it was trained with.")
    return layout, (size[0], size[1])


def _layout(shape: Sides, declared: Declared, origin: str) -> Literal["nhwc", "nchw"]:
    if declared.layout != "auto":
        return declared.layout
    first, last = shape[0] == declared.planes, shape[2] == declared.planes
    if first != last:
        return "nchw" if first else "nhwc"
    found = "can be read both ways" if first else f"has no side of {declared.planes} for the channels"
    raise SettingsError(f"{origin} takes pictures of {_told(shape)}, which {found}. Say --layout nhwc or nchw, and --channels.")


def _told(shape: Sides) -> str:
    return " x ".join("any" if side is None else str(side) for side in shape)


def foreign_of(declared: Declared, layout: Literal["nhwc", "nchw"], gives: Literal["logits", "probabilities"]) -> Foreign:
    """The manifest's words for how a file is fed. Raises ``SettingsError`` for a normalisation that divides by 0 or less."""
    said = declared.normalisation()
    if min(said.std) <= 0:
        raise SettingsError(f"--std is {declared.std}; values above 0 were expected.")
    return Foreign(layout=layout, channels=declared.channels, mean=said.mean, std=said.std, gives=gives)


def check_pixels(size: tuple[int, int]) -> Pixels:
    """Pictures to compare a form with its file on, always the same: half of them noise, half of them plain fields."""
    high, wide = size
    drawn = uniform(0, "import", 0, key_hashes([str(row) for row in range(CHECKS)]), 3 * TILE * TILE)
    tile = drawn.reshape(CHECKS, 3, TILE, TILE)
    noise = tile[:, :, np.arange(high) % TILE][..., np.arange(wide) % TILE]
    fields = tile[:, :, np.arange(high) * FIELDS // high][..., np.arange(wide) * FIELDS // wide]
    return np.ascontiguousarray(np.concatenate([noise[::2], fields[1::2]]))


def judge_gives(
    values: np.ndarray, declared: Declared, origin: str, *, closing: str = ""
) -> tuple[Literal["logits", "probabilities"], tuple[str, ...]]:
    """What the numbers of a graph are, and what to say of it. ``values`` [n, columns] are its answers to a few pictures.

    ``closing`` is the operator that made them, where it is known. Raises ``SettingsError`` where they can be both,
    ``ModelError`` where they cannot be what was declared.
    """
    if not np.isfinite(values).all():
        raise ModelError(f"{origin} answers with numbers that are not finite. Check --scale, --mean and --std, or the file.")
    within = bool(values.min() >= 0 and values.max() <= 1 + SUM_TOLERANCE)
    summing = within and bool(np.abs(values.sum(axis=1) - 1).max() <= SUM_TOLERANCE)
    if declared.gives == "probabilities" and not within:
        raise ModelError(
            f"{origin} answers with numbers from {values.min():.3g} to {values.max():.3g}, which are no probabilities. "
            "Say --gives logits."
        )
    if declared.gives == "logits" and (summing or closing == "Softmax"):
        raise ModelError(f"{origin} answers with numbers that sum to 1: probabilities, not logits. Say --gives probabilities.")
    if declared.gives != "auto":
        return declared.gives, ()
    if closing == "Softmax" or summing:
        return "probabilities", ("It gives probabilities: for every picture they sum to 1.",)
    if closing == "Sigmoid" or (within and values.shape[1] == 1):
        together = "" if values.shape[1] == 1 else " They do not sum to 1, and are divided by their sum."
        return "probabilities", (f"It gives probabilities: they lie between 0 and 1.{together}",)
    if within:
        raise SettingsError(
            f"{origin} answers with numbers from 0 to 1 that do not sum to 1. Say --gives probabilities or --gives logits."
        )
    return "logits", (f"It gives logits: numbers from {values.min():.3g} to {values.max():.3g} were seen.",)
