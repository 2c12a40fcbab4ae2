"""Weights from elsewhere in a network of the catalogue: the same answers as where they come from, or a plain refusal."""

import pytest
import torch
from safetensors.torch import save_file

from eyebright.core.errors import ModelError, SettingsError
from eyebright.core.events import silent
from eyebright.models.network import PixelNetwork
from eyebright.models.published import whole
from eyebright.models.zoo import torchvision_models
from eyebright.verbs.importing.declared import Declared
from eyebright.verbs.importing.sniffing import sniff
from eyebright.verbs.importing.weights import bring

from .files import CLASSES, SIZE, foreign_state, pixels_of, real_weights, save_npz, toy

SMALL = Declared(size=(SIZE, SIZE))


def brought(path, name="lenet", declared=SMALL, classes=CLASSES):
    return bring(sniff(path), classes, declared, name, silent)


def saved(tmp_path, state):
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_the_answers_are_those_of_the_network_that_was_saved(tmp_path):
    network = toy()
    found = brought(saved(tmp_path, foreign_state(network, prefix="module.")))
    pixels = pixels_of()
    with torch.no_grad():
        assert torch.equal(found.network(pixels)[0], network(pixels)[0])
    assert any("'module.', which was taken off" in note for note in found.notes)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "model."])
def test_wrappings_are_taken_off_however_many(prefix, tmp_path):
    assert brought(saved(tmp_path, foreign_state(toy(), prefix=prefix))).provenance["tensors"] == len(toy().state_dict())


def test_our_own_weights_come_back_as_they_are(tmp_path):
    network = toy(seed=3)
    found = brought(saved(tmp_path, network.state_dict()))
    assert torch.equal(found.network.head.weight, network.head.weight)


def test_a_declared_normalisation_is_inside_and_rebuilt_from_the_architecture(tmp_path):
    network = toy()
    path = saved(tmp_path, foreign_state(network))
    declared = Declared(size=(SIZE, SIZE), scale="0..255", mean=(10.0, 20.0, 30.0), std=(2.0,), channels="bgr")
    found, pixels = brought(path, declared=declared), pixels_of()
    theirs = (255 * pixels[:, [2, 1, 0]] - torch.tensor([10.0, 20.0, 30.0]).reshape(1, 3, 1, 1)) / 2
    with torch.no_grad():
        assert torch.allclose(found.network(pixels)[0], network.head(network.backbone(theirs)), atol=1e-4)
    assert found.architecture.arguments["input_channels"] == "bgr"
    assert "as declared" in found.notes[-1]


def test_a_grey_network_of_ours_is_built_grey(tmp_path):
    path = saved(tmp_path, foreign_state(toy(grey=True)))
    found = brought(path, declared=Declared(size=(SIZE, SIZE), channels="grey", scale="-1..1"))
    assert (found.preprocess.colour, found.architecture.arguments["grey"]) == ("grey", True)
    assert found.network(pixels_of())[0].shape == (4, len(CLASSES))


def test_missing_and_left_over_and_misshapen_tensors_are_listed_with_their_shapes(tmp_path):
    state = foreign_state(toy())
    state.pop("0.bias")
    state["0.weight"] = torch.zeros(6, 1, 5, 5)
    state["extra.scale"] = torch.zeros(1)
    with pytest.raises(ModelError) as refused:
        brought(saved(tmp_path, state))
    message = str(refused.value)
    assert "does not hold the weights of lenet" in message
    assert "1 missing: 0.bias" in message
    assert "1 left over: extra.scale" in message
    assert "0.weight (found 6 x 1 x 5 x 5, expected 6 x 3 x 5 x 5)" in message
    assert "--architecture that it was trained with" in message


def test_only_the_first_few_of_many_are_listed(tmp_path):
    with pytest.raises(ModelError, match=r"\d+ missing: (?:[^,;]+, ){2}[^,;]+ and \d+ more;"):
        brought(saved(tmp_path, foreign_state(toy())), "resnet20-cifar")


def test_another_number_of_classes_is_said_in_classes(tmp_path):
    with pytest.raises(ModelError, match=r"w\.safetensors tells 3 classes apart, and --classes names 2"):
        brought(saved(tmp_path, foreign_state(toy())), classes=("a", "b"))


def test_two_candidates_for_the_last_layer_are_refused(tmp_path):
    state = foreign_state(toy())
    state |= {"fc2.weight": state["fc.weight"].clone(), "fc2.bias": state["fc.bias"].clone()}
    with pytest.raises(
        ModelError,
        match=r"1 missing: the last layer's weight; 4 left over: fc\.bias, fc\.weight, fc2\.bias .*export it to ONNX",
    ):
        brought(saved(tmp_path, state))


def test_a_last_layer_without_a_bias_gets_zeros_and_that_is_said(tmp_path):
    state = foreign_state(toy())
    state.pop("fc.bias")
    found = brought(saved(tmp_path, state))
    assert not found.network.head.bias.any()
    assert any("has no bias" in note for note in found.notes)


def test_a_last_layer_that_is_a_small_convolution_fits(tmp_path):
    network = toy()
    state = foreign_state(network)
    state["fc.weight"] = state["fc.weight"][:, :, None, None]
    assert torch.equal(brought(saved(tmp_path, state)).network.head.weight, network.head.weight)


def test_old_files_without_counters_of_batch_norms_are_taken(tmp_path):
    state = {key: value for key, value in foreign_state(toy("resnet20-cifar"), last="linear").items() if "tracked" not in key}
    found = brought(saved(tmp_path, state), "resnet20-cifar", Declared())
    assert (found.preprocess.size, found.provenance["architecture"]) == ((32, 32), "resnet20-cifar")


