"""A small verb of the tests' own, so that the command line is tested without any real one."""

import sys
import types
from pathlib import Path
from typing import Literal

import pytest

from eyebright.cli import main as command
from eyebright.core.settings import Settings, argument


class ToySettings(Settings):
    """Settings with one field of each kind."""

    data: Path = argument(help="folder with one folder of pictures a class", positional=True)
    extra: tuple[Path, ...] = argument((), help="more folders", positional=True)
    epochs: int = argument(10, help="passes over the training pictures", ge=1)
    lr: float | None = argument(None, help="learning rate; None finds one")
    augment: bool = argument(True, help="vary the pictures")
    device: Literal["auto", "cpu", "cuda"] = argument("auto", help="where to compute")
    views: tuple[str, ...] = argument(("identity",), help="views that are averaged when the model answers")


class Toy:
    """What the toy verb does, to be replaced by a test: it returns its settings."""

    def __init__(self):
        self.act = lambda settings, on_event: settings
        self.shown = []

    def run(self, settings, on_event):
        return self.act(settings, on_event)


@pytest.fixture
def toy(monkeypatch):
    """The verb ``toy``, known to the command for one test."""
    verb = Toy()
    module = types.ModuleType("toy_verb")
    module.ToySettings = ToySettings
    module.run = verb.run
    module.show = verb.shown.append
    monkeypatch.setitem(sys.modules, "toy_verb", module)
    row = command.Verb("Play", "eyebright toy blocks/", "toy_verb:ToySettings", "toy_verb:run", "toy_verb:show")
    monkeypatch.setitem(command.VERBS, "toy", row)
    return verb
