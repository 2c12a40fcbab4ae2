"""Tensors from files that are not trusted: shapes first, values when they are wanted, never a program."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from eyebright.core.errors import ModelError
from eyebright.verbs.importing.sniffing import sniff
from eyebright.verbs.importing.tensors import open_tensors

STATE = {"conv.weight": torch.arange(12.0).reshape(2, 3, 2), "bn.count": torch.tensor(7)}


def opened(path):
    return open_tensors(sniff(path))


def written(folder, kind, state=STATE):
    path = folder / "weights"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, **{key: value.numpy() for key, value in state.items()})
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "torch-zip")
    return path


KINDS = ("safetensors", "npz", "torch-zip", "torch-legacy")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_shapes_and_values(kind, tmp_path):
    stored = opened(written(tmp_path, kind))
    assert stored.shapes == {"conv.weight": (2, 3, 2), "bn.count": ()}
    read = stored.read(["conv.weight", "bn.count"])
    assert torch.equal(read["conv.weight"], STATE["conv.weight"])
    assert int(read["bn.count"]) == 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_file_that_is_cut_off_is_refused(kind, share, tmp_path):
    whole = written(tmp_path, kind, {"a": torch.arange(3000.0), "b": torch.arange(300.0)})
    whole.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(ModelError, match=r"opy it again|damaged"):
        opened(whole).read(["a", "b"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single(dtype, tmp_path):
    path = written(tmp_path, "safetensors", {"a": torch.tensor([0.5, 2.0], dtype=dtype)})
    assert opened(path).read(["a"])["a"].dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_no_numbers_are_refused(kind, tmp_path):
    path = written(tmp_path, kind, {"a": torch.tensor([1.0, float("nan")])})
    with pytest.raises(ModelError, match=r"a in .* holds values that are not finite"):
        opened(path).read(["a"])


@pytest.mark.parametrize(("content", "key"), [
    ({"state_dict": STATE, "epoch": 3}, "state_dict"), ({"model": STATE, "optimizer": {"lr": 1}, "args": []}, "model"),
    ({"epoch": 1, "model": {"state_dict": STATE}}, "model"),
])  # fmt: skip
def test_a_table_within_a_checkpoint_is_found_and_the_rest_is_named(content, key, tmp_path):
    path = tmp_path / "c.pth"
    torch.save(content, path)
    stored = opened(path)
    assert set(stored.shapes) == set(STATE)
    (note,) = stored.notes
    assert f"from {key!r}" in note
    assert all(other in note for other in content if other != key)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(2)], {"state_dict": {"lr": 1}}, 5])
def test_a_checkpoint_without_a_table_of_tensors_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="table of tensors"):
        opened(tmp_path / "c.pth")


class Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


@pytest.mark.parametrize("modern", [True, False])
def test_a_checkpoint_that_would_run_a_program_is_refused(modern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(2)}, "x": Attack()}, "c.pth", _use_new_zipfile_serialization=modern)
    with pytest.raises(ModelError, match=r"Python objects besides tensors.*state_dict"):
        opened(tmp_path / "c.pth")
    assert not (tmp_path / "attacked").exists()


def test_a_whole_network_as_a_pickle_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "c.pth")
    with pytest.raises(ModelError, match="Python objects besides tensors"):
        opened(tmp_path / "c.pth")


def test_a_tensor_that_repeats_one_value_takes_no_memory_until_it_is_wanted(tmp_path):
    torch.save({"a": torch.zeros(1).expand(10**12)}, tmp_path / "c.pth")
    assert opened(tmp_path / "c.pth").shapes == {"a": (10**12,)}  # 4 TB, were it real


def test_a_legacy_file_that_announces_more_than_it_holds_is_refused_before_memory_is_taken(tmp_path):
    path = written(tmp_path, "torch-legacy", {"a": torch.zeros(1000)})
    content = path.read_bytes()
    announced = pickle.dumps(1000, protocol=2)[2:-1]  # as pickle writes the number of values
    assert content.count(announced) >= 1
    path.write_bytes(content.replace(announced, b"J" + (2**31 - 1).to_bytes(4, "little")))
    with pytest.raises(ModelError, match=r"announces 8,589,934,588 bytes of tensors and has .* in all"):
        opened(path)


def test_a_checkpoint_that_was_packed_again_is_refused(tmp_path):
    path = written(tmp_path, "torch-zip", {"a": torch.zeros(10_000)})
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ModelError, match="torch packs nothing"):
        opened(packed)


def test_sparse_and_complex_tensors_are_refused(tmp_path):
    torch.save({"a": torch.eye(3).to_sparse()}, tmp_path / "sparse.pth")
    torch.save({"a": torch.zeros(3, dtype=torch.complex64)}, tmp_path / "complex.pth")
    for name in ("sparse", "complex"):
        with pytest.raises(ModelError, match="plain real numbers were expected"):
            opened(tmp_path / f"{name}.pth")


def test_an_array_of_objects_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array([Attack()], dtype=object))
    with pytest.raises(ModelError, match="Python objects, which are not read"):
        opened(tmp_path / "w.npz")


def test_an_array_that_lies_about_its_size_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**9,)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as packed:
        packed.writestr("a.npy", header.getvalue() + bytes(8))
    with pytest.raises(ModelError, match="announces 4,000,000,000 bytes and holds 8"):
        opened(tmp_path / "w.npz")


def test_a_bomb_of_arrays_is_told_by_its_header_and_not_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros((4000, 5000), dtype=np.float32))
    assert (tmp_path / "w.npz").stat().st_size < 100_000  # for 80 MB
    assert opened(tmp_path / "w.npz").shapes == {"a": (4000, 5000)}


def test_text_among_arrays_is_refused_when_it_is_wanted(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array(["x"]))
    with pytest.raises(ModelError, match="numbers were expected"):
        opened(tmp_path / "w.npz").read(["a"])


def test_big_endian_arrays_are_read_as_what_they_mean(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array([1.5, 2.0], dtype=">f8"))
    assert opened(tmp_path / "w.npz").read(["a"])["a"].tolist() == [1.5, 2.0]
