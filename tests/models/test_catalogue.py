"""Every network by name, built from what a manifest holds; files of weights that are not trusted."""

import os
import pickle
import random
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from eyebright.core.bundle import Architecture
from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.models.catalogue import BUILT_IN, MODELS, build, list_architectures, load_pretrained, read_weights, resolve
from eyebright.models.cnn import cnn
from eyebright.models.names import FAMILIES, PUBLISHED


@pytest.mark.parametrize(("name", "arguments", "width"), [
    ("cnn", {"height": 12, "width": 14, "hidden": 9}, 9),
    ("lenet", {"height": 20, "width": 18, "grey": True, "hidden": 9}, 9),
    ("mlp", {"height": 6, "width": 7, "hidden": 9, "layers": 3}, 9),
    ("mobilenetv3_small", {"size": 32, "drop_path": 0.1}, 1024),
    ("lite0", {}, 1280),
    ("timm:test_vit", {}, 64),
    ("timm:vit_tiny_patch16_224", {"size": 32}, 192),
    ("torchvision:squeezenet1_1", {"dropout": 0.1}, 512),
])  # fmt: skip
def test_a_manifests_architecture_is_built(name, arguments, width):
    network = build(Architecture(name=name, arguments=arguments), 3)
    assert tuple(network.head.weight.shape) == (3, width)


def test_initial_weights_come_from_torchs_current_generator():
    def built(seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(Architecture(name="cnn"), 3).head.weight

    assert torch.equal(built(1), built(1))
    assert not torch.equal(built(1), built(2))


@pytest.mark.parametrize(("name", "hint"), [
    ("cn", "Did you mean cnn?"), ("lite", "Did you mean lite0"), ("timm:resnt18", "timm:resnet18"), ("timm:", "timm:NAME"),
    ("quite another", "Known: .*torchvision:NAME"), ("resnt50", r"Did you mean resnet50\?"), ("vgg", "mean vgg16 or vgg19"),
    ("resnet18", "Did you mean timm:resnet18 or torchvision:resnet18"), ("lenet5", "Did you mean lenet"),
    ("resnet18.a1_in1k", r"Did you mean timm:resnet18.a1_in1k\?"), ("cnn:", "Did you mean cnn"),
])  # fmt: skip
def test_an_unknown_network_is_refused_with_a_suggestion(name, hint):
    with pytest.raises(SettingsError, match=rf"Unknown model .*{hint}"):
        build(Architecture(name=name), 3)


@pytest.mark.parametrize(("name", "full"), [
    ("xception", "timm:legacy_xception"), ("vgg16", "torchvision:vgg16"), ("timm:resnet18.a1_in1k", "timm:resnet18.a1_in1k"),
    ("torchvision:alexnet", "torchvision:alexnet"), ("cnn", "cnn"),
])  # fmt: skip
def test_a_short_name_stands_for_a_network_and_any_other_for_itself(name, full):
    assert resolve(name) == full


@pytest.mark.parametrize("name", ["resnt50", "timm:resnt50", "torchvision:resnet18.a1_in1k", "timm:", "cnn:", ""])
def test_only_names_that_can_be_built_are_resolved(name):
    with pytest.raises(SettingsError, match="Unknown model"):
        resolve(name)
    with pytest.raises(SettingsError, match="Unknown model"):
        build(Architecture(name=name), 3)


def test_no_short_name_hides_another_model_and_each_stands_for_one_that_exists():
    short = [one.name for one in PUBLISHED]
    assert len({*short, *MODELS.targets(), *FAMILIES, "auto"}) == len(short) + len(MODELS.targets()) + len(FAMILIES) + 1
    assert all(resolve(name) == one.network for name, one in zip(short, PUBLISHED, strict=True))


def test_a_network_without_stochastic_depth_says_so():
    for rate in (0.0, None):
        build(Architecture(name="cnn", arguments={"height": 12, "width": 12, "drop_path": rate}), 3)
    with pytest.raises(SettingsError, match=r"cnn has no stochastic depth to set. Leave out --drop-path"):
        build(Architecture(name="cnn", arguments={"drop_path": 0.1}), 3)


def test_the_list_names_what_can_be_built():
    listed = {info.name: info.weights for info in list_architectures()}
    assert listed["cnn"] == "none"
    assert listed["lite0"] == "installed"
    assert listed["timm:resnet18"] == listed["torchvision:resnet18"] == "download"
    assert listed["timm:resnet34d"] == listed["resnet50"] == "download"
    assert set(MODELS.targets()) <= {info.name for info in BUILT_IN}
    assert len(listed) == len(list_architectures()) > 1000


def test_safetensors_and_torch_checkpoints_hold_the_same_tensors(tmp_path):
    state = cnn(3, height=12, width=12, hidden=8).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "b.pth")
    for name in ("a.safetensors", "a.pth", "b.pth"):
        found = read_weights(tmp_path / name)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


