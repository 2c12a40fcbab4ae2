"""What each peer does with a picture: decoding, cut, resampling and ONNX file as eyebright's, written as people write it."""

import io

import numpy as np
import onnxruntime
from PIL import Image

SIZE, SHORT = 224, 256


def open_session(path: str, threads: int) -> onnxruntime.InferenceSession:
    """A session with ``threads`` threads; 0 leaves ONNX Runtime's default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def pixels_of(content: bytes) -> np.ndarray:
    """The picture as float32 [3, 224, 224] in [0, 1]: short side to 256, the centre cut."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    scale = SHORT / min(image.size)
    width, height = SIZE / scale, SIZE / scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1), dtype=np.float32) / 255  # h w 3 -> 3 h w


def answers(logits: np.ndarray) -> list[list[dict[str, float]]]:
    """The five most probable classes of each row, by number."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    best = np.argsort(-probabilities, axis=1)[:, :5]
    return [
        [{"label": int(index), "probability": float(row[index])} for index in order]
        for row, order in zip(probabilities, best, strict=True)
    ]
