"""A Keras model's configuration, read as JSON and checked before Keras sees it: known layers only, nothing that names code.

A configuration may say which module to import and which function to call, and a Lambda layer holds Python's own byte code
(CVE-2024-3660, CVE-2025-1550, CVE-2025-9906). What passes here names layers of Keras itself, and numbers and words for them.
What a finished network does not need (initialisers, regularisers, constraints, precision, how it was compiled) is left out.
"""

import json
from collections.abc import Mapping
from typing import Any

from eyebright.core.errors import ModelError

MOST_CHARACTERS = 32 * 2**20  # of a configuration; ResNet-152's is under 1 MiB
DEEPEST = 64


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LAYERS = _words(
    "Activation Add AlphaDropout Average AveragePooling2D BatchNormalization CenterCrop Concatenate Conv2D Conv2DTranspose "
    "Cropping2D Dense DepthwiseConv2D Dropout ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D "
    "GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization Identity InputLayer LayerNormalization LeakyReLU "
    "MaxPooling2D Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute RandomBrightness RandomContrast "
    "RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU Rescaling Reshape Resizing SeparableConv2D "
    "Softmax SpatialDropout2D Subtract UnitNormalization UpSampling2D ZeroPadding2D"
)
MODELS = {"Functional": "keras.src.models.functional", "Model": "keras", "Sequential": "keras"}
OPERATIONS = {  # what arithmetic between layers is written as
    "keras.src.ops.numpy": _words(
        "Add Subtract Multiply Divide TrueDivide Maximum Minimum Mean Sum Max Concatenate Reshape Transpose Squeeze ExpandDims "
        "Clip Negative Power Sqrt Square Exp"
    ),
    "keras.src.ops.nn": _words("Relu Relu6 Sigmoid Silu HardSigmoid HardSilu LeakyRelu Gelu Softmax Softplus Softsign Elu"),
}
ACTIVATIONS = _words(
    "linear relu relu6 elu selu gelu silu swish mish celu glu sigmoid hard_sigmoid hard_silu hard_swish tanh hard_tanh softmax "
    "log_softmax softplus softsign leaky_relu exponential tanh_shrink soft_shrink hard_shrink squareplus sparse_plus"
)
PRECISIONS = _words("float16 bfloat16 float32 float64 mixed_float16 mixed_bfloat16")
WHOLE = frozenset({"uint8", "int32"})  # what an input may be declared as; floats of the same value do as well
POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})
_UNUSED = ("_initializer", "_regularizer", "_constraint")
_PARTS = ("config", "build_config", "name", "inbound_nodes")  # of an object, besides its class


def checked_config(text: str) -> dict[str, Any]:
    """The configuration in ``text`` as a value that may be handed to Keras.

    Raises ``ModelError`` naming the layer that is not on the list, and where it is; the sentence goes on after a file's name.
    """
    if len(text) > MOST_CHARACTERS:
        raise ModelError(f"has a configuration of {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"has a configuration that is not JSON ({type(error).__name__}). Save the model again.") from None
    if not isinstance(value, dict) or _class_of(value) not in MODELS:
        found = value.get("class_name") if isinstance(value, dict) else type(value).__name__
        raise ModelError(
            f"is a model of the class {str(found)[:60]!r}, whose code is not in the file; a Sequential or Functional model was "
            "expected. Rebuild it from keras.layers, or export it as ONNX where its code is."
        )
    return _object(value, "model", 0)


def _object(value: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
    """A serialised model, layer or operation, checked and without what is not needed."""
    name, module = _class_of(value), value.get("module")
    where = f"{where} > {_called(value)}"
    if name in MODELS:
        home: str | None = MODELS[name]
    elif name in LAYERS and not _is_operation(module):
        home = "keras.layers"
    elif isinstance(module, str) and name in OPERATIONS.get(module, ()):
        home = module
    else:
        raise ModelError(_stranger(name, module, where))
    config = value.get("config")
    if not isinstance(config, dict):
        if name != "Sequential" or not isinstance(config, list):  # Keras before 2.2.3 wrote the layers alone
            raise ModelError(f"has a layer without a configuration, at {where}.")
        config = {"layers": config}
    kept = {key: _plain(value[key], where, depth + 1) for key in _PARTS[1:] if key in value}
    found = {"class_name": name, "config": _settings(config, where, depth + 1), **kept}
    if "module" in value:  # the older form has no modules, and is read by other rules
        found |= {"module": home, "registered_name": None}
    return found


def _settings(config: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
    found = {}
    for key, value in config.items():
        if key.endswith(_UNUSED):
            continue
        if key == "dtype":
            _require_float(value, where)
            continue
        found[key] = _activation(value, where, depth) if key == "activation" else _plain(value, where, depth)
    return found


def _plain(value: Any, where: str, depth: int) -> Any:
    """Numbers, words, lists and tables of them, with checked objects among them."""
    if depth > DEEPEST:
        raise ModelError(f"has a configuration that is more than {DEEPEST} deep, at {where}.")
    if isinstance(value, list):
        return [_plain(one, where, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    if "class_name" in value and value["class_name"] not in ("__keras_tensor__", "__tuple__"):
        return _object(value, where, depth + 1)
    if "module" in value or "registered_name" in value:
        raise ModelError(_stranger(value.get("class_name"), value.get("module"), where))
    return {key: _plain(one, where, depth + 1) for key, one in value.items()}


def _activation(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, dict) and _class_of(value) in LAYERS:
        return _object(value, where, depth + 1)
    name = value.get("config") if isinstance(value, dict) and _class_of(value) == "function" else value
    if name is not None and not (isinstance(name, str) and name in ACTIVATIONS):
        raise ModelError(
            f"has the activation {str(value)[:60]!r}, at {where}, which is not one of Keras' own. Its code is not in the file; "
            "export the model as ONNX where its code is."
        )
    return name


def _require_float(value: Any, where: str) -> None:
    """Precision is left out, and then is float32; weights that were stored as 8-bit numbers would be misread."""
    name: Any = value
    if isinstance(value, dict):
        config = value.get("config")
        name = config.get("name") if _class_of(value) in POLICIES and isinstance(config, dict) else value.get("class_name")
    if name is not None and not (isinstance(name, str) and name in PRECISIONS | WHOLE):
        raise ModelError(
            f"keeps values as {str(name)[:60]!r}, at {where}; floats were expected. Save the model before it is quantised."
        )


def _class_of(value: Mapping[str, Any]) -> str:
    name = value.get("class_name")
    return name if isinstance(name, str) else ""


def _is_operation(module: Any) -> bool:
    return isinstance(module, str) and module.startswith("keras.src.ops.")


def _called(value: Mapping[str, Any]) -> str:
    config = value.get("config")
    name = value.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return str(name or value.get("class_name"))[:40]


def _stranger(name: Any, module: Any, where: str) -> str:
    what = f"{module}.{name}" if module else str(name or "an object without a class")
    if name in ("Lambda", "__lambda__"):
        return f"has a Lambda layer, at {where}: it holds code, which is never run. Export the model as ONNX where it was made."
    return (
        f"has {what[:100]!r}, at {where}, which is not among the layers of Keras that are read. Rebuild the model from "
        "keras.layers, or export it as ONNX where its code is."
    )
