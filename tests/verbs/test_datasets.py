"""``datasets``: what is known by name, and what of it is really here."""

import pytest
from pictures import class_folders, real_data_home

import eyebright
from eyebright.core.registry import Registry


def test_the_known_names_are_listed_and_only_those_with_files_have_a_place(tmp_path):
    found = {entry.name: entry for entry in eyebright.list_datasets(tmp_path)}
    assert {"cifar10", "digits", "fashion-mnist", "mnist"} <= set(found)
    assert found["mnist"].where is None
    assert found["digits"].where == "in scikit-learn"


def test_folders_zips_and_tables_in_the_data_home_can_be_named_too(tmp_path):
    class_folders(tmp_path / "leaves", {"oak": 1, "ash": 1})
    (tmp_path / "birds.zip").write_bytes(b"")
    (tmp_path / "fish.csv").write_text("path,label\n")
    (tmp_path / "moths.tar.gz").write_bytes(b"")
    (tmp_path / "cells.npz").write_bytes(b"")
    (tmp_path / "notes.md").write_text("not a data set")
    own = [(entry.name, entry.where) for entry in eyebright.list_datasets(tmp_path) if entry.about == "in the data home"]
    assert own == [
        ("birds", str(tmp_path / "birds.zip")),
        ("cells", str(tmp_path / "cells.npz")),
        ("fish", str(tmp_path / "fish.csv")),
        ("leaves", str(tmp_path / "leaves")),
        ("moths", str(tmp_path / "moths.tar.gz")),
    ]


def test_the_folders_of_known_sets_are_not_listed_as_ones_own(tmp_path):
    for folder in ("cifar-10-batches-bin", "MNIST/raw", "mnist", ".git"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "medmnist").mkdir()
    (tmp_path / "pathmnist.npz").write_bytes(b"")
    assert [entry.name for entry in eyebright.list_datasets(tmp_path) if entry.about == "in the data home"] == []


def test_listing_opens_no_set(tmp_path, monkeypatch):
    monkeypatch.setattr(Registry, "load", pytest.fail)
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(b"not looked into")
    found = {entry.name: entry.where for entry in eyebright.list_datasets(tmp_path)}
    assert found["mnist"] == str(tmp_path / "mnist")


def test_a_data_home_that_does_not_exist_still_lists_the_names(tmp_path):
    assert any(entry.name == "mnist" for entry in eyebright.list_datasets(tmp_path / "nowhere"))


def test_real_sets_are_found_where_they_lie():
    home = real_data_home()
    found = {entry.name: entry.where for entry in eyebright.list_datasets(home)}
    assert any(str(found[name]).startswith(str(home)) for name in ("mnist", "cifar10", "fashion-mnist"))
