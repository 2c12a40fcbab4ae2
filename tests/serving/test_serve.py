"""``eyebright serve``: what is refused before it starts, what it says, and how it stops without losing an answer."""

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import socket
import time

import pytest
from pictures import jpeg

import eyebright.serving.serve as verb
import eyebright.serving.server as server_module
from eyebright.core.errors import DataError, ResourceError, SettingsError
from eyebright.serving.options import MEBIBYTE, Bounds
from eyebright.serving.serve import ServeSettings, is_loopback, options_of, port_of
from eyebright.serving.server import bound_sockets, fitting, url_of

from .desks import write_bundle
from .server import Client, EmptyDesk, command, eventually, running

TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "animals")


def options(environment=None, **settings):
    return options_of(ServeSettings.resolve({"bundles": ("b",), **settings}), environment or {})


# Where it listens


def test_the_platforms_port_is_taken_unless_one_is_asked_for():
    given = ServeSettings.resolve({"bundles": ("b",)})
    assert port_of(given, {}) == 8000
    assert port_of(given, {"AIP_HTTP_PORT": "8080"}) == 8080
    assert port_of(given.model_copy(update={"port": 0}), {"AIP_HTTP_PORT": "8080"}) == 0
    with pytest.raises(SettingsError, match="AIP_HTTP_PORT is '80a'"):
        port_of(given, {"AIP_HTTP_PORT": "80a"})


# Who may ask


def test_on_loopback_nobody_needs_a_token_and_only_loopback_names_are_answered():
    found = options()
    assert found.token is None
    assert set(found.hosts) == {"localhost", "127.0.0.1", "::1"}
    assert not found.addresses


def test_beyond_loopback_somebody_must_check_who_asks():
    with pytest.raises(SettingsError, match="EYEBRIGHT_TOKEN, or give --token-file; or --auth platform"):
        options(host="0.0.0.0")
    assert options({"EYEBRIGHT_TOKEN": TOKEN}, host="0.0.0.0").token == TOKEN
    assert options(host="0.0.0.0", auth="platform").hosts == ("*",)


def test_beyond_loopback_addresses_and_the_names_given_are_answered():
    found = options({"EYEBRIGHT_TOKEN": TOKEN}, host="0.0.0.0", allow_host=("rose.example",))
    assert found.addresses
    assert {"rose.example", socket.gethostname()} <= set(found.hosts)
    assert "*" not in found.hosts


def test_what_loopback_is():
    for host in ("127.0.0.1", "127.8.9.10", "::1", "localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "no.such.name.invalid", "a" * 300):
        assert not is_loopback(host)


def test_a_token_comes_from_a_file_first(tmp_path):
    file = tmp_path / "token"
    file.write_text(f" {TOKEN}-of-the-file\n")
    assert options({"EYEBRIGHT_TOKEN": TOKEN}, token_file=file).token == f"{TOKEN}-of-the-file"
    assert options({"EYEBRIGHT_TOKEN": f"{TOKEN}\n"}).token == TOKEN
    assert options({"EYEBRIGHT_TOKEN": TOKEN}, auth="none").token is None
    with pytest.raises(DataError, match="cannot be read"):
        options(token_file=tmp_path / "missing")
    file.write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        options(token_file=file)
    with pytest.raises(SettingsError, match="Leave one of them out"):
        options(token_file=file, auth="platform")
    with pytest.raises(SettingsError, match="--auth token needs a token"):
        options(auth="token")


@pytest.mark.parametrize("token", ["short", "fifteen-letters", "with a space in it", "é" * 20, "a" * 20 + "\x07"])
def test_a_token_that_is_easy_to_guess_or_cannot_be_sent_is_refused_without_being_repeated(token):
    with pytest.raises(SettingsError, match="16 or more were expected") as caught:
        options({"EYEBRIGHT_TOKEN": token})
    assert token not in str(caught.value)


def test_settings_reach_the_options():
    found = options({"AIP_HEALTH_ROUTE": "/alive"}, max_body=1.5, timeout=7, root_path="/behind/")
    assert found.bounds.body == 1.5 * MEBIBYTE
    assert found.deadlines.answer == 7
    assert found.root_path == "/behind"
    assert found.open_paths == ("/alive",)
    with pytest.raises(SettingsError, match="begin with a slash"):
        options(root_path="behind")
    with pytest.raises(SettingsError, match=r"beyond ASCII.* give /%C3%A9t%C3%A9"):
        options(root_path="/été/")


# The port


def test_a_port_in_use_is_named():
    (first,) = bound_sockets("127.0.0.1", 0)
    first.listen()
    port = first.getsockname()[1]
    with pytest.raises(ResourceError, match=f"Port {port} is in use"):
        bound_sockets("127.0.0.1", port)
    first.close()


def test_a_host_that_is_not_ours_is_named():
    with pytest.raises(SettingsError, match="no address of this computer"):
        bound_sockets("192.0.2.1", 0)  # RFC 5737: nobody's
    with pytest.raises(SettingsError, match="cannot be resolved"):
        bound_sockets("no.such.name.invalid", 0)


def test_two_that_start_at_once_do_not_share_a_port():
    """Two sockets may be bound to one port until one listens; the second learns it then."""
    (first,), (second,) = (bound_sockets("127.0.0.1", 0) for _ in range(2))
    port = first.getsockname()[1]
    second.close()
    (second,) = bound_sockets("127.0.0.1", port)
    first.listen()
    from eyebright.serving.app import make_app
    from eyebright.serving.limits import Gate
    from eyebright.serving.options import Options
    from eyebright.serving.server import Server

    desk, gate = EmptyDesk(), Gate()
    server = Server(make_app(desk, routers=[]), desk, gate, Options(), drain=1)
    with pytest.raises(ResourceError, match=f"Port {port} is in use"):
        server.run([second])
    first.close()
    second.close()


def test_where_an_option_forbids_to_share_a_port_it_is_set_and_no_other(monkeypatch):
    """As on Windows, where the usual option would let two servers share it. Another option stands for that one here."""
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    (bound,) = bound_sockets("127.0.0.1", 0)
    set_on = [bool(bound.getsockopt(socket.SOL_SOCKET, one)) for one in (socket.SO_KEEPALIVE, socket.SO_REUSEADDR)]
    bound.close()
    assert set_on == [True, False]


def test_the_page_is_where_a_browser_here_finds_it():
    (bound,) = bound_sockets("0.0.0.0", 0)
    assert url_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}/"
    bound.close()


