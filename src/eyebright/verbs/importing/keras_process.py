"""The process in which a Keras file is read: checked, rebuilt from the clean copy, exported as ONNX, asked for golden answers.

``run_apart`` starts it. It leaves ``raw.onnx``, ``golden.npz`` (``values`` as the model takes them, ``answers``) and
``about.json`` in its folder, or the reason why not.
"""

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.core.errors import ModelError
from eyebright.verbs.importing.apart import confine, refuse, request_of

GOLDEN = 4  # pictures
OPSET = 18
MOST_PICTURES = 65536  # at once: torch wants a bound


def main(arguments: Sequence[str]) -> None:
    """Does the whole work on the request in ``arguments``."""
    request, folder = request_of(arguments)
    file = Path(request["file"])
    import h5py  # noqa: F401 - everything is imported before the process is confined
    import keras
    import onnxscript  # noqa: F401
    import torch

    confine(folder, file.stat().st_size)
    warnings.simplefilter("ignore")
    try:
        version = convert(file, folder, request, keras, torch)
    except ModelError as error:
        refuse(str(error), folder)
    except MemoryError:
        refuse("needs more memory than a file of its size may take.", folder)
    except Exception as error:
        refuse(f"cannot be rebuilt by Keras {keras.__version__}: {type(error).__name__}: {error}", folder)
    else:
        about = {"saved by keras": version, "read by keras": keras.__version__}
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def convert(file: Path, folder: Path, request: dict[str, Any], keras: Any, torch: Any) -> str:
    """Writes the graph and the golden answers; gives the version of Keras that saved the file."""
    from eyebright.verbs.importing.keras_files import clean_copy

    copy, version = clean_copy(file, folder)
    model = keras.saving.load_model(copy, compile=False, safe_mode=True)
    shape = example_shape(model.input_shape, request)
    if len(model.outputs) != 1:
        raise ModelError(f"has {len(model.outputs)} outputs; one, with a value a class, was expected.")
    values = golden_values(shape, request)
    with torch.no_grad():
        answers = model(torch.from_numpy(values), training=False).detach().cpu().numpy()
    np.savez(folder / "golden.npz", values=values, answers=answers)
    export(model, values, folder / "raw.onnx", fixed=model.input_shape[0] is not None, torch=torch)
    return version


def example_shape(shape: Any, request: dict[str, Any]) -> tuple[int, int, int, int]:
    """The shape of a batch: the model's own, open sides filled with the size that was declared."""
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ModelError(f"takes inputs of {shape}; one of pictures, (n, height, width, channels), was expected.")
    batch, *sides = shape
    if None in sides and request["size"] is None:
        raise ModelError("takes pictures of any size. Say --size, the one that it was trained with.")
    high, wide = request["size"] or (0, 0)
    filling = (request["planes"], high, wide) if request["layout"] == "nchw" else (high, wide, request["planes"])
    filled = [fill if side is None else side for side, fill in zip(sides, filling, strict=True)]
    if max(filled) > 4096:
        raise ModelError(f"takes pictures of {filled}; at most 4096 pixels a side are read.")
    return (batch or GOLDEN, *filled)


def golden_values(shape: tuple[int, ...], request: dict[str, Any]) -> np.ndarray:
    """Noise in the range that the model is fed with, always the same."""
    from eyebright.core.seeds import key_hashes, uniform

    low, high = request["range"]
    drawn = uniform(0, "import", 0, key_hashes([str(row) for row in range(shape[0])]), int(np.prod(shape[1:])))
    values: np.ndarray = (low + (high - low) * drawn.reshape(shape)).astype(np.float32)
    return values


def export(model: Any, values: np.ndarray, path: Path, *, fixed: bool, torch: Any) -> None:
    """Writes the model as ONNX, for any number of pictures unless the model itself is for a ``fixed`` one."""

    class Asked(torch.nn.Module):  # type: ignore[misc]
        """The model as it answers: Keras' own train() and eval() change nothing, so it is told each time."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, given: Any) -> Any:
            return self.model(given, training=False)

    shapes = None if fixed else ({0: torch.export.Dim("batch", min=1, max=MOST_PICTURES)},)
    program = torch.onnx.export(
        Asked().eval(),
        (torch.from_numpy(values),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["values"],
        output_names=["answers"],
        dynamic_shapes=shapes,
        verbose=False,
    )
    assert program is not None
    path.write_bytes(program.model_proto.SerializeToString())


if __name__ == "__main__":
    main(sys.argv)
