"""``compare``: two runs by their own test predictions."""

import json

import pytest

import eyebright
from eyebright.cli.main import main
from eyebright.core.errors import DataError

from .shapes import squares, trained


@pytest.fixture
def other(data, tmp_path, quick):
    """A second run on the same pictures and split, trained less."""
    return trained(data, tmp_path / "other", epochs=1, learning_rate=1e-6)


def test_two_runs_on_one_split_are_compared_on_every_test_picture(finished, other):
    found = eyebright.compare(other.path, finished.path)
    assert (found.first, found.second, found.n) == ("other", "finished", 18)
    accuracy = found.figures["accuracy"]
    assert accuracy.second > accuracy.first
    assert accuracy.difference.value == pytest.approx(accuracy.second - accuracy.first)
    assert found.both_right + found.only_first + found.only_second + found.both_wrong == 18
    assert found.warnings == []


def test_the_command_prints_a_verdict_and_json(finished, other, capsys):
    assert main(["compare", str(other.path), str(finished.path)]) == 0
    printed = capsys.readouterr().out
    assert "on the same 18 test pictures" in printed
    assert "McNemar" in printed
    assert main(["compare", str(other.path), str(finished.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["accuracy"]["better"] in ("second", "neither")


def test_runs_of_different_splits_are_compared_on_what_they_share_with_a_warning(finished, data, tmp_path, quick):
    strange = trained(data, tmp_path / "strange", seed=5, epochs=1)
    found = eyebright.compare(finished.path, strange.path)
    assert 0 < found.n < 18
    assert any("was trained on" in warning for warning in found.warnings)


def test_an_unfinished_run_is_refused(finished, tmp_path):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "settings.toml").write_text("")
    with pytest.raises(DataError, match="is not finished"):
        eyebright.compare(finished.path, tmp_path / "half")


def test_runs_of_other_classes_are_refused(finished, tmp_path, quick):
    other = trained(squares(tmp_path / "pets", classes=("cat", "dog")), tmp_path / "pets-run", epochs=1)
    with pytest.raises(DataError, match="do not have the same classes"):
        eyebright.compare(finished.path, other.path)
