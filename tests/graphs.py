"""Small ONNX graphs of foreign makers: a mean over the rows and columns of each channel, then a linear layer.

from graphs import foreign_graph
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [1.0, 1.0, -1.0]], dtype=np.float32)
BIAS = np.array([0.0, 0.5, 0.0, -0.5], dtype=np.float32)
KINDS = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16, np.uint8: TensorProto.UINT8}


def foreign_graph(
    *,
    layout="nchw",
    side=8,
    batch="n",
    end="",
    weights=WEIGHTS,
    bias=BIAS,
    opset=18,
    ir=9,
    names=("images", "scores"),
    kind=np.float32,
    four=False,
    reshape=None,
    custom=None,
    second=False,
    inputs=1,
    external=None,
):
    """The bytes of a graph. ``end`` is an operator over the scores; ``reshape`` a fixed shape that is put in the way."""
    classes, channels = weights.shape
    shape = [batch, side, side, channels] if layout == "nhwc" else [batch, channels, side, side]
    given, found = names
    nodes, current = [], given
    if kind is not np.float32:
        nodes.append(helper.make_node("Cast", [current], ["real"], to=TensorProto.FLOAT))
        current = "real"
    if layout == "nhwc":
        nodes.append(helper.make_node("Transpose", [current], ["turned"], perm=[0, 3, 1, 2]))
        current = "turned"
    nodes.append(helper.make_node("GlobalAveragePool", [current], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], axis=1))
    current = "flat"
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    if reshape:
        constants.append(numpy_helper.from_array(np.array(reshape, dtype=np.int64), "shape"))
        nodes.append(helper.make_node("Reshape", [current, "shape"], ["shaped"]))
        current = "shaped"
    nodes.append(helper.make_node("Gemm", [current, "weights", "bias"], ["linear"], transB=1))
    current = "linear"
    for kind_of_node in end.split():
        nodes.append(helper.make_node(kind_of_node, [current], [kind_of_node.lower()]))
        current = kind_of_node.lower()
    if custom:
        nodes.append(helper.make_node(custom, [current], ["odd"], domain="evil.example"))
        current = "odd"
    if four:
        constants.append(numpy_helper.from_array(np.array([0, classes, 1, 1], dtype=np.int64), "four"))
        nodes.append(helper.make_node("Reshape", [current, "four"], ["square"]))
        current = "square"
    nodes.append(helper.make_node("Identity", [current], [found]))
    if external:
        constants[1] = external
    outputs = [helper.make_tensor_value_info(found, TensorProto.FLOAT, [batch, classes, *([1, 1] if four else [])])]
    if second:
        outputs.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, [batch, channels]))
    values = [helper.make_tensor_value_info(given, KINDS[kind], shape)]
    values += [helper.make_tensor_value_info(f"more{number}", TensorProto.FLOAT, [1]) for number in range(1, inputs)]
    if ir < 4:  # constants are inputs in such graphs
        values += [helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in constants]
    graph = helper.make_graph(nodes, "toy", values, outputs, constants, doc_string="made in /home/somebody/secret")
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid("evil.example", 1)] if custom else [])]
    model = helper.make_model(graph, opset_imports=imports, producer_name="somebody")
    model.ir_version = ir
    return model.SerializeToString()


def scores_of(values, weights=WEIGHTS, bias=BIAS):
    """What the graph gives for ``values`` [n, channels, rows, columns] by numpy alone."""
    return values.mean(axis=(2, 3)) @ weights.T + bias
