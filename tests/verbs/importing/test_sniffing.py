"""What a file is, told by its content whatever it is called; what may run code, or is not whole, is refused with a way out."""

import contextlib
import io
import pickle
import zipfile

import h5py
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from eyebright.core.errors import DataError, ModelError
from eyebright.verbs.importing.sniffing import sniff


def onnx_bytes():
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [other])
    return onnx.helper.make_model(graph).SerializeToString()


def h5_bytes(block=0):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=block) as file:
        file["a"] = 1
    return buffer.getvalue()


def zip_bytes(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in names:
            packed.writestr(name, b"{}")
    return buffer.getvalue()


def torch_bytes(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def npz_bytes():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(2))
    return buffer.getvalue()


STATE = {"a": torch.zeros(2)}
KNOWN = {
    "litert": lambda: b"\x1c\x00\x00\x00TFL3" + bytes(40),
    "onnx": onnx_bytes,
    "keras": lambda: zip_bytes("metadata.json", "config.json", "model.weights.h5"),
    "h5": h5_bytes,
    "safetensors": lambda: save(STATE),
    "npz": npz_bytes,
    "torch-zip": lambda: torch_bytes(STATE),
    "torch-legacy": lambda: torch_bytes(STATE, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_the_kind_is_told_by_the_content(kind, tmp_path):
    path = tmp_path / "model.jpg"
    path.write_bytes(KNOWN[kind]())
    found = sniff(path)
    assert (found.kind, found.bytes) == (kind, path.stat().st_size)


def test_an_hdf5_file_may_begin_with_a_block_of_the_users_own(tmp_path):
    (tmp_path / "m.h5").write_bytes(h5_bytes(block=1024))
    assert sniff(tmp_path / "m.h5").kind == "h5"


REFUSED = {
    "a pickle": (lambda: pickle.dumps({"a": 1}), "is a pickle, and reading one can run any program.*safetensors"),
    "torchscript": (lambda: zip_bytes("m/data.pkl", "m/code/x.py", "m/constants.pkl"), "TorchScript program.*--architecture"),
    "another zip": (lambda: zip_bytes("cat.jpg"), "is a zip that holds cat.jpg; a .keras"),
    "one array": (lambda: b"\x93NUMPY\x01\x00" + bytes(40), "is one numpy array.*savez"),
    "a tar": (lambda: bytes(257) + b"ustar" + bytes(250), "is a tar archive"),
    "nothing": (lambda: b"", "is empty"),
    "a photograph": (lambda: b"\xff\xd8\xff\xe0" + bytes(300), "of no kind that is known"),
    "a cut zip": (lambda: npz_bytes()[:200], "begins as a zip and cannot be read"),
    "a cut onnx": (lambda: onnx_bytes()[:-3], "of no kind that is known"),
    "a TensorFlow graph": (lambda: b"\x0a\x03abc\x12\x02hi", "is a protobuf, but no ONNX model.*tf2onnx"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_read_is_refused_with_a_way_out(what, tmp_path):
    made, message = REFUSED[what]
    (tmp_path / "m.onnx").write_bytes(made())
    with pytest.raises(ModelError, match=message):
        sniff(tmp_path / "m.onnx")


def test_a_saved_model_is_refused_with_the_commands_that_convert_it(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(ModelError, match=r"SavedModel.*TFLiteConverter.*tf2onnx"):
        sniff(tmp_path)


def test_a_bundle_is_used_as_it_is(tmp_path):
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(ModelError, match=r"is a bundle already.*eyebright predict"):
        sniff(tmp_path)


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path):
    with pytest.raises(ModelError, match="is a folder"):
        sniff(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        sniff(tmp_path / "none.onnx")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_kind_or_a_plain_refusal(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        assert sniff(path).bytes == len(content)
