"""A run's folder is never overwritten silently."""

import os

import pytest

from eyebright.core.errors import DataError, ResourceError, SettingsError
from eyebright.core.run import Run, create_run, new_run_path, open_run


def test_a_new_run_has_its_folders(tmp_path):
    run = create_run(tmp_path / "runs" / "leaves-1")
    assert run.checkpoints.is_dir()
    assert run.predictions.is_dir()
    assert not run.finished


def test_an_empty_folder_may_become_a_run(tmp_path):
    assert create_run(tmp_path).path == tmp_path


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(SettingsError, match="not empty"):
        create_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(SettingsError, match="--out"):
        create_run(tmp_path / "run")


def test_a_disk_that_refuses_is_a_resource_error(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(ResourceError, match="No space left"):
        create_run(tmp_path / "run")


def test_run_names_count_on(tmp_path):
    assert new_run_path(tmp_path, "leaves").name == "leaves-1"
    (tmp_path / "leaves-1").mkdir()
    (tmp_path / "leaves-2").write_text("a file counts too")
    assert new_run_path(tmp_path, "leaves").name == "leaves-3"


def test_a_run_is_known_by_its_settings_and_finished_by_its_report(tmp_path):
    with pytest.raises(DataError, match=r"holds no settings\.toml"):
        open_run(tmp_path)
    Run(tmp_path).settings.write_text("")
    assert not open_run(tmp_path).finished
    Run(tmp_path).report_json.write_text("{}")
    assert open_run(tmp_path).finished
