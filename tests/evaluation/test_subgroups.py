import numpy as np
import pytest
from sklearn import metrics

from eyebright.core.errors import SettingsError
from eyebright.core.predictions import Predictions
from eyebright.evaluation.subgroups import MOST_VALUES, subgroups

from .tables import random_table, table_from


def sites(table: Predictions, *values: str) -> dict[str, dict[str, str]]:
    return {"site": {key: values[row % len(values)] for row, key in enumerate(table.keys)}}


def test_each_value_has_its_own_accuracy_and_macro_f1_as_scikit_learn_gives_them():
    table = random_table(3, n=300)
    rows = subgroups(table, sites(table, "north", "south", "west"), ["site"])
    assert [row.value for row in rows] == ["north", "south", "west"]
    answers = table.logits.argmax(axis=1)
    for place, row in enumerate(rows):
        part = slice(place, None, 3)
        assert row.n == 100
        assert row.figures["accuracy"].value == pytest.approx(metrics.accuracy_score(table.labels[part], answers[part]))
        expected = metrics.f1_score(table.labels[part], answers[part], average="macro")
        assert row.figures["f1_macro"].value == pytest.approx(expected)


def test_a_site_where_the_model_fails_differs_from_the_rest_by_more_than_chance():
    # 40 pictures: at the north site all 20 are right, at the south site 10 of 20 are: 0.5 - 1.0 = -0.5.
    table = table_from([[0.9, 0.1]] * 40, [0, 0] * 10 + [0, 1] * 10)
    columns = {"site": {key: "north" if row < 20 else "south" for row, key in enumerate(table.keys)}}
    north, south = subgroups(table, columns, ["site"])
    assert south.difference is not None
    assert south.difference.value == pytest.approx(-0.5)
    assert south.difference.high < 0
    assert north.difference.value == pytest.approx(0.5)


def test_chance_alone_makes_no_difference_that_excludes_zero_more_often_than_it_should():
    excluded = 0
    for seed in range(40):
        table = random_table(seed, n=120)
        difference = subgroups(table, sites(table, "a", "b"), ["site"], seed=seed)[0].difference
        excluded += not difference.low <= 0 <= difference.high
    assert excluded <= 6  # 40 x 0.05 = 2 on average; more than 6 happens once in 300


def test_the_rest_is_compared_by_whole_groups():
    table = random_table(5, n=200, group_size=10)
    rows = subgroups(table, sites(table, "a", "b"), ["site"])
    assert rows[0].difference.method == "cluster-bootstrap"


def test_a_column_of_one_value_has_no_rest_to_compare_with():
    table = random_table(1, n=20)
    (row,) = subgroups(table, sites(table, "here"), ["site"])
    assert row.difference is None
    assert row.n == 20


def test_pictures_without_a_cell_are_a_subgroup_of_their_own():
    table = random_table(1, n=20)
    rows = subgroups(table, sites(table, "here", ""), ["site"])
    assert [row.value for row in rows] == ["(empty)", "here"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [({}, "no table with further columns"), ({"sites": {}}, "Did you mean sites"), ({"age": {}, "sex": {}}, "it has age, sex")],
)
def test_an_unknown_column_is_refused_with_the_nearest_names(columns, said):
    with pytest.raises(SettingsError, match=said):
        subgroups(random_table(1, n=20), columns, ["site"])


def test_a_column_of_names_is_no_column_of_kinds():
    table = random_table(1, n=MOST_VALUES + 1)
    columns = {"name": {key: key for key in table.keys}}
    with pytest.raises(SettingsError, match="21 values; at most 20"):
        subgroups(table, columns, ["name"])


def test_unlabelled_pictures_are_left_out():
    table = random_table(1, n=40)
    labels = table.labels.copy()
    labels[:10] = -1
    table = Predictions(table.keys, labels, table.logits, table.classes)
    assert sum(row.n for row in subgroups(table, sites(table, "a", "b"), ["site"])) == np.sum(labels >= 0)
