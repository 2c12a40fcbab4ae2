"""A bundle's ONNX file run by OpenVINO: needs that package alone, no torch."""

import importlib
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np

from eyebright.backends.one_file import refuse_other_files
from eyebright.core.arrays import Pixels
from eyebright.core.errors import ModelError
from eyebright.core.predictor import Outputs


class OpenvinoPredictor:
    """Logits and, where the graph has them, features from one ONNX file, in float32 whatever the processor likes better.

    Several threads may call it at once: each has a request of its own.
    """

    form = "openvino"

    def __init__(self, path: Path, classes: tuple[str, ...], *, threads: int | None = None) -> None:
        """Compiles the graph for this processor.

        Raises ``ModelError`` where it is refused, keeps values in another file, or its outputs are not ours.
        """
        openvino = quietly_imported()
        config: dict[str, str | int] = {
            "INFERENCE_PRECISION_HINT": "f32",  # else bf16 where the processor has it: another model
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            graph = path.read_bytes()
            refuse_other_files(graph, str(path))
            self._compiled = core.compile_model(core.read_model(graph, b""), "CPU", config)
        except ModelError:
            raise
        except Exception as error:  # OpenVINO raises RuntimeError and its own kinds of it
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{path} cannot be opened by OpenVINO: {reason}. Use --form onnx.") from None
        self._tensor = openvino.Tensor
        self.classes = classes
        names = {name: index for index, output in enumerate(self._compiled.outputs) for name in output.names}
        if len(self._compiled.inputs) != 1 or "logits" not in names:
            raise ModelError(f"{path} has the outputs {sorted(names)}; expected pixels in, and logits.")
        self._logits, self._features = names["logits"], names.get("features")
        self._own = threading.local()

    def __call__(self, pixels: Pixels) -> Outputs:
        """The outputs for pixels in [0, 1], one row a picture."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        ours = np.require(pixels, np.float32, ["C", "W"])
        try:
            # Set and not handed to ``infer``, which takes longer to find out what it is given (NOTES.md).
            request.set_input_tensor(self._tensor(ours, shared_memory=True))
            found = request.infer(share_outputs=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"OpenVINO fails on pixels of {pixels.shape}: {reason}. Use --form onnx.") from None
        logits = np.array(found[self._logits])  # a copy: the next call writes there
        if logits.shape != (len(pixels), len(self.classes)):
            raise ModelError(f"OpenVINO gave {logits.shape} logits; expected {(len(pixels), len(self.classes))}.")
        return Outputs(logits, None if self._features is None else np.array(found[self._features]))


def quietly_imported() -> ModuleType:
    """The package, imported without its telemetry, which reports each import to its makers unless it cannot be found.

    Nothing is sent from a user's computer that the user did not ask for.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # so Python is told that there is none
    return importlib.import_module("openvino")
