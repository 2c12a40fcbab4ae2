"""The command: quick to help, plain in its errors, and pure in its JSON."""

import errno
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from eyebright import __version__
from eyebright.cli.main import EXTRAS, VERBS, main
from eyebright.core import errors
from eyebright.core.events import Note, Phase

HELP_LIMIT = 0.15  # seconds of CPU time, the interpreter's own start included


def cpu_seconds(*command):
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    return float(subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True).stdout)


def modules_after(program):
    said = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(said.stdout.split())


def test_help_takes_next_to_no_time():
    taken = [cpu_seconds(sys.executable, "-m", "eyebright.cli.main", "--help") for _ in range(5)]
    assert statistics.median(taken) < HELP_LIMIT


def test_importing_eyebright_loads_neither_numpy_nor_torch():
    assert not {"numpy", "torch", "pydantic", "rich"} & modules_after("import eyebright")


def test_help_loads_no_heavy_package():
    program = "from eyebright.cli.main import main; main(['--help'])"
    assert not {"numpy", "torch", "pydantic", "rich", "argparse", "dataclasses"} & modules_after(program)


def test_help_names_every_verb_within_80_columns(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in VERBS)
    assert max(map(len, said.splitlines())) <= 80


def test_the_exit_codes_of_the_overview_are_those_that_can_come(capsys):
    main(["--help"])
    said = capsys.readouterr().out
    codes = {int(code) for code in re.findall(r"\b(\d+) ", said.partition("Exit codes:")[2])}
    assert codes == {0, 2, 3, 4, 5, 6, 130, 143}


def test_every_package_of_an_extra_names_the_extra_that_brings_it():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {"scikit-image": "skimage", "scikit-learn": "sklearn"}
    for extra in ("train", "demo"):
        packages = [re.split(r"[\[>=<]", line)[0] for line in project["optional-dependencies"][extra]]
        for package in set(packages) - {"eyebright"}:
            assert EXTRAS[names.get(package, package.replace("-", "_"))] == extra


def test_no_words_at_all_are_answered_with_help_and_an_error(capsys):
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Usage: eyebright VERB")


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"eyebright {__version__}\n"


def test_an_unknown_verb_is_answered_with_the_nearest(capsys):
    assert main(["trian", "flowers"]) == 2
    assert "Unknown verb 'trian'. Did you mean train?" in capsys.readouterr().err


def test_the_table_follows_the_convention_of_the_verbs():
    elsewhere = {"import": "eyebright.verbs.import_", "serve": "eyebright.serving.serve"}  # a keyword, and a room of its own
    for name, verb in VERBS.items():
        module = elsewhere.get(name, f"eyebright.verbs.{name}")
        assert verb.settings == f"{module}:{name.title()}Settings"
        assert verb.run == f"{module}:run"
        assert verb.example.startswith(f"eyebright {name}")


