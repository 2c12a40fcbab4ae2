"""Drawings: text as text, the page's colours, one drawing's ids never another's."""

import re

import fake_reports
import pytest

from eyebright.core.report import CurvePoint
from eyebright.render import plots
from eyebright.render.illustrations import curve_plots
from eyebright.render.plots import scores


@pytest.fixture(scope="module")
def drawings() -> dict[str, str]:
    trash, signs = fake_reports.trash(), fake_reports.signs()
    return {
        "loss": plots.training_curves(trash.training.curves, "loss", name="a", label="Loss"),
        "counts": plots.class_counts(trash.data.classes, name="b", label="Counts"),
        "ranking": plots.class_counts(signs.data.classes, name="c", label="Ranking"),
        "reliability": plots.reliability(trash, name="d", label="Reliability"),
        "roc": plots.roc(trash, name="e", label="ROC"),
        "many": plots.roc(signs, name="f", label="ROC of many"),
        "map": plots.confusion_map(signs, name="g", label="Map"),
        "recall": plots.precision_recall(trash, name="h", label="Precision-recall"),
        "recalls": plots.precision_recall(signs, name="i", label="Precision-recall of many"),
        "learning": plots.learning_curve(trash.training.learning_curve, name="j", label="Learning curve"),
    }


def test_text_stays_text_in_the_fonts_of_the_page(drawings):
    assert ">cardboard</text>" in drawings["counts"]
    assert all("<text" in svg and "DejaVu" not in svg for svg in drawings.values())


def test_every_colour_is_the_page_s_own(drawings):
    for svg in drawings.values():
        assert set(re.findall(r"(?:fill|stroke): ?([^;\"]+)", svg)) <= {"none", *_variables()}


def _variables() -> set[str]:
    return {f"var(--{name})" for name in ("ink", "muted", "line", "accent", "paper", *(f"cat-{k}" for k in range(1, 7)))}


def test_drawings_carry_no_address_no_date_and_no_style_of_their_own(drawings):
    for svg in drawings.values():
        assert svg.startswith('<svg role="img" aria-label=')
        assert not re.search(r"http|<style|<metadata|<!DOCTYPE|xmlns", svg)


def test_bars_start_at_zero_and_carry_their_numbers(drawings):
    assert all(f">{count}</text>" in drawings["counts"] for count in fake_reports.TRASH.values())


def test_many_classes_show_the_hardest_and_count_the_rest(drawings):
    assert "the other 38" in drawings["many"]
    assert "sign 10" in drawings["many"]


def test_a_label_cannot_leave_its_attribute():
    svg = plots.class_counts({'"><script>': 3, "$x$ & y": 2}, name="x", label='"><script>alert(1)</script>')
    assert "<script" not in svg
    assert "$x$ &amp; y" in svg


def test_a_curve_s_metric_names_its_part_and_measure():
    points = [CurvePoint(stage="s", epoch=1, metrics={"loss": 1.0, "val_loss": 1.2, "val_f1_macro": 0.4, "lr": 0.1})]
    assert plots.curve_metrics(points) == ["loss", "f1_macro"]
    assert plots.curve_series(points, "loss") == {"training": ([1], [1.0]), "validation": ([1], [1.2])}


def test_one_look_at_the_validation_part_is_not_called_the_best_of_several():
    trash = fake_reports.trash()
    points = [
        CurvePoint(
            stage="s", epoch=epoch, metrics={"train_loss": 2.0 / epoch} | ({"validation_loss": 0.6} if epoch == 9 else {})
        )
        for epoch in range(1, 10)
    ]
    looked_once = trash.model_copy(update={"training": trash.training.model_copy(update={"curves": points})})
    assert [plot.title for plot in curve_plots(looked_once)] == ["Validation loss after epoch 9: 0.60"]
    assert " was best in epoch " in next(curve_plots(trash)).title


def test_the_area_of_guessing_is_a_half():
    assert scores.area([(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)]) == 0.5


def test_the_steps_hold_the_average_precision():
    # of four positives the ranks are 1, 2, 4 and 6: precision 1, 1, 3/4 and 4/6, each for a quarter of the recall
    curve = [(0.25, 1.0), (0.5, 1.0), (0.75, 0.75), (1.0, 4 / 6)]
    assert scores.area_of_steps(curve) == pytest.approx((1 + 1 + 3 / 4 + 4 / 6) / 4)
    metrics = pytest.importorskip("sklearn.metrics")
    ranked = [1, 1, 0, 1, 0, 1]
    assert scores.area_of_steps(curve) == pytest.approx(metrics.average_precision_score(ranked, [6, 5, 4, 3, 2, 1]))


def test_a_class_looks_the_same_in_both_plots_of_it():
    for report in (fake_reports.trash(), fake_reports.signs()):
        both = [list(areas)[:5] for areas in (plots.roc_areas(report), plots.average_precisions(report))]
        in_roc, in_recall = (scores.styles(report, names) for names in both)
        shared = set(in_roc) & set(in_recall)
        assert shared
        assert all(in_roc[name] == in_recall[name] for name in shared)
        assert len(set(in_recall.values())) == len(in_recall) == 5


def test_a_class_without_a_curve_is_left_out_of_the_plot():
    report = fake_reports.trash()
    assert "glass" not in plots.average_precisions(
        report.model_copy(update={"precision_recall": {"glass": [], "metal": [(1, 1)]}})
    )


def test_trainings_that_repeat_the_main_one_are_counted_and_not_drawn():
    curves = fake_reports.leaking().training.curves
    stages = list(dict.fromkeys(point.stage for point in plots.main_curves(curves)))
    assert stages == ["head", "whole network", "training on all", "distillation"]
    assert [(n, many) for n, _, many in plots.repetitions(curves)] == [
        (5, "folds"),
        (3, "members of the ensemble"),
        (2, "smaller training sets"),
    ]


def test_stages_without_a_measure_take_no_room_in_its_plot():
    curves = plots.main_curves(fake_reports.leaking().training.curves)
    svg = plots.training_curves(curves, "accuracy", name="k", label="Accuracy")
    # six epochs of the head and twelve of the whole network have an accuracy; sixteen more have a loss alone
    assert "whole network" in svg
    assert "distillation" not in svg
    assert plots.curve_series(curves, "accuracy")["validation"][0] == list(range(1, 19))


def test_every_point_of_the_learning_curve_has_its_number_of_pictures(drawings):
    assert all(f">{n}</text>" in drawings["learning"] for n in ("234", "467", "935", "1,870"))
