"""A network of plain layers as an ONNX graph, written layer by layer: what torch's exporter takes seconds for in a moment."""

import copy
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from eyebright.core.parity import TOLERANCE

OPSET = 18
IR_VERSION = 10  # as torch's exporter writes; what onnx writes by itself may be newer than the runtimes installed
CHECKED = 2  # pictures on which graph and network must agree


class _NotPlainError(Exception):
    """The network has a part that is not written here."""


def plain_model(
    network: nn.Module, size: tuple[int, int], outputs: tuple[str, ...] = ("logits", "features")
) -> onnx.ModelProto | None:
    """``network``, as in evaluation, as a model from ``pixels`` [batch, 3, height, width] to ``outputs``, in their order.

    Written are convolutions, each with the batch norm behind it folded in, ReLU and ReLU6, means over all places, sums,
    concatenations and linear layers: all that EfficientNet-Lite and its like are made of. None where there is anything else, or
    where the model's answers to random pictures are not the network's; torch's own exporter is there for that.
    """
    network = copy.deepcopy(network).eval()  # whatever tracing leaves behind in it
    try:
        traced = fx.GraphModule(network, _Layers().trace(network))
        ShapeProp(traced).propagate(torch.zeros(1, 3, *size))
        model = _Writer(traced, outputs).model(size)
        return model if _answers_alike(model, network, size) else None
    except Exception:  # whatever tracing stumbles over: code of networks that are not ours runs there
        return None


@torch.no_grad()
def _answers_alike(model: onnx.ModelProto, network: nn.Module, size: tuple[int, int]) -> bool:
    """Whether random pictures get the same answers. Tracing cannot see all that a network's code may do: hooks, for one."""
    pixels = torch.rand(CHECKED, 3, *size, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"pixels": pixels.numpy()})
    expected = [output.numpy() for output in network(pixels)]
    return all(
        one.shape == other.shape
        and np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * max(1.0, float(np.abs(other).max())))
        for one, other in zip(found, expected, strict=True)
    )


class _Layers(fx.Tracer):
    """Follows a network's code down to the layers that have a writer."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _kind(m) in LAYERS or super().is_leaf_module(m, module_qualified_name)


class _Writer:
    """The nodes and tensors of one graph as they come about."""

    def __init__(self, traced: fx.GraphModule, outputs: tuple[str, ...]) -> None:
        self.traced, self.outputs = traced, outputs
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, onnx.TensorProto] = {}
        self.names: dict[fx.Node, str] = {}  # the value that each node of the trace stands for
        self.waiting: dict[fx.Node, nn.Conv2d] = {}  # convolutions whose batch norm comes next

    def model(self, size: tuple[int, int]) -> onnx.ModelProto:
        last: tuple[fx.Node, ...] = ()
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                if "pixels" in self.names.values():
                    raise _NotPlainError
                self.names[node] = "pixels"
            elif node.op == "output":
                last = node.args[0]
            else:
                self.names[node] = self._written(node)
        wanted = dict(zip((self.names[node] for node in last), self.outputs, strict=True))
        if len(wanted) < len(last) or "pixels" in wanted:
            raise _NotPlainError
        for made in self.nodes:
            made.input[:] = [wanted.get(name, name) for name in made.input]
            made.output[:] = [wanted.get(name, name) for name in made.output]
        values = [_floats(name, node.meta["tensor_meta"].shape[1:]) for name, node in zip(self.outputs, last, strict=True)]
        graph = helper.make_graph(
            self.nodes, "main_graph", [_floats("pixels", (3, *size))], values, list(self.tensors.values())
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _written(self, node: fx.Node) -> str:
        """Writes ``node`` and returns the name of its value."""
        if node.op == "get_attr":
            values = operator.attrgetter(str(node.target))(self.traced)
            if not values.is_floating_point():
                raise _NotPlainError
            return self.tensor(str(node.target), values)
        if node.op == "call_module":
            layer = self.traced.get_submodule(str(node.target))
            write = LAYERS.get(_kind(layer))
            if write is None or len(node.args) != 1 or node.kwargs:
                raise _NotPlainError
            return write(self, node, layer)
        write_call = CALLS.get(node.target)
        if write_call is None:
            raise _NotPlainError
        return write_call(self, node)

    def emit(self, node: fx.Node, operation: str, inputs: Sequence[str], part: str = "out", **attributes: Any) -> str:
        """Adds an operation and returns the name of what it gives: ``part`` of ``node``."""
        name = f"{node.name}.{part}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def tensor(self, name: str, values: torch.Tensor | np.ndarray) -> str:
        """Keeps ``values`` under ``name``; a network's numbers in single precision, places and axes as integers."""
        array = values.detach().numpy() if isinstance(values, torch.Tensor) else values
        whole = np.issubdtype(array.dtype, np.integer)
        made = numpy_helper.from_array(np.asarray(array, np.int64 if whole else np.float32, order="C"), name)
        if self.tensors.setdefault(name, made) != made:
            raise _NotPlainError  # a convolution called twice, behind it two batch norms
        return name

    def value(self, argument: Any) -> str:
        """The name of what ``argument`` of a call gives."""
        if not isinstance(argument, fx.Node):
            raise _NotPlainError  # a number beside tensors: no network at hand has one
        return self.names[argument]


