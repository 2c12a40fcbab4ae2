"""What the look through an ONNX file finds, wherever in the graph a tensor lies."""

import onnx
import pytest
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from eyebright.backends.one_file import refuse_other_files
from eyebright.core.errors import ModelError

from .toys import external_tensor, small_network, write_graph

ELSEWHERE = external_tensor("secret", "secret.bin")


def test_a_file_that_holds_everything_itself_passes(tmp_path):
    refuse_other_files(write_graph(tmp_path / "toy.onnx").read_bytes(), "toy.onnx")


def test_what_both_of_our_writers_write_passes(tmp_path):
    from eyebright.export.onnx_ import write_onnx

    write_onnx(small_network(), (12, 12), tmp_path / "model.onnx", classes=("a", "b", "c"), name="toy")
    refuse_other_files((tmp_path / "model.onnx").read_bytes(), "model.onnx")


def graph_with(tensor, where):
    """A graph that has ``tensor`` in the place named."""
    if where == "initializer":
        return GraphProto(initializer=[tensor])
    if where == "sparse values":
        return GraphProto(sparse_initializer=[SparseTensorProto(values=tensor)])
    if where == "sparse indices":
        return GraphProto(sparse_initializer=[SparseTensorProto(indices=tensor)])
    attribute = {
        "constant": AttributeProto(t=tensor),
        "constants": AttributeProto(tensors=[tensor]),
        "sparse constant": AttributeProto(sparse_tensor=SparseTensorProto(values=tensor)),
        "sparse constants": AttributeProto(sparse_tensors=[SparseTensorProto(values=tensor)]),
        "branch": AttributeProto(g=graph_with(tensor, "initializer") if where == "branch" else None),
        "branches": AttributeProto(graphs=[graph_with(tensor, "constant")] if where == "branches" else []),
    }[where]
    return GraphProto(node=[NodeProto(attribute=[attribute])])


PLACES = ("initializer", "sparse values", "sparse indices", "constant", "constants", "sparse constant", "sparse constants")


@pytest.mark.parametrize("where", [*PLACES, "branch", "branches"])
def test_values_in_another_file_are_found_wherever_the_tensor_lies(where):
    with pytest.raises(ModelError, match="keeps values in another file"):
        refuse_other_files(ModelProto(graph=graph_with(ELSEWHERE, where)).SerializeToString(), "a.onnx")


def test_values_in_another_file_are_found_in_functions_and_in_what_is_for_training():
    node = NodeProto(attribute=[AttributeProto(t=ELSEWHERE)])
    for model in (
        ModelProto(functions=[FunctionProto(node=[node])]),
        ModelProto(functions=[FunctionProto(attribute_proto=[AttributeProto(t=ELSEWHERE)])]),
        ModelProto(training_info=[onnx.TrainingInfoProto(algorithm=graph_with(ELSEWHERE, "initializer"))]),
    ):
        with pytest.raises(ModelError, match="keeps values in another file"):
            refuse_other_files(model.SerializeToString(), "a.onnx")


def test_either_of_the_two_signs_is_enough():
    located = TensorProto(name="a", data_location=TensorProto.EXTERNAL)
    named = TensorProto(name="a", external_data=[onnx.StringStringEntryProto(key="location", value="secret.bin")])
    for tensor in (located, named):
        with pytest.raises(ModelError, match="keeps values in another file"):
            refuse_other_files(ModelProto(graph=GraphProto(initializer=[tensor])).SerializeToString(), "a.onnx")


def test_values_that_look_like_such_a_tensor_are_values():
    weights = helper.make_tensor(
        "a", TensorProto.UINT8, [len(ELSEWHERE.SerializeToString())], ELSEWHERE.SerializeToString(), raw=True
    )
    refuse_other_files(ModelProto(graph=GraphProto(initializer=[weights])).SerializeToString(), "a.onnx")


def test_what_cannot_be_followed_to_its_end_is_refused():
    whole = ModelProto(graph=graph_with(ELSEWHERE, "initializer")).SerializeToString()
    group = b"\x0b" + whole + b"\x0c"  # field 1 as a group, which protobuf's own readers skip
    for content in (whole[:-1], group, b"\x80" * 11, b"\x3a\xff"):
        with pytest.raises(ModelError, match="cannot be opened"):
            refuse_other_files(content, "a.onnx")


def test_graphs_in_graphs_may_be_deep():
    content = ELSEWHERE.SerializeToString()
    graph = field(5, content)
    for _ in range(2_000):
        graph = field(1, field(5, field(6, graph)))  # a node, its attribute, the graph in it
    with pytest.raises(ModelError, match="keeps values in another file"):
        refuse_other_files(field(7, graph), "a.onnx")


def field(number, content):
    """``content`` as a field of a protobuf."""
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
