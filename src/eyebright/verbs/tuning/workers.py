"""Trials side by side: how many pay, and the processes that do them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from eyebright.core.errors import DataError, InterruptedRunError, ResourceError
from eyebright.core.events import Note, OnEvent
from eyebright.core.interrupt import stop_requests
from eyebright.core.machine import usable_cores
from eyebright.training.fit import LabelledPictures, measure_pace
from eyebright.verbs.making.work import Work

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 20.0  # for a process that was asked to end; a step of training may take some
MOST = 4  # unless more are asked for: each process reads the data for itself, and proposals learn from trials that have ended
PAYS = 1.2  # side by side is taken where it gets this much more done


def what_pays(work: Work, trials: int, *, gathering: float, left: float) -> tuple[int, str]:
    """How many trials are run side by side, and why: timed on this network, with all threads and with some.

    ``gathering`` is how many seconds reading the data took, which every process does for itself, of the ``left`` ones.
    """
    cores = usable_cores()
    count = min(cores, trials, MOST)
    if count < 2:
        return 1, "there is one core, or one trial"
    if work.plan.recipe.device != "cpu":
        return 1, "the trials share one GPU"
    if find_spec("fcntl") is None:
        return 1, "this system has no locks that end with their process"
    together, apart = _pace(work, cores), _pace(work, cores // count)
    # Each process reads the data on its share of the cores: as if one had read it that many times.
    gain = count * together / apart * max(0.0, 1 - count * gathering / max(left, 1e-9))
    threads = f"{cores // count} thread{'s' if cores // count > 1 else ''} each"
    said = f"{count} on {threads} would get {gain:.1f} times as much done as one on {cores}, reading the data included"
    return (count, said) if gain >= PAYS else (1, f"{said}; {PAYS:g} times would be worth it")


def threads_each(count: int) -> int:
    """On how many threads each of ``count`` processes computes."""
    return max(1, usable_cores() // count)


def _pace(work: Work, threads: int) -> float:
    """Seconds that a picture takes in training on so many threads."""
    import torch

    network, _ = work.fresh_network()
    rows = np.flatnonzero(~work.held_out)[: work.plan.recipe.batch_size]
    whole = work.pictures
    sample = LabelledPictures(whole.pictures[rows], whole.labels[rows], whole.hashes[rows])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return measure_pace(network, sample, work.plan.recipe, seconds=1.0).training
    finally:
        torch.set_num_threads(before)


def side_by_side(folder: Path, count: int, deadline: float, on_event: OnEvent, follow: Callable[[], None]) -> None:
    """Works on the search in ``folder`` in ``count`` processes until it, or the time, is at its end; ``follow`` is called now
    and then.

    They end with this process, however it ends: each of them watches a pipe that this one holds open. Raises
    ``InterruptedRunError`` on Ctrl-C, and ``DataError`` or ``ResourceError`` with the reason where no process could work.
    """
    logs = [folder / f"process-{number}.log" for number in range(count)]
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(folder, log, count, deadline)) for log in logs]
        with stop_requests() as stop:
            while any(worker.poll() is None for worker in workers):
                follow()
                if stop:
                    error = InterruptedRunError("Stopped.")
                    error.exit_code = 128 + (stop.signal or 2)
                    raise error
                time.sleep(POLL_SECONDS)
    follow()
    codes = [worker.returncode for worker in workers]
    for code, log in zip(codes, logs, strict=True):
        if code and all(codes):
            raise (DataError if code == DataError.exit_code else ResourceError)(
                _last_line(log) or f"It ended with code {code}."
            )
        if code:
            on_event(Note(f"A process of the search ended early: {_last_line(log) or code}", "warning"))
        else:
            log.unlink()


def _last_line(log: Path) -> str:
    return " ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:])


@contextmanager
def _worker(folder: Path, log: Path, count: int, deadline: float) -> Iterator["subprocess.Popen[bytes]"]:
    threads = str(threads_each(count))
    environment = {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
        # It finds what this process finds, and nothing that lies in the folder that the user happens to be in.
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    command = [sys.executable, "-P", "-m", "eyebright.verbs.tuning.worker", str(folder), threads, str(deadline)]
    with log.open("wb") as said:
        worker = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True
        )
    try:
        yield worker
    finally:
        assert worker.stdin is not None
        worker.stdin.close()  # its sign to end
        try:
            worker.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
