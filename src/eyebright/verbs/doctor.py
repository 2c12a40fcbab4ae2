"""What this computer can do for eyebright, what is installed, what else there is and the commands for it.

It works with no extra at all, loads torch only where a GPU could be found by it, and raises nothing: what cannot be read is
left out or said in words.
"""

import importlib
import os
import platform
import re
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from eyebright import __version__
from eyebright.core import machine
from eyebright.core.events import OnEvent, silent
from eyebright.core.files import cache_home
from eyebright.core.settings import Settings

State = Literal["ok", "missing", "optional", "caution", "fact"]
GIB = 2**30
LOW_DISK = 2 * GIB  # bytes; a run with its checkpoints and caches stays well under this
DEVELOPERS = {"dev"}  # extras that no user needs
PURPOSES = {
    "train": "training, the model imagenet, importing .onnx files and weights",
    "classic": "handcrafted models",
    "tune": "the search for settings",
    "tensorboard": "the log for TensorBoard",
    "serve": "the page and the server",
    "telemetry": "traces of the server",
    "medical": "DICOM pictures",
    "heic": "HEIC pictures",
    "keras": "importing .keras and .h5 files",
    "litert": "importing .tflite files, and running them",
    "openvino": "another way to run the ONNX form",
    "demo": "the pictures of the demonstration",
}

# What makes inference on CPUs fast, by the names in /proc/cpuinfo.
CPU_FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx512_bf16": "bf16",
    "amx_tile": "AMX",
    "asimd": "NEON",
}


class DoctorSettings(Settings):
    """Looking at this computer takes no settings."""


class Check(BaseModel):
    """One thing looked at. ``remedy`` is the command or the sentence that helps, empty where nothing is needed."""

    model_config = ConfigDict(frozen=True)

    group: str
    name: str
    state: State
    detail: str
    remedy: str = ""


class Diagnosis(BaseModel):
    """Everything that was looked at, in the order to read it."""

    model_config = ConfigDict(frozen=True)

    checks: tuple[Check, ...]


def doctor() -> Diagnosis:
    """What is installed, what this computer has, and what to do about what is missing. Raises nothing."""
    return Diagnosis(checks=(*_software(), *_packages(), *_torch_pair(), *_hardware(), _device(), *_places()))


def run(settings: DoctorSettings, on_event: OnEvent = silent) -> Diagnosis:
    """``doctor`` for the command line."""
    return doctor()


def _software() -> list[Check]:
    python = f"{platform.python_version()} ({sys.executable or 'unknown place'})"
    return [
        Check(group="software", name="python", state="ok", detail=python),
        Check(group="software", name="eyebright", state="ok", detail=__version__),
    ]


def _packages() -> list[Check]:
    """A check for each package of the base install and of every extra, once each."""
    try:
        declared = metadata.requires("eyebright") or []
    except metadata.PackageNotFoundError:
        remedy = "In a clone of eyebright: pip install ."
        return [Check(group="software", name="packages", state="caution", detail="eyebright is not installed", remedy=remedy)]
    return [_package(name, extra) for extra, names in _by_extra(declared).items() for name in names]


def _by_extra(declared: list[str]) -> dict[str, list[str]]:
    """The packages of the base install (under an empty name) and of each extra, each package in the smallest that has it."""
    extras: dict[str, list[str]] = {}
    for name, extra in map(_requirement, declared):
        if extra not in DEVELOPERS and name != "eyebright":
            extras.setdefault(extra, []).append(name)
    seen: set[str] = set()
    smallest_first = sorted(extras, key=lambda extra: (extra != "", len(extras[extra])))
    for extra in smallest_first:
        extras[extra] = [name for name in extras[extra] if name not in seen]
        seen.update(extras[extra])
    return {extra: extras[extra] for extra in smallest_first}


def _requirement(text: str) -> tuple[str, str]:
    """A requirement's package and the extra that asks for it, which is empty for the base install.

    >>> _requirement("torch<2.14,>=2.10; extra == 'train'")
    ('torch', 'train')
    """
    name = re.match(r"[A-Za-z0-9._-]+", text)
    extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", text)
    return name.group() if name else text, extra.group(1) if extra else ""


