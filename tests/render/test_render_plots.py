"""Drawings: text as text, the page's colours, one drawing's ids never another's."""

import re

import fake_reports
import pytest

from eyebright.core.report import CurvePoint
from eyebright.render import plots


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


def test_the_area_of_guessing_is_a_half():
    assert plots.area([(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)]) == 0.5