def _convolution(writer: _Writer, node: fx.Node, layer: nn.Module) -> str:
    assert isinstance(layer, nn.Conv2d)
    if layer.padding_mode != "zeros":
        raise _NotPlainError
    followers = [writer.traced.get_submodule(str(user.target)) for user in node.users if user.op == "call_module"]
    if len(node.users) == 1 and followers and _kind(followers[0]) in NORMS:
        writer.waiting[node] = layer
        return ""  # written with its batch norm; nothing else asks for it
    bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
    return _convolved(writer, node, node, layer, layer.weight.detach().double(), bias.detach().double())


def _convolved(
    writer: _Writer, node: fx.Node, at: fx.Node, layer: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor, part: str = "out"
) -> str:
    """The convolution ``layer``, called in ``at``, with these weights and biases, as ``part`` of ``node``."""
    (source,) = at.args
    assert isinstance(source, fx.Node)
    tensors = [writer.tensor(f"{at.target}.weight", weight), writer.tensor(f"{at.target}.bias", bias)]
    return writer.emit(
        node,
        "Conv",
        [writer.value(source), *tensors],
        part,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        group=layer.groups,
        pads=_pads(layer, source.meta["tensor_meta"].shape[2:]),
    )


def _pads(layer: nn.Conv2d, size: Sequence[int]) -> list[int]:
    """The padding at the beginning of each side, then at the end of each, for a map of ``size``."""
    if _kind(layer) == SAME:  # TensorFlow's: as many places as steps of the stride, the odd one at the end
        reach = [dilation * (kernel - 1) + 1 for dilation, kernel in zip(layer.dilation, layer.kernel_size, strict=True)]
        starts = [(math.ceil(side / step) - 1) * step for side, step in zip(size, layer.stride, strict=True)]
        missing = [max(0, start + width - side) for start, width, side in zip(starts, reach, size, strict=True)]
        return [total // 2 for total in missing] + [total - total // 2 for total in missing]
    if isinstance(layer.padding, str):
        raise _NotPlainError
    return [*layer.padding, *layer.padding]


def _batch_norm(writer: _Writer, node: fx.Node, layer: nn.Module) -> str:
    assert isinstance(layer, nn.BatchNorm2d)
    (source,) = node.args
    assert isinstance(source, fx.Node)
    before = writer.waiting.get(source)
    if before is None or layer.running_var is None or layer.running_mean is None:
        raise _NotPlainError
    # y = (w x + b - mean) gamma / sqrt(var + eps) + beta, in double precision so that folding costs one rounding
    scale = layer.weight.detach().double() / torch.sqrt(layer.running_var.double() + layer.eps)
    shift = layer.bias.detach().double() - layer.running_mean.double() * scale
    if before.bias is not None:
        shift = shift + before.bias.detach().double() * scale
    weight = before.weight.detach().double() * scale.reshape(-1, 1, 1, 1)
    acts = [part for part in layer.children() if not isinstance(part, nn.Identity)]  # timm's batch norm ends in its ReLU
    if not acts:
        return _convolved(writer, node, source, before, weight, shift)
    name = _convolved(writer, node, source, before, weight, shift, part="conv")
    if len(acts) > 1 or type(acts[0]) not in (nn.ReLU, nn.ReLU6):
        raise _NotPlainError
    return _rectified(writer, node, acts[0], name)


def _rectified(writer: _Writer, node: fx.Node, layer: nn.Module, name: str) -> str:
    if type(layer) is nn.ReLU:
        return writer.emit(node, "Relu", [name])
    limits = [writer.tensor("zero", np.array(0.0)), writer.tensor("six", np.array(6.0))]
    return writer.emit(node, "Clip", [name, *limits])


def _activation(writer: _Writer, node: fx.Node, layer: nn.Module) -> str:
    (source,) = node.args
    if getattr(layer, "inplace", False) and isinstance(source, fx.Node) and len(source.users) > 1:
        raise _NotPlainError  # what else is made of its input is rectified too
    return _rectified(writer, node, layer, writer.value(node.args[0]))


def _linear(writer: _Writer, node: fx.Node, layer: nn.Module) -> str:
    assert isinstance(layer, nn.Linear)
    if len(node.meta["tensor_meta"].shape) != 2:
        raise _NotPlainError
    bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_features)  # type: ignore[redundant-expr]  # in stubs
    tensors = [writer.tensor(f"{node.target}.weight", layer.weight), writer.tensor(f"{node.target}.bias", bias)]
    return writer.emit(node, "Gemm", [writer.value(node.args[0]), *tensors], transB=1)


