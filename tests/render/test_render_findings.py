"""Sentences about a report: true of it, and no surer than it is."""

import fake_findings
import fake_reports
import pytest

from eyebright.core.report import Figure, LearningCurve, ReliabilityBin
from eyebright.render import findings


def test_the_weightiest_confusion_counts_pictures_and_share():
    # glass for metal: 4 of 40, 16 / 40 = 0.4; trash for paper: 2 of 11, 4 / 11 = 0.36
    assert findings.confusion_finding(fake_reports.trash()) == "Glass is taken for metal: 4 of 40 times"


def test_the_class_that_is_missed_most_comes_first():
    report = fake_reports.trash()
    assert findings.by_recall(report)[0][0] == "trash"
    assert findings.class_finding(report) == "Trash is missed most: 55 % of its 11 pictures found"


def test_the_verdict_follows_the_interval():
    report = fake_reports.trash()
    assert findings.verdict(report, "accuracy") == ("good", "better than always answering the most common class (24 %)")
    weak = {"accuracy": Figure(value=0.26, low=0.2, high=0.32, n=203, method="wilson")}
    assert findings.verdict(report.model_copy(update={"figures": weak}), "accuracy").mark == "caution"
    bad = {"accuracy": Figure(value=0.1, low=0.07, high=0.15, n=203, method="wilson")}
    assert findings.verdict(report.model_copy(update={"figures": bad}), "accuracy").mark == "bad"


def test_a_smaller_error_is_the_better_one():
    report = fake_reports.trash()
    baselines = {"majority": {"nll": Figure(value=1.7, n=203, method="none")}}
    assert findings.verdict(report.model_copy(update={"baselines": baselines}), "nll").mark == "good"


def test_the_calibration_error_is_the_weighted_gap():
    # 30 pictures 0.1 off and 10 pictures 0.3 off: (30 * 0.1 + 10 * 0.3) / 40 = 0.15
    bins = [ReliabilityBin(confidence=0.9, accuracy=0.8, n=30), ReliabilityBin(confidence=0.5, accuracy=0.8, n=10)]
    assert findings.expected_calibration_error(bins) == pytest.approx(0.15)
    assert findings.expected_calibration_error([]) is None


def test_a_model_that_is_surer_than_right_is_called_so():
    report = fake_reports.signs()
    assert findings.calibration_finding(report) == "It is surer than it is right"
    assert findings.calibration_finding(fake_reports.trash()) == "On the whole it is right as often as it says"


def test_a_model_that_is_right_on_the_whole_but_surely_off_at_each_confidence_gets_no_tick():
    report = fake_reports.trash()
    surely_off = Figure(value=0.09, low=0.06, high=0.13, n=report.n, method="bootstrap")
    found = findings.calibration(report.model_copy(update={"figures": {"ece": surely_off}}))
    assert found == ("caution", "it is right as often as it says on the whole, not at each confidence")
    perhaps_off = surely_off.model_copy(update={"low": 0.04})  # the noise of the bins alone may give nine points
    assert findings.calibration(report.model_copy(update={"figures": {"ece": perhaps_off}})) == (
        "good",
        "on the whole it is right as often as it says",
    )
    assert findings.calibration(report.model_copy(update={"reliability": {}})) is None


def test_the_cue_that_tells_most_is_named_with_what_guessing_gives():
    assert findings.shortcut_finding(fake_findings.shortcuts()) == "No cue beside the subject tells the classes apart"
    one = findings.shortcut_finding(fake_findings.shortcuts("file size"))
    assert one == "Classes can be told apart by file size alone: 62 % right where guessing gives 17 %"
    two = findings.shortcut_finding(fake_findings.shortcuts("file size", "camera"))
    assert two == f"{one}; 1 more cue can do so too"


def test_suspicious_cues_come_first_whatever_the_order_given():
    found = findings.suspicious_first(fake_findings.shortcuts("border"))
    assert [shortcut.cue for shortcut in found[:3]] == ["border", "file size", "camera"]


def test_near_copies_with_two_labels_are_counted_apart():
    data = fake_reports.trash().data
    assert findings.near_finding(data) == "5 pictures are nearly the same as another"
    torn = data.model_copy(update={"near_duplicates": 1, "near_pairs": fake_findings.near_pairs([], torn=1)[:1]})
    assert findings.near_finding(torn) == "1 picture is nearly the same as another, and 1 pair has two labels"


def test_folds_agree_where_their_spread_is_what_chance_makes_of_it():
    # One fold of 374 at 0.85 has the standard error sqrt(0.85 * 0.15 / 374) = 1.8 points; five within 2.0 agree.
    assert findings.folds_finding(fake_findings.cross_validation()) == "5 folds agree: accuracy 84.5 % ± 2.0"


def test_folds_differ_where_their_spread_is_four_times_that_of_chance():
    apart = fake_findings.cross_validation((0.71, 0.87, 0.92, 0.86, 0.79))
    assert findings.folds_finding(apart) == "5 folds differ more than chance explains: accuracy 83 % ± 8"


@pytest.mark.parametrize(("freedom", "limit"), [(2, 5.991), (4, 9.488), (9, 16.919)])
def test_the_limit_of_chance_is_that_of_the_tables(freedom, limit):
    assert findings._chance_limit(freedom) == pytest.approx(limit, rel=0.01)


def test_folds_without_an_interval_are_told_without_a_verdict():
    found = fake_findings.cross_validation()
    bare = found.model_copy(update={"figures": {"accuracy": Figure(value=0.85, n=1870, method="none")}})
    assert findings.folds_finding(bare) == "5 folds: accuracy 84.5 % ± 2.0"


def test_the_last_step_to_more_pictures_is_told_as_exactly_as_the_least_exact_point():
    curve = fake_findings.learning_curve()
    # the first point's interval is 4.2 points wide, which supports no decimal
    assert findings.learning_finding(curve) == "From 935 to 1,870 training pictures accuracy rose from 82 % to 85 %"


def test_a_step_too_small_to_be_seen_is_no_rise():
    points = fake_findings.learning_curve().points
    level = [points[2], points[3].model_copy(update={"figures": {"accuracy": fake_findings.figure(0.817, 0.021, 1870)}})]
    flat = LearningCurve(points=level, how="", advice=[])
    assert findings.learning_finding(flat) == "From 935 to 1,870 training pictures accuracy stayed at 82 %"


def test_a_subgroup_is_worse_only_where_its_interval_leaves_zero_out():
    rows = {row.value: row for row in fake_findings.subgroups(worse=True)}
    # +11 ± 7, -14 ± 11, +1 ± 11
    verdicts = {value: findings.subgroup_verdict(row) for value, row in rows.items()}
    assert verdicts["Aberdeen"] == ("good", "better")
    assert verdicts["Bristol, the old building"] == ("bad", "worse")
    assert verdicts["(empty)"] is None
    assert findings.subgroup_verdict(fake_findings.whole(203)) is None


def test_the_subgroup_that_is_worst_is_named_and_none_where_none_is_shown_to_be():
    assert findings.subgroup_finding(fake_findings.subgroups(worse=True)) == (
        "Site “Bristol, the old building” is answered worse than the other pictures: −14 (−25 to −3) points"
    )
    none = "No subgroup is shown to be answered worse than the other pictures"
    assert findings.subgroup_finding(fake_findings.subgroups(worse=False)) == none
    assert findings.subgroup_finding([fake_findings.whole(203)]) == none