class Malicious:
    """Pickled, it asks whoever unpickles it to make a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def write_malicious_zip(path, trace):
    """A checkpoint in torch's current format whose pickle is the malicious one."""
    torch.save({"weight": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as archive:
        files = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in files.items():
            malicious = info.filename.endswith("data.pkl")
            archive.writestr(info.filename, pickle.dumps({"weight": Malicious(trace)}, 2) if malicious else content)


@pytest.mark.parametrize("form", ["plain", "zip"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path, form):
    path, trace = tmp_path / "weights.pth", tmp_path / "trace"
    if form == "zip":
        write_malicious_zip(path, trace)
    else:
        path.write_bytes(pickle.dumps({"weight": Malicious(trace)}, 2))
    with pytest.raises(ModelError, match=r"weights.pth is no file of tensors \(UnpicklingError\). Give safetensors"):
        read_weights(path)
    assert not trace.exists()
    if form == "plain":  # the trap is a real one: Python's own unpickler falls into it
        pickle.loads(path.read_bytes())
        assert trace.is_dir()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = {"weight": torch.rand(20, 20)}
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    whole = path.read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="is no file of tensors"):
            read_weights(path)


def test_a_damaged_checkpoint_never_ends_in_an_error_of_python(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.rand(3, 3)}, path, _use_new_zipfile_serialization=False)
    whole, generator = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except ModelError:
            refused += 1
    assert refused > 150


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 3}, {"state_dict": {"a": 1}}, torch.zeros(2)])
def test_a_checkpoint_without_a_table_of_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="does not hold a table of tensors"):
        read_weights(tmp_path / "weights.pth")


def test_a_missing_file_of_weights_is_the_users_mistake(tmp_path):
    with pytest.raises(DataError, match=r"none.pth does not exist. --weights takes a file"):
        read_weights(tmp_path / "none.pth")


def test_pretrained_weights_come_from_where_they_are_said_to_come(tmp_path):
    source, target = (cnn(3, height=12, width=12, hidden=8) for _ in range(2))
    before = target.backbone[0].weight.clone()
    for weights in ("none", "auto"):
        assert load_pretrained(target, "cnn", weights) == "initial weights, trained from scratch"
        assert torch.equal(target.backbone[0].weight, before)
    save_file(source.state_dict(), tmp_path / "own.safetensors")
    assert load_pretrained(target, "cnn", str(tmp_path / "own.safetensors")) == "the file own.safetensors"
    assert torch.equal(target.backbone[0].weight, source.backbone[0].weight)


def test_weights_of_another_network_are_refused(tmp_path):
    save_file(cnn(3, height=12, width=12, hidden=8).state_dict(), tmp_path / "own.safetensors")
    with pytest.raises(ModelError, match="does not fit this network"):
        load_pretrained(cnn(3, height=12, width=12, hidden=16), "cnn", str(tmp_path / "own.safetensors"))