def test_a_huge_announced_shape_is_refused_before_it_is_read(tmp_path):
    state = foreign_state(toy())
    path = tmp_path / "w.pth"
    torch.save({**state, "0.weight": torch.zeros(1).expand(10**12)}, path)
    with pytest.raises(ModelError, match=r"0\.weight .found 1000000000000, expected 6 x 3 x 5 x 5"):
        brought(path)


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_vit"])
def test_a_network_of_timm_is_cut_and_still_computes_the_same(name, tmp_path):
    theirs = whole(name, 3, None).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for value in theirs.parameters():
            torch.nn.init.normal_(value, std=0.1)
    found = brought(saved(tmp_path, theirs.state_dict()), name, Declared())
    assert isinstance(found.network, PixelNetwork)
    pixels = pixels_of(2, found.preprocess.height)
    with torch.no_grad():
        expected = theirs(found.network.prepare(pixels))
        assert torch.allclose(found.network(pixels)[0], expected, atol=1e-3 * float(expected.abs().max()))
    assert any("From timm's configuration" in note for note in found.notes)
    assert "Nothing was said of --scale" in found.notes[-1]


def test_a_network_with_two_last_layers_is_refused(tmp_path):
    path = saved(tmp_path, whole("timm:deit_tiny_distilled_patch16_224", 3, None).state_dict())
    with pytest.raises(ModelError, match=r"left over: dist_token"):
        brought(path, "timm:deit_tiny_patch16_224", Declared())


def test_a_cut_that_changes_the_answers_is_refused(tmp_path, monkeypatch):
    """A publisher's network that adds 1 to every logit behind its last layer."""
    from eyebright.models import published

    class Shifted(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def state_dict(self):
            return self.inner.state_dict()

        def load_state_dict(self, state):
            return self.inner.load_state_dict(state)

        def forward(self, values):
            return self.inner(values) + 1

    state = whole("timm:test_resnet", 3, None).state_dict()
    monkeypatch.setattr(published, "whole", lambda *given: Shifted(whole(*given)))
    with pytest.raises(ModelError, match=r"differs from its publisher's network by 1 in a logit\. Export the model to ONNX"):
        brought(saved(tmp_path, state), "timm:test_resnet", Declared())


def test_auxiliary_classifiers_are_left_out_and_that_is_said(tmp_path):
    theirs = torchvision_models().googlenet(weights=None, num_classes=3, aux_logits=True, init_weights=False)
    found = brought(saved(tmp_path, theirs.state_dict()), "googlenet", Declared(size=(64, 64)))
    assert any("auxiliary classifiers were left out" in note for note in found.notes)
    assert "mean 0.5, 0.5, 0.5" in found.notes[-1]  # its weights want [-1, 1]


@pytest.mark.parametrize(("name", "declared", "message"), [
    ("lenett", SMALL, r"Unknown model 'lenett'. Did you mean lenet\?"), ("hog-svm", SMALL, "no weights to bring"),
    ("cnn", Declared(), "--size is missing: cnn takes pictures of any size"),
    ("lenet", Declared(size=(8, 8)), "needs at least 16 x 16"),
    ("lenet", Declared(size=(SIZE, SIZE), layout="nhwc"), "--layout"),
    ("lenet", Declared(size=(SIZE, SIZE), gives="probabilities"), "--gives probabilities"),
    ("resnet20-cifar", Declared(channels="grey"), "--channels is grey"),
    ("timm:resnet18", Declared(channels="grey"), "--channels is grey"),
    ("lenet", Declared(size=(SIZE, SIZE), channels="bgr"), "say also in which values"),
])  # fmt: skip
def test_what_the_network_cannot_obey_is_refused(name, declared, message, tmp_path):
    with pytest.raises(SettingsError, match=message):
        brought(saved(tmp_path, foreign_state(toy())), name, declared)


def test_a_size_that_the_network_cannot_take_is_refused(tmp_path):
    state = whole("timm:test_vit", 3, None).state_dict()
    with pytest.raises(SettingsError, match=r"--size is 33x40; timm:test_vit cannot take such pictures"):
        brought(saved(tmp_path, state), "timm:test_vit", Declared(size=(33, 40)))


def test_arrays_of_numpy_under_torchs_names_are_taken(tmp_path):
    network = toy()
    assert torch.equal(brought(save_npz(tmp_path / "w.npz", foreign_state(network))).network.head.bias, network.head.bias)


# --- the real ones


def test_the_published_resnet_20_is_taken_from_its_checkpoint():
    found = brought(real_weights("resnet20_cifar10/resnet20-12fca82f.th"), "resnet20-cifar", Declared(), tuple("abcdefghij"))
    assert found.notes[:2] == (
        "The weights were taken from 'state_dict' in the checkpoint; best_prec1 beside it is left out.",
        "Every tensor's name began with 'module.', which was taken off.",
    )


def test_squeezenet_answers_as_torchvisions_own_network_does():
    file = real_weights("squeezenet_imagenet/squeezenet1_0_deepcompressed.npz")
    declared = Declared(size=(227, 227), scale="0..255", mean=(123.0, 117.0, 104.0), std=(1.0,))
    found = brought(file, "torchvision:squeezenet1_0", declared, tuple(f"class {number}" for number in range(1000)))
    theirs = torchvision_models().squeezenet1_0(weights=None).eval()
    theirs.load_state_dict(found.network.network.state_dict())
    pixels = pixels_of(2, 227)
    with torch.no_grad():
        expected = theirs(255 * pixels - torch.tensor([123.0, 117.0, 104.0]).reshape(1, 3, 1, 1))
        assert torch.allclose(found.network(pixels)[0], expected, atol=1e-3)
