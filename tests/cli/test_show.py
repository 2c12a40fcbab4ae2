"""Results as text: what matters is there, and no name is taken for markup or an escape."""

import doctest
import json
from types import SimpleNamespace as Value

import pytest

from eyebright.cli import terminal
from eyebright.cli.show import figures, predict, train
from eyebright.cli.show.catalogues import show_datasets, show_download, show_models
from eyebright.cli.show.checks import show_doctor, show_verify
from eyebright.cli.show.document import as_json
from eyebright.cli.show.evaluate import show_evaluation
from eyebright.cli.show.inspect import show_inspect
from eyebright.cli.show.predict import show_predictions
from eyebright.cli.show.train import show_report, show_train
from eyebright.core.report import ClassFigures, DataSummary, Evaluation, Figure, Report
from eyebright.core.run import Run
from eyebright.verbs.making.reporting import TRY_IT

EVIL = "[bold red]a[/] \x1b[31m\u202e\r:smile:"
EVIL_SHOWN = "[bold red]a[/] \\x1b[31m\\u202e\\r:smile:"


def unwrapped(text):
    """The text with the line breaks of a table's cells taken out."""
    return " ".join(text.split())


def evaluation_values():
    return {
        "part": "test",
        "n": 203,
        "figures": {
            "accuracy": Figure(value=0.91234, low=0.86, high=0.95, n=203, method="wilson"),
            "roc_auc": Figure(value=None, n=203, method="none"),
        },
        "classes": {
            "elm": ClassFigures(precision=0.9, recall=0.95, f1=0.92, n=100, recall_low=0.9, recall_high=0.98),
            EVIL: ClassFigures(precision=0.8, recall=0.55, f1=0.62, n=103, most_confused_with="elm"),
        },
        "confusion": [[95, 5], [40, 63]],
        "baselines": {"majority": {"accuracy": Figure(value=0.507, low=0.44, high=0.58, n=203, method="wilson")}},
        "warnings": ["the classes are few"],
    }


@pytest.fixture
def said(capsys):
    return lambda: capsys.readouterr().out


@pytest.mark.parametrize("module", [figures, predict, train, terminal])
def test_the_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def test_an_evaluation_shows_intervals_the_baseline_and_the_weakest_class_first(said):
    show_evaluation(Evaluation(**evaluation_values()))
    text = said()
    assert "203 pictures of the part test" in text
    assert "0.91" in text
    assert "0.912" not in text  # 203 pictures do not support a third decimal
    assert "0.86 to 0.95" in text
    assert "0.51" in text
    assert text.index("[bold red]") < text.index("elm")
    assert "the classes are few" in text


def test_leaked_pictures_are_told_apart(said):
    figures = {"accuracy": Figure(value=0.5, low=0.4, high=0.6, n=200, method="wilson")}
    show_evaluation(Evaluation(**evaluation_values(), leaked=3, without_leaks=figures))
    assert "3 of these pictures were also in training" in said()


def inspection(**changes):
    values = {
        "name": "leaves",
        "n": 1204,
        "classes": {"oak": 1200, EVIL: 4},
        "parts": {"train": {"oak": 900, EVIL: 3}, "test": {"oak": 300}},
        "groups": 0,
        "sizes": {"smallest": [32, 40], "median": [64, 64], "largest": [900, 1200]},
        "modes": {"RGB": 1200, "L": 4},
        "formats": {"JPEG": 1204},
        "imbalance": 300.0,
        "unreadable": [{"key": EVIL, "reason": "not a picture"}],
        "duplicates": [["a.jpg", "b.jpg"]],
        "near_duplicates": [],
        "near_conflicts": [],
        "shortcuts": [],
        "sheet": None,
        "conflicts": [["oak/a.jpg", "elm/a.jpg"]],
        "leaks": ["train and test share 2 pictures"],
        "stray": 2,
        "warnings": ["one class has 4 pictures"],
        "notes": [],
    }
    return Value(**{**values, **changes})


def test_an_inspection_shows_counts_and_findings(said):
    show_inspect(inspection())
    text = said()
    for words in (
        "1,204 pictures in 2 classes",
        "900",
        "largest 900 x 1200",
        "RGB 1,200",
        "a.jpg = b.jpg",
        "share 2 pictures",
        "not a picture",
    ):
        assert words in text
    assert "Notes" not in text


def test_a_long_list_of_findings_is_cut_and_says_so(said):
    show_inspect(inspection(leaks=[f"leak {i}" for i in range(100)]))
    text = said()
    assert "and 88 more; --json lists them all" in text
    assert "leak 12" not in text


def test_a_finding_is_one_line_for_a_pipe(said):
    show_inspect(inspection(warnings=["word " * 100]))
    assert "  " + "word " * 99 in said()