def test_a_verbs_help_runs_nothing(toy, capsys):
    toy.act = pytest.fail
    assert main(["toy", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: eyebright toy DATA")


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(toy, tmp_path):
    config = tmp_path / "toy.toml"
    config.write_text('epochs = 3\ndevice = "cpu"\ndata = "from-file"\n')
    assert main(["toy", "from-flags", "--config", str(config), "--epochs", "5"]) == 0
    (settings,) = toy.shown
    assert (str(settings.data), settings.epochs, settings.device, settings.augment) == ("from-flags", 5, "cpu", True)


def test_json_is_one_document_even_if_a_library_prints(toy, capsys):
    def chatty(settings, on_event):
        sys.stdout.write("a library says hello\n")
        on_event(Phase("counting", 3))
        on_event(Note("all is well"))
        return settings

    toy.act = chatty
    assert main(["toy", "blocks", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["data"] == "blocks"
    assert "a library says hello" in said.err
    assert "all is well" in said.err
    assert toy.shown == []


def test_a_result_may_carry_its_exit_code(toy):
    class Failed:
        exit_code = 3

    toy.act = lambda settings, on_event: Failed()
    assert main(["toy", "blocks"]) == 3


def failing(error):
    def act(settings, on_event):
        raise error

    return act


@pytest.mark.parametrize(
    "kind",
    [
        errors.SettingsError,
        errors.DataError,
        errors.ImageError,
        errors.MissingExtraError,
        errors.ResourceError,
        errors.ModelError,
        errors.QualityGateError,
        errors.InterruptedRunError,
    ],
)
def test_each_error_is_one_plain_sentence_with_its_exit_code(toy, capsys, kind):
    toy.act = failing(kind("what was found; what to do"))
    assert main(["toy", "blocks"]) == kind.exit_code
    said = capsys.readouterr()
    assert said.err == "eyebright: what was found; what to do\n"
    assert said.out == ""


def test_an_error_may_carry_an_exit_code_of_its_own(toy):
    error = errors.InterruptedRunError("stopped by the system")
    error.exit_code = 143
    toy.act = failing(error)
    assert main(["toy", "blocks"]) == 143


def test_a_bug_keeps_its_traceback_and_asks_for_a_report(toy, capsys):
    toy.act = failing(KeyError("oops"))
    assert main(["toy", "blocks"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "KeyError: 'oops'" in said
    assert "Please report it" in said


@pytest.mark.parametrize(("package", "extra"), [("torch", "train"), ("jinja2", "train"), ("sklearn", "demo")])
def test_a_missing_package_is_answered_with_the_command_that_gets_it(toy, capsys, package, extra):
    toy.act = failing(ModuleNotFoundError(f"No module named {package!r}", name=package))
    assert main(["toy", "blocks"]) == 4
    assert f"pip install 'eyebright[{extra}]'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["torch.no_such_part", "eyebright.no_such_room", None])
def test_an_import_that_no_extra_cures_is_a_bug(toy, capsys, name):
    toy.act = failing(ModuleNotFoundError("No module", name=name))
    assert main(["toy", "blocks"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOSPC, "No space left", "/x"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    ],
)
def test_what_the_computer_lacks_is_said_without_a_traceback(toy, capsys, error):
    toy.act = failing(error)
    assert main(["toy", "blocks"]) == 5
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_cannot_steer_the_terminal(toy, capsys):
    toy.act = failing(errors.DataError("\x1b[2Jrose\r.jpg \u202egpj is unreadable"))
    main(["toy", "blocks"])
    assert capsys.readouterr().err == "eyebright: \\x1b[2Jrose\\r.jpg \\u202egpj is unreadable\n"


def test_a_verbs_settings_error_names_the_flag(toy, capsys):
    assert main(["toy", "blocks", "--epochs", "none"]) == 2
    assert "--epochs is 'none'; expected a valid integer" in capsys.readouterr().err


def test_a_missing_argument_is_named(toy, capsys):
    assert main(["toy"]) == 2
    assert "The argument DATA is missing." in capsys.readouterr().err


def test_ctrl_c_ends_with_130(toy, capsys):
    toy.act = failing(KeyboardInterrupt())
    assert main(["toy", "blocks"]) == 130
    assert capsys.readouterr().err == "eyebright: Stopped.\n"


SLEEPER = """
import sys, time, types
from eyebright.cli import main as command
from eyebright.core.errors import InterruptedRunError
from eyebright.core.events import Phase
from eyebright.core.settings import Settings

def run(settings, on_event):
    on_event(Phase("sleeping"))
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        if {saves}:
            raise InterruptedRunError("Stopped; what was done is kept.") from None
        raise

module = types.ModuleType("sleeper")
module.SleeperSettings, module.run = Settings, run
sys.modules["sleeper"] = module
command.VERBS["sleep"] = command.Verb("", "", "sleeper:SleeperSettings", "sleeper:run", "")
command.entry(["sleep"])
"""


@pytest.mark.parametrize("saves", [True, False])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_unwinds_and_gives_its_exit_code(number, code, saves):
    program = SLEEPER.replace("{saves}", str(saves))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "sleeping ...\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("eyebright: Stopped")


def test_a_reader_that_leaves_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "eyebright.cli.main", "--help"]
    process = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert process.stderr == ""
    assert process.returncode == 128 + 13
