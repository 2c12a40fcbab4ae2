"""Environments of the peers' own, so that what they want changes nothing of ours."""

import shutil
import subprocess
import venv
from pathlib import Path

from eyebright.core.files import cache_home


def python_of(name: str, requirements: Path) -> str:
    """The Python of the environment ``name``, which is made where it is missing or older than ``requirements``."""
    place = cache_home() / "bench" / name
    python, stamp = place / "bin" / "python", place / ".requirements"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        stamp.write_text(requirements.read_text())
    return str(python)
