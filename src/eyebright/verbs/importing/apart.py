"""Work on a file that is not trusted, in a process of its own: with little time and memory, without network and programs.

A parser that a damaged file leads astray ends that process, not ours. What it may hand back are files in one folder, which are
read without trust again. The limits are a second line: the first is that nothing in a model's file is ever run.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import eyebright
from eyebright.core.errors import ModelError
from eyebright.core.files import write_text
from eyebright.core.machine import proc

SECONDS = 900  # a network of a gigabyte is exported in a few minutes
MEMORY = 8 * 2**30  # bytes of addresses, beyond what the libraries that were loaded take
MEMORY_A_BYTE = 8  # the file, its arrays, the network's, the exporter's and the graph's, twice over
MOST_SAID = 300  # characters of a reason
REQUEST_FILE, ERROR_FILE, WORDS_FILE = "request.json", "error.json", "words.txt"
REFUSED = {
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"),
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn"),
}
CHANGING = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_START = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"


def run_apart(
    module: str,
    request: Mapping[str, Any],
    folder: Path,
    *,
    origin: str,
    environment: Mapping[str, str] | None = None,
    seconds: int = SECONDS,
) -> None:
    """Runs ``module`` of ours in a process of its own, which finds ``request`` and leaves its files in the new ``folder``.

    ``origin`` is what errors call the file that is read. Raises ``ModelError`` with the reason that the process left, or where
    it crashed or took too long.
    """
    root = str(Path(eyebright.__file__).parents[1])
    write_text(folder / REQUEST_FILE, json.dumps(dict(request)))
    command = [sys.executable, "-I", "-B", "-c", _START, root, module, str(folder)]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    homes = {name: str(folder) for name in ("HOME", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME")}
    surroundings = {**kept, **homes, "CUDA_VISIBLE_DEVICES": "", **(environment or {})}
    nothing = subprocess.DEVNULL
    with (folder / WORDS_FILE).open("wb") as words:
        try:
            done = subprocess.run(
                command, cwd=folder, env=surroundings, stdin=nothing, stdout=nothing, stderr=words, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"{origin} was not read within {seconds // 60} minutes, so it is refused.") from None
    reason = _reason(folder)
    if reason:
        raise ModelError(f"{origin} {reason}")
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}{_last_words(folder)}"
        raise ModelError(f"{origin} made the process that read it crash ({how}): it is damaged, or not what it seems to be.")


def refuse(reason: str, folder: Path) -> None:
    """Leaves the reason, which follows the file's name in a sentence, for the process that waits, and ends this one."""
    (folder / ERROR_FILE).write_text(json.dumps({"reason": _printable(reason)}), encoding="utf-8")
    sys.exit(ModelError.exit_code)


def _printable(text: str) -> str:
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return said if len(said) <= MOST_SAID else said[: MOST_SAID - 3] + "..."


def request_of(arguments: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """What this process was asked, and the folder for its files."""
    folder = Path(arguments[1])
    return json.loads((folder / REQUEST_FILE).read_text(encoding="utf-8")), folder


def confine(folder: Path, file_bytes: int, *, seconds: int = SECONDS) -> None:
    """From here on this process has little time and memory, writes in ``folder`` alone, and reaches no network and no program.

    Call it after the imports, and before the file is opened.
    """
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        _limit(resource, "RLIMIT_AS", _addresses() + MEMORY + MEMORY_A_BYTE * file_bytes)
        _limit(resource, "RLIMIT_CPU", 4 * seconds)  # of all threads together
        _limit(resource, "RLIMIT_CORE", 0)
    inside = os.path.realpath(folder) + os.sep

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in REFUSED:
            raise PermissionError(f"{event} is not allowed while a foreign file is read")
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (writes or event in CHANGING) and not _allowed(arguments[0], inside):
            raise PermissionError(f"writing {arguments[0]!r} is not allowed while a foreign file is read")

    sys.addaudithook(watch)


def _allowed(path: Any, inside: str) -> bool:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return True  # an open file's number
    return os.fsdecode(path) == os.devnull or (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(inside)


def _limit(resource: Any, name: str, wanted: int) -> None:
    kind = getattr(resource, name)
    _, most = resource.getrlimit(kind)
    wanted = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    with contextlib.suppress(ValueError, OSError):  # macOS has no limit on addresses
        resource.setrlimit(kind, (wanted, most))


def _addresses() -> int:
    """Bytes of addresses that this process has taken so far; 0 where the system does not say."""
    return int(proc("self/status").get("VmSize", "0").split()[0]) * 1024


def _reason(folder: Path) -> str:
    """What the process left as its reason; it is not trusted to be one."""
    path = folder / ERROR_FILE
    try:
        if path.stat().st_size > 64 * MOST_SAID:
            return "was refused for a reason that is too long to be one."
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        return "was refused for a reason that cannot be read."
    return _printable(str(value.get("reason"))) if isinstance(value, dict) else "was refused."


def _last_words(folder: Path) -> str:
    with (folder / WORDS_FILE).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * MOST_SAID))
        lines = file.read().decode("utf-8", errors="replace").strip().splitlines()
    return f": {_printable(lines[-1])}" if lines else ""
