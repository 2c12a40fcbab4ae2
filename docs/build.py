"""Writes docs/cli.md from the command's own help:  python docs/build.py [--check]

The help of each verb is made from its settings, so the page cannot say anything else than the program. ``--check`` writes
nothing and exits with 1 where the page is stale.
"""

import importlib
import sys
from pathlib import Path

from eyebright.cli.flags import help_text
from eyebright.cli.main import VERBS, overview

PAGE = Path(__file__).parent / "cli.md"
INTRODUCTION = """# The command line

This page is written by `make docs` from the program's own help; change the settings of a verb, not this page.

How words are read:

- `--name value` and `--name=value` are the same. A flag that is listed as `--x, --no-x` takes no value.
- What is given by place (`DATA`, `BUNDLE`) may stand before or after the flags; `--` ends the flags.
- `--config FILE` reads the same settings from a TOML file, `learning_rate` or `learning-rate` alike. A flag wins over the file.
- An unknown flag or key is refused, with the nearest known one.
- The result goes to stdout, everything said on the way to stderr. `--json` makes the result one JSON document.
"""


def main(words: list[str]) -> int:
    """Writes the page, or compares it; returns the exit code."""
    page = cli_page()
    if words == ["--check"]:
        return _compare(page)
    if words:
        sys.stderr.write(f"docs/build.py takes --check or nothing; {words[0]!r} was given.\n")
        return 2
    PAGE.write_text(page, encoding="utf-8")
    return 0


def cli_page() -> str:
    """The whole page, in markdown."""
    sections = [INTRODUCTION, f"## eyebright\n\n{_block(overview())}", *map(_section, VERBS)]
    return "\n".join(sections)


def _section(name: str) -> str:
    verb = VERBS[name]
    module, _, attribute = verb.settings.partition(":")
    settings = getattr(importlib.import_module(module), attribute)
    return f"## {name}\n\n{_block(help_text(name, verb.about, verb.example, settings, json=verb.json))}"


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def _compare(page: str) -> int:
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write("docs/cli.md is stale: make docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
