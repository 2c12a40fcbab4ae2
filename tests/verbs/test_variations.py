"""``train`` as people vary it: what is seen, how it is trained, what stands beside it, and what is kept of it."""

import json

import pytest
from PIL import Image as Pillow

import eyebright
from eyebright.cli.main import main
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import DataError, InterruptedRunError, SettingsError
from eyebright.core.events import Note
from eyebright.verbs.making.settings import TrainSettings

from .shapes import report_of, squares, trained


@pytest.fixture
def table(tmp_path):
    """Squares listed in a CSV that also says where each was taken."""
    folder = squares(tmp_path / "pictures")
    rows = ["path,label,site"]
    for place, file in enumerate(sorted(folder.rglob("*.png"))):
        rows.append(f"{file.relative_to(folder)},{file.parent.name},{('north', 'south')[place % 2]}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


def test_figures_by_subgroup_stand_in_the_report_and_are_given_again_by_evaluate(table, tmp_path, quick):
    run = trained(table, tmp_path / "run", subgroups=["site"])
    rows = report_of(run)["subgroups"]
    assert [row["value"] for row in rows] == ["north", "south"]
    assert sum(row["n"] for row in rows) == 18
    again = eyebright.evaluate(run.path, table, subgroups=["site"])
    assert [row.figures["accuracy"].value for row in again.subgroups] == [row["figures"]["accuracy"]["value"] for row in rows]


def test_a_column_that_is_not_there_is_refused_before_anything_is_trained(table, tmp_path):
    with pytest.raises(SettingsError, match="it has site"):
        eyebright.train(table, out=tmp_path / "run", subgroups=["sight"])
    assert not (tmp_path / "run").exists()


def test_what_the_makers_say_of_its_use_is_in_the_report_and_on_the_card(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", epochs=1, intended_use="Sorting squares.", limits="Not for circles.")
    assert report_of(run)["intended_use"] == "Sorting squares."
    card = (run.bundle / "README.md").read_text(encoding="utf-8")
    assert "Sorting squares." in card
    assert "Not for circles." in card


def test_preprocessing_travels_in_the_manifest(data, tmp_path, quick):
    asked = {"equalise": "clahe", "clahe_grid": 4, "white_balance": "grey-world", "sharpen": 0.5, "cut_border": 0.1}
    run = trained(data, tmp_path / "run", epochs=1, **asked)
    preprocess = read_bundle(run.bundle).manifest.preprocess
    assert {name: getattr(preprocess, name) for name in asked} == asked
    assert eyebright.verify(run.bundle).exit_code == 0


def test_the_recipe_is_what_was_asked_for(data, tmp_path, quick):
    asked = {"loss": "focal", "sampling": "sqrt", "average": 0.9, "clip": 1.0, "schedule": "plateau", "head_weight_decay": 0.01}
    run = trained(data, tmp_path / "run", epochs=2, augment="strong", hue=0.0, **asked)
    recipe = report_of(run)["provenance"]["recipe"]
    assert {name: recipe[name] for name in asked} == asked
    assert recipe["augment"]["mixup"] > 0
    assert recipe["augment"]["hue"] == 0  # a flag of its own wins over the dial


def test_no_augmentation_is_none(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", epochs=1, augment="none", flip="off")
    assert not any(report_of(run)["provenance"]["recipe"]["augment"].values())


def test_a_log_for_tensorboard_lies_in_the_run(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", epochs=1, tensorboard=True)
    assert list((run.path / "tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.parametrize("name", ["lenet", "mlp"])
def test_small_classics_are_trained_by_name(data, tmp_path, quick, name):
    run = trained(data, tmp_path / "run", model=name, epochs=1)
    assert read_bundle(run.bundle).manifest.architecture.name == name
    assert eyebright.verify(run.bundle).exit_code == 0


def test_a_short_name_is_kept_in_full(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", model="mobilenetv3_small", weights="none", size=32, drop_path=0.1, epochs=1)
    architecture = read_bundle(run.bundle).manifest.architecture
    assert architecture.name == "timm:mobilenetv3_small_100"
    assert architecture.arguments["drop_path"] == 0.1


def test_a_handcrafted_model_goes_the_whole_way(data, tmp_path, quick):
    run = eyebright.train(data, out=tmp_path / "run", model="colour-svm", folds=3).run
    assert len(report_of(run)["training"]["cross_validation"]["folds"]) == 3
    assert report_of(run)["figures"]["accuracy"]["value"] > 0.9
    assert set(read_bundle(run.bundle).manifest.forms) == {"handcrafted"}
    assert eyebright.verify(run.bundle).exit_code == 0
    assert eyebright.evaluate(run.path, data).figures["accuracy"].value == report_of(run)["figures"]["accuracy"]["value"]
    assert eyebright.predict(run.path, data / "red").results[0].predictions


def test_handcrafted_models_stand_beside_a_network_as_baselines(data, tmp_path, quick):
    run = trained(data, tmp_path / "run", epochs=1, baselines=["colour-knn"])
    baselines = report_of(run)["baselines"]
    assert set(baselines) == {"majority", "random", "colour-knn"}
    assert baselines["colour-knn"]["accuracy"]["value"] > 0.9
    assert "colour-knn" in run.report_html.read_text(encoding="utf-8")


def test_a_contact_sheet_is_drawn_on_request(data, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert main(["inspect", str(data), "--augment", "medium", "--sheet", str(sheet)]) == 0
    assert str(sheet) in capsys.readouterr().out
    with Pillow.open(sheet) as picture:
        assert picture.width > 200
    assert main(["inspect", str(data), "--augment", "light", "--sheet", str(sheet), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sheet"] == str(sheet)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sampling": "over", "class_weights": "inverse"}, "choose one of them"),
        ({"schedule": "plateau", "patience": 2}, "stops before --plateau-patience 3"),
        ({"clip": float("inf")}, "--clip"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, said):
    with pytest.raises(SettingsError, match=said):
        TrainSettings.resolve({"data": "flowers", **given})


def test_an_unknown_baseline_is_refused_before_anything_is_trained(data, tmp_path):
    with pytest.raises(SettingsError, match="hog-svm"):
        eyebright.train(data, out=tmp_path / "run", baselines=["hog-svn"])
    assert not (tmp_path / "run").exists()


def test_rare_classes_are_drawn_more_often_by_themselves_and_the_reason_is_said(tmp_path, quick):
    data = squares(tmp_path / "uneven", count=30, classes=("blue", "green"))
    squares(data, count=10, classes=("red",))
    run = trained(data, tmp_path / "run", epochs=1)
    assert report_of(run)["provenance"]["recipe"]["sampling"] == "sqrt"
    (choice,) = [choice for choice in report_of(run)["training"]["choices"] if choice["name"] == "sampling"]
    assert choice["reason"].startswith("3.0 pictures of the largest class")  # 24 of 30 against 8 of 10 outside the test part


def test_even_classes_are_drawn_as_they_are(finished):
    assert report_of(finished)["provenance"]["recipe"]["sampling"] == "none"


def test_a_baseline_that_cannot_be_fitted_is_refused_before_the_network_is_trained(tmp_path):
    data = squares(tmp_path / "rare", classes=("blue", "green"))
    squares(data, count=2, classes=("red",))
    with pytest.raises(DataError, match="Cross-validation needs 2 folds"):
        eyebright.train(data, out=tmp_path / "run", model="cnn", epochs=1, baselines=["hog-svm"])
    assert not (tmp_path / "run").exists()


def test_a_resume_that_is_refused_leaves_the_run_as_it_was(data, tmp_path, quick, monkeypatch):
    def interrupt(*given, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("eyebright.verbs.making.judging.predictor_of", interrupt)
        with pytest.raises(InterruptedRunError):
            eyebright.train(data, out=tmp_path / "run", model="colour-knn")
    moved = data.rename(data.with_name("moved"))
    try:
        with pytest.raises(DataError):
            eyebright.train(data, out=tmp_path / "run", resume=True)
    finally:
        moved.rename(data)
    assert (tmp_path / "run" / "settings.toml").exists()
    assert eyebright.train(data, out=tmp_path / "run", resume=True).run.finished


def test_nothing_can_stay_frozen_without_pretrained_weights(data, tmp_path):
    with pytest.raises(SettingsError, match="trained from scratch"):
        eyebright.train(data, out=tmp_path / "run", model="cnn", unfreeze="head")


def test_settings_without_effect_are_named(data, tmp_path, quick):
    heard = []
    trained(data, tmp_path / "run", epochs=1, members=9, focal_gamma=3.0, on_event=heard.append)
    assert any(isinstance(event, Note) and "--members, --focal-gamma" in event.text for event in heard)


def test_a_dry_run_names_all_that_would_be_done(data):
    plan = eyebright.train(data, dry_run=True, folds=3, ensemble="folds", baselines=["hog-svm"]).plan
    assert "Cross-validate by 3 folds." in plan
    assert "Average the folds' models." in plan
    assert "Put beside it: hog-svm." in plan
