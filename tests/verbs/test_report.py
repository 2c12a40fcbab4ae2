"""``report`` writes a finished run's page again, from its figures alone."""

import shutil

import pytest

import eyebright
from eyebright.cli.main import main
from eyebright.core.errors import DataError


def test_the_page_written_again_is_the_page_of_the_run(finished, tmp_path):
    found = eyebright.report(finished.path, out=tmp_path / "page.html")
    assert found.path == tmp_path / "page.html"
    assert found.path.read_text(encoding="utf-8") == finished.report_html.read_text(encoding="utf-8")


def test_by_default_the_page_lies_in_the_run(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished.path, copy)
    (copy / "report.html").unlink()
    eyebright.report(copy)
    assert (copy / "report.html").read_bytes() == finished.report_html.read_bytes()


def test_a_folder_to_write_to_is_answered_with_a_file_name(finished, tmp_path, capsys):
    assert main(["report", str(finished.path), "--out", str(tmp_path)]) == 2
    assert f"give a file name such as {tmp_path}/report.html" in capsys.readouterr().err


def test_a_run_that_is_not_finished_has_no_report(finished, tmp_path):
    (tmp_path / "settings.toml").write_bytes(finished.settings.read_bytes())
    with pytest.raises(DataError, match=r"is not finished.*--resume"):
        eyebright.report(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 2}', "[]"])
def test_figures_of_another_kind_are_refused(finished, tmp_path, content):
    (tmp_path / "settings.toml").write_bytes(finished.settings.read_bytes())
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(DataError, match="is not a report"):
        eyebright.report(tmp_path)


def test_a_folder_that_is_no_run_is_exit_three(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 3
    assert "is not a run" in capsys.readouterr().err