def test_no_more_connections_are_taken_than_files_may_be_open():
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, before[1]))
        assert fitting(Bounds(connections=2000)).connections == 2000  # the soft limit is raised first
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 2000
        assert fitting(Bounds(connections=10**9)).connections < before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# Stopping


def stopped(server):
    """Waits until new predictions are refused."""
    return eventually(lambda: server.server.gate.stopping)


def test_what_is_under_way_is_answered_and_new_predictions_are_told_to_come_back():
    with running(EmptyDesk(seconds=0.5)) as server, Client(server.address) as busy, Client(server.address) as late:
        late.ask("GET", "/health/ready")
        assert late.answer()[0] == 200
        busy.ask("POST", "/api/predict", b"picture")
        assert eventually(lambda: server.server.gate.under_way == 1)
        server.server.stop()
        assert stopped(server)
        status, headers, body = server.request("GET", "/health/ready")
        assert (status, b"stopping" in body) == (503, True)
        assert server.request("GET", "/health/live")[0] == 200
        late.ask("POST", "/api/predict", b"picture")
        status, headers, _ = late.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "2", "close")
        assert late.is_closed()
        status, headers, _ = busy.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert server.server.cut == 0


def test_a_body_that_is_still_coming_when_the_server_stops_is_answered():
    with running() as server, Client(server.address) as client:
        client.send(b"POST /api/predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8\r\n\r\nfour")
        assert eventually(lambda: server.server.gate.under_way == 1)
        server.server.stop()
        assert stopped(server)
        client.send(b"four")
        assert client.answer()[0] == 200


def test_a_drain_ends_when_its_time_is_up():
    with running(EmptyDesk(seconds=30), drain=0.5) as server, Client(server.address) as client:
        client.ask("POST", "/api/predict", b"picture")
        assert eventually(lambda: server.server.gate.under_way == 1)
        began = time.monotonic()
        server.server.stop()
        assert client.is_closed()
        assert time.monotonic() - began < 2.5
    assert server.server.cut == 1


def test_the_second_signal_stops_at_once():
    with running(EmptyDesk(seconds=30), drain=30) as server, Client(server.address) as client:
        client.ask("POST", "/api/predict", b"picture")
        assert eventually(lambda: server.server.gate.under_way == 1)
        began = time.monotonic()
        server.server.stop()
        server.server.stop()
        assert client.is_closed()
        assert time.monotonic() - began < 2.5


