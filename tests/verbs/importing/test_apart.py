"""The process of its own: what it may not do, and what is made of its end."""

import json
import subprocess
import sys

import pytest

from eyebright.core.errors import ModelError
from eyebright.verbs.importing import apart
from eyebright.verbs.importing.apart import run_apart

CONFINED = "import sys; sys.path.append(sys.argv[1]); from pathlib import Path; from eyebright.verbs.importing.apart import *; "


def run(monkeypatch, folder, code, **options):
    """Runs ``code`` in the place of a module of ours."""
    monkeypatch.setattr(apart, "_START", CONFINED + f"folder = Path(sys.argv[3]); {code}")
    run_apart("no.module", {"file": "x"}, folder, origin="it", **options)


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('example.org', 80)",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.fork()",
        "open('/tmp/eyebright-was-here', 'w')",
        "Path('/tmp/eyebright-was-here').mkdir()",
        "open('../eyebright-was-here', 'w')",
    ],
)
def test_network_programs_and_other_folders_are_out_of_reach(monkeypatch, tmp_path, code):
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(
        ModelError, match=r"crash \(exit code 1: PermissionError: .* is not allowed while a foreign file is read"
    ):
        run(monkeypatch, inner, f"confine(folder, 0); {code}")
    assert not (tmp_path / "eyebright-was-here").exists()


def test_it_may_read_and_write_in_its_folder(monkeypatch, tmp_path):
    run(
        monkeypatch, tmp_path, "confine(folder, 0); (folder / 'found.txt').write_text(open(sys.executable, 'rb').read(4).hex())"
    )
    assert len((tmp_path / "found.txt").read_text()) == 8


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on memory")
def test_memory_is_bounded(monkeypatch, tmp_path):
    with pytest.raises(ModelError, match="MemoryError"):
        run(monkeypatch, tmp_path, "confine(folder, 0); bytearray(2 ** 40)")


def test_time_is_bounded(monkeypatch, tmp_path):
    with pytest.raises(ModelError, match="it was not read within 0 minutes"):
        run(monkeypatch, tmp_path, "import time; time.sleep(60)", seconds=1)


def test_the_reason_of_a_refusal_is_told_in_one_printable_line(monkeypatch, tmp_path):
    with pytest.raises(ModelError) as caught:
        run(monkeypatch, tmp_path, "refuse('holds\\n\\x1b[31mred ' + 400 * 'x', folder)")
    assert str(caught.value).startswith("it holds [31mred xxx")
    assert len(str(caught.value)) == len("it ") + 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("left", [b"not json", b"[1]", json.dumps({"reason": "x" * 10**6}).encode(), b"\xff"])
def test_a_reason_that_is_none_is_a_refusal_too(monkeypatch, tmp_path, left):
    with pytest.raises(ModelError, match="it was refused"):
        run(monkeypatch, tmp_path, f"(folder / 'error.json').write_bytes({left[:40]!r} + {len(left)} * b' ')")


def test_surroundings_do_not_leak_in(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/evil.py")
    monkeypatch.setenv("SECRET_TOKEN", "42")
    run(monkeypatch, tmp_path, "import os; (folder / 'env').write_text(' '.join(os.environ))")
    names = (tmp_path / "env").read_text().split()
    assert "SECRET_TOKEN" not in names
    assert "PYTHONSTARTUP" not in names
    assert "HOME" in names


def test_who_stops_waiting_leaves_no_process_behind(monkeypatch, tmp_path):
    """Ctrl-C ends ``subprocess.run``, which ends the process."""
    seen = []
    wait = subprocess.Popen.communicate

    def interrupted(process, *arguments, **options):
        seen.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path, "import time; time.sleep(60)")
    monkeypatch.setattr(subprocess.Popen, "communicate", wait)
    assert seen[0].wait(5) != 0
