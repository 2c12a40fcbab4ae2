"""A ``.tflite`` file as a predictor: needs ai-edge-litert alone, no torch. The file is kept as it came.

XNNPACK does the arithmetic. Pictures go through one by one: most files are made for one picture, some of them cannot be
resized (a Reshape that names its size), and where it is possible a batch gains nothing: XNNPACK spreads one picture over the
threads.
"""

import contextlib
import dataclasses
import math
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from eyebright.core.arrays import Pixels
from eyebright.core.errors import ModelError
from eyebright.core.foreign import Foreign, columns_fit, logits_from, values_for
from eyebright.core.machine import usable_cores
from eyebright.core.predictor import Outputs

MOST_BYTES = 2**31  # FlatBuffers' offsets are signed 32-bit numbers
MAGIC = b"TFL3"  # at byte 4
_GREETING = b"Created TensorFlow Lite XNNPACK delegate"
_OPENING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a file: ``sides`` without the batch, None where one is open.

    8-bit values stand for ``(value - zero_point) scale`` (LiteRT 8-bit quantization specification).
    """

    name: str
    index: int
    kind: np.dtype[Any]
    batch: int | None
    sides: tuple[int | None, ...]
    scale: float
    zero_point: int

    @property
    def columns(self) -> int:
        """How many values it has for one picture."""
        return math.prod(side or 1 for side in self.sides)

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the greatest number that 8-bit values can stand for; None of floats."""
        if self.kind.kind == "f":
            return None
        limits = np.iinfo(self.kind)
        return (limits.min - self.zero_point) * self.scale, (limits.max - self.zero_point) * self.scale

    @property
    def told(self) -> str:
        """The tensor in words."""
        sides = " x ".join("any" if side is None else str(side) for side in self.sides)
        return f"{sides} {self.kind}" + (f" for {self.range[0]:.4g} to {self.range[1]:.4g}" if self.range else "")

    def held(self, values: np.ndarray) -> np.ndarray:
        """``values`` as the tensor holds them."""
        if self.kind.kind == "f":
            return values
        limits = np.iinfo(self.kind)
        whole = np.rint(values / np.float32(self.scale)) + np.float32(self.zero_point)
        return np.clip(whole, limits.min, limits.max).astype(self.kind)

    def real(self, held: np.ndarray) -> np.ndarray:
        """The numbers, float32, that the tensor's own values stand for."""
        if self.kind.kind == "f":
            return held.astype(np.float32)
        return (held.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)


class LitertPredictor:
    """Logits from one ``.tflite`` file on this computer's processor. Several threads may call it at once.

    An interpreter serves one caller at a time, so there are as many as there ever were callers at the same moment.
    """

    form = "litert"

    def __init__(
        self,
        content: bytes,
        classes: tuple[str, ...],
        foreign: Foreign,
        size: tuple[int, int],
        *,
        threads: int | None = None,
        name: str = "The litert form",
    ) -> None:
        """Opens the file ``content`` for pixels of ``size``, height and width; ``name`` is what errors call it.

        Raises ``ModelError`` where it is damaged, needs operators that LiteRT does not have, or does not fit ``foreign``,
        ``size`` or ``classes``.
        """
        self.classes, self.foreign = classes, foreign
        self._content, self._name, self._threads = content, name, threads or usable_cores()
        self._inside, outputs = describe(content, name)
        self._outside = choose_output(outputs, len(classes), name)
        high, wide = size
        self._sides = (high, wide, foreign.planes) if foreign.layout == "nhwc" else (foreign.planes, high, wide)
        self._require_sides()
        self._idle = [self._interpreter()]

    @classmethod
    def open(
        cls, path: Path, classes: tuple[str, ...], foreign: Foreign, size: tuple[int, int], *, threads: int | None = None
    ) -> "LitertPredictor":
        """The predictor in the file ``path``. Raises as the class does."""
        return cls(read_tflite(path), classes, foreign, size, threads=threads, name=str(path))

    @property
    def probability_step(self) -> float:
        """The step in which 8-bit probabilities are given; 0 of a file that gives floats, or logits."""
        return self._outside.scale if self._outside.range and self.foreign.gives == "probabilities" else 0.0

    def __call__(self, pixels: Pixels) -> Outputs:
        """The outputs for pixels in [0, 1], one row a picture."""
        return Outputs(logits_from(self.values(pixels), self.foreign))

    def _borrowed(self) -> Any:
        """An interpreter that nobody else uses now. Between asking for an idle one and taking it another thread could."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._interpreter()

    def values(self, pixels: Pixels) -> np.ndarray:
        """What the file itself gives, float32 [n, columns]: not yet logits where it gives probabilities."""
        prepared = self._inside.held(values_for(pixels, self.foreign))
        if prepared.shape[1:] != self._sides:
            raise ModelError(f"{self._name} takes {self._sides}; the pixels became {prepared.shape[1:]}.")
        interpreter = self._borrowed()
        found = np.zeros((len(prepared), self._outside.columns), dtype=np.float32)
        try:
            for row in range(len(prepared)):
                interpreter.set_tensor(self._inside.index, prepared[row : row + 1])
                interpreter.invoke()
                found[row] = self._outside.real(interpreter.get_tensor(self._outside.index)).reshape(-1)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self._name} fails on a picture: {_in_words(error)}. Copy or export the file again.") from None
        self._idle.append(interpreter)  # one that failed is not used again
        return found

    def _interpreter(self) -> Any:
        """A new interpreter with its memory, for one picture at a time."""
        with _opening(self._name):
            interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
            if (self._inside.batch, self._inside.sides) != (1, self._sides):
                interpreter.resize_tensor_input(self._inside.index, [1, *self._sides])
            interpreter.allocate_tensors()
        return interpreter

    def _require_sides(self) -> None:
        given = self._inside.sides
        fits = len(given) == 3 and all(side in (None, want) for side, want in zip(given, self._sides, strict=True))
        if not fits or self._inside.batch not in (None, 1):
            raise ModelError(
                f"{self._name} takes {self._inside.batch or 'any number of'} pictures of {self._inside.told}; one of "
                f"{' x '.join(map(str, self._sides))} was expected. Check --size, --layout and --channels."
            )


def read_tflite(path: Path) -> bytes:
    """The bytes of a ``.tflite`` file. Raises ``ModelError`` where it is none, or larger than such a file can be."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path} is larger than {MOST_BYTES >> 30} GiB; no .tflite file is.")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    if content[4:8] != MAGIC:
        raise ModelError(f"{path} is not a .tflite file: it has {content[4:8]!r} at byte 4, {MAGIC!r} was expected.")
    return content


