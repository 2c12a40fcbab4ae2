"""``models``: what can be trained, with and without torch."""

import pytest

import eyebright
from eyebright.core.errors import DataError
from eyebright.models.handcrafted.names import NAMES as HANDCRAFTED
from eyebright.models.names import PUBLISHED
from eyebright.verbs import models as subject
from eyebright.verbs.models import ModelsSettings


def test_without_a_filter_the_built_in_models_the_short_names_and_the_families_are_listed():
    names = [entry.name for entry in subject.run(ModelsSettings())]
    short = [one.name for one in PUBLISHED]
    cifar = [f"resnet{depth}-cifar" for depth in (20, 32, 44, 56, 110)]
    assert names == [
        "auto",
        "cnn",
        "speed",
        "lite0",
        "lenet",
        "mlp",
        *cifar,
        *short,
        *HANDCRAFTED,
        "timm:NAME",
        "torchvision:NAME",
    ]


def test_a_short_name_is_listed_with_its_paper_and_the_network_it_stands_for():
    entry = next(entry for entry in subject.run(ModelsSettings(like="xception")) if entry.name == "xception")
    assert (entry.kind, entry.about) == ("short name", "Xception, Chollet 2017: timm:legacy_xception")


def test_a_filter_looks_into_timm_and_torchvision():
    found = subject.run(ModelsSettings(like="ResNet18"))
    assert {"timm:resnet18", "torchvision:resnet18"} <= {entry.name for entry in found}
    assert all("resnet18" in entry.name for entry in found)


def test_a_name_that_nobody_has_is_answered_with_the_nearest():
    with pytest.raises(DataError, match=r"No model's name contains 'resnt18'.*Did you mean"):
        eyebright.list_models(like="resnt18")


def test_without_torch_the_list_is_the_same_but_nothing_is_available(monkeypatch):
    monkeypatch.setattr(subject, "find_spec", lambda name: None)
    found = subject.run(ModelsSettings())
    assert {entry.name for entry in found} >= {"cnn", "lite0"}
    assert not any(entry.available for entry in found)


def test_a_handcrafted_model_is_available_where_scikit_learn_is(monkeypatch):
    monkeypatch.setattr(subject, "find_spec", lambda name: None if name == "sklearn" else name)
    found = {entry.name: entry for entry in subject.run(ModelsSettings())}
    assert (found["hog-svm"].available, found["hog-svm"].extra) == (False, "train,classic")
    assert (found["cnn"].available, found["cnn"].extra) == (True, "train")
    monkeypatch.setattr(subject, "find_spec", lambda name: None if name == "torch" else name)
    assert not any(entry.available for entry in subject.run(ModelsSettings()))


def test_every_listed_network_says_where_its_weights_come_from():
    found = {entry.name: entry.weights for entry in eyebright.list_models()}
    assert found["lite0"] == "installed"
    assert found["cnn"] == "none"
    assert set(found.values()) == {"installed", "download", "none"}
