"""The table that every judgement reads: consistent, selectable, and the same after a trip to the disk."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.errors import DataError
from eyebright.core.predictions import Predictions, load_predictions, save_predictions


def table(n=4, *, features=True, groups=()):
    logits = np.arange(n * 3, dtype=np.float32).reshape(n, 3)
    return Predictions(
        keys=tuple(f"rose/{i}.jpg" for i in range(n)),
        labels=np.arange(n, dtype=np.int64) % 3,
        logits=logits,
        classes=("a", "b", "ü"),
        groups=groups,
        features=logits * 2 if features else None,
    )


def assert_same(one, other):
    for field in dataclasses.fields(Predictions):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_a_picture_without_a_group_is_its_own():
    assert table().groups == table().keys
    assert not table().grouped


def test_a_shared_group_is_noticed():
    assert table(groups=("p1", "p1", "p2", "p3")).grouped


@pytest.mark.parametrize(
    "change", [{"keys": ("a",)}, {"classes": ("a", "b")}, {"labels": np.zeros(3, np.int64)}, {"groups": ("p",)}]
)
def test_a_table_that_does_not_fit_together_is_refused(change):
    with pytest.raises(ValueError, match="expected"):
        dataclasses.replace(table(), **change)


@given(st.lists(st.integers(0, 9), max_size=20))
def test_selecting_rows_keeps_each_row_together(rows):
    chosen = table(10).select(np.array(rows, dtype=np.int64))
    assert chosen.keys == tuple(f"rose/{i}.jpg" for i in rows)
    assert chosen.logits[:, 0].tolist() == [i * 3 for i in rows]
    assert chosen.features[:, 0].tolist() == [i * 6 for i in rows]
    assert chosen.labels.tolist() == [i % 3 for i in rows]


def test_a_mask_selects_like_indices():
    assert_same(table().select(np.array([True, False, True, False])), table().select(np.array([0, 2])))


@pytest.mark.parametrize("features", [True, False])
def test_a_table_comes_back_from_the_disk_as_it_went(tmp_path, features):
    original = table(features=features, groups=("p1", "p1", "p2", "größe"))
    save_predictions(original, tmp_path / "test.safetensors")
    assert_same(load_predictions(tmp_path / "test.safetensors"), original)


def test_a_table_in_fortran_order_is_saved_rightly(tmp_path):
    original = dataclasses.replace(table(), logits=np.asfortranarray(table().logits))
    save_predictions(original, tmp_path / "t")
    assert_same(load_predictions(tmp_path / "t"), original)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="Run evaluate again"):
        load_predictions(tmp_path / "nowhere")


def test_a_damaged_file_is_a_data_error(tmp_path):
    save_predictions(table(), tmp_path / "t")
    content = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        load_predictions(tmp_path / "t")


def test_a_file_of_other_tensors_is_a_data_error(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "t", metadata={"note": json.dumps("x")})
    with pytest.raises(DataError, match="not a table of predictions"):
        load_predictions(tmp_path / "t")
