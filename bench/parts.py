"""A bench in parts, each kept in one JSON file as soon as it is there, with the machine that it ran on."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eyebright.core.files import write_json
from eyebright.core.machine import environment


def run_parts(parts: Mapping[str, Callable[[], Any]], results: Path, about: str | None) -> None:
    """Runs the parts named on the command line, all where none is named, and writes what each gives into ``results``."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    for name in parser.parse_args().parts or parts:
        known = json.loads(results.read_text()) if results.exists() else {"schema": 2, "machines": {}}
        print(f"{name} ...", flush=True)
        found = parts[name]()
        write_json(results, {**known, "machines": {**known["machines"], name: environment()}, name: found})
