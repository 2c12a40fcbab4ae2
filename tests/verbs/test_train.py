"""``train`` on coloured squares: what a run holds, what is refused, what is said aloud, and that a seed decides everything."""

import errno
import json
import shutil
import tomllib

import numpy as np
import pytest
import torch
from pictures import real_data_home
from PIL import Image as Pillow

import eyebright
from eyebright.backends.torch_ import load_network
from eyebright.cli.main import main
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import DataError, MissingExtraError, ResourceError, SettingsError
from eyebright.core.events import Choice, Note, Phase
from eyebright.core.predictions import load_predictions
from eyebright.core.report import Report
from eyebright.core.settings import read_toml
from eyebright.training import folded, members
from eyebright.verbs import train as subject
from eyebright.verbs.making import finishing, work
from eyebright.verbs.making.settings import TrainSettings

from .shapes import CLASSES, SETTINGS, outcome, report_of, square, squares, story_of, trained, weights_of

# --- what a run holds


def test_the_run_holds_all_that_led_to_the_model(finished):
    held = {str(path.relative_to(finished.path)) for path in finished.path.rglob("*") if path.is_file()}
    expected = {"settings.toml", "environment.json", "split.json", "events.jsonl", "report.html", "report.json"}
    forms = {"bundle/torch.safetensors", "bundle/model.onnx", "bundle/bundle.json", "bundle/decision.json", "bundle/README.md"}
    assert expected | forms | {"predictions/test.safetensors", "bundle/split.json"} <= held


def test_the_report_is_whole_and_the_model_learned_the_colours(finished):
    report = Report.model_validate_json(finished.report_json.read_bytes())
    assert report.figures["accuracy"].value > 0.9
    assert list(report.classes) == list(CLASSES)
    assert report.n == 18  # a fifth of 90
    assert {speed.form for speed in report.speed} == {"torch", "onnx"}
    assert report.training.attempts[0].kept
    assert report.provenance["bundle"] == read_bundle(finished.bundle).sha256


def test_every_event_is_a_line_of_json(finished):
    story = story_of(finished)
    assert {row["event"] for row in story} >= {"phase", "epoch", "choice"}
    assert [row["epoch"] for row in story if row.get("stage") == "training"] == list(range(1, 9))


def test_automatic_choices_are_kept_with_their_reasons(finished):
    settings = tomllib.loads(finished.settings.read_text(encoding="utf-8"))
    assert settings["model"] == "auto"
    assert settings["reasons"]["model"].startswith("cnn: the pictures have 16 pixels")
    assert settings["reasons"]["device"] == "cpu: it was asked for"


def test_the_tables_and_the_split_agree(finished):
    table = load_predictions(finished.predictions / "test.safetensors")
    split = json.loads(finished.split.read_text(encoding="utf-8"))
    assert sorted(table.keys) == split["parts"]["test"]
    assert table.classes == CLASSES
    assert table.features.shape == (18, 512)


def test_the_environment_names_versions_but_no_place_and_no_user(finished):
    environment = json.loads(finished.environment.read_text(encoding="utf-8"))
    assert {"torch", "numpy", "onnxruntime"} <= set(environment["versions"])
    assert str(finished.path.parent) not in finished.environment.read_text(encoding="utf-8")


def test_the_forms_can_be_read_by_everyone(finished):
    modes = {path.name: path.stat().st_mode & 0o044 for path in finished.bundle.rglob("*") if path.is_file()}
    assert {name for name, mode in modes.items() if mode != 0o044} == set()


def test_no_file_name_of_the_user_travels_in_the_bundle(finished):
    manifest, split = (finished.bundle / "bundle.json").read_text(), (finished.bundle / "split.json").read_text()
    for text in (manifest, split, (finished.bundle / "README.md").read_text()):
        assert "000.png" not in text
        assert str(finished.path.parent) not in text


# --- a seed decides everything


