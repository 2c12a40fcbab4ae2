"""One file from a server, in spite of what servers do: broken off, slow, moved, the wrong part of it, another file.

What has arrived is kept in a ``.part`` file; a later try, or a later call, asks for the rest only (HTTP ranges, RFC 9110
sections 13.1.5 and 14) and takes the answer only where it is the rest of the same file. Nothing here judges the content: that
is for the sums in ``download``.
"""

import dataclasses
import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from eyebright.core.errors import DataError, ResourceError
from eyebright.core.events import Note, OnEvent, Phase, Progress, silent
from eyebright.core.files import write_json
from eyebright.data.address import RedirectRefusedError, check_url, request

PIECE = 2**16
TELL_SECONDS = 0.1
LEAST_RATE = 1_000  # bytes a second; a server that stays below for as long as a stall may take has stalled
LONGEST_PAUSE = 60.0  # seconds, also where a server asks for more
TRIES_AT_ALL = 100
SUFFIX = ".part"
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that may be another at the next try


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for a server: ``stall_seconds`` without bytes, ``tries`` in a row that bring none.

    The pause between tries is ``pause_seconds`` at first and doubles; ``wait`` is what waits.
    """

    stall_seconds: float = 30.0
    tries: int = 5
    pause_seconds: float = 1.0
    wait: Callable[[float], None] = time.sleep


class _AgainError(Exception):
    """A try that failed in a way that may pass; ``pause`` is what the server asks to wait, in seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class _NeverError(Exception):
    """A try that failed in a way that will not pass."""


@dataclasses.dataclass(frozen=True)
class _State:
    """What is noted of the file that a part belongs to; ``validator`` is the server's word for this version of it."""

    url: str
    validator: str = ""
    total: int | None = None


def fetch(url: str, part: Path, *, most: int, patience: Patience | None = None, on_event: OnEvent = silent) -> None:
    """Leaves the file at ``url`` in ``part``, going on where an earlier call stopped.

    Raises ``DataError`` where the server has no such file, gives more than ``most`` bytes, or fails too often; what has
    arrived by then is kept. ``SettingsError`` for an address that is not fetched, ``ResourceError`` where the disk fails.
    """
    check_url(url)
    patience = patience or Patience()
    failures = 0
    for _ in range(TRIES_AT_ALL):
        before = _size(part)
        try:
            _try_once(url, part, most, patience.stall_seconds, on_event)
            return
        except (_NeverError, RedirectRefusedError) as error:
            raise DataError(f"{url}: {error}") from None
        except _AgainError as error:
            failures = 0 if _size(part) > before else failures + 1
            if failures >= patience.tries:
                raise DataError(f"{url}: {error}, {failures} times in a row") from None
            pause = min(max(error.pause, patience.pause_seconds * 2.0 ** max(failures - 1, 0)), LONGEST_PAUSE)
            on_event(Note(f"{part.name.removesuffix(SUFFIX)}: {error}. Trying again in {pause:g} s.", "warning"))
        patience.wait(pause)
    raise DataError(f"{url}: it broke off {TRIES_AT_ALL} times")


def discard(part: Path) -> None:
    """Removes a part and what was noted of it."""
    part.unlink(missing_ok=True)
    _notes_of(part).unlink(missing_ok=True)


def _try_once(url: str, part: Path, most: int, stall_seconds: float, on_event: OnEvent) -> None:
    """One request. Returns when the part is whole."""
    state, have = _known(part, url, most)
    if have and have == state.total:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and state.validator:
        headers["If-Range"] = state.validator
    with _network_errors(part, have), request(url, headers, timeout=stall_seconds) as response:
        begin, state = _judged(response, part, have, state)
        if state.total is not None and state.total > most:
            raise _NeverError(f"it announces {state.total:,} bytes; at most {most:,} were expected. It is another file")
        with _writing(part, begin) as file:
            write_json(_notes_of(part), dataclasses.asdict(state))
            have = _receive(response, file, begin, state.total, most, stall_seconds, on_event)
    if state.total is not None and have != state.total:
        raise _AgainError(f"the server ended after {have:,} of {state.total:,} bytes")


def _known(part: Path, url: str, most: int) -> tuple[_State, int]:
    """What is noted of a part, and its bytes; none count that are of another address, of unknown origin or too many.

    They are not deleted yet: this address may turn out to have nothing.
    """
    try:
        noted = json.loads(_notes_of(part).read_text(encoding="utf-8"))
        total = None if noted["total"] is None else int(noted["total"])
        state = _State(str(noted["url"]), str(noted["validator"]), total)
    except (OSError, ValueError, TypeError, KeyError):
        state = _State("")
    have = _size(part)
    fits = state.url == url and have <= (most if state.total is None else state.total)
    return (state, have) if fits else (_State(url), 0)