def _package(name: str, extra: str) -> Check:
    group = f"packages: {extra}" if extra else "packages: base"
    try:
        return Check(group=group, name=name, state="ok", detail=metadata.version(name))
    except metadata.PackageNotFoundError:
        if extra:
            detail = f"for {PURPOSES.get(extra, f'the extra {extra}')}: pip install 'eyebright[{extra}]'"
            return Check(group=group, name=name, state="optional", detail=detail)
        remedy = "pip install eyebright"  # which is there already: pip brings what it lacks
        return Check(group=group, name=name, state="missing", detail=remedy, remedy=remedy)


def _torch_pair() -> list[Check]:
    """A word on the registry's torchvision beside a CPU build of torch, whose import dies in other programs."""
    torch, torchvision = _build("torch"), _build("torchvision")
    if torch is None or torchvision is None or _is_cuda(torch) or not _is_cuda(torchvision):
        return []
    detail = f"torchvision {torchvision} is built for CUDA, torch {torch} is not; eyebright handles it, other programs may not"
    return [Check(group="known traps", name="torch and torchvision", state="fact", detail=detail)]


def _build(package: str) -> str | None:
    """A package's version with the build's own suffix, e.g. ``0.28.0+cu130``, read without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.origin:
        return None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"__version__\s*=\s*['\"]([^'\"]+)['\"]", text)
    return found.group(1) if found else None


def _is_cuda(build: str) -> bool:
    # PyPI's own torch for Linux carries "+cuNNN" in version.py, though its wheel's name does not.
    return "+cu" in build


def _device() -> Check:
    device, why = _choose()
    return Check(group="computer", name="device", state="fact", detail=f"{device}, because {why}")


def _choose() -> tuple[str, str]:
    if find_spec("torch") is None:
        return "cpu", "torch is not installed; ONNX Runtime runs the models"
    if (build := _build("torch")) and "+cpu" in build:
        return "cpu", f"torch {build} is a CPU build"
    try:
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            return "cuda", f"torch sees {torch.cuda.get_device_name(0)}"
    except Exception as error:  # a broken torch is what a doctor is for
        return "cpu", f"torch cannot be used ({type(error).__name__}: {error})"
    return "cpu", "no CUDA device is visible to torch"


def _hardware() -> list[Check]:
    cpu = [machine.cpu_name(), f"{machine.usable_cores()} cores", *_cpu_flags()]
    checks = [Check(group="computer", name="cpu", state="fact", detail=", ".join(part for part in cpu if part))]
    if memory := _memory():
        checks.append(Check(group="computer", name="memory", state="fact", detail=memory))
    return checks


def _cpu_flags() -> list[str]:
    cpu = machine.proc("cpuinfo")
    present = set((cpu.get("flags") or cpu.get("Features") or "").split())
    return [word for flag, word in CPU_FLAGS.items() if flag in present]


def _memory() -> str:
    memory = machine.proc("meminfo")
    try:
        total, free = (int(memory[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        return ""
    return f"{total / GIB:.1f} GiB, {free / GIB:.1f} GiB of it free"


def _places() -> list[Check]:
    cache = cache_home()
    detail = f"{cache}, {_folder_bytes(cache) / 2**20:,.1f} MiB"
    checks = [Check(group="places", name="cache", state="fact", detail=detail)]
    if (free := _free_bytes(cache)) is not None:
        remedy = f"Free some space near {cache}, or set EYEBRIGHT_CACHE to a folder on another disk." if free < LOW_DISK else ""
        state: State = "caution" if free < LOW_DISK else "ok"
        checks.append(
            Check(
                group="places", name="free disk", state=state, detail=f"{free / GIB:,.1f} GiB beside the cache", remedy=remedy
            )
        )
    return [*checks, _data_home()]


def _folder_bytes(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):  # a folder that is missing or closed gives nothing
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # gone since it was listed
                continue
    return total


def _free_bytes(folder: Path) -> int | None:
    for place in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:  # not there yet: what counts is the disk it would be on
            continue
    return None


def _data_home() -> Check:
    place = os.environ.get("EYEBRIGHT_DATA")
    if not place:
        detail = f"not set; data sets lie in {cache_home() / 'data'}"  # as data.catalogue.resolve_home says, without loading it
        return Check(group="places", name="EYEBRIGHT_DATA", state="fact", detail=detail)
    if not Path(place).is_dir():
        remedy = "Set EYEBRIGHT_DATA to the folder that holds the data sets, or unset it."
        return Check(group="places", name="EYEBRIGHT_DATA", state="caution", detail=f"{place} is not a folder", remedy=remedy)
    return Check(group="places", name="EYEBRIGHT_DATA", state="ok", detail=place)
