"""Names are looked up without importing what they name."""

import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from eyebright.core import registry
from eyebright.core.errors import SettingsError
from eyebright.core.registry import Registry, nearest, unknown


def test_listing_imports_nothing():
    Registry("toy", {"moo": "no.such.module:thing"}).targets()
    assert "no.such.module" not in sys.modules


def test_loading_gives_the_attribute():
    assert Registry("toy", {"join": "os.path:join"}).load("join") is __import__("os").path.join


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match=r"Unknown model 'resnet-20'\. Did you mean resnet20"):
        Registry("model", {"resnet20": "a:b", "cnn": "a:c"}).load("resnet-20")


def test_a_name_like_no_other_is_answered_with_what_is_known():
    assert unknown("model", "zzzzzz", ["cnn", "lite0"]) == "Unknown model 'zzzzzz'. Known: cnn, lite0."


def test_the_best_suggestion_comes_first():
    assert nearest("epoch", ["epsilon", "epochs", "seed"])[0] == "epochs"


def test_a_name_within_the_name_is_near_however_long_the_rest():
    assert nearest("test_fraction", ["calibration", "data", "test"]) == ["test"]
    assert nearest("resnet", ["resnet152_with_a_long_tail", "resnet50", "vgg"]) == ["resnet50", "resnet152_with_a_long_tail"]


def test_a_slip_of_a_letter_is_nearer_than_a_part_of_the_name():
    assert nearest("batch_sise", ["batch", "batch_size"])[0] == "batch_size"


def test_a_letter_or_two_within_a_name_are_chance():
    assert nearest("e", ["seed", "epochs"]) == []


def test_a_plug_in_adds_a_name_and_cannot_take_one(monkeypatch):
    plugged = EntryPoints([EntryPoint("mine", "my:thing", "toys"), EntryPoint("join", "evil:join", "toys")])
    monkeypatch.setattr(registry, "entry_points", lambda group: plugged.select(group=group))
    assert Registry("toy", {"join": "os.path:join"}, group="toys").targets() == {"mine": "my:thing", "join": "os.path:join"}
