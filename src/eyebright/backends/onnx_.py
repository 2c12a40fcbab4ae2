"""An ONNX file as a predictor: needs onnxruntime alone, no torch."""

from pathlib import Path

import numpy as np
import onnxruntime

from eyebright.core.arrays import Pixels
from eyebright.core.errors import ModelError
from eyebright.core.predictor import Outputs


class OnnxPredictor:
    """Logits and, where the graph has them, features from one ONNX file on this computer's processor."""

    form = "onnx"

    def __init__(self, path: Path, classes: tuple[str, ...], *, threads: int | None = None) -> None:
        """Opens the graph. Raises ``ModelError`` where it is damaged, or its inputs or outputs are not ours."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        try:
            # From bytes, never by path: a graph can then not reach for data outside its own file.
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no base class
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{path} cannot be opened by ONNX Runtime: {reason}. Train or export the model again.") from None
        self.classes = classes
        inputs, outputs = self._session.get_inputs(), [output.name for output in self._session.get_outputs()]
        if len(inputs) != 1 or "logits" not in outputs:
            raise ModelError(
                f"{path} has inputs {[one.name for one in inputs]} and outputs {outputs}; expected pixels and logits."
            )
        self._input = inputs[0].name
        self._outputs = [name for name in ("logits", "features") if name in outputs]

    def __call__(self, pixels: Pixels) -> Outputs:
        """The outputs for pixels in [0, 1], one row a picture."""
        found = self._session.run(self._outputs, {self._input: np.ascontiguousarray(pixels, dtype=np.float32)})
        if found[0].shape != (len(pixels), len(self.classes)):
            raise ModelError(f"The ONNX form gave {found[0].shape} logits; expected {(len(pixels), len(self.classes))}.")
        return Outputs(found[0], found[1] if len(found) > 1 else None)