def _unchanged(writer: _Writer, node: fx.Node, layer: nn.Module) -> str:
    return writer.value(node.args[0])


def _pooled(writer: _Writer, node: fx.Node, layer: nn.Module) -> str:
    assert isinstance(layer, nn.AdaptiveAvgPool2d)
    if layer.output_size not in (1, (1, 1)):
        raise _NotPlainError
    return writer.emit(node, "GlobalAveragePool", [writer.value(node.args[0])])


def _flattened(writer: _Writer, node: fx.Node, layer: nn.Module) -> str:
    assert isinstance(layer, nn.Flatten)
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise _NotPlainError
    return writer.emit(node, "Flatten", [writer.value(node.args[0])], axis=1)


def _averaged(writer: _Writer, node: fx.Node) -> str:
    if node.args[1:] != ((2, 3),) or node.kwargs:
        raise _NotPlainError
    axes = writer.tensor("places", np.array([2, 3]))
    return writer.emit(node, "ReduceMean", [writer.value(node.args[0]), axes], keepdims=0)


def _side_by_side(writer: _Writer, node: fx.Node) -> str:
    parts, along = node.args[0], node.kwargs.get("dim", 0)
    if len(node.args) != 1 or along != 1 or not isinstance(parts, Sequence):
        raise _NotPlainError
    return writer.emit(node, "Concat", [writer.value(part) for part in parts], axis=1)


def _two(operation: str) -> Callable[[_Writer, fx.Node], str]:
    def write(writer: _Writer, node: fx.Node) -> str:
        first, second = node.args
        return writer.emit(node, operation, [writer.value(first), writer.value(second)])

    return write


def _floats(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def _kind(layer: nn.Module) -> str:
    """The layer's class by its full name, so that no subclass passes for it and timm need not be there."""
    return _name(type(layer))


def _name(layer: type[nn.Module]) -> str:
    return f"{layer.__module__}.{layer.__qualname__}"


SAME = "timm.layers.conv2d_same.Conv2dSame"
NORMS = frozenset({_name(nn.BatchNorm2d), "timm.layers.norm_act.BatchNormAct2d"})
LAYERS: dict[str, Callable[[_Writer, fx.Node, nn.Module], str]] = {
    _name(nn.Conv2d): _convolution,
    SAME: _convolution,
    **dict.fromkeys(NORMS, _batch_norm),
    _name(nn.ReLU): _activation,
    _name(nn.ReLU6): _activation,
    _name(nn.Linear): _linear,
    _name(nn.AdaptiveAvgPool2d): _pooled,
    _name(nn.Flatten): _flattened,
    _name(nn.Identity): _unchanged,
    _name(nn.Dropout): _unchanged,
    "timm.layers.drop.DropPath": _unchanged,
}
CALLS: dict[Any, Callable[[_Writer, fx.Node], str]] = {
    operator.add: _two("Add"),
    operator.sub: _two("Sub"),
    operator.truediv: _two("Div"),
    torch.cat: _side_by_side,
    "mean": _averaged,
}
