"""Writes docs/cli.md and docs/performance.md:  python docs/build.py [--check]

The first is the command's own help, which is made from the settings of each verb, the second the benches' results: neither page
can say anything else. ``--check`` writes nothing and exits with 1 where a page is stale.
"""

import importlib
import sys
from pathlib import Path

from eyebright.cli.flags import help_text
from eyebright.cli.main import VERBS, overview

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import performance  # noqa: E402 - it lies beside this file, which is no package

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
    """Writes the pages, or compares them; returns the exit code."""
    pages = {HERE / "cli.md": cli_page(), HERE / "performance.md": performance.page()}
    if words == ["--check"]:
        return max([_compare(path, page) for path, page in pages.items()])
    if words:
        sys.stderr.write(f"docs/build.py takes --check or nothing; {words[0]!r} was given.\n")
        return 2
    for path, page in pages.items():
        path.write_text(page, encoding="utf-8")
    performance.draw()
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


def _compare(path: Path, page: str) -> int:
    if path.is_file() and path.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write(f"docs/{path.name} is stale: make docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