def describe(content: bytes, name: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The input and the outputs of a file, before any memory is taken for it. Raises ``ModelError`` where it is refused."""
    with _opening(name):
        interpreter = Interpreter(model_content=content, num_threads=1)
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1:
        raise ModelError(f"{name} has {len(inputs)} inputs; one, for pictures, was expected.")
    return _tensor(inputs[0], name), tuple(_tensor(one, name) for one in outputs)


def choose_output(outputs: tuple[Tensor, ...], classes: int, name: str) -> Tensor:
    """The one output with a value a class (a single value will do for two). Raises ``ModelError`` where there is none."""
    fitting = [one for one in outputs if columns_fit(one.columns, classes)]
    if len(fitting) != 1:
        found = ", ".join(f"{one.columns} ({one.name})" for one in outputs)
        raise ModelError(
            f"{name} has outputs of {found} values; one output of {classes}, a value a class, was expected. Give the labels of "
            "this very model, in its order."
        )
    return fitting[0]


def _tensor(details: Mapping[str, Any], name: str) -> Tensor:
    """A tensor from LiteRT's own description. Raises ``ModelError`` for one of another type, or without a single scale."""
    kind, (scale, zero_point) = np.dtype(details["dtype"]), details["quantization"]
    if kind not in (np.float32, np.uint8, np.int8):
        raise ModelError(f"{name} holds {kind} values in {details['name']}; float32, uint8 or int8 were expected.")
    if kind != np.float32 and not (math.isfinite(scale) and scale > 0):
        raise ModelError(f"{name} gives no single scale for the 8-bit values of {details['name']}. Export it again.")
    shape, signature = details["shape"].tolist(), details["shape_signature"].tolist()
    if len(signature) != len(shape):  # a file need not have one
        signature = shape
    sides = [None if is_open == -1 else side for side, is_open in zip(shape, signature, strict=True)]
    batch = sides[0] if sides else 1
    return Tensor(details["name"], details["index"], kind, batch, tuple(sides[1:]), float(scale), int(zero_point))


@contextlib.contextmanager
def _opening(name: str) -> Iterator[None]:
    """Turns LiteRT's errors into ``ModelError``, and keeps its greeting off the terminal."""
    try:
        with _without_greeting():
            yield
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{name} cannot be opened by LiteRT: {_in_words(error)}. Export or copy the file again.") from None


def _in_words(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Keeps LiteRT's greeting off the terminal: its C++ writes it to standard error, past every log level it has.

    What else is written there meanwhile is passed on.
    """
    with _OPENING, contextlib.ExitStack() as opened:  # one at a time: two could leave each other's file in its place
        try:
            aside, kept = opened.enter_context(tempfile.TemporaryFile()), os.dup(2)
        except OSError:  # nowhere to write to, or no standard error
            yield
            return
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            aside.seek(0)
            if others := b"".join(line for line in aside if _GREETING not in line):
                os.write(2, others)
