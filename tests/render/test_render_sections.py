"""What the page shows beside the figures: shortcuts, near copies, folds, subgroups; and nothing where there is nothing."""

import re

import fake_findings
import fake_reports
import pytest

from eyebright.render import page
from eyebright.render.html import render_report


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: text_of(render_report(make())) for name, make in fake_reports.EVERY.items() if name != "hostile"}


def text_of(html: str) -> str:
    """What a reader sees, white space joined."""
    html = re.sub(r"<(style|svg).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", html).replace("\u00a0", " ").split())


def row(text: str, begin: str, end: str) -> str:
    return text[text.index(begin) : text.index(end, text.index(begin)) + len(end)]


def test_what_the_makers_said_is_on_page_one(texts):
    first = texts["trash"].split("Data Training Classes")[0]
    assert "Intended use To show at a recycling centre" in first
    assert "Limits Not for broken glass" in first
    assert "Intended use" not in texts["signs"]


def test_a_suspicious_cue_has_a_word_and_its_sentence(texts):
    assert "File size ○ suspicious 62 % (60 to 64) 17 %" in texts["leaking"]
    assert "The camera alone tells the 6 classes apart, trash best of all" in texts["leaking"]
    assert "File size tells little 24 % (22 to 26) 17 %" in texts["trash"]
    assert "not enough to be a shortcut" not in texts["trash"]
    assert "cue" not in texts["signs"]


def test_near_copies_are_shown_in_pairs_and_contradicting_labels_have_a_mark(texts):
    shown = row(texts["leaking"], "5 pictures are nearly the same", "glass/glass259.jpg")
    assert shown.count("✗ two labels") == 2
    assert "✗ two labels correlation 0.999 glass/glass31.jpg plastic/plastic231.jpg" in shown
    assert "no picture kept no picture kept correlation 0.957 glass/glass35.jpg glass/glass259.jpg" in shown
    assert "two labels" not in texts["trash"]


def test_near_copies_are_said_to_stay_together_only_where_nothing_leaks(texts):
    assert "They stay in one part, as copies do" in texts["trash"]
    assert "They stay in one part" not in texts["leaking"]


def test_near_copies_without_pairs_are_counted_all_the_same():
    report = fake_reports.trash()
    data = report.data.model_copy(update={"near_pairs": []})
    text = text_of(render_report(report.model_copy(update={"data": data})))
    assert "5 pictures are nearly the same as another" in text
    assert "correlation" not in text


def test_the_folds_have_a_row_each_and_two_for_all_of_them(texts):
    table = row(texts["trash"], "5 folds agree", "0.39 to 0.47")
    assert "Fold n Accuracy Macro F1 Log loss 1 374 83 % 81 % 0.45" in table
    # 0.829, 0.861, 0.822, 0.868, 0.847: mean 0.8454, standard deviation 0.0200
    assert "Mean ± spread 84.5 % ± 2.0 82.5 % ± 2.0 0.43 ± 0.03" in table
    assert "All together 1,870 84.5 % 82.9 to 86.2" in table


def test_uneven_classes_put_the_balanced_accuracy_of_the_folds_in_front():
    report = fake_reports.trash()
    data = report.data.model_copy(update={"imbalance": 20.0})
    assert "Fold n Balanced accuracy Macro F1 Log loss" in text_of(render_report(report.model_copy(update={"data": data})))


def test_the_advice_stands_beside_the_learning_curve(texts):
    assert "Would more pictures help? More pictures would help: from 935 to 1,870" in texts["trash"]
    assert "Would more pictures help?" not in texts["leaking"]


def test_a_learning_curve_of_one_point_is_not_drawn():
    report = fake_reports.trash()
    curve = report.training.learning_curve.model_copy(
        update={"points": report.training.learning_curve.points[:1], "advice": []}
    )
    training = report.training.model_copy(update={"learning_curve": curve})
    assert 'id="learning' not in render_report(report.model_copy(update={"training": training}))


def test_subgroups_have_a_word_where_they_differ(texts):
    assert "site Bristol, the old building 61 79 % (70 to 88) 75 % −14 (−25 to −3) ✗ worse" in texts["leaking"]
    assert "site Aberdeen 101 92 % (87 to 97) 88 % +11 (+4 to +18) ✓ better" in texts["leaking"]
    assert "site (empty) 41 90 % (81 to 99) 86 % +1 (−10 to +12) not told apart" in texts["leaking"]
    assert "of 20 subgroups that do not differ, about 1 gets such a word by chance" in texts["trash"]


def test_a_column_of_one_value_has_nothing_to_be_compared_with(texts):
    assert "hospital only one 1,558 89 % (84 to 93) nothing to compare" in texts["signs"]


def test_repeated_trainings_are_named_in_place_of_being_drawn(texts):
    told = "Not drawn, as they repeat the same training: 5 folds, 3 members of the ensemble and 2 smaller training sets."
    assert texts["leaking"].count(told) == 1
    assert "Not drawn" not in texts["trash"]


def test_precision_recall_says_what_guessing_gives(texts):
    # 11 of 203 are trash, 48 of 203 are paper
    assert "Guessing is a level line at the class’s share of the pictures, here between 5 % and 24 %." in texts["trash"]
    assert "Average precision" not in text_of(render_report(without_average_precision()))


def without_average_precision():
    report = fake_reports.trash()
    classes = {name: figures.model_copy(update={"average_precision": None}) for name, figures in report.classes.items()}
    return report.model_copy(update={"classes": classes})


def test_another_page_takes_the_shell_and_fills_its_blocks():
    template = page.templates().from_string(
        '{% extends "page.html.j2" %}{% from "macros.html.j2" import drawing, track %}'
        "{% block main %}<p>{{ told }}</p>{{ track(range) }}{{ drawing(plot) }}{% endblock %}"
    )
    plot = page.Plot("a", "A finding", page.Markup("<svg></svg>"), "How to read it.")
    html = template.render(title="<i>", told="<b>", range=page.range_of(fake_findings.figure(0.5, 0.1, 100)), plot=plot)
    assert "<title>&lt;i&gt;</title>" in html
    assert "<p>&lt;b&gt;</p>" in html
    assert "--low:40.0;--high:60.0;--value:50.0" in html
    assert "Content-Security-Policy" in html
    assert "--paper: #fbfaf7" in html
    assert html.rstrip().endswith("</html>")


def test_no_mistake_is_shown_as_made_with_certainty():
    report = fake_reports.trash()
    mistakes = [
        each.model_copy(update={"probability": sure}) for each, sure in zip(report.mistakes, (1.0, 0.9971), strict=False)
    ]
    text = text_of(render_report(report.model_copy(update={"mistakes": mistakes})))
    assert ", >99.9 %" in text or ", &gt;99.9 %" in text
    assert ", 99.7 %" in text


def test_the_words_of_a_trade_stand_beside_plain_ones(texts):
    assert "Recall, also called sensitivity: how many of the class’s pictures were found" in texts["trash"]
    assert not [name for name, text in texts.items() if "logits" in text]


def test_of_the_choices_it_is_not_claimed_that_all_can_be_set(texts):
    assert (
        "What was chosen without being asked Where eyebright train has a flag for one, it can be set by hand." in texts["trash"]
    )