def _judged(response: Any, part: Path, have: int, state: _State) -> tuple[int, _State]:
    """Where the bytes of an answer begin, and what it says of the file. Raises where it is not what was asked for."""
    if response.headers.get_content_type() == "text/html":
        raise _NeverError("it answers with a web page in the place of the file")
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        begin, total = 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    elif response.status == 206 and have:
        begin, total = have, _total_of_range(response, part, have, state)
    else:
        raise _NeverError(f"it answers with HTTP {response.status}, which was not asked for")
    etag = response.headers.get("ETag", "")
    # A weak validator says nothing about bytes (RFC 9110, section 13.1.5).
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
    return begin, _State(state.url, validator, total)


def _total_of_range(response: Any, part: Path, have: int, state: _State) -> int:
    """The whole file's bytes, from an answer that is its rest from ``have`` on; another range costs what was kept."""
    given = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", given.strip())
    begin, last, total = (int(number) for number in match.groups()) if match else (-1, -1, -1)
    if begin != have or last != total - 1 or state.total not in (None, total):
        discard(part)
        raise _AgainError(f"the server gave another range than was asked for ({given[:60]!r}), so it begins anew")
    return total


def _receive(
    response: Any, file: IO[bytes], begin: int, total: int | None, most: int, stall_seconds: float, on_event: OnEvent
) -> int:
    """Writes the answer and says how many bytes are there then. Raises where they are too many or come too slowly."""
    what = Path(file.name).name.removesuffix(SUFFIX)
    on_event(Phase(f"Downloading {'the rest of ' if begin else ''}{what}", None if total is None else total - begin, "bytes"))
    pace = _Pace(begin, stall_seconds)
    have, told = begin, time.monotonic()
    while piece := response.read1(PIECE):
        have += len(piece)
        if have > most:
            raise _NeverError(f"it sends more than the {most:,} bytes that were expected. It is another file")
        with _disk_errors(file.name):
            file.write(piece)
        pace.see(have)
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            on_event(Progress(have - begin))
    on_event(Progress(have - begin))
    return have


class _Pace:
    """Notices a server that sends a little now and then, which no timeout does."""

    def __init__(self, have: int, seconds: float) -> None:
        self._seconds = seconds
        self._began, self._had = time.monotonic(), have

    def see(self, have: int) -> None:
        passed = time.monotonic() - self._began
        if passed < self._seconds:
            return
        if have - self._had < LEAST_RATE * passed:
            raise _AgainError(f"the server sent {have - self._had:,} bytes in {passed:.0f} s")
        self._began, self._had = time.monotonic(), have


@contextmanager
def _writing(part: Path, begin: int) -> Iterator[IO[bytes]]:
    """The part, open behind its first ``begin`` bytes; nobody else may write to it meanwhile."""
    with _disk_errors(str(part)):
        part.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("ab")
    with file:
        _lock(file, part)
        file.truncate(begin)
        yield file


def _lock(file: IO[bytes], part: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows; there the sums find out
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ResourceError(f"{part} is being written by another download. Wait for it to end.") from None
    except OSError:  # a file system without locks
        return


@contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"{name} could not be written: {error.strerror or error}. Free some space, or choose another --data-home; what has "
            "arrived is kept."
        ) from None


@contextmanager
def _network_errors(part: Path, have: int) -> Iterator[None]:
    """Turns what a request may raise into whether another try is worth it."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            discard(part)
            raise _AgainError("the server would not go on from where it stopped, so it begins anew") from None
        _refuse_status(error)
    except urllib.error.URLError as error:
        _refuse_connection(error.reason)
    except (OSError, http.client.HTTPException) as error:
        raise _AgainError(_in_words(error)) from None


def _refuse_status(error: urllib.error.HTTPError) -> NoReturn:
    said = f"it answers HTTP {error.code} {' '.join(str(error.reason).split())[:80]}".rstrip()
    if error.code not in _PASSING:
        raise _NeverError(said) from None
    asked = error.headers.get("Retry-After", "") if error.headers else ""
    raise _AgainError(said, float(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else 0.0) from None


def _refuse_connection(reason: object) -> NoReturn:
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise _NeverError(f"its certificate is not trusted ({reason.verify_message}); check this computer's clock") from None
    if isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME:
        raise _NeverError("no such server is known; check the address and the connection") from None
    raise _AgainError(_in_words(reason)) from None


def _in_words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "the server sent nothing for too long"
    return f"the connection failed ({str(reason) or type(reason).__name__})"


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _notes_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
