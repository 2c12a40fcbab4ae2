"""A bench in parts, each kept in one JSON file as soon as it is there."""

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
        known = json.loads(results.read_text()) if results.exists() else {"schema": 1}
        print(f"{name} ...", flush=True)
        write_json(results, {**known, **environment(), name: parts[name]()})