def test_a_sighup_that_comes_while_the_models_are_loaded_loads_them_once_more(monkeypatch):
    """Three signals while the first load runs: what was replaced since is loaded by one more, and not by three."""
    monkeypatch.setattr(server_module, "_has_terminal", lambda: False)
    begun = []

    async def hang_up(times):
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.02)

    async def main():
        gate = asyncio.Event()

        async def load():
            begun.append(1)
            await gate.wait()

        with server_module._signals(asyncio.get_running_loop(), server_module.Stopping(asyncio.Event()), load):
            await hang_up(4)
            assert len(begun) == 1
            gate.set()
            await asyncio.sleep(0.05)
            assert len(begun) == 2
            await hang_up(1)
            assert len(begun) == 3

    asyncio.run(main())


# The command


def test_the_command_serves_says_where_and_stops_with_0_under_load_and_loses_nothing(bundle):
    picture, outcomes = jpeg(), []

    def ask(stop):
        """Asks on one connection until the server says that it stops."""
        with Client(served.address) as client:
            while True:
                client.ask("POST", "/api/predict", picture)
                status, headers, _ = client.answer()
                outcomes.append((status, "retry-after" in headers))
                if status != 200 or headers.get("connection") == "close":
                    return

    with command(bundle, f"second={bundle}", "--log-format", "json") as served:
        assert served.request("GET", "/health/ready")[0] == 200
        said = " ".join(served.said)
        assert "Models: animals (onnx), second (onnx);" in said
        assert "No token is asked for: only this computer reaches the server." in said
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask, None) for _ in range(8)]
            time.sleep(0.5)
            code, printed = served.stop(signal.SIGTERM)
            for one in asking:
                one.result(30)
    assert code == 0
    assert outcomes.count((200, False)) > 20
    assert set(outcomes) <= {(200, False), (503, True)}
    assert printed.startswith("Stopped after ")
    assert "had no answer" not in printed


def test_a_token_lets_in_sighup_loads_the_models_again_and_ctrl_c_stops_with_130(bundle):
    with command(bundle, "--auth", "token", EYEBRIGHT_TOKEN=TOKEN) as served:
        assert served.request("GET", "/")[0] == 200
        assert served.request("POST", "/api/predict", jpeg())[0] == 401
        served.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: any("was loaded again" in line for line in served.said), 20)
        assert served.request("POST", "/api/predict", jpeg(), authorization=f"Bearer {TOKEN}")[0] == 200
        code, _ = served.stop(signal.SIGINT)
    assert code == 130
    assert served.said[-1] == "eyebright: Stopped."
    assert TOKEN not in " ".join(served.said)


def test_the_command_refuses_in_plain_words(bundle, tmp_path):
    with command(bundle, "--host", "0.0.0.0") as open_to_all:
        assert open_to_all.wait()[0] == 2
    assert "nothing asks who they are" in open_to_all.said[-1]
    with command(tmp_path / "missing") as missing:
        assert missing.wait()[0] == 3
    assert "missing" in missing.said[-1]


def test_a_missing_extra_is_named(bundle):
    """As where only the base install is there: FastAPI cannot be imported."""
    import subprocess
    import sys

    code = "import sys; sys.modules['fastapi'] = None; from eyebright.cli.main import main; "
    code += f"sys.exit(main(['serve', {str(bundle)!r}]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 4
    assert "pip install 'eyebright[serve]'" in found.stderr


def test_the_settings_module_loads_no_server():
    import subprocess
    import sys

    code = "import sys, eyebright.serving.serve; sys.exit(bool({'fastapi', 'uvicorn', 'prometheus_client'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0
    assert verb.ServeSettings.model_fields


def test_health_does_not_wait_for_predictions():
    with running(EmptyDesk(seconds=1.0)) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server.address)) for _ in range(20)]
        for client in clients:
            client.ask("POST", "/api/predict", b"picture")
        assert server.request("GET", "/health/ready")[0] == 200
        assert server.server.gate.under_way == 20
        assert {client.answer()[0] for client in clients} == {200}


@pytest.mark.parametrize("name", ["https://rose.example", "rose.example:8443", "rose example"])
def test_a_host_that_no_header_could_name_is_refused(name):
    with pytest.raises(SettingsError, match="is no host name"):
        options(allow_host=(name,))


def test_auth_none_beyond_this_computer_is_refused_with_or_without_a_token():
    with pytest.raises(SettingsError, match="--auth none lets in everybody"):
        options({"EYEBRIGHT_TOKEN": TOKEN}, host="0.0.0.0", auth="none")
