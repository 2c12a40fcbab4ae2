"""What this computer is: the facts that a time, or a sum of floats, depends on."""

import math
import os
import platform
from importlib import metadata
from pathlib import Path

_RECORDED = (
    *("eyebright", "numpy", "pillow", "onnxruntime", "numba", "torch", "torchvision", "timm", "onnx", "scipy"),
    *("scikit-learn", "scikit-image", "optuna", "ai-edge-litert", "openvino", "keras", "h5py"),
)


_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """How many cores this process may use, which in a container is fewer than the machine has.

    A share of a core (``docker run --cpus 1.5``) counts as a whole one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(_cores_of_time() or cores)))


def _cores_of_time() -> float | None:
    """How many cores' time the container may take, by version 2 of Linux's control groups or by version 1; None for any."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = (int(word) for file in files for word in (_CGROUPS / file).read_text(encoding="utf-8").split())
        except (OSError, ValueError):  # there is no such file; or "max", without a limit
            continue
        if quota > 0 and period > 0:  # -1 is no limit
            return quota / period
    return None


def proc(name: str) -> dict[str, str]:
    """The first value of each key in a file of ``/proc``; empty where there is no such file."""
    try:
        lines = Path("/proc", name).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in reversed([pair for pair in pairs if pair[1]])}


def cpu_name() -> str:
    """The processor's name as it gives it, or its kind."""
    return proc("cpuinfo").get("model name") or platform.processor() or platform.machine()


def machine_line() -> str:
    """One line for captions: processor and cores, e.g. ``Intel(R) Xeon(R) Processor, 2 cores``."""
    cores = usable_cores()
    return f"{cpu_name()}, {cores} core{'' if cores == 1 else 's'}"


def environment() -> dict[str, str | int | dict[str, str]]:
    """The machine and the versions that a run depends on, for its record. No user name, no host name, no paths."""
    versions = {}
    for package in _RECORDED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": cpu_name(),
        "cores": usable_cores(),
        "versions": versions,
    }
