"""``serve``: a page and an HTTP interface over bundles, in one process on one port."""

import dataclasses
import ipaddress
import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, field_validator

from eyebright.backends.open import FormName
from eyebright.core.errors import DataError, SettingsError
from eyebright.core.events import Event, Note, OnEvent, Phase, Progress, silent
from eyebright.core.machine import usable_cores
from eyebright.core.settings import Settings, argument
from eyebright.serving.options import LOOPBACK_NAMES, MEBIBYTE, Bounds, Deadlines, Options

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk
    from eyebright.serving.logs import ServerLog
    from eyebright.serving.metrics import Metrics

TOKEN = "EYEBRIGHT_TOKEN"
PORT, PLATFORM_PORT = 8000, "AIP_HTTP_PORT"
SHORTEST_TOKEN = 16  # characters: 64 bits where they are hexadecimal, which nobody tries out over a network

_HOST_NAME = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*\]?")
_WHO, _LIMITS, _LOG = "Who may ask", "Limits", "Log"


class ServeSettings(Settings):
    """What ``serve`` needs to know."""

    bundles: tuple[str, ...] = argument(
        help="Bundles' or runs' folders, NAME=PATH, or the word imagenet. The first answers where none is named.",
        positional=True,
        min_length=1,
    )
    host: str = argument("127.0.0.1", help="Address or name to listen at; 0.0.0.0 is every one of this computer.", min_length=1)
    port: int | None = argument(
        None, help="Port to listen at; 0 takes a free one. Default: 8000, or what Vertex AI sets.", ge=0, le=65535
    )
    root_path: str = argument("", help="Path under which a proxy in front publishes this server, such as /eyebright.")
    form: FormName = argument("auto", help="Which form of each model answers.", section="Models")
    threads: int | None = argument(None, help="Threads that answer. Default: one a core.", ge=1, le=1024, section="Models")
    auth: Literal["auto", "token", "platform", "none"] = argument(
        "auto",
        help=f"Who checks the callers: a token, the platform in front of this server, or nobody. auto: a token where "
        f"{TOKEN} or --token-file has one.",
        section=_WHO,
    )
    token_file: Path | None = argument(None, help=f"File with the token; without it {TOKEN} is read.", section=_WHO)
    allow_host: tuple[str, ...] = argument(
        (), help="Further host names that requests may be for; *.NAME for all below one, * for any.", section=_WHO
    )
    max_body: float = argument(20.0, help="Largest body of a request, in MiB.", gt=0, le=1024, section=_LIMITS)
    timeout: float = argument(30.0, help="Seconds until an answer is given up (504).", gt=0, le=3600, section=_LIMITS)
    queue: int = argument(128, help="Pictures that may wait; more are refused (503).", ge=1, le=100_000, section=_LIMITS)
    drain: float = argument(
        25.0, help="Seconds for answers under way when the server is stopped.", ge=0, le=3600, section=_LIMITS
    )
    access_log: bool = argument(True, help="A line for each request.", section=_LOG)
    log_format: Literal["text", "json"] = argument("text", help="Lines for people, or for programs.", section=_LOG)

    @field_validator("root_path")
    @classmethod
    def _plain(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and not path.startswith("/"):
            raise ValueError(f"{value!r} does not begin with a slash; a path such as /eyebright was expected")
        if not path.isascii():
            raise ValueError(f"{value!r} has letters beyond ASCII, which no address holds as they are; give {quote(path)}")
        return path


class ServeResult(BaseModel):
    """What a server did until it was stopped: ``requests`` came, ``cut`` of them had no answer when the drain ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...]
    requests: int
    cut: int
    seconds: float


def serve(*bundles: str | Path, on_event: OnEvent = silent, **settings: Any) -> ServeResult:
    """Serves ``bundles`` until SIGTERM, or Ctrl-C, which raises ``KeyboardInterrupt`` once all that was under way is answered.

    Raises ``SettingsError`` for settings that would let strangers in, ``ResourceError`` where the port is taken, ``DataError``,
    ``ModelError`` or ``MissingExtraError`` where a bundle cannot be opened.
    """
    return run(ServeSettings.resolve({"bundles": tuple(map(str, bundles)), **settings}), on_event)


def run(settings: ServeSettings, on_event: OnEvent = silent) -> ServeResult:
    """Serves as ``settings`` have it."""
    import signal

    options = options_of(settings, os.environ)  # what is wrong with the settings is said before the slow imports

    from eyebright.serving.app import make_app
    from eyebright.serving.desk import Desk
    from eyebright.serving.limits import Gate
    from eyebright.serving.logs import ServerLog, logging_to
    from eyebright.serving.server import Server, bound_sockets, fitting
    from eyebright.serving.shelf import open_shelf
    from eyebright.serving.telemetry import traces

    options = dataclasses.replace(options, bounds=fitting(options.bounds))
    sockets = bound_sockets(settings.host, port_of(settings, os.environ))
    log = ServerLog(settings.log_format, requests=settings.access_log)
    teller = Teller(on_event, log)
    try:
        desk = Desk(
            open_shelf(settings.bundles, form=settings.form, on_event=teller), workers=settings.threads, queue=settings.queue
        )
        tracing, gate = traces(os.environ, teller), Gate()
        app = make_app(desk, options, gate=gate, log=log, traces=tracing, environment=os.environ)
        metrics: Metrics = app.state.metrics

        def head_refused(status: int) -> None:
            metrics.head_refused(status)
            log.refused(status)

        def ready() -> None:
            for text in announcements(settings, options, desk, sockets[0]):
                on_event(Note(text))
            teller.serving = True

        server = Server(app, desk, gate, options, drain=settings.drain, on_refused=head_refused)
        began = time.monotonic()
        with logging_to(log):
            stopped_by = server.run(sockets, on_ready=ready, on_reload=lambda: reload_all(desk, metrics))
        if tracing is not None:
            tracing.close()
    finally:
        log.close()
        for bound in sockets:
            bound.close()
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    return ServeResult(models=desk.names, requests=gate.finished, cut=server.cut, seconds=round(time.monotonic() - began, 3))


class Teller:
    """Passes events on while the server starts; what models say of themselves later goes to the log, from any thread.

    Phases become plain sentences: a live line of progress would be in the way of the log.
    """

    def __init__(self, on_event: OnEvent, log: "ServerLog") -> None:
        self._on_event, self._log = on_event, log
        self.serving = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            return
        if self.serving:
            if isinstance(event, Note):
                self._log.note(event.text, event.level)
            return
        self._on_event(Note(f"{event.name} ...") if isinstance(event, Phase) else event)


async def reload_all(desk: "Desk", metrics: "Metrics") -> None:
    """Loads every model again; where one is refused its old version stays, and the log says why."""
    from eyebright.serving.answers import RefusalError

    for name in desk.names:
        try:
            await desk.reload(name)
        except RefusalError:  # said by the shelf
            metrics.reloaded(name, done=False)
        except Exception:  # a bug of ours, met in one model, keeps no other from being loaded
            metrics.reloaded(name, done=False)
            logging.getLogger(__name__).exception("%s was not loaded again", name)
        else:
            metrics.reloaded(name, done=True)


def options_of(settings: ServeSettings, environment: Mapping[str, str]) -> Options:
    """The server's options.

    Raises ``SettingsError`` for a bind beyond loopback that nobody guards, and for a token that is missing or easy to guess.
    """
    token = _token(settings, environment)
    local = is_loopback(settings.host)
    if settings.auth == "none" and not local:
        raise SettingsError(
            f"--auth none lets in everybody who reaches --host {settings.host}, which may be other computers. Leave --auth out "
            "and give a token, or --auth platform where something in front of this server checks every caller."
        )
    if token is None and not local and settings.auth != "platform":
        raise SettingsError(
            f"--host {settings.host} can be reached from other computers, and nothing asks who they are. Set {TOKEN}, or give "
            "--token-file; or --auth platform where something in front of this server checks every caller."
        )
    open_path = environment.get("AIP_HEALTH_ROUTE")
    return Options(
        deadlines=Deadlines(answer=settings.timeout),
        bounds=Bounds(body=int(settings.max_body * MEBIBYTE)),
        hosts=_hosts(settings, local=local),
        addresses=not local,
        token=token,
        open_paths=(open_path,) if open_path else (),
        root_path=settings.root_path,
    )


def port_of(settings: ServeSettings, environment: Mapping[str, str]) -> int:
    """The port that was asked for, else the one that Vertex AI asks for by ``AIP_HTTP_PORT``, else 8000.

    Raises ``SettingsError`` where the platform's is no port.

    >>> port_of(ServeSettings(bundles=("imagenet",)), {"AIP_HTTP_PORT": "8080"})
    8080
    """
    if settings.port is not None:
        return settings.port
    given = environment.get(PLATFORM_PORT, str(PORT))
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 2**16):
        raise SettingsError(f"{PLATFORM_PORT} is {given[:40]!r}; a port from 1 to 65535 was expected. Set it, or give --port.")
    return int(given)


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches ``host``: every address that the name has is a loopback one.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def announcements(settings: ServeSettings, options: Options, desk: "Desk", bound: socket.socket) -> list[str]:
    """What is said when the server is ready: where the page is, which models answer, and who is let in."""
    from eyebright.serving.server import url_of

    models = ", ".join(f"{name} ({desk.about(name).form})" for name in desk.names)
    threads = settings.threads or usable_cores()
    who = {
        "token": "A token is asked for by everything but the page's own files, /health and /ping.",
        "platform": "No token is asked for: the platform in front of this server is trusted to check every caller.",
        "none": "No token is asked for: only this computer reaches the server.",
    }
    kind = "token" if options.token is not None else "platform" if settings.auth == "platform" else "none"
    page = url_of(bound) if not settings.root_path else f"{url_of(bound).rstrip('/')} (published under {settings.root_path}/)"
    return [
        f"Models: {models}; {threads} {'thread answers' if threads == 1 else 'threads answer'}.",
        who[kind],
        f"The page is at {page} Ctrl-C stops the server.",
    ]


def _hosts(settings: ServeSettings, *, local: bool) -> tuple[str, ...]:
    """The names that requests may be for. Beyond loopback numeric addresses are allowed as well: no name leads to them."""
    if settings.auth == "platform" and not settings.allow_host:
        return ("*",)  # the platform decides under which names it publishes this server
    for name in settings.allow_host:
        if not _HOST_NAME.fullmatch(name):
            raise SettingsError(
                f"--allow-host {name} is no host name. Give the name alone, without https:// and without a port."
            )
    own = () if local else (socket.gethostname(),)
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, settings.host, *own, *settings.allow_host)))


def _token(settings: ServeSettings, environment: Mapping[str, str]) -> str | None:
    """The token that callers have to show; None where none is asked for."""
    if settings.auth in ("none", "platform"):
        if settings.token_file is not None:
            raise SettingsError(f"--auth {settings.auth} asks for no token, but --token-file gives one. Leave one of them out.")
        return None
    source, token = _given_token(settings.token_file, environment)
    if not token:
        if settings.auth == "token":
            raise SettingsError(f"--auth token needs a token. Set {TOKEN}, or give --token-file.")
        return None
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"The token in {source} has {len(token)} characters; {SHORTEST_TOKEN} or more were expected, of letters, digits "
            "and signs without spaces. Make one: python -c 'import secrets; print(secrets.token_urlsafe(24))'"
        )
    return token


def _given_token(path: Path | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """Where a token stands, and the token, empty where there is none."""
    if path is None:
        return TOKEN, environment.get(TOKEN, "").strip()
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The token file {path} cannot be read: {error}. Give a text file with the token alone.") from None
    if not token:
        raise SettingsError(f"The token file {path} is empty. Write the token into it, {SHORTEST_TOKEN} characters or more.")
    return str(path), token
