"""An ONNX file as a predictor: needs onnxruntime alone, no torch."""

from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

from eyebright.backends.one_file import refuse_other_files
from eyebright.core.arrays import Pixels
from eyebright.core.errors import ModelError
from eyebright.core.predictor import Outputs

Waiting = Literal["spin", "sleep"]
REMEDY = "Train or export the model again."


class OnnxPredictor:
    """Logits and, where the graph has them, features from one ONNX file on this computer's processor.

    Several threads may call it at once: a session keeps nothing between two runs.
    """

    form = "onnx"

    def __init__(self, path: Path, classes: tuple[str, ...], *, threads: int | None = None, waiting: Waiting = "spin") -> None:
        """Opens the graph. Raises ``ModelError`` where it is damaged, or its inputs or outputs are not ours.

        ``waiting`` is what its threads do between two pieces of work: those that spin answer sooner, but keep the processor for
        milliseconds after each run, when others may need it.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}. {REMEDY}") from None
        self._session = open_graph(content, str(path), threads=threads, waiting=waiting, remedy=REMEDY)
        self.classes = classes
        inputs, outputs = self._session.get_inputs(), [output.name for output in self._session.get_outputs()]
        if len(inputs) != 1 or "logits" not in outputs:
            raise ModelError(
                f"{path} has inputs {[one.name for one in inputs]} and outputs {outputs}; expected pixels and logits."
            )
        self._input, batch = inputs[0].name, inputs[0].shape[:1]
        self._batch = batch[0] if batch and isinstance(batch[0], int) and batch[0] > 0 else None
        self._outputs = [name for name in ("logits", "features") if name in outputs]

    def __call__(self, pixels: Pixels) -> Outputs:
        """The outputs for pixels in [0, 1], one row a picture."""
        pixels = np.ascontiguousarray(pixels, dtype=np.float32)
        found = self._run(pixels) if self._batch is None else self._in_batches(pixels, self._batch)
        if found[0].shape != (len(pixels), len(self.classes)):
            raise ModelError(f"The ONNX form gave {found[0].shape} logits; expected {(len(pixels), len(self.classes))}.")
        return Outputs(found[0], found[1] if len(found) > 1 else None)

    def _run(self, pixels: Pixels) -> list[np.ndarray]:
        try:
            found: list[np.ndarray] = self._session.run(self._outputs, {self._input: pixels})
        except Exception as error:  # onnxruntime's own errors share no base class
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"The ONNX form fails on pixels of {pixels.shape}: {reason}. Export the model again.") from None
        return found

    def _in_batches(self, pixels: Pixels, batch: int) -> list[np.ndarray]:
        """The outputs of a graph that takes just ``batch`` pictures at a time; the last of them are filled up and cut off."""
        if not len(pixels):
            return [np.zeros((0, len(self.classes)), dtype=np.float32)]
        found = []
        for start in range(0, len(pixels), batch):
            part = pixels[start : start + batch]
            filled = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
            found.append([rows[: len(part)] for rows in self._run(filled)])
        return [np.concatenate(rows) for rows in zip(*found, strict=True)]


def open_graph(
    graph: bytes, what: str, *, threads: int | None = None, waiting: Waiting = "spin", remedy: str = ""
) -> onnxruntime.InferenceSession:
    """A session on this computer's processor. Raises ``ModelError`` where the graph, named as ``what``, is damaged or keeps
    values in another file.
    """
    refuse_other_files(graph, what)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")  # what was looked through, and not ORT's own format
    if waiting == "sleep":
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{what} cannot be opened by ONNX Runtime: {reason}. {remedy}".rstrip()) from None
