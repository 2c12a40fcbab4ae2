"""``import``: a whole bundle of a file from elsewhere, that verifies, predicts and is evaluated; or nothing at all."""

import json
import os

import numpy as np
import pytest
import torch
from tflite import tflite

import eyebright
from eyebright.cli.main import main
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.verbs.import_ import ImportSettings

from .files import CLASSES, SIZE, foreign_state, pixels_of, real_weights, save_npz, toy

NAMES = ",".join(CLASSES)


@pytest.fixture
def no_onnx(monkeypatch):
    """Bundles in torch's form only, in a tenth of the time."""

    def refuse(network, size, path, *, classes, name):
        raise ModelError(f"{name} is not written as ONNX in this test.")

    monkeypatch.setattr("eyebright.verbs.making.bundling.write_onnx", refuse)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"state_dict": foreign_state(toy(), prefix="module."), "epoch": 3}, path)
    return path


def imported(weights, out, **settings):
    told = {"architecture": "lenet", "size": str(SIZE), "scale": "-1..1", **settings}
    return eyebright.import_model(weights, NAMES, out, **told)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The real thing, both forms. Tests only read it."""
    folder = tmp_path_factory.mktemp("import")
    weights = save_npz(folder / "net.npz", foreign_state(toy()))
    imported(weights, folder / "made", licence="MIT", source="a <friend>")
    return folder / "made"


def test_the_bundle_verifies_in_both_forms(bundle):
    checks = eyebright.verify(bundle).checks
    assert {check.state for check in checks} == {"ok"}
    assert {"answers of torch", "answers of onnx"} <= {check.name for check in checks}


def test_the_bundle_answers_as_the_network_in_its_file_does(bundle, tmp_path):
    from PIL import Image

    picture = (255 * pixels_of(1)[0].permute(1, 2, 0).numpy()).round().astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "p.png")
    network = toy()
    with torch.no_grad():
        values = 2 * torch.from_numpy(picture).float().permute(2, 0, 1)[None] / 255 - 1
        expected = network.head(network.backbone(values)).softmax(1)[0].tolist()
    found = {one.label: one.probability for one in eyebright.predict(bundle, tmp_path / "p.png").results[0].predictions}
    assert [found[name] for name in CLASSES] == pytest.approx(expected, abs=1e-5)


def test_the_manifest_says_where_the_model_is_from_and_what_was_declared(bundle):
    manifest = read_bundle(bundle).manifest
    told = manifest.provenance
    assert (told["imported"]["file"], told["imported"]["kind"], told["imported"]["licence"]) == ("net.npz", "npz", "MIT")
    assert len(told["imported"]["sha256"]) == 64
    assert told["imported"]["bytes"] > 4 * 15_000  # parameters, at 16 pixels
    assert told["imported"]["classes from"] == "the command line"
    assert (told["declared"]["scale"], told["architecture"]) == ("-1..1", "lenet")
    assert manifest.classes == CLASSES
    assert read_bundle(bundle).decision().temperature == 1.0
    assert str(bundle.parent) not in (bundle / "bundle.json").read_text(encoding="utf-8")


def test_title_and_summary_head_the_card_and_are_harmless_there(weights, tmp_path, no_onnx):
    found = imported(weights, tmp_path / "made", title="Lines <b>", summary="Knows *three* lines.")
    card = (found.bundle / "README.md").read_text(encoding="utf-8")
    assert "\n# Lines &lt;b&gt;\n\nKnows \\*three\\* lines.\n" in card


def test_the_card_says_that_it_was_imported_and_that_nothing_was_measured(bundle):
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nlicense: "mit"\n')
    for words in ("was imported, not trained here", "net.npz", "No temperature was fitted", "Nothing was measured on import",
                  "lying, standing, leaning", "a &lt;friend&gt;", "16 x 16 pixels, stretched", "pip install .  #"):  # fmt: skip
        assert words in card, words


def test_the_card_of_a_file_that_only_litert_runs_names_the_extra_for_it(tmp_path):
    pytest.importorskip("ai_edge_litert")
    file = tmp_path / "theirs.tflite"
    file.write_bytes(tflite(np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32), softmax=True))
    found = eyebright.import_model(file, NAMES, tmp_path / "made")
    assert "pip install '.[litert]'  # in a clone" in (found.bundle / "README.md").read_text(encoding="utf-8")


def test_the_command_prints_the_bundle_and_what_was_found(weights, tmp_path, capsys, no_onnx):
    out = tmp_path / "made"
    words = ["import", str(weights), "--classes", NAMES, "--architecture", "lenet", "--size", f"{SIZE}x{SIZE}", "--mean", "0.5",
             "--std", "0.25", "--out", str(out)]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "made is ready: 3 classes, 16 x 16 pixels, from a torch checkpoint" in said
    assert "taken from 'state_dict'" in said
    assert "mean 0.5, 0.5, 0.5 and std 0.25, 0.25, 0.25, as declared" in said
    assert f"Bundle: {out}" in said


def test_json_holds_the_same(weights, tmp_path, capsys, no_onnx):
    words = ["import", str(weights), "--classes", NAMES, "--architecture", "lenet", "--size", str(SIZE), "--json", "--out"]
    assert main([*words, str(tmp_path / "made")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["classes"], told["height"], told["architecture"]) == (1, 3, SIZE, "lenet")
    assert set(told["forms"]) == {"torch"}


# --- what is refused, with nothing left behind

BAD = {
    "another network": (["--architecture", "resnet20-cifar"], 6, "does not hold the weights of resnet20-cifar"),
    "another number of classes": (["--classes", "a,b"], 6, "tells 3 classes apart, and --classes names 2"),
    "a name twice": (["--classes", "a,b,a"], 2, "names 'a' for the classes 0 and 2"),
    "an unknown network": (["--architecture", "lenat"], 2, "Did you mean lenet"),
    "two means": (["--mean", "1", "2"], 2, "--mean has 2 values; one, or 3 for --channels rgb"),
    "a std of zero": (["--std", "0"], 2, "more than 0 was expected"),
    "a mean that is none": (["--mean", "nan"], 2, "finite numbers were expected"),
    "a size that is none": (["--size", "big"], 2, "'big' is no size; 227, or 32x48"),
    "a size of the moon": (["--size", "9999"], 2, "larger than 4096"),
    "a cut of a stretched picture": (
        ["--resize", "squash", "--crop-fraction", "0.9"],
        2,
        "--crop-fraction is about --resize crop",
    ),
    "a layout": (["--layout", "nhwc"], 2, "--layout is about files that hold a graph"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_refusal_has_its_exit_code_and_leaves_nothing(what, weights, tmp_path, capsys):
    flags, code, message = BAD[what]
    usual = {"--classes": NAMES, "--architecture": "lenet", "--size": str(SIZE), "--out": str(tmp_path / "made")}
    for flag in flags:
        usual.pop(flag, None)
    words = [word for pair in usual.items() for word in pair]
    before = set(tmp_path.iterdir())
    assert main(["import", str(weights), *words, *flags]) == code
    assert message in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_a_file_that_is_cut_off_leaves_nothing(weights, tmp_path):
    weights.write_bytes(weights.read_bytes()[:-20_000])
    with pytest.raises(ModelError, match="begins as a zip and cannot be read"):
        imported(weights, tmp_path / "made")
    assert {path.name for path in tmp_path.iterdir()} == {"net.pth"}


def test_weights_without_the_name_of_their_network_are_refused(weights, tmp_path):
    with pytest.raises(SettingsError, match=r"is a torch checkpoint, without the network around them\. Name it with --arch"):
        eyebright.import_model(weights, NAMES, tmp_path / "made")


def test_a_graph_with_the_name_of_a_network_is_refused(tmp_path):
    (tmp_path / "g").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(40))
    with pytest.raises(ModelError, match=r"holds its network itself\. Leave out --architecture"):
        imported(tmp_path / "g", tmp_path / "made")


def test_a_folder_that_is_there_is_not_replaced(weights, tmp_path):
    (tmp_path / "made").mkdir()
    with pytest.raises(SettingsError, match="made is there already"):
        imported(weights, tmp_path / "made")


def test_a_missing_file_is_an_error_of_the_data(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        imported(tmp_path / "none.pth", tmp_path / "made")


def test_a_link_to_the_file_is_followed_and_one_in_the_place_of_the_bundle_is_not(weights, tmp_path, no_onnx):
    os.symlink(weights, tmp_path / "link.pth")
    assert imported(tmp_path / "link.pth", tmp_path / "made").classes == 3
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    with pytest.raises(SettingsError, match="is there already"):
        imported(weights, tmp_path / "dangling")


@pytest.mark.parametrize(("size", "sides"), [("227", (227, 227)), ("32x48", (32, 48)), (64, (64, 64)), (None, None)])
def test_a_size_is_one_side_or_height_and_width(size, sides):
    settings = ImportSettings.resolve({"file": "f", "classes": "a,b", "out": "o", "size": size})
    assert settings.declared().size == sides


# --- files that hold a graph


@pytest.fixture
def graph(tmp_path):
    """An ONNX file of two classes: the sums of the left and of the right half of a grey row."""
    from onnx import TensorProto, helper, numpy_helper

    halves = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0)  # four pixels, two classes
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "halves"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 1, 4])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    model = helper.make_model(
        helper.make_graph(nodes, "halves", [given], [made], [numpy_helper.from_array(halves, "halves")]),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    model.ir_version = 10
    (tmp_path / "halves").write_bytes(model.SerializeToString())
    return tmp_path / "halves"


def test_a_graph_becomes_a_bundle_that_verifies(graph, tmp_path):
    told = {"channels": "grey", "scale": "-1..1", "gives": "logits"}
    result = eyebright.import_model(graph, "left,right", tmp_path / "made", **told)
    assert (set(result.forms), result.height, result.width, result.architecture) == ({"onnx"}, 1, 4, None)
    assert "mean 0.5 and std 0.5, as declared" in result.notes[-1]
    assert {check.state for check in eyebright.verify(tmp_path / "made").checks} == {"ok"}


def test_where_nothing_is_said_of_a_graphs_values_that_is_said(graph, tmp_path):
    result = eyebright.import_model(graph, "left,right", tmp_path / "made", channels="grey", gives="logits")
    assert "Nothing was said of --scale, --mean or --std: the model is fed pixels from 0 to 1 as they are." in result.notes


def test_a_graph_of_another_number_of_classes_leaves_nothing(graph, tmp_path):
    with pytest.raises(ModelError, match="classes"):
        eyebright.import_model(graph, "a,b,c", tmp_path / "made", channels="grey")
    assert {path.name for path in tmp_path.iterdir()} == {"halves"}


# --- the real ones


@pytest.mark.slow
def test_a_cat_a_cup_and_the_rest_are_known_by_the_imported_squeezenet(tmp_path):
    skimage = pytest.importorskip("skimage.data")
    from PIL import Image

    file = real_weights("squeezenet_imagenet/squeezenet1_0_deepcompressed.npz")
    result = eyebright.import_model(
        file, "imagenet", tmp_path / "squeezenet", architecture="torchvision:squeezenet1_0", size="227", scale="0..255",
        mean=(123, 117, 104), std=(1,),
    )  # fmt: skip
    assert set(result.forms) == {"torch", "onnx"}
    for name in ("chelsea", "coffee"):
        Image.fromarray(getattr(skimage, name)()).save(tmp_path / f"{name}.png")
    found = eyebright.predict(result.bundle, tmp_path / "chelsea.png", tmp_path / "coffee.png")
    assert [one.predictions[0].label for one in found.results] == ["Egyptian cat", "espresso"]


@pytest.mark.slow
def test_the_published_resnet_20_has_its_published_accuracy(tmp_path):
    if not os.environ.get("EYEBRIGHT_DATA"):
        pytest.skip("EYEBRIGHT_DATA is not set")
    eyebright.import_model(
        real_weights("resnet20_cifar10/resnet20-12fca82f.th"), "cifar10", tmp_path / "resnet20",
        architecture="resnet20-cifar", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    accuracy = eyebright.evaluate(tmp_path / "resnet20", "cifar10").figures["accuracy"]
    assert accuracy.value == pytest.approx(0.9173, abs=0.001)  # by its publisher; 10,000 pictures of the test part
