"""One form of a bundle in a process of its own:  python -m eyebright.verbs.benchmarking.child BUNDLE FORM THREADS

So that its start-up and its memory are its own. It says a line of JSON when it is ready, and one for each line that it is told:
``{"batch": 1, "seconds": 0.5}`` has it asked with that many pictures for that long. It ends with its standard input.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.core.machine import proc


def main(words: list[str]) -> None:
    """Opens the form, and answers until nothing more comes."""
    say = _voice()
    path, form, threads = words
    try:
        _work(Path(path), form, int(threads), say)
    except Exception as error:  # whatever it is, the parent must be told
        from eyebright.core.errors import EyebrightError

        reason = str(error) if isinstance(error, EyebrightError) else f"{type(error).__name__}: {error}"
        say({"error": reason})


def _voice() -> Callable[[dict[str, Any]], None]:
    """Takes standard output for our lines alone: libraries that print there are heard on standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(row: dict[str, Any]) -> None:
        own.write(json.dumps(row) + "\n")
        own.flush()

    return say


def _work(path: Path, form: str, threads: int, say: Callable[[dict[str, Any]], None]) -> None:
    from eyebright.backends.open import open_predictor
    from eyebright.core.bundle import read_bundle
    from eyebright.images.preprocess import to_pixels
    from eyebright.verbs.verify import decode_probe, golden_difference

    if form == "torch":
        import torch

        torch.set_num_threads(threads)
    bundle = read_bundle(path)
    predictor, _ = open_predictor(bundle, form=form, threads=threads)
    prepared, _ = decode_probe(bundle)
    pixels = to_pixels(np.stack([picture for _, picture in prepared]))
    predictor(pixels[:1])
    say({"ready": True})
    say({"difference": golden_difference(predictor, prepared)})
    for line in sys.stdin:
        wanted = json.loads(line)
        batch = pixels[np.arange(wanted["batch"]) % len(pixels)]
        took = _asked(functools.partial(predictor, batch), wanted["seconds"])
        say({"seconds": took, "memory": _peak_memory()})


def _asked(ask: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each call, until ``seconds`` are over; one call at least, and the first, which warms up, is left out."""
    ask()
    took: list[float] = []
    until = time.perf_counter() + seconds
    while not took or time.perf_counter() < until:
        started = time.perf_counter()
        ask()
        took.append(time.perf_counter() - started)
    return took


def _peak_memory() -> int | None:
    """The most bytes that this process has held, None where the system does not say."""
    if said := proc("self/status").get("VmHWM"):  # Linux's ru_maxrss would be that of the process which started this one
        return 1024 * int(said.split()[0])
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


if __name__ == "__main__":
    main(sys.argv[1:])
