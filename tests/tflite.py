"""Small ``.tflite`` files, written tensor by tensor with the schema that LiteRT's own package carries.

    mean over rows and columns -> fully connected -> (softmax)

with float32, uint8 or int8 at both ends; a ``side`` of -1 is open. ``weights`` [classes, channels] and ``bias`` [classes] are
the whole model, so a test can say by hand what it must answer.
"""

import flatbuffers
import numpy as np

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int8": 9}


class _Writer:
    """A model in the making: tensors and operators in the order in which they are added."""

    def __init__(self, schema):
        self.schema = schema
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]  # the first buffer is empty by definition
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name, shape, kind="float32", *, values=None, signature=None, scale=None, zero_point=0):
        """Adds a tensor and gives its number; with ``values`` it is a constant."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), TYPES[kind]
        tensor.shapeSignature = signature
        if scale is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        if values is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values, dtype=kind).tobytes(), dtype=np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, name, inputs, outputs, *, options=None, custom=None):
        """Adds the built-in operator ``name``, or the custom one called ``custom``."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version, code.customCode = 1, custom
        self.model.operatorCodes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
        self.graph.operators.append(operator)

    def content(self, inputs, outputs):
        """The file's bytes."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def tflite(
    weights,
    bias,
    *,
    side=4,
    softmax=False,
    layout="nhwc",
    inside=("float32", 0.0, 0),
    outside=("float32", 0.0, 0),
    dynamic=False,
    custom=None,
    outputs=1,
):
    """The bytes of a model. ``inside`` and ``outside`` are (type, scale, zero point) of its input and of its output."""
    from ai_edge_litert import schema_py_generated as schema

    classes, channels = np.shape(weights)
    batch = -1 if dynamic else 1
    signature = [batch, side, side, channels] if layout == "nhwc" else [batch, channels, side, side]
    shape = [abs(number) for number in signature]
    model = _Writer(schema)
    kind, scale, zero_point = inside
    start = model.tensor("input", shape, kind, signature=signature, scale=scale or None, zero_point=zero_point)
    pictures = start
    if kind != "float32":
        pictures = model.tensor("real", shape, signature=signature)
        model.operator("DEQUANTIZE", [start], [pictures])
    axes = model.tensor("axes", [2], "int32", values=[1, 2] if layout == "nhwc" else [2, 3])
    means = model.tensor("means", [1, channels], signature=[batch, channels])
    model.operator("MEAN", [pictures, axes], [means], options=schema.ReducerOptionsT())
    dense = [
        means,
        model.tensor("weights", [classes, channels], values=weights),
        model.tensor("bias", [classes], values=bias),
    ]
    found = model.tensor("scores", [1, classes], signature=[batch, classes])
    model.operator("FULLY_CONNECTED", dense, [found], options=schema.FullyConnectedOptionsT())
    if softmax:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        scores, found = found, model.tensor("probabilities", [1, classes], signature=[batch, classes])
        model.operator("SOFTMAX", [scores], [found], options=options)
    kind, scale, zero_point = outside
    if kind != "float32":
        real, found = found, model.tensor("quantised", [1, classes], kind, scale=scale, zero_point=zero_point)
        model.operator("QUANTIZE", [real], [found], options=schema.QuantizeOptionsT())
    if custom:
        last, found = found, model.tensor("strange", [1, classes])
        model.operator("CUSTOM", [last], [found], custom=custom)
    return model.content([start], [found] * outputs if outputs == 1 else [found, means])