def test_the_settings_of_a_run_make_the_same_run_again(quick, data, tmp_path):
    first = trained(data, tmp_path / "first")
    resolved = TrainSettings.resolve({"out": tmp_path / "again"}, first.settings)
    again = subject.run(resolved).run
    assert outcome(first) == outcome(again)


def test_another_seed_makes_another_model_and_another_split(quick, data, tmp_path):
    first, other = trained(data, tmp_path / "first"), trained(data, tmp_path / "other", seed=1)
    assert weights_of(first) != weights_of(other)
    assert report_of(first)["data"]["fingerprint"] != report_of(other)["data"]["fingerprint"]


def test_nothing_is_printed_by_the_library(data, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(finishing, "speed_of", lambda bundle: [])
    trained(data, tmp_path / "run", epochs=1)
    assert tuple(capfd.readouterr()) == ("", "")


def test_no_test_picture_is_prepared_before_the_model_is_measured(quick, data, tmp_path, monkeypatch):
    """Whatever trains must go through ``prepare_all``: what it is asked for, and when, is written down."""
    from eyebright.backends import loop
    from eyebright.data import pixels
    from eyebright.verbs.making import work

    asked, phases = [], []

    def spy(source, keys, spec, **options):
        asked.append((phases[-1], set(keys)))
        return pixels.prepare_all(source, keys, spec, **options)

    monkeypatch.setattr(work, "prepare_all", spy)
    monkeypatch.setattr(loop, "prepare_all", spy)

    def listen(event):
        if isinstance(event, Phase) and "Preparing" not in event.name:
            phases.append(event.name)

    run = trained(data, tmp_path / "run", on_event=listen)
    test = set(json.loads(run.split.read_text())["parts"]["test"])
    before = [keys for phase, keys in asked if phase != "Measuring on the test pictures"]
    assert before
    assert all(not keys & test for keys in before)
    assert asked[-1] == ("Measuring on the test pictures", test)


# --- planning and refusing


def test_a_dry_run_says_the_plan_and_writes_nothing(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = eyebright.train(data, dry_run=True, epochs=2)
    assert result.run is None
    assert any("Train from scratch: speed at 16 pixels" in sentence for sentence in result.plan)
    assert list(tmp_path.iterdir()) == []


def test_the_default_run_lies_in_runs_under_the_name_of_the_data(quick, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = eyebright.train(data, **SETTINGS)
    assert str(result.run.path) == "runs/squares-1"


def test_a_folder_that_holds_something_is_never_written_into(data, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["train", str(data), "--out", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "lite"], "Did you mean lite0"),
        (["--unfreeze", "everything"], "head, all, or a number of blocks"),
        (["--resume"], "--resume needs --out"),
        (["--epochs", "0"], "--epochs is '0'"),
        (["--test", "0.9", "--validation", "0.5"], "leaves nothing for train"),
        (["--size", "4"], "speed needs at least 10 x 10"),
    ],
)
def test_wrong_flags_are_exit_two_with_the_remedy(quick, data, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(data), *words]) == 2
    assert said in capsys.readouterr().err


def test_data_that_does_not_exist_is_exit_three(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "nowhere/at/all"]) == 3
    assert "nowhere/at/all" in capsys.readouterr().err


def test_one_class_is_refused(quick, tmp_path):
    squares(tmp_path / "one", 5, classes=("blue",))
    with pytest.raises(DataError, match="at least two are needed"):
        trained(tmp_path / "one", tmp_path / "run")


def test_a_missing_extra_comes_with_the_command(monkeypatch, data):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eyebright\[train\]'"):
        eyebright.train(data)


# --- faults in the data


@pytest.fixture
def leaking(tmp_path):
    """Given train and test parts; two test pictures are exact copies of training pictures."""
    root = tmp_path / "leaking"
    squares(root / "train", 20)
    squares(root / "test", 8, first=100)
    for name in ("blue", "red"):
        (root / "test" / name / "100.png").write_bytes((root / "train" / name / "003.png").read_bytes())
    return root