def test_an_empty_inspection_can_be_shown(said):
    show_inspect(
        inspection(
            n=0,
            classes={},
            parts={},
            sizes={},
            modes={},
            formats={},
            unreadable=[],
            duplicates=[],
            conflicts=[],
            leaks=[],
            warnings=[],
            imbalance=None,
        )
    )
    assert "0 pictures in 0 classes" in said()


def answer(key="a.jpg", *, predictions=(("oak", 0.9), ("elm", 0.1)), verdict=None, warnings=(), error=None):
    pairs = [Value(label=label, probability=probability) for label, probability in predictions]
    return Value(key=key, predictions=pairs, verdict=verdict, warnings=list(warnings), error=error)


def test_predictions_show_the_answer_the_runner_up_and_what_failed(said):
    show_predictions(
        Value(
            results=[
                answer(),
                answer("b.jpg", predictions=(), error="truncated"),
                answer("c.jpg", verdict="unsure", warnings=["tiny"]),
            ]
        )
    )
    text = unwrapped(said())
    assert "a.jpg oak 0.900 elm 0.10" in text
    assert "no answer: truncated" in text
    assert "unsure; tiny" in text
    assert "1 of 3 pictures could not be answered." in text


def test_no_answer_is_shown_as_certain_nor_another_as_impossible(said):
    show_predictions(
        Value(results=[answer(predictions=(("oak", 0.9997), ("elm", 0.0003))), answer(predictions=(("oak", 1.0),))])
    )
    text = unwrapped(said())
    assert "oak >0.999 elm <0.01" in text
    assert text.count("oak >0.999") == 2
    show_predictions(Value(results=[answer(predictions=(("oak", 0.9971),))]))
    assert "oak 0.997" in unwrapped(said())


def test_an_accuracy_of_one_is_shown_only_where_every_answer_was_right(said):
    figures = {"accuracy": Figure(value=0.9971, low=0.98, high=0.9999, n=345, method="wilson")}
    show_evaluation(Evaluation(**(evaluation_values() | {"figures": figures, "baselines": {}})))
    assert "0.997 0.98 to 1.00 345" in unwrapped(said())
    figures = {"accuracy": Figure(value=1.0, low=0.99, high=1.0, n=345, method="wilson")}
    show_evaluation(Evaluation(**(evaluation_values() | {"figures": figures, "baselines": {}})))
    assert "1.00 0.99 to 1.00 345" in unwrapped(said())


def test_figures_are_called_as_the_report_calls_them(said):
    names = ("accuracy", "f1_macro", "top_5_accuracy", "roc_auc_ovr", "log_loss", "brier", "ece", "ece_before")
    figures = {name: Figure(value=0.5, low=0.4, high=0.6, n=203, method="bootstrap") for name in names}
    show_evaluation(Evaluation(**(evaluation_values() | {"figures": figures})))
    text = said()
    assert "_" not in text
    for name in ("Accuracy", "Macro F1", "Top-5 accuracy", "Macro ROC-AUC", "Log loss", "Brier score", "uncorrected"):
        assert f"{name} " in text


def test_as_many_next_answers_are_shown_as_were_asked_for(said):
    classes = (("oak", 0.5), ("elm", 0.3), ("ash", 0.15), ("fir", 0.05))
    show_predictions(Value(results=[answer(predictions=classes[:1]), answer(predictions=classes)]))
    first, second = said().splitlines()[1:]
    assert first.split() == ["a.jpg", "oak", "0.500"]
    assert second.rstrip().endswith("elm 0.30, ash 0.15, fir 0.05")


