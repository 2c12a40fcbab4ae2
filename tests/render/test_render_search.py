"""The page of a search: self-contained, inert whatever the names, the best beside the usual, every trial in its place."""

import re

import pytest
from parsed import Page

from eyebright.core.report import Figure, Search, Trial
from eyebright.render.search import best_first, compared, render_search, value_said

EVIL = '"><script>alert(1)</script>\u202e<img src=x onerror=1>'


def search(**changes):
    trials = [
        Trial(number=0, state="finished", values=values(0.001, "none"), score=0.5, accuracy=0.8, seconds=4, curve=[2.0, 0.6]),
        Trial(number=1, state="finished", values=values(0.004, "light"), score=0.3, accuracy=0.9, seconds=4, curve=[1.0, 0.4]),
        Trial(
            number=2,
            state="stopped early",
            values=values(0.0001, "none"),
            seconds=0.4,
            curve=[2.3, 2.2],
            reason="after epoch 2 it did worse than half of the others at that point",
        ),
        Trial(number=3, state="failed", values=values(0.1, EVIL), reason=f"The loss is nan. {EVIL}"),
        Trial(number=4, state="finished", values=values(0.002, "none"), score=0.45, accuracy=0.82, seconds=4, curve=[1.5]),
    ]
    known = {
        "title": f"leaves {EVIL}: 4 sets of settings tried",
        "created": "2026-05-04T10:20:30+00:00",
        "method": "bayesian",
        "metric": "log_loss",
        "n": 203,
        "planned": 4,
        "space": {"learning_rate": "0.0001 to 0.1, by its logarithm", "augment": "none, light", "batch_size": "16, 32"},
        "logarithmic": ["learning_rate"],
        "trials": trials,
        "best": 1,
        "importances": {"learning_rate": 0.7, "augment": 0.2, "batch_size": 0.1},
        "mattered": ["learning_rate"],
        "gain": Figure(value=0.1, low=0.02, high=0.18, n=203, method="bootstrap"),
        "advice": ["Trial 1 did best.", "It is the best of 5, which flatters it.", f"What mattered: {EVIL}."],
        "how": ["Bayesian.", f"One after the other: {EVIL}."],
        "machine": "A processor, 2 cores",
    }
    return Search(**{**known, **changes})


def values(rate, augment):
    return {"learning_rate": rate, "augment": augment, "batch_size": 16}


@pytest.fixture(scope="module")
def page():
    return render_search(search(), command=f"eyebright train {EVIL} --config best.toml")


def test_every_element_is_closed_and_none_is_a_stranger_s(page):
    read = Page(page)
    assert read.open == []
    assert not {"script", "img", "iframe", "link", "object", "form"} & {tag for tag, _ in read.tags}
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]


def test_nothing_is_asked_from_anywhere(page):
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|@import|src=", page.replace("&lt;img src=x", ""))
    assert not re.search(r'href="(?!#)', page)


def test_hostile_names_are_shown_and_cannot_turn_the_line_around(page):
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\\x202e" in Page(page).text


def test_the_lead_comes_first_and_the_command_is_there(page):
    text = Page(page).text
    assert text.index("Trial 1 did best.") < text.index("flatters") < text.index("The best settings beside the usual ones")
    assert "--config best.toml" in text


def test_the_best_stands_beside_the_usual():
    rows = {row.name: (row.usual, row.best, row.changed) for row in compared(search())}
    assert rows["learning_rate"] == ("0.001", "0.004", True)
    assert rows["batch_size"] == ("16", "16", False)
    assert rows["Log loss"] == ("0.500", "0.300", True)
    assert rows["Accuracy"] == ("80 %", "90 %", True)


def test_the_best_come_first_and_those_without_a_score_last():
    assert [trial.number for trial in best_first(search())] == [1, 4, 0, 2, 3]
    by_accuracy = search(metric="accuracy")
    assert [trial.number for trial in best_first(by_accuracy)] == [0, 4, 1, 2, 3]


def test_ends_are_told_by_a_mark_and_a_word(page):
    text = Page(page).text
    for said in ("● best", "□ usual", "× stopped early", "△ failed", "after epoch 2 it did worse than half", "may be chance"):
        assert said in text, said


def test_a_logarithmic_setting_has_a_logarithmic_axis_and_words_stand_in_their_order(page):
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    rates, dials = (next(svg for svg in drawings if f"{name}: best at" in svg) for name in ("learning_rate", "augment"))
    ticks = re.findall(r"<text[^>]*>([^<]*)</text>", rates)
    assert {"0.001", "0.01"} <= set(ticks)
    assert dials.index(">none</text>") < dials.index(">light</text>")
    assert ">stopped early</text>" in rates
    assert ">failed</text>" in rates


def test_a_usual_value_of_zero_has_a_place_on_a_logarithmic_axis():
    trials = [
        Trial(number=number, state="finished", values={"weight_decay": value}, score=0.5 + number / 10, accuracy=0.5)
        for number, value in enumerate([0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-3, 3e-4])
    ]
    page = render_search(
        search(trials=trials, space={"weight_decay": "?"}, logarithmic=["weight_decay"], best=1, importances={})
    )
    assert "1e-05" in page


def test_a_search_that_found_nothing_better_says_so():
    page = render_search(search(best=0, gain=None, importances={}, mattered=[], advice=["No trial did better."]))
    assert "The usual settings are the best ones" in page
    assert "importance" not in page


def test_a_search_of_the_usual_settings_alone_is_a_page():
    trials = search().trials[:1]
    page = render_search(search(trials=trials, best=0, gain=None, importances={}, mattered=[], advice=[]))
    assert Page(page).open == []


def test_settings_without_scores_worth_a_scale_are_still_drawn():
    same = [Trial(number=n, state="finished", values={"x": v}, score=0.5) for n, v in enumerate([None, True, False])]
    page = render_search(search(trials=same, best=0, space={"x": "on, off"}, importances={}, mattered=[]))
    assert ">on</text>" in page
    failed = [same[0], Trial(number=1, state="failed", values={"x": True})]
    assert "△ failed" in render_search(search(trials=failed, best=0, space={"x": "on, off"}, importances={}, mattered=[]))


def test_equal_searches_give_equal_pages():
    assert render_search(search()) == render_search(search())


def test_values_are_said_with_the_digits_that_a_person_compares():
    assert [value_said(value) for value in (0.00314159, 64, True, "head", None)] == ["0.00314", "64", "on", "head", "automatic"]
