"""The arrays that cross between rooms, by name. Shapes are in the type; ranges and units are said here once.

``Image``     one decoded picture: uint8, RGB, height x width x 3 (a grey picture has three equal channels)
``Pixels``    what every predictor takes: float32 in [0, 1], RGB, at the model's own size
``Logits``    unnormalised scores, one column a class
``Features``  the penultimate layer, one row a picture
"""

import hashlib

import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt64

Image = UInt8[np.ndarray, "height width 3"]
ByteBatch = UInt8[np.ndarray, "n 3 height width"]
Pixels = Float32[np.ndarray, "n 3 height width"]
Logits = Float32[np.ndarray, "n classes"]
Probabilities = Float32[np.ndarray, "n classes"]
Features = Float32[np.ndarray, "n width"]
Labels = Int64[np.ndarray, "n"]
KeyHashes = UInt64[np.ndarray, "n"]


def softmax(logits: Logits, temperature: float = 1.0) -> Probabilities:
    """Class probabilities, rows summing to one; ``temperature`` divides the logits first.

    >>> softmax(np.array([[0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.5, 0.5]]
    """
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    probabilities: Probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def array_sha256(array: np.ndarray) -> str:
    """The sha256 of an array's shape, type and bytes: equal for equal arrays, whatever their memory layout."""
    head = f"{array.dtype.str}{array.shape}".encode()
    digest = hashlib.sha256(head)
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
