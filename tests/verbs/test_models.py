"""``models``: what can be trained, with and without torch."""

import pytest

import eyebright
from eyebright.core.errors import DataError
from eyebright.verbs import models as subject
from eyebright.verbs.models import ModelsSettings


def test_without_a_filter_the_built_in_models_and_the_families_are_listed():
    names = [entry.name for entry in subject.run(ModelsSettings())]
    assert names == ["auto", "cnn", "lite0", "timm:NAME", "torchvision:NAME"]


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


def test_every_listed_network_says_where_its_weights_come_from():
    found = {entry.name: entry.weights for entry in eyebright.list_models()}
    assert found["lite0"] == "installed"
    assert found["cnn"] == "none"
    assert set(found.values()) == {"installed", "download", "none"}
