"""Small ONNX graphs and a small network."""

import numpy as np
import torch
from onnx import TensorProto, helper

from eyebright.models.cnn import cnn

CLASSES = ("a", "b", "c")


def small_network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cnn(3, height=12, width=12, hidden=16).eval()


def pixels(n=5, side=12, seed=0):
    return np.random.default_rng(seed).random((n, 3, side, side), dtype=np.float32)


def write_graph(path, *, outputs=("logits",), columns=3, inputs=1, external=None):
    """An ONNX file whose outputs are the first ``columns`` values of the flattened pixels, under the names given.

    An ``external`` tensor is added to them.
    """
    names = [f"pixels{number or ''}" for number in range(inputs)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 12, 12]) for name in names]
    nodes = [
        helper.make_node("Flatten", [names[0]], ["flat"], axis=1),
        helper.make_node("Slice", ["flat", "start", "end", "axis"], ["cut"]),
        *(helper.make_node("Add", ["cut", external.name if external else "nothing"], [name]) for name in outputs),
    ]
    constants = [
        *(helper.make_tensor(*one) for one in (slice_at("start", 0), slice_at("end", columns), slice_at("axis", 1))),
        external or helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0]),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", columns]) for name in outputs]
    graph = helper.make_graph(nodes, "toy", values, given, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    path.write_bytes(model.SerializeToString())
    return path


def slice_at(name, value):
    return name, TensorProto.INT64, [1], [value]


def external_tensor(name, location, count=3):
    """A tensor of ``count`` values that lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[count], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=str(location))
    return tensor
