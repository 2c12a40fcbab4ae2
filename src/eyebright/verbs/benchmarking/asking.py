"""Forms, each in a process of its own, asked in turns, so that a machine that slows down slows all of them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from eyebright.core.errors import ModelError

CHILD = "eyebright.verbs.benchmarking.child"
MOST_WORDS = 1000  # bytes of standard error that are looked at for its last line


class Asked:
    """A form that waits to be asked, in its own process. ``start_seconds`` is from nothing to its first answer."""

    def __init__(self, bundle: Path, form: str, threads: int) -> None:
        """Starts it. Raises ``ModelError`` with its reason where it does not come up or fails its own golden answers."""
        self.form = form
        started = time.perf_counter()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the process is
        # It finds what this process finds, and nothing that lies in the folder that the user happens to be in.
        surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", CHILD, str(bundle), form, str(threads)],
            env=surroundings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
        )
        self.took: dict[int, list[float]] = {}
        self.memory: int | None = None
        try:
            self._heard()
            self.start_seconds = time.perf_counter() - started
            self.difference = float(self._heard()["difference"])
        except BaseException:
            self.close()
            raise

    def ask(self, batch: int, seconds: float) -> None:
        """Has it answer ``batch`` pictures at a time for about ``seconds``; how long each call took joins ``took[batch]``."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"batch": batch, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
        except OSError:
            code = self._process.wait()
            raise ModelError(
                f"The process of the form {self.form} ended before it was done, exit code {code}{self._last_words()}."
            ) from None
        row = self._heard()
        self.took.setdefault(batch, []).extend(row["seconds"])
        self.memory = row["memory"]

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):  # nothing, or half a line
            code = self._process.wait()
            raise ModelError(
                f"The process of the form {self.form} ended without an answer, exit code {code}{self._last_words()}."
            )
        row: dict[str, Any] = json.loads(line)
        if "error" in row:
            raise ModelError(row["error"])
        return row

    def _last_words(self) -> str:
        """The last line that the process wrote to standard error, after a colon; nothing where it wrote none."""
        end = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, end - MOST_WORDS))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1].rstrip('.')}" if lines else ""

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        self._process.kill()
        self._process.communicate()
        self._said.close()
