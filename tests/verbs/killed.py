"""A process that trains and is killed at a chosen moment, as by a power cut.

python killed.py MOMENT DATA OUT [FLAG ...]     MOMENT: replace:N, flush:N or none

``replace:N`` kills at the Nth renaming of a finished file, before it happens. ``flush:N`` cuts the Nth file in half and kills
before it is whole. What takes seconds is left out of the training. Many moments may be given, joined by
commas: each is a child of its own, in ``OUT-MOMENT``, begun after the heavy imports.
"""

import os
import signal
import sys

import pytest
import torch
from shapes import skip_the_slow

from eyebright.cli.main import main
from eyebright.models.zoo import timm
from eyebright.verbs.making import finishing, judging

assert finishing
assert judging
timm()  # imported now, so that the children need not


def die_at(number, call, before=lambda *given: None):
    """``call``, but its ``number``-th time it does ``before`` and kills the process."""
    count = 0

    def counted(*given, **named):
        nonlocal count
        count += 1
        if count == number:
            before(*given)
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given, **named)

    return counted


def prepare(moment):
    torch.set_num_threads(1)
    skip_the_slow(pytest.MonkeyPatch())
    kind, _, number = moment.partition(":")
    if kind == "replace":
        os.replace = die_at(int(number), os.replace)
    elif kind == "flush":
        os.fsync = die_at(int(number), os.fsync, lambda handle: os.ftruncate(handle, os.fstat(handle).st_size // 2))


def child(moment, data, out, flags):
    """The exit status of one training, in a child process."""
    pid = os.fork()
    if pid == 0:
        prepare(moment)
        os._exit(main(["train", data, "--out", out, *flags]))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    moments, data, out, *flags = sys.argv[1:]
    for moment in moments.split(","):
        folder = f"{out}-{moment.replace(':', '-')}"
        status = child(moment, data, folder, flags)
        resumed = child("none", data, folder, ["--resume"]) if status == -signal.SIGKILL else "not killed"
        sys.stdout.write(f"{moment} {status} {resumed}\n")
