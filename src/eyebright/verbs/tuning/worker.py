"""One of several processes that work on a search:  python -m eyebright.verbs.tuning.worker FOLDER THREADS DEADLINE

It gathers the data for itself and takes trials until none is left, the time is over, or its standard input ends: the process
that started it holds that open, and follows the records.
"""

import _thread
import os
import signal
import sys
import threading
from pathlib import Path

from eyebright.core.errors import EyebrightError, InterruptedRunError
from eyebright.core.events import silent
from eyebright.verbs.making.settings import TrainSettings


def main(words: list[str]) -> int:
    """Works on the search in ``words[0]``, on ``words[1]`` threads, until the time ``words[2]``; returns the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _work(Path(words[0]), int(words[1]), float(words[2]))
    except (InterruptedRunError, KeyboardInterrupt):
        return InterruptedRunError.exit_code
    except EyebrightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _work(folder: Path, threads: int, deadline: float) -> None:
    import torch

    from eyebright.verbs.tuning.study import Description, Study
    from eyebright.verbs.tuning.trial import Workbench

    torch.set_num_threads(threads)
    description = Description.model_validate_json((folder / "study.json").read_bytes())
    bench = Workbench(TrainSettings.resolve(description.base), folder, silent)
    Study(folder, description).work_through(bench, deadline, silent, lambda trial: None)


def _end_with_parent() -> None:
    """Interrupts the work, as Ctrl-C would, when standard input ends."""
    while os.read(0, 1):  # not sys.stdin: a thread that waits in its buffer would be fatal when the interpreter ends
        pass
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
