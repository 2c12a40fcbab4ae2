"""Docs are executed: the help that docs/cli.md holds, and each command in the README, are those of the program."""

import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from eyebright.cli import flags
from eyebright.cli.main import VERBS, overview

ROOT = Path(__file__).parent.parent
CLI, README, BUILD = ROOT / "docs" / "cli.md", ROOT / "README.md", ROOT / "docs" / "build.py"
PAGES = sorted(path for path in [README, *(ROOT / "docs").glob("*.md")] if path.is_file())


def settings_of(verb):
    module, _, attribute = VERBS[verb].settings.partition(":")
    return getattr(import_module(module), attribute)


def blocks(text):
    """The contents of the fenced blocks."""
    return re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(page):
    """Each eyebright command line in a page's blocks, its continuation lines joined."""
    text = "\n".join(blocks(page.read_text(encoding="utf-8"))).replace("\\\n", " ")
    lines = (line.removeprefix("$ ").strip() for line in text.splitlines())
    return [line for line in lines if re.match(r"eyebright ([a-z]+|--)", line)]


def given(page):
    """The commands of a page as parameters; overviews and usage lines are not commands."""
    return [(page.name, line) for line in commands(page) if "..." not in line and "[" not in line]


@pytest.mark.parametrize("verb", VERBS)
def test_the_reference_holds_the_help_of_each_verb(verb):
    if not CLI.is_file():
        pytest.skip("docs/cli.md is not written yet")
    row = VERBS[verb]
    text = flags.help_text(verb, row.about, row.example, settings_of(verb), json=row.json)
    held = [block.strip() for block in blocks(CLI.read_text(encoding="utf-8"))]
    assert text.strip() in held, "docs/cli.md is stale: make docs"


def test_the_reference_holds_the_overview():
    if not CLI.is_file():
        pytest.skip("docs/cli.md is not written yet")
    assert overview().strip() in [block.strip() for block in blocks(CLI.read_text(encoding="utf-8"))]


def test_the_builder_of_the_reference_finds_nothing_stale():
    if not BUILD.is_file():
        pytest.skip("docs/build.py is not written yet")
    said = subprocess.run([sys.executable, str(BUILD), "--check"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(("page", "line"), [row for page in PAGES for row in given(page)])
def test_each_command_in_the_docs_is_one_that_the_program_accepts(page, line):
    verb, *words = shlex.split(line, comments=True)[1:]
    if verb.startswith("--"):
        assert verb in ("--help", "--version")
        return
    assert verb in VERBS, f"{page}: {line}"
    words = words[: words.index("|")] if "|" in words else words
    if flags.asks_for_help(words):
        return
    found = flags.parse(verb, words, settings_of(verb), json=VERBS[verb].json)
    settings_of(verb).resolve(found.values)


def test_the_figures_in_the_readme_are_called_as_the_terminal_calls_them():
    from eyebright.render.words import metric_name

    rows = README.read_text(encoding="utf-8").splitlines()
    heads = [number for number, row in enumerate(rows) if row.startswith("figure ")]
    assert heads
    for number in heads:
        assert rows[number + 1].startswith(f"{metric_name('accuracy')} ")
        assert rows[number + 1].index("0.98 to") == rows[number].index("95 % interval")


def test_contributors_are_told_every_word_of_the_makefile():
    words = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert words
    assert [word for word in words.group(1).split() if word != "help" and not re.search(rf"make {word}\s", told)] == []


def test_the_readme_names_commands_at_all():
    if len(README.read_text(encoding="utf-8")) < 200:
        pytest.skip("the README is not written yet")
    assert {shlex.split(line)[1] for line in commands(README)} >= {"train", "predict", "verify"}


def test_the_tour_can_be_typed_in_order_each_run_is_made_once_and_before_it_is_used():
    """A run's folder is never written to twice, and a default takes the next free number: each command names its own."""
    made = []
    for line in "\n".join(blocks(README.read_text(encoding="utf-8"))).splitlines():
        out = re.search(r"""(?:--out |\bout=")([^\s"]+)""", line)
        if re.match(r"(\$ )?eyebright (train|tune|import) ", line) or "eyebright.train(" in line:
            assert out, f"{line}: which folder it takes depends on what was typed before"
            assert out.group(1) not in made, line
            made.append(out.group(1))
        elif re.match(r"(\$ )?eyebright ", line):
            used = re.findall(r"\bruns/[\w-]+", line)
            assert set(used) <= set(made), line
    assert len(made) > 4


def declared():
    """What pyproject.toml says of the project."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_extra_that_is_named_to_pip_is_declared(page):
    named = re.findall(r"pip install '?(?:\.|eyebright)\[([\w,]+)\]", page.read_text(encoding="utf-8"))
    assert {extra for each in named for extra in each.split(",")} <= set(declared()["optional-dependencies"])


def test_the_readme_names_every_extra_that_a_user_may_want():
    text = README.read_text(encoding="utf-8")
    install = text[text.index("## Install") : text.index("## A tour")]
    wanted = set(declared()["optional-dependencies"]) - {"demo", "dev", "telemetry"}  # the last is in docs/serving.md
    assert wanted <= set(re.findall(r"\w+", install))


def test_the_readme_bounds_torch_as_the_project_does():
    command = next(line for line in README.read_text(encoding="utf-8").splitlines() if "pip install 'torch" in line)
    train = declared()["optional-dependencies"]["train"]
    assert sorted(re.findall(r"'([^']+)'", command)) == sorted(row for row in train if row.startswith("torch"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_to_a_file_of_ours_leads_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_page_on_security_names_what_stays_in_the_cache_and_how_much_of_it():
    from eyebright.data import pixel_cache, scan_cache
    from eyebright.images import phash
    from eyebright.training import features

    told = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())
    stays = told[told.index("**Pictures stay in the cache folder**") :]
    assert f"`{pixel_cache.FOLDER}` has copies" in stays
    assert f"at most {pixel_cache.LIMIT // 2**30} GiB, none of a data set with a {pixel_cache.PATIENTS} file" in stays
    assert f"`{scan_cache.FOLDER}` has a grey thumbprint of {phash.SIDE} x {phash.SIDE} pixels" in stays
    assert f"at most {scan_cache.LIMIT // 2**20} MiB" in stays
    assert f"at most {features.CACHE_LIMIT // 2**30} GiB" in stays


def test_the_design_cites_the_time_that_was_measured_last():
    table = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    times = [re.search(rf"^\| eyebright, {form} \| ([\d.]+) \|", table, flags=re.MULTILINE) for form in ("openvino", "onnx")]
    assert all(times)
    cited = " and ".join(found.group(1) for found in times if found)
    assert f"({cited} ms for Lite0" in (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_page_on_data_names_the_limits_of_prepared_pictures():
    from eyebright.data import pixel_cache, pixels

    row = next(
        line for line in (ROOT / "docs" / "data.md").read_text(encoding="utf-8").splitlines() if "| prepared pictures" in line
    )
    assert f"from {pixel_cache.LEAST // 2**20} MiB to {pixel_cache.LIMIT // 2**30} GiB they are written into a file" in row
    assert pixel_cache.FREE == 4
    assert "four times the room" in row
    assert f"beyond {pixels.MEMORY_LIMIT // 2**30} GiB" in row
