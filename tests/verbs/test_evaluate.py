"""``evaluate``: the bundle's own split is obeyed, classes are matched by name, and the figures are those of the run."""

import json
import shutil

import pytest
from pictures import class_folders

import eyebright
from eyebright.cli.main import main
from eyebright.core.bundle import Manifest
from eyebright.core.errors import DataError, ModelError
from eyebright.core.events import Note
from eyebright.core.files import sha256
from eyebright.data.audit import audit
from eyebright.data.open import open_source

from .shapes import CLASSES, report_of, squares


def test_the_test_figures_are_those_of_the_report(finished, data):
    found = eyebright.evaluate(finished.path, data, form="torch")
    report = report_of(finished)
    assert found.n == report["n"] == 18
    for name, figure in found.figures.items():
        assert figure.value == pytest.approx(report["figures"][name]["value"], abs=1e-6), name
    assert found.confusion == report["confusion"]


def test_the_part_is_the_bundles_own_whatever_the_folders_say(finished, data, tmp_path):
    """Every picture lies in a folder; which ones were trained on is known by their hashed keys alone."""
    counts = {part: eyebright.evaluate(finished.path, data, part=part).n for part in ("train", "validation", "test")}
    assert counts == {part: report_of(finished)["data"]["parts"][part]["n"] for part in counts}


def test_all_pictures_can_be_judged_with_those_that_were_trained_on_set_apart(finished, data):
    found = eyebright.evaluate(finished.path, data, part="all")
    assert found.n == 90
    assert found.leaked == 72
    assert found.without_leaks["accuracy"].n == 18


def test_the_json_has_the_keys_of_the_design(finished, data, capsys):
    assert main(["evaluate", str(finished.path), str(data), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["schema"] == 1
    assert (value["part"], value["n"]) == ("test", 18)
    assert set(value["figures"]["accuracy"]) == {"value", "low", "high", "n", "method"}
    assert value["figures"]["accuracy"]["method"] == "wilson"
    assert {"f1_macro", "balanced_accuracy", "log_loss", "ece"} <= set(value["figures"])
    assert list(value["classes"]) == list(CLASSES)
    assert {"precision", "recall", "f1", "n"} <= set(value["classes"]["red"])


def test_new_pictures_are_matched_by_name_though_their_order_differs(finished, tmp_path):
    """Without green, red is the second class here and the third in the model: by position it would be called green."""
    squares(tmp_path / "new", 10, first=500)
    shutil.rmtree(tmp_path / "new" / "green")
    heard = []
    found = eyebright.evaluate(finished.path, tmp_path / "new", on_event=heard.append)
    assert found.n == 20
    assert found.figures["accuracy"].value > 0.9
    assert found.classes["green"].n == 0
    assert any("does not know these pictures" in event.text for event in heard if isinstance(event, Note))
    assert any("does not know these pictures" in warning for warning in found.warnings)


def test_parts_of_new_data_are_obeyed_where_the_bundle_knows_none_of_it(finished, tmp_path):
    squares(tmp_path / "new" / "train", 3, first=500)
    squares(tmp_path / "new" / "test", 2, first=600)
    assert eyebright.evaluate(finished.path, tmp_path / "new").n == 6


def test_near_copies_are_not_looked_for(finished, tmp_path, monkeypatch):
    def never(*given, **named):
        raise AssertionError("near copies were looked for")

    monkeypatch.setattr("eyebright.data.near.find_near", never)
    monkeypatch.setattr("eyebright.data.audit.thumbprint", never)
    large = squares(tmp_path, 2, size=96)
    with pytest.raises(AssertionError, match="near copies"):
        audit(open_source(large))
    assert eyebright.evaluate(finished.path, large).n == 6


def test_a_class_that_the_model_does_not_know_is_refused_with_the_nearest_name(finished, tmp_path):
    class_folders(tmp_path, {"reds": 2, "blue": 2})
    with pytest.raises(DataError, match=r"does not know: reds\..*Did you mean red\?"):
        eyebright.evaluate(finished.path, tmp_path)


def test_a_part_without_pictures_is_refused(finished, data):
    with pytest.raises(DataError, match=r"no pictures of the part 'calibration'.*--part all"):
        eyebright.evaluate(finished.path, data, part="calibration")


def test_bad_pictures_are_counted_named_and_limited(finished, tmp_path):
    squares(tmp_path, 10, first=700)
    (tmp_path / "red" / "700.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(DataError, match=r"1 of 30 pictures cannot be read \(red/700.png\)"):
        eyebright.evaluate(finished.path, tmp_path)
    found = eyebright.evaluate(finished.path, tmp_path, allow_bad=0.1)
    assert found.n == 29
    assert any("red/700.png" in warning for warning in found.warnings)


def test_both_forms_agree(finished, data):
    onnx, torch = (eyebright.evaluate(finished.path, data, form=form) for form in ("onnx", "torch"))
    for name, figure in onnx.figures.items():
        assert figure.value == pytest.approx(torch.figures[name].value, abs=1e-4), name


def test_views_are_named_beside_the_figures(finished, data, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(finished.bundle, bundle)
    manifest = Manifest.model_validate_json((bundle / "bundle.json").read_bytes())
    mirrored = manifest.model_copy(update={"views": ("identity", "mirror")})
    (bundle / "bundle.json").write_text(mirrored.model_dump_json(by_alias=True))
    assert eyebright.evaluate(bundle, data).views == ("identity", "mirror")


@pytest.mark.parametrize("content", ["[1, 2]", '{"parts": {"test": "all"}}', "not json"])
def test_a_split_that_is_none_is_refused(finished, data, tmp_path, content):
    bundle = tmp_path / "bundle"
    shutil.copytree(finished.bundle, bundle)
    (bundle / "split.json").write_text(content)
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["split_sha256"] = sha256(bundle / "split.json")
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="split"):
        eyebright.evaluate(bundle, data)


def test_a_folder_without_a_bundle_is_exit_three(data, capsys):
    assert main(["evaluate", str(data), str(data)]) == 3
    assert "bundle.json" in capsys.readouterr().err