def test_a_long_path_is_shown_by_its_end_on_one_line(said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    long = "/data/of/a/project/with/a/long/name/pictures/0001.jpg"  # 53 characters; 40 of 100 columns are there for it
    classes = tuple((f"a class with a long name {number}", 0.2) for number in range(5))
    show_predictions(Value(results=[answer(long, predictions=classes)]))
    line = said().splitlines()[1]
    assert line.startswith(".../with/a/long/name/pictures/0001.jpg ")
    show_predictions(Value(results=[answer("x" * 40, predictions=classes)]))
    assert f"{'x' * 40} " in said()


def test_a_long_file_name_is_cut_in_front(said):
    show_predictions(Value(results=[answer("folder/" + "x" * 200 + ".jpg")]))
    assert f"...{'x' * 41}.jpg " in said()  # 48 of a pipe's 120 columns


def test_conflicts_are_not_said_again_as_duplicates(said):
    show_inspect(inspection(duplicates=[["a.jpg", "b.jpg"], ["oak/a.jpg", "elm/a.jpg"]]))
    text = said()
    assert text.count("oak/a.jpg") == text.count("a.jpg = b.jpg") == 1


def test_skipped_checks_are_not_counted_as_passed(said):
    checks = [Value(name="onnx", state="ok", detail="1e-6"), Value(name="torch", state="skipped", detail="no torch")]
    show_verify(Value(checks=checks))
    text = said()
    assert "torch  skipped  no torch" in text
    assert text.endswith("All 1 checks passed, 1 skipped.\n")


def report():
    data = DataSummary(name="leaves", n=812, classes={}, parts={}, split="drawn", fingerprint="f")
    return Report(
        **evaluation_values(),
        title="Leaves",
        created="2026-01-01",
        summary=["Nine in ten are right."],
        cautions=["Small set."],
        next_steps=[f"Try it: {TRY_IT}."],
        data=data,
    )


def test_training_shows_the_summary_and_where_things_lie(said, tmp_path):
    show_train(Value(run=Run(tmp_path), report=report(), plan=[]))
    text = said()
    assert "Nine in ten are right." in text
    assert "Small set." in text
    assert f"Try it: eyebright predict {tmp_path} IMAGE." in text
    assert f"Report: {tmp_path}/report.html\n" in text
    assert f"Model: {tmp_path}/bundle\n" in text


def test_a_dry_run_shows_the_plan(said):
    show_train(Value(run=None, report=None, plan=["Read 812 pictures.", "Train a head."]))
    assert said() == "What would be done\n  Read 812 pictures.\n  Train a head.\n"


def test_a_failed_check_is_said_in_words(said):
    show_verify(
        Value(checks=[Value(name="onnx", state="ok", detail="1e-6"), Value(name="probe", state="failed", detail="differs")])
    )
    text = said()
    assert "FAILED" in text
    assert "1 of 2 checks failed." in text


def test_a_report_path_is_one_unbroken_line(said, tmp_path):
    path = tmp_path / ("deep" * 50) / "report.html"
    show_report(Value(path=path))
    assert said() == f"Report: {path}\n"


def test_models_and_data_sets_say_what_is_missing(said):
    show_models(
        [
            Value(name="cnn", kind="classic", about="small", extra="train", available=True),
            Value(name="vit", kind="timm", about="big", extra="train", available=False),
            Value(name="hog", kind="handcrafted", about="old", extra="train,classic", available=False),
        ]
    )
    show_datasets([Value(name="mnist", about="digits", where=None)])
    text = said()
    assert "pip install 'eyebright[train]'" in text
    assert "pip install 'eyebright[train,classic]'" in text
    assert "not on this computer" in text


@pytest.mark.parametrize(
    ("printer", "result"),
    [
        (show_evaluation, Evaluation(**evaluation_values())),
        (show_inspect, inspection()),
        (show_predictions, Value(results=[answer(EVIL, predictions=((EVIL, 0.5),), verdict=EVIL, warnings=[EVIL])])),
        (show_verify, Value(checks=[Value(name=EVIL, state="failed", detail=EVIL)])),
        (show_train, Value(run=None, report=None, plan=[EVIL])),
        (show_report, Value(path=EVIL)),
        (show_models, [Value(name=EVIL, kind=EVIL, about=EVIL, extra="train", available=True)]),
        (show_datasets, [Value(name=EVIL, about=EVIL, where=EVIL)]),
        (
            show_download,
            Value(
                name=EVIL,
                was_there=False,
                files=[Value(file=EVIL, from_url=EVIL, proof=EVIL)],
                page=EVIL,
                licence=EVIL,
                folder=EVIL,
            ),
        ),
        (show_doctor, Value(checks=[Value(group=EVIL, name=EVIL, state="ok", detail=EVIL, remedy=EVIL)])),
    ],
)
def test_no_name_steers_the_terminal_or_is_read_as_markup(said, monkeypatch, printer, result):
    monkeypatch.setenv("COLUMNS", "400")
    printer(result)
    text = said()
    assert EVIL_SHOWN in text
    assert not {"\x1b", "\u202e", "\r"} & set(text)


def test_json_has_a_schema_and_no_nan():
    document = json.loads(as_json({"loss": float("nan"), "nested": [float("inf"), 1.5]}, "train"))
    assert document == {"schema": 1, "loss": None, "nested": [None, 1.5]}


def test_a_list_is_put_under_the_verbs_name():
    assert json.loads(as_json([{"name": "cnn"}], "models")) == {"schema": 1, "models": [{"name": "cnn"}]}


def test_json_of_an_evaluation_uses_the_promised_key():
    document = json.loads(as_json(Evaluation(**evaluation_values()), "evaluate"))
    assert document["schema"] == 1
    assert "schema_version" not in document


def test_json_of_a_run_holds_its_path(tmp_path):
    assert json.loads(as_json({"run": Run(tmp_path)}, "train"))["run"] == {"path": str(tmp_path)}


def test_a_file_name_that_is_no_utf8_survives_json():
    assert json.loads(as_json({"key": "gr\udcfcn.jpg"}, "predict"))["key"] == "gr\udcfcn.jpg"
