"""``download``: a named set arrives, or what has arrived of it is kept and the way on is said."""

import dataclasses
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from servers import file, running, stall

import eyebright
from eyebright.cli.main import main
from eyebright.core.errors import InterruptedRunError, SettingsError
from eyebright.core.events import Phase
from eyebright.data.publishers import PUBLISHERS, SLACK, Content, Offer

CONTENT = bytes(range(256)) * 1000  # 256,000 bytes of no picture: nothing opens it here
PACKED = gzip.compress(os.urandom(200_000) + CONTENT)


@pytest.fixture
def server(monkeypatch):
    """A server with the one file of a set called mnist."""
    with running() as server:
        data = gzip.decompress(PACKED)
        content = Content("train-images-idx3-ubyte", len(data), hashlib.sha256(data).hexdigest())
        offer = Offer("train-images-idx3-ubyte.gz", (f"{server.url}a.gz",), len(data) + SLACK, "gzip", (content,))
        monkeypatch.setitem(PUBLISHERS, "mnist", dataclasses.replace(PUBLISHERS["mnist"], offers=(offer,)))
        server.serve("a.gz", file(PACKED))
        yield server


def test_the_function_says_what_it_got_from_where_and_how_it_is_known(server, tmp_path):
    result = eyebright.download("mnist", data_home=tmp_path)
    (item,) = result.files
    assert (result.name, result.folder, result.was_there) == ("mnist", tmp_path / "mnist", False)
    assert (item.from_url, item.proof) == (f"{server.url}a.gz", "sha256 of the unpacked bytes")
    assert item.paths[0].read_bytes() == PACKED
    assert eyebright.download("mnist", data_home=tmp_path).was_there


def test_the_command_prints_the_set_and_how_to_use_it(server, tmp_path, capsys):
    assert main(["download", "mnist", "--data-home", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "mnist is ready: eyebright train mnist" in said.out
    assert f"{server.url}a.gz" in said.out
    assert f"Folder: {tmp_path / 'mnist'}" in said.out
    assert f"Downloading train-images-idx3-ubyte.gz: {len(PACKED):,} bytes" in said.err
    assert main(["download", "mnist", "--data-home", str(tmp_path)]) == 0
    assert "mnist is there already" in capsys.readouterr().out


def test_another_address_is_given_by_from(server, tmp_path, capsys):
    server.serve("b.gz", file(PACKED))
    words = ["download", "mnist", "--data-home", str(tmp_path), "--from", f"{server.url}b.gz", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["from_url"] == f"{server.url}b.gz"
    assert [path for path, _ in server.seen] == ["/b.gz"]


def test_from_may_stand_in_a_settings_file(server, tmp_path):
    server.serve("b.gz", file(PACKED))
    (tmp_path / "a.toml").write_text(f'from = "{server.url}b.gz"\n')
    assert main(["download", "mnist", "--data-home", str(tmp_path), "--config", str(tmp_path / "a.toml")]) == 0
    assert [path for path, _ in server.seen] == ["/b.gz"]


def test_an_unknown_name_or_address_is_a_settings_error(tmp_path, capsys):
    with pytest.raises(SettingsError, match="Did you mean mnist"):
        eyebright.download("mnits", data_home=tmp_path)
    assert main(["download", "mnist", "--data-home", str(tmp_path), "--from", "http://example.org/"]) == 2
    assert "only those are fetched" in capsys.readouterr().err


def test_bytes_that_are_wrong_are_a_data_error(server, tmp_path, capsys):
    server.serve("a.gz", file(gzip.compress(CONTENT)))
    assert main(["download", "mnist", "--data-home", str(tmp_path)]) == 3
    assert "it was deleted" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_ctrl_c_names_the_command_that_goes_on(server, tmp_path):
    def stop(event):
        if isinstance(event, Phase):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError) as caught:
        eyebright.download("mnist", data_home=tmp_path / "a b", from_=f"{server.url}a.gz", on_event=stop)
    command = f"eyebright download mnist --data-home '{tmp_path / 'a b'}' --from {server.url}a.gz"
    assert str(caught.value) == f"Stopped. What has arrived is kept. Go on with: {command}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_process_leaves_what_has_arrived_and_the_next_one_goes_on(server, tmp_path, number, code):
    started = threading.Event()
    slow = stall(PACKED, after=50_000)

    def answer(handler):
        started.set()
        slow(handler)

    server.serve("train-images-idx3-ubyte.gz", answer)
    command = [sys.executable, "-m", "eyebright", "download", "mnist", "--data-home", str(tmp_path), "--from", server.url]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    part = tmp_path / "mnist" / "train-images-idx3-ubyte.gz.part"
    try:
        assert started.wait(60)
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            started.wait(0.01)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert f"Go on with: eyebright download mnist --data-home {tmp_path} --from {server.url}" in said
    assert "Traceback" not in said
    kept = part.stat().st_size
    assert 0 < kept <= 50_000
    server.serve("train-images-idx3-ubyte.gz", file(PACKED))
    eyebright.download("mnist", data_home=tmp_path, from_=server.url)
    assert server.ranges() == [None, f"bytes={kept}-"]
