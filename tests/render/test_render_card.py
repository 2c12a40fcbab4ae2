"""The model card: a head that parses, and text that stays text."""

import fake_reports
import pytest
import yaml

from eyebright.render.card import render_card


def head_and_text(card: str) -> tuple[dict, str]:
    before, head, text = card.split("---\n", 2)
    assert before == ""
    return yaml.safe_load(head), text


@pytest.mark.parametrize("name", fake_reports.EVERY)
def test_the_head_parses_whatever_the_names(name):
    head, text = head_and_text(render_card(fake_reports.EVERY[name](), name=fake_reports.HOSTILE_NAMES[1]))
    assert head["library_name"] == "eyebright"
    assert head["pipeline_tag"] == "image-classification"
    assert "<script" not in text
    assert "<img" not in text


def test_the_head_holds_the_figures():
    head, _ = head_and_text(render_card(fake_reports.trash(), name="rubbish", licence_of_weights="Apache-2.0"))
    assert head["license"] == "apache-2.0"
    assert head["metrics"] == ["accuracy", "f1"]
    [model] = head["model-index"]
    [result] = model["results"]
    # 180 of 203
    assert [(each["name"], each["value"]) for each in result["metrics"]] == [("accuracy", 0.8867), ("f1_macro", 0.851)]


def test_a_licence_that_is_not_known_is_not_guessed():
    head, text = head_and_text(render_card(fake_reports.trash(), name="rubbish"))
    assert head["license"] == "unknown"
    assert "was not stated" in text


def test_the_text_says_what_how_well_and_when_not():
    card = render_card(fake_reports.leaking(), name="rubbish")
    assert "It tells 6 classes apart: cardboard, glass, metal, paper, plastic and trash." in card
    assert "| Accuracy | 89 % (84 to 92) | 203 |" in card
    assert "**Leak:** 12 test pictures" in card
    assert "## When not to trust it" in card
    assert "pip install .  # in a clone of eyebright\neyebright predict BUNDLE IMAGE\n" in card


def test_markup_in_names_is_escaped():
    text = render_card(fake_reports.hostile(), name="a|b`c`")
    assert "# a\\|b\\`c\\`" in text
    assert "\\[link\\](http\\://example.com) \\| cell \\`code\\` www\\.example.com" in text


def test_the_makers_own_words_stand_under_their_headings_and_the_fixed_advice_stays():
    card = render_card(fake_reports.trash(), name="rubbish")
    assert "## Intended use\n\nTo show at a recycling centre" in card
    assert "## Limits\n\nNot for broken glass" in card
    assert "## When not to trust it" in card
    silent = render_card(fake_reports.signs(), name="signs")
    assert "## Intended use\n\nIts makers did not state one." in silent
    assert "## Limits" not in silent


def test_shortcuts_that_are_suspicious_are_among_the_cautions():
    assert "- The file size alone tells the 6 classes apart" in render_card(fake_reports.leaking(), name="rubbish")
    assert "file size" not in render_card(fake_reports.trash(), name="rubbish")


def test_folds_and_subgroups_are_told_in_short():
    card = render_card(fake_reports.leaking(), name="rubbish")
    assert "5 folds differ more than chance explains\\: accuracy 83 % ± 8" in card
    assert (
        "- site Bristol, the old building: accuracy 79 % (70 to 88), n = 61; worse than the others, by −14 (−25 to −3)" in card
    )
    assert "5 subgroups were compared" in card
    assert "- site (empty)" not in card


def test_an_empty_report_leaves_no_empty_headings():
    card = render_card(fake_reports.minimal(), name="empty")
    assert "## How well" not in card
    assert "model-index" not in card
