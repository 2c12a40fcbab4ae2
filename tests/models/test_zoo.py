"""timm's and torchvision's networks in the one shape, and their weights."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from eyebright.core.errors import MissingExtraError, ModelError, SettingsError
from eyebright.models import zoo
from eyebright.models.network import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")

# The width is that of the layer which the publisher's own classifier reads.
TIMM = {
    "resnet18": (32, 512),
    "resnet18.a1_in1k": (32, 512),
    "mobilenetv3_small_050": (32, 1024),
    "vit_tiny_patch16_224": (32, 192),
    "convnext_atto": (32, 320),
    "test_vit": (None, 64),
}
TORCHVISION = {
    "squeezenet1_1": (64, 512),
    "googlenet": (64, 1024),
    "mobilenet_v3_small": (32, 1024),
    "shufflenet_v2_x0_5": (32, 1024),
    "densenet121": (32, 1024),
    "resnet18": (32, 512),
    "regnet_x_400mf": (32, 400),
}
TORCHVISION_SLOW = {
    "alexnet": (64, 4096),
    "vgg11": (32, 4096),
    "vit_b_16": (32, 768),
    "inception_v3": (75, 2048),
    "convnext_tiny": (32, 768),
    "swin_t": (32, 768),
}


@torch.no_grad()
def check_shapes(network, size, width):
    network.eval()
    pixels = torch.rand(2, 3, size or 160, size or 160, generator=torch.Generator().manual_seed(0))
    logits, features = network(pixels)
    assert (logits.shape, features.shape) == ((2, 7), (2, width))
    torch.testing.assert_close(logits, network.head(features))
    # Splitting a batch leaves the answers as they are.
    torch.testing.assert_close(torch.cat([network(pixels[:1])[0], network(pixels[1:])[0]]), logits, rtol=1e-3, atol=1e-4)
    assert network.blocks()


@pytest.mark.parametrize("name", TIMM)
def test_timms_networks_give_logits_and_features(name):
    size, width = TIMM[name]
    check_shapes(zoo.timm_network(7, name=name, size=size), size, width)


@pytest.mark.parametrize("name", [*TORCHVISION, *(pytest.param(name, marks=pytest.mark.slow) for name in TORCHVISION_SLOW)])
def test_torchvisions_networks_give_logits_and_features(name):
    size, width = {**TORCHVISION, **TORCHVISION_SLOW}[name]
    check_shapes(zoo.torchvision_network(7, name=name, size=size), size, width)


def rates(network):
    """The rate of each block that can be left out, in order; timm makes no layer for a rate of 0."""
    kinds = ("DropPath", "StochasticDepth")
    parts = [part for part in network.backbone.modules() if type(part).__name__ in kinds]
    return [part.drop_prob if hasattr(part, "drop_prob") else part.p for part in parts]


@pytest.mark.parametrize(("build", "name", "last"), [
    (zoo.timm_network, "resnet50", 0.4), (zoo.timm_network, "vit_tiny_patch16_224", 0.4),
    # timm counts EfficientNet's blocks as TensorFlow does: block i of 16 has i/16 of the rate
    (zoo.timm_network, "efficientnet_b0", 0.4 * 15 / 16),
    (zoo.torchvision_network, "efficientnet_b0", 0.4), (zoo.torchvision_network, "swin_t", 0.4),
])  # fmt: skip
def test_stochastic_depth_rises_to_the_rate_that_is_asked_for(build, name, last):
    found = rates(build(2, name=name, size=64, drop_path=0.4))
    assert found == sorted(found)
    assert found[-1] == pytest.approx(last)


def test_left_alone_stochastic_depth_is_what_the_publisher_set():
    assert max(rates(zoo.torchvision_network(2, name="swin_t"))) == pytest.approx(0.2)  # Liu et al. 2021, appendix A2.1
    assert set(rates(zoo.torchvision_network(2, name="swin_t", drop_path=0.0))) == {0.0}
    assert not rates(zoo.timm_network(2, name="resnet50"))


@pytest.mark.parametrize(("build", "name"), [
    (zoo.timm_network, "densenet121"), (zoo.timm_network, "legacy_xception"), (zoo.torchvision_network, "squeezenet1_1"),
])  # fmt: skip
def test_a_rate_for_a_network_without_stochastic_depth_is_refused(build, name):
    assert build(2, name=name, drop_path=0.0).head.out_features == 2  # nothing is asked of it
    with pytest.raises(SettingsError, match=f"{name} has no stochastic depth to set. Leave out --drop-path"):
        build(2, name=name, drop_path=0.1)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_an_impossible_rate_is_refused(rate):
    for build in (zoo.timm_network, zoo.torchvision_network):
        with pytest.raises(SettingsError, match="at least 0 and less than 1 was expected"):
            build(2, name="resnet18", drop_path=rate)


@pytest.mark.parametrize(("build", "name", "size", "own"), [
    (zoo.torchvision_network, "alexnet", 32, 224), (zoo.timm_network, "inception_v3", 74, 299),
    (zoo.torchvision_network, "vit_b_16", 40, 224), (zoo.timm_network, "vit_tiny_patch16_224", 10, 224),
])  # fmt: skip
def test_a_size_that_a_network_cannot_take_is_refused_before_it_is_trained(build, name, size, own):
    with pytest.raises(SettingsError, match=rf"--size is {size}; .*:{name} cannot take .*made for {own} pixels: give a --size"):
        build(2, name=name, size=size)


@pytest.mark.parametrize(("build", "typo", "meant"), [
    (zoo.timm_network, "resnt18", "timm:resnet18"),
    (zoo.torchvision_network, "mobilenet_v3_smal", "torchvision:mobilenet_v3_small"),
])  # fmt: skip
def test_an_unknown_name_is_answered_with_near_ones(build, typo, meant):
    with pytest.raises(SettingsError, match=f"Unknown model .*:{typo}'. Did you mean .*{meant}"):
        build(3, name=typo)


def test_the_statistics_of_each_publisher_are_inside():
    torchvision = zoo.torchvision_network(2, name="shufflenet_v2_x0_5").prepare
    torch.testing.assert_close(torchvision.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    # timm's ViT was trained on pixels from -1 to 1
    vit = zoo.timm_network(2, name="vit_tiny_patch16_224", size=32).prepare
    assert (vit.mean.flatten().tolist(), vit.std.flatten().tolist()) == ([0.5] * 3, [0.5] * 3)


@torch.no_grad()
def test_a_timm_network_with_its_weights_answers_as_in_timm_itself():
    theirs = zoo.timm().create_model("test_resnet", num_classes=5).eval()
    ours = zoo.timm_network(5, name="test_resnet").eval()
    state = theirs.state_dict()
    zoo.load_backbone(ours, state, origin="timm")
    ours.head.load_state_dict({"weight": state["fc.weight"], "bias": state["fc.bias"]})
    pixels = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(ours(pixels)[0], theirs(ours.prepare(pixels)))


@torch.no_grad()
def test_a_torchvision_network_with_its_weights_answers_as_in_torchvision_itself():
    theirs = zoo.torchvision_models().get_model("shufflenet_v2_x0_5", weights=None).eval()
    ours = zoo.torchvision_network(1000, name="shufflenet_v2_x0_5").eval()
    state = theirs.state_dict()
    zoo.load_backbone(ours, state, origin="torchvision")
    ours.head.load_state_dict({"weight": state["fc.weight"], "bias": state["fc.bias"]})
    pixels = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(ours(pixels)[0], theirs(ours.prepare(pixels)))


@pytest.mark.parametrize(("name", "size"), [
    ("timm:vit_tiny_patch16_224", 224), ("timm:test_vit", 160), ("timm:tf_efficientnet_b4.ns_jft_in1k", 380),
    ("torchvision:resnet18", 224), ("torchvision:inception_v3", 299),
])  # fmt: skip
def test_a_network_knows_the_size_it_was_made_for(name, size):
    assert zoo.input_size(name) == size


def test_the_size_of_an_unknown_network_is_refused_with_near_names():
    with pytest.raises(SettingsError, match=r"timm:resnt18'. Did you mean timm:resnet18"):
        zoo.input_size("timm:resnt18")


def test_quantized_networks_are_not_offered():
    assert "resnet18" in zoo.torchvision_names()
    assert not [name for name in zoo.torchvision_names() if "quantized" in name]
    assert not [name for name in zoo.torchvision_names() if "fasterrcnn" in name or "fcn" in name]  # no classifiers


def small():
    return zoo.torchvision_network(3, name="squeezenet1_1")


def test_a_file_that_was_saved_from_a_parallel_run_fits():
    source, target = small(), small()
    state = {f"module.backbone.{name}": tensor for name, tensor in source.backbone.state_dict().items()}
    zoo.load_backbone(target, state, origin="a file")
    assert torch.equal(target.backbone.features[0].weight, source.backbone.features[0].weight)


def test_missing_tensors_are_named():
    state = small().backbone.state_dict()
    del state["features.0.weight"]
    with pytest.raises(ModelError, match=r"a file does not fit .* 1 tensors \(features.0.weight ...\) missing, none of"):
        zoo.load_backbone(small(), state, origin="a file")


def test_tensors_of_another_shape_are_named():
    state = small().backbone.state_dict()
    state["features.0.bias"] = torch.zeros(65)
    with pytest.raises(ModelError, match=r"none missing, 1 tensors \(features.0.bias ...\) of another shape"):
        zoo.load_backbone(small(), state, origin="a file")


def test_weights_that_do_not_fit_change_nothing():
    network, state = small(), small().backbone.state_dict()
    before = network.backbone.features[0].weight.clone()
    state["features.0.bias"] = torch.zeros(65)
    with pytest.raises(ModelError):
        zoo.load_backbone(network, state, origin="a file")
    assert torch.equal(network.backbone.features[0].weight, before)


def test_without_a_network_the_error_shows_the_way_round(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    network = zoo.timm_network(3, name="test_resnet")
    with pytest.raises(ModelError, match=r"timm:test_resnet could not be fetched .*--weights FILE.*lite0.*--weights none"):
        zoo.fetch_pretrained(network, "timm:test_resnet")


def test_torchvisions_weights_that_cannot_be_fetched_are_refused_alike(monkeypatch):
    monkeypatch.setattr(sys.modules[zoo.torchvision_models().__name__ + "._api"], "load_state_dict_from_url", unreachable)
    with pytest.raises(ModelError, match=r"torchvision:squeezenet1_1 could not be fetched \(URLError\)"):
        zoo.fetch_pretrained(small(), "torchvision:squeezenet1_1")


def unreachable(*arguments, **options):
    from urllib.error import URLError

    raise URLError("no network in this test")


def test_fetched_weights_go_into_the_backbone(monkeypatch):
    published = zoo.torchvision_models().get_model("squeezenet1_1", weights=None).state_dict()
    monkeypatch.setattr(zoo, "_torchvision_weights", lambda name: published)
    network = small()
    assert zoo.fetch_pretrained(network, "torchvision:squeezenet1_1") == "torchvision's published weights for squeezenet1_1"
    assert torch.equal(network.backbone.features[0].weight, published["features.0.weight"])


@pytest.mark.parametrize(("module", "opener"), [("timm", zoo.timm), ("torchvision.models", zoo.torchvision_models)])
def test_a_missing_package_is_answered_with_the_command_that_installs_it(monkeypatch, module, opener):
    opener.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eyebright\[train\]'"):
        opener()


def test_torchvision_is_imported_beside_a_cpu_build_of_torch():
    program = (
        "from eyebright.models import zoo; import torch;"
        "network = zoo.torchvision_network(3, name='squeezenet1_1'); zoo.timm();"
        "print(tuple(network(torch.zeros(1, 3, 64, 64))[0].shape))"
    )
    # Without our declaration the same import fails, wherever torchvision was built for CUDA and torch was not.
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "(1, 3)", ran.stderr


def test_the_classifier_is_replaced_by_ours_and_nothing_else():
    theirs = zoo.torchvision_models().get_model("squeezenet1_1", weights=None)
    ours = small().backbone
    assert isinstance(ours.classifier[1], nn.Identity)
    assert set(theirs.state_dict()) - set(ours.state_dict()) == {"classifier.1.weight", "classifier.1.bias"}


def test_weights_that_carry_no_version_are_not_taken_for_those_of_an_older_network():
    network = zoo.torchvision_network(3, name="mnasnet0_5")
    plain = {name: torch.ones_like(tensor) for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match="version"):  # what torchvision makes of a dictionary of our own, as a file gives it
        network.load_state_dict(plain)
    load_weights(network, plain)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key"):
        load_weights(network, dict(list(plain.items())[1:]))
