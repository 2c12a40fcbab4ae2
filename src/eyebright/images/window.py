"""Stored values of a grey DICOM picture to the grey that is shown (PS3.3, sections C.11.1 and C.11.2).

Each step is a function of the stored value alone, so it is worked out once for every value that occurs and then looked up.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, UInt8

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = Float64[np.ndarray, "..."]
Curve = Callable[[Values], Values]  # values in the modality's unit -> grey in [0, 1]

# The share of values below and above what is shown where the file names no window: as nnU-Net clips CT (Isensee et al. 2021,
# supplementary note 2). The full range would be spent on a marker of lead or a pixel that failed.
RANGE = (0.5, 99.5)
MOST_LEVELS = 2**16
_NO_WINDOW = "It names no window: grey is shown from the {:g}th to the {:g}th percentile of its own values.".format(*RANGE)


def shown(stored: np.ndarray, dataset: "Dataset", notes: list[str]) -> UInt8[np.ndarray, "rows columns"]:
    """Grey as uint8: black to white, with padding black. What was decided for the file is added to ``notes``."""
    padding = _padding(stored, dataset)
    real = stored if padding is None or padding.all() else stored[~padding]
    curve = _curve(real, dataset, notes)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"

    def grey(values: np.ndarray) -> np.ndarray:
        level = np.clip(curve(_in_units(values, dataset)), 0.0, 1.0)
        return np.rint((1.0 - level if inverted else level) * 255.0).astype(np.uint8)

    picture = _looked_up(stored, grey)
    if padding is not None:
        picture[padding] = 0
    return picture


def _looked_up(stored: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    low, high = int(stored.min()), int(stored.max())
    if high - low >= MOST_LEVELS:
        return function(stored)
    table = function(np.arange(low, high + 1))
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    above = native - native.dtype.type(low)  # a difference that leaves a signed type wraps, and is right again as unsigned
    return np.asarray(table[above.view(f"u{above.itemsize}")])


def _padding(stored: np.ndarray, dataset: "Dataset") -> np.ndarray | None:
    """Where there is no picture (PS3.3, C.7.5.1.1.2), or None where that is nowhere."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(limit if limit is not None else value)))
    padding = (stored >= low) & (stored <= high)
    return padding if padding.any() else None


def _in_units(stored: np.ndarray, dataset: "Dataset") -> Values:
    """The modality's own values, such as Hounsfield units."""
    from pydicom.pixels.processing import apply_modality_lut

    return np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)


def _curve(real: np.ndarray, dataset: "Dataset", notes: list[str]) -> Curve:
    """From the modality's values to grey: the first window, else the first table, else the picture's own range.

    A picture of at most 8 bits that names neither is made to be shown as it is.
    """
    if window := _window(dataset):
        return window
    if dataset.get("VOILUTSequence"):
        return lambda values: _by_table(values, dataset)
    if int(dataset.BitsStored) <= 8 and not dataset.PixelRepresentation and not dataset.get("ModalityLUTSequence"):
        ends = np.array([0, 2 ** int(dataset.BitsStored) - 1])
    else:
        notes.append(_NO_WINDOW)
        ends = np.percentile(real, RANGE)
    low, high = sorted(_in_units(np.rint(ends).astype(np.int64), dataset).tolist())
    return lambda values: (values - low) / (high - low) if high > low else np.zeros_like(values)


def _window(dataset: "Dataset") -> Curve | None:
    """The first window, or None where the file names none that can be used (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    centre, width = _first_number(dataset, "WindowCenter"), _first_number(dataset, "WindowWidth")
    shape = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or width < (1.0 if shape == "LINEAR" else 1e-9):
        return None
    if shape == "SIGMOID":
        return lambda values: 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700.0, 700.0)))
    if shape == "LINEAR_EXACT":
        return lambda values: (values - centre) / width + 0.5
    if width == 1.0:
        return lambda values: (values > centre - 0.5).astype(np.float64)
    return lambda values: (values - (centre - 0.5)) / (width - 1.0) + 0.5


def _first_number(dataset: "Dataset", name: str) -> float | None:
    value: Any = dataset.get(name)
    try:
        number = float(value[0] if hasattr(value, "__getitem__") and not isinstance(value, str) else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None


def _by_table(values: Values, dataset: "Dataset") -> Values:
    from pydicom.pixels.processing import apply_voi

    whole = np.rint(values).astype(np.int64)
    bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
    return np.asarray(apply_voi(whole, dataset) / (2.0**bits - 1.0))