def test_a_planted_leak_is_counted_and_said_first(quick, leaking, tmp_path):
    run = trained(leaking, tmp_path / "run")
    report = report_of(run)
    assert report["leaked"] == 2
    assert report["data"]["leaks"] == ["2 of 24 test pictures are exact copies of training pictures."]
    assert report["without_leaks"]["accuracy"]["n"] == 22
    page = run.report_html.read_text(encoding="utf-8")
    assert page.index("2 of 24 test pictures are exact copies") < page.index('class="headlines"')  # before any figure


def test_a_leak_can_be_refused(quick, leaking, tmp_path, capsys):
    assert main(["train", str(leaking), "--out", str(tmp_path / "run"), "--on-leak", "refuse"]) == 3
    assert "2 of 24 test pictures are exact copies" in capsys.readouterr().err
    assert not (tmp_path / "run" / "bundle").exists()
    assert not (tmp_path / "run" / "report.json").exists()


def test_one_bad_picture_in_many_is_left_out_and_named(quick, tmp_path):
    data = squares(tmp_path / "data", 50)
    whole = (data / "red" / "007.png").read_bytes()
    (data / "red" / "007.png").write_bytes(whole[: len(whole) // 2])
    heard = []
    run = trained(data, tmp_path / "run", epochs=1, on_event=heard.append)
    assert list(report_of(run)["data"]["unreadable"]) == ["red/007.png"]
    assert any(isinstance(event, Note) and "red/007.png" in event.text and event.level == "warning" for event in heard)


def test_three_bad_pictures_in_a_hundred_are_too_many_unless_allowed(quick, tmp_path):
    data = squares(tmp_path / "data", 33)
    for number in range(3):
        (data / "red" / f"{number:03}.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    with pytest.raises(DataError, match="3 of 99 pictures") as refused:
        trained(data, tmp_path / "refused")
    assert refused.value.exit_code == 3
    assert len(report_of(trained(data, tmp_path / "run", epochs=1, allow_bad=0.05))["data"]["unreadable"]) == 3


def test_a_set_with_train_and_val_folders_is_judged_and_the_report_says_how_its_parts_came_about(quick, tmp_path):
    squares(tmp_path / "data" / "train", 20)
    squares(tmp_path / "data" / "val", 8, first=100)
    heard = []
    run = trained(tmp_path / "data", tmp_path / "run", epochs=1, on_event=heard.append)
    parts = json.loads(run.split.read_text())["parts"]
    said = " ".join([report_of(run)["data"]["split"], *(event.text for event in heard if isinstance(event, Note))])
    assert "val" in said
    judged = [key for part in ("test", "validation") for key in parts[part] if key.startswith("val/")]
    assert len(judged) == 24
    assert parts["test"]


def test_grey_pictures_make_a_grey_model_that_also_takes_colour(quick, tmp_path):
    data = squares(tmp_path / "grey", 20, grey=True)
    run = trained(data, tmp_path / "run")
    assert read_bundle(run.bundle).manifest.preprocess.colour == "grey"
    Pillow.fromarray(square(0, 500)).save(tmp_path / "colour.png")
    (result,) = eyebright.predict(run.path, tmp_path / "colour.png").results
    assert result.error is None
    assert len(result.predictions) == 3


def test_small_classes_and_markup_in_names_are_inert(quick, tmp_path):
    names = ("<script>alert(1)<", 'ro"se', "blåbær & co")
    names = tuple(name.replace("/", "") for name in names)
    run = trained(squares(tmp_path / "data", 12, classes=names), tmp_path / "run", epochs=1)
    assert "<script>alert" not in run.report_html.read_text(encoding="utf-8")
    assert set(report_of(run)["classes"]) == set(names)


# --- options


@pytest.mark.parametrize(
    "options",
    [
        {"class_weights": "inverse"},
        {"class_weights": "effective", "layout": "contiguous"},
        {"flip": "on", "rotation": 10.0, "zoom": 0.1, "brightness": 0.1, "contrast": 0.1, "shift": 0.1},
        {"resize": "letterbox", "size": 20},
        {"optimiser": "sgd", "weight_decay": 1e-4},
        {"optimiser": "adamw", "label_smoothing": 0.1, "dropout": 0.0},
        {"calibration": 0.2},
        {"colour": "grey"},
    ],
    ids=lambda options: next(iter(options)) + "-" + str(next(iter(options.values()))),
)
def test_each_option_reaches_the_recipe_and_makes_a_whole_run(quick, data, tmp_path, options):
    run = trained(data, tmp_path / "run", **{**options, "epochs": 1})
    recipe = report_of(run)["provenance"]["recipe"]
    for name in ("optimiser", "weight_decay", "label_smoothing"):
        if name in options:
            assert recipe[name] == options[name]
    for name in ("rotation", "zoom", "brightness", "contrast", "shift"):
        if name in options:
            assert recipe["augment"][name] == options[name]
    assert eyebright.verify(run.path).exit_code == 0


def test_mirrored_copies_can_be_asked_for_or_forbidden(quick, data, tmp_path):
    runs = {flip: trained(data, tmp_path / flip, flip=flip, epochs=1) for flip in ("on", "off")}
    assert {flip: report_of(run)["provenance"]["recipe"]["augment"]["flip"] for flip, run in runs.items()} == {
        "on": True,
        "off": False,
    }


def test_class_weights_change_the_weights_of_an_uneven_set(quick, tmp_path):
    data = squares(tmp_path / "data", 12)
    squares(data, 30, classes=("blue",), first=50)
    plain, weighted = (
        trained(data, tmp_path / scheme, class_weights=scheme, epochs=1, flip="off") for scheme in ("none", "inverse")
    )
    assert weights_of(plain) != weights_of(weighted)


def test_a_calibration_part_gives_the_temperature(quick, data, tmp_path):
    run = trained(data, tmp_path / "run", calibration=0.2, epochs=1)
    decision = json.loads((run.bundle / "decision.json").read_text())
    assert decision["fitted_on"].startswith("the calibration part")
    assert decision["n"] == report_of(run)["data"]["parts"]["calibration"]["n"] == 18


def test_minutes_become_epochs_once_and_the_choice_is_kept(quick, data, tmp_path, monkeypatch):
    from eyebright.training.fit import Pace
    from eyebright.verbs.making import budgeting

    # 59 pictures of 1 s, 13 held out and free, and a refit on 72 of 1 s: 131 s an epoch; 9.9 minutes hold 4 of them
    monkeypatch.setattr(budgeting, "measure_pace", lambda *given, **named: Pace(training=1.0, evaluation=0.0))
    run = trained(data, tmp_path / "run", epochs=None, minutes=9.9)
    report = report_of(run)
    assert report["provenance"]["recipe"]["epochs"] == 4
    (choice,) = [choice for choice in report["training"]["choices"] if choice["name"] == "epochs"]
    assert "s are left" in choice["reason"]


def test_no_time_at_all_still_trains_one_epoch_and_says_so(quick, data, tmp_path):
    heard = []
    run = trained(data, tmp_path / "run", epochs=None, minutes=0.0001, on_event=heard.append)
    assert report_of(run)["provenance"]["recipe"]["epochs"] == 1
    assert any(isinstance(event, Note) and "One epoch does not fit" in event.text for event in heard)


def test_precision_is_timed_when_nobody_chose_it(quick, data, tmp_path, monkeypatch):
    from eyebright.training.fit import Pace
    from eyebright.verbs.making import budgeting

    def faster(network, sample, recipe):
        return recipe.model_copy(update={"precision": "bf16"}), Pace(1e-3, 1e-3), "planted"

    monkeypatch.setattr(budgeting, "choose_precision", faster)
    heard = []
    run = trained(data, tmp_path / "run", precision="auto", epochs=1, on_event=heard.append)
    assert report_of(run)["provenance"]["recipe"]["precision"] == "bf16"
    assert Choice("precision", "bf16", "planted") in heard


# --- disks


def test_a_place_that_cannot_be_written_is_exit_five(data, tmp_path, monkeypatch, capsys):
    from pathlib import Path

    real = Path.mkdir

    def refuse(self, *given, **named):
        if str(self).startswith(str(tmp_path)):
            raise OSError(errno.EROFS, "Read-only file system")
        real(self, *given, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["train", str(data), "--out", str(tmp_path / "run")]) == 5
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("victim", ["torch.safetensors", "bundle.json"])
def test_a_disk_that_is_full_leaves_no_half_bundle_and_the_run_can_go_on(quick, data, tmp_path, monkeypatch, victim):
    from eyebright.verbs.making import bundling, packing

    whole = trained(data, tmp_path / "whole")
    room, writer = (bundling, "write_bytes") if victim == "torch.safetensors" else (packing, "write_text")
    real = getattr(room, writer)

    def full(path, content):
        if path.name == victim:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(room, writer, full)
        with pytest.raises(ResourceError, match="No space left") as refused:
            trained(data, tmp_path / "run")
    assert refused.value.exit_code == 5
    assert not (tmp_path / "run" / "bundle").exists()
    assert list((tmp_path / "run").glob(".*")) == []
    resumed = eyebright.train(data, out=tmp_path / "run", resume=True).run
    assert outcome(resumed) == outcome(whole)


def test_a_network_that_cannot_be_written_as_onnx_is_said_aloud_and_still_bundled(quick, data, tmp_path):
    heard = []
    run = trained(data, tmp_path / "run", epochs=1, on_event=heard.append)
    assert set(read_bundle(run.bundle).manifest.forms) == {"torch"}
    assert any(isinstance(event, Note) and "torch form only" in event.text for event in heard)


def test_settings_files_of_runs_hold_no_choice_of_place(finished):
    assert {"out", "resume", "dry_run"}.isdisjoint(read_toml(finished.settings))


def test_figures_are_those_of_the_table_that_is_kept(finished):
    table = load_predictions(finished.predictions / "test.safetensors")
    right = float((table.logits.argmax(axis=1) == table.labels).mean())
    assert report_of(finished)["figures"]["accuracy"]["value"] == pytest.approx(right)
    assert np.isfinite(table.logits).all()


# --- transfer


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty pictures of 64 pixels in two classes."""
    return squares(tmp_path_factory.mktemp("photos") / "photos", 20, 64, classes=("blue", "green"))


TRANSFER = {"model": "lite0", "size": 64, "batch_size": 8, "learning_rate": 1e-4, "epochs": 1}


def choices_of(run):
    return {choice["name"]: choice for choice in report_of(run)["training"]["choices"]}


def attempts_of(run):
    return report_of(run)["training"]["attempts"]


@pytest.mark.slow
def test_fine_tuning_is_listed_beside_the_head_and_one_of_them_is_kept(quick, photos, tmp_path):
    run = trained(photos, tmp_path / "run", **TRANSFER)
    head, tuning = attempts_of(run)
    assert head["name"].startswith("linear head on frozen features")
    assert tuning["name"].startswith("fine-tuning, 1 of 1 epochs")
    assert head["kept"] is not tuning["kept"]
    assert report_of(run)["training"]["ended"].startswith(f"Fine-tuning was {'kept' if tuning['kept'] else 'not kept'}")
    assert any(choice["name"] == "folds of the head" for choice in report_of(run)["training"]["choices"])
    assert eyebright.verify(run.path).exit_code == 0


@pytest.mark.slow
def test_fine_tuned_in_folds_it_is_one_network_judged_on_every_picture(quick, photos, tmp_path):
    run = trained(photos, tmp_path / "run", **TRANSFER, fine_tune_in_folds="yes")
    head, tuning = attempts_of(run)
    count = choices_of(run)["folds of the head"]["value"]
    assert tuning["name"].startswith(f"fine-tuning, 1 epoch, unfrozen: all, the mean of {count} networks")
    assert tuning["metric"] == "calibrated out-of-fold log loss"
    assert head["kept"] is not tuning["kept"]
    assert report_of(run)["training"]["ended"].startswith(f"Fine-tuning was {'kept' if tuning['kept'] else 'not kept'}")
    unseen = load_predictions(run.predictions / "unseen.safetensors")
    split = json.loads((run.path / "split.json").read_text(encoding="utf-8"))["parts"]
    assert set(unseen.keys) == {*split["train"], *split["validation"]}
    assert eyebright.verify(run.path).exit_code == 0


def test_a_validation_part_that_is_to_be_watched_is_not_for_folds(photos, tmp_path):
    with pytest.raises(SettingsError, match="no validation part that --schedule plateau or --patience could watch"):
        trained(photos, tmp_path / "run", **TRANSFER, fine_tune_in_folds="yes", patience=2)
    with pytest.raises(SettingsError, match="--ensemble keeps them all"):
        trained(photos, tmp_path / "run", **TRANSFER, fine_tune_in_folds="yes", folds=3, ensemble="folds")


@pytest.mark.slow
def test_a_cross_validation_beside_fine_tuning_in_folds_is_of_these_very_networks(quick, photos, tmp_path, monkeypatch):
    trainings = []
    real = folded.fit
    monkeypatch.setattr(folded, "fit", lambda *given, **named: trainings.append(named["stage"]) or real(*given, **named))
    monkeypatch.setattr(members, "fit", lambda *given, **named: pytest.fail("a fold was trained again"))
    monkeypatch.setattr(folded.Verdict, "keeps_tuning", True)
    gentle = {**TRANSFER, "learning_rate": 1e-6}
    run = trained(photos, tmp_path / "run", **gentle, fine_tune_in_folds="yes", folds=3)
    assert attempts_of(run)[1]["kept"]
    assert trainings == [f"fine-tuning fold {number} of 3" for number in (1, 2, 3)]
    unseen, table = (load_predictions(run.predictions / f"{name}.safetensors") for name in ("unseen", "out-of-fold"))
    np.testing.assert_array_equal(unseen.logits, table.logits)
    assert report_of(run)["training"]["cross_validation"]["how"].startswith(
        "out-of-fold predictions of 3 stratified folds; how far"
    )
    assert not list(run.checkpoints.glob("fine-tuning-*"))


@pytest.mark.slow
def test_what_is_not_trained_runs_in_onnx_runtime_and_the_model_is_the_same(quick, photos, tmp_path, monkeypatch):
    """The same training, its frozen stages in torch: other roundings, the same answers."""
    flags, real, given_out = {**TRANSFER, "unfreeze": "4"}, work.quick_stages, []
    monkeypatch.setattr(work, "quick_stages", lambda *given: given_out.append(real(*given)) or given_out[-1])
    run = trained(photos, tmp_path / "run", **flags)
    assert [stages(torch.zeros(1, 3, 64, 64)) for stages in given_out] == [None]  # closed: the model is on its own
    assert choices_of(run)["frozen stages run in"]["value"] == "ONNX Runtime"
    assert eyebright.verify(run.path).exit_code == 0
    monkeypatch.setattr(work, "quick_stages", lambda *given: None)
    by_itself = trained(photos, tmp_path / "by-itself", **flags)
    assert "frozen stages run in" not in choices_of(by_itself)
    found, expected = (attempts_of(one)[1]["score"] for one in (run, by_itself))
    assert found == pytest.approx(expected, rel=0.02)  # whichever is kept
    assert found != attempts_of(run)[0]["score"]


@pytest.mark.slow
def test_the_second_run_embeds_nothing_and_is_the_same_model(quick, photos, tmp_path, monkeypatch):
    from eyebright.training import features

    first = trained(photos, tmp_path / "first", **TRANSFER, unfreeze="head", flip="off")
    monkeypatch.setattr(features, "outputs_of", lambda *given, **named: pytest.fail("a known picture was embedded again"))
    second = trained(photos, tmp_path / "second", **TRANSFER, unfreeze="head", flip="off")
    assert outcome(first) == outcome(second)
    assert "mirror images in the head" not in choices_of(second)  # they were forbidden
    assert [(one["kept"], one["reason"]) for one in attempts_of(second)] == [
        (True, "The head alone was asked for (--unfreeze head).")
    ]


@pytest.mark.slow
def test_without_time_for_an_epoch_the_head_is_the_model_and_the_report_says_so(quick, photos, tmp_path):
    run = trained(photos, tmp_path / "run", **{**TRANSFER, "epochs": None, "minutes": 0.001})
    (head,) = attempts_of(run)
    assert head["kept"]
    assert "not one epoch fits" in report_of(run)["training"]["ended"]
    assert report_of(run)["figures"]["accuracy"]["value"] > 0.7


@pytest.mark.slow
def test_features_are_of_five_depths_and_one_can_be_asked_for(quick, photos, tmp_path):
    run = trained(photos, tmp_path / "run", **TRANSFER, unfreeze="head")
    plain = trained(photos, tmp_path / "plain", **TRANSFER, unfreeze="head", depths=1)
    for one, depths, width in ((run, 5, 1984), (plain, 1, 1280)):
        bundle = read_bundle(one.bundle)
        assert bundle.manifest.architecture.arguments["depths"] == depths
        network = load_network(bundle.form_file("torch"), bundle.manifest.architecture, 2)
        assert network.head.in_features == width
        assert ("depths" in choices_of(one)) is (depths == 5)
        assert eyebright.verify(one.path).exit_code == 0


@pytest.mark.slow
def test_mirror_images_are_asked_about_where_there_is_time_and_left_alone_where_not(quick, photos, tmp_path):
    run = trained(photos, tmp_path / "run", **TRANSFER, unfreeze="head")
    assert "out-of-fold log loss" in choices_of(run)["mirror images in the head"]["reason"]
    hurried = trained(photos, tmp_path / "hurried", **{**TRANSFER, "epochs": None, "minutes": 0.001}, unfreeze="head")
    said = choices_of(hurried)["mirror images in the head"]
    assert said["value"] == "no"
    assert "of the 0 s that are left" in said["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"unfreeze": "head", "learning_curve": True}, {"fine_tune_in_folds": "yes"}])
def test_a_class_of_one_picture_is_learned_and_judges_nothing(quick, photos, tmp_path, more):
    data = shutil.copytree(photos, tmp_path / "data")
    squares(data, 1, 64, classes=("amber",), seed=5)
    run = trained(data, tmp_path / "run", **TRANSFER, **more)
    assert "1 class has one group only" in choices_of(run)["folds of the head"]["reason"]
    unseen = load_predictions(run.predictions / "unseen.safetensors")
    split = json.loads((run.path / "split.json").read_text(encoding="utf-8"))["parts"]
    assert "amber/000.png" in split["train"]
    assert set(unseen.keys) == {*split["train"], *split["validation"]} - {"amber/000.png"}
    assert read_bundle(run.bundle).manifest.classes == ("amber", "blue", "green")
    assert eyebright.verify(run.path).exit_code == 0


# --- real data


@pytest.mark.slow
def test_one_epoch_of_mnist_is_right_more_than_95_times_in_100(quick, tmp_path):
    home = real_data_home()
    if not any(home.rglob("train-images*idx3*")):
        pytest.skip("EYEBRIGHT_DATA holds no mnist")
    settings = {"model": "cnn", "precision": "auto", "batch_size": 64, "learning_rate": 1e-3}
    run = trained("mnist", tmp_path / "run", epochs=1, data_home=home, **settings)
    assert report_of(run)["figures"]["accuracy"]["value"] > 0.95
