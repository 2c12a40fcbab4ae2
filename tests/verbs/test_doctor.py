"""The doctor works on a bare install, loads nothing heavy without need, and names the command for what is missing."""

import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace as Value

import pytest

from eyebright.data.catalogue import resolve_home
from eyebright.verbs import doctor as subject
from eyebright.verbs.doctor import Check, DoctorSettings, doctor, run

BASE = ("numpy>=2.0", "pydantic>=2.10")
DECLARED = [
    *BASE,
    "scikit-learn>=1.6; extra == 'demo'",
    "torch<2.14,>=2.10; extra == 'demo'",
    "timm>=1.0; extra == 'demo'",
    "torch<2.14,>=2.10; extra == 'train'",
    'timm>=1.0; extra == "train"',
    "ruff>=0.12; extra == 'dev'",
    "eyebright[train]; extra == 'demo'",
]


def named(diagnosis, name) -> Check:
    return next(check for check in diagnosis.checks if check.name == name)


@pytest.fixture
def bare(monkeypatch):
    """A computer with the base install only."""

    def version(name):
        if name in ("numpy", "pydantic"):
            return "2.0"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(subject.metadata, "requires", lambda name: DECLARED)
    monkeypatch.setattr(subject.metadata, "version", version)
    monkeypatch.setattr(subject, "find_spec", lambda name: None)
    monkeypatch.setattr(subject.importlib, "import_module", lambda name: pytest.fail(f"{name} was imported"))


def test_a_bare_install_is_told_what_else_there_is_and_that_it_needs_none_of_it(bare):
    diagnosis = doctor()
    assert named(diagnosis, "numpy").state == "ok"
    torch, sklearn = named(diagnosis, "torch"), named(diagnosis, "scikit-learn")
    assert torch.state == sklearn.state == "optional"
    assert torch.detail.startswith("for training")
    assert torch.detail.endswith(": pip install 'eyebright[train]'")
    assert sklearn.detail == "for the pictures of the demonstration: pip install 'eyebright[demo]'"
    assert torch.remedy == sklearn.remedy == ""
    assert named(diagnosis, "device").detail == "cpu, because torch is not installed; ONNX Runtime runs the models"


def test_a_package_of_the_base_install_is_missing_and_comes_with_its_command(bare, monkeypatch):
    monkeypatch.setattr(subject.metadata, "requires", lambda name: [*DECLARED, "rich>=14"])
    rich = named(doctor(), "rich")
    assert (rich.state, rich.remedy) == ("missing", "pip install eyebright")


def test_it_is_known_of_every_extra_what_it_is_for():
    declared = [subject._requirement(text)[1] for text in metadata.requires("eyebright")]
    assert set(subject.PURPOSES) == set(declared) - {"", "dev"}


def test_each_package_is_listed_once_and_those_of_developers_not_at_all(bare):
    names = [check.name for check in doctor().checks if check.group.startswith("packages")]
    assert names == ["numpy", "pydantic", "torch", "timm", "scikit-learn"]


def test_a_source_tree_that_is_not_installed_is_said_in_words(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(subject.metadata, "requires", requires)
    assert named(doctor(), "packages").remedy == "In a clone of eyebright: pip install ."


def installed(monkeypatch, tmp_path, **builds):
    """Packages of which only ``version.py`` is there."""
    for name, build in builds.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "version.py").write_text(f"__version__ = '{build}'\n")
    specs = {name: Value(origin=str(tmp_path / name / "__init__.py")) for name in builds}
    monkeypatch.setattr(subject, "find_spec", specs.get)


def test_a_cuda_torchvision_beside_a_cpu_torch_is_pointed_out(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, torch="2.13.0+cpu", torchvision="0.28.0+cu130")
    trap = named(doctor(), "torch and torchvision")
    assert "eyebright handles it" in trap.detail


@pytest.mark.parametrize(("torch", "torchvision"), [("2.13.0+cu130", "0.28.0+cu130"), ("2.13.0+cpu", "0.28.0+cpu")])
def test_a_matching_pair_is_not_mentioned(monkeypatch, tmp_path, torch, torchvision):
    installed(monkeypatch, tmp_path, torch=torch, torchvision=torchvision)
    monkeypatch.setattr(subject.importlib, "import_module", lambda name: no_cuda)
    assert "torch and torchvision" not in [check.name for check in doctor().checks]


no_cuda = Value(cuda=Value(is_available=lambda: False))
one_gpu = Value(cuda=Value(is_available=lambda: True, get_device_name=lambda index: "a GPU"))


@pytest.mark.parametrize(
    ("torch", "expected"),
    [(one_gpu, "cuda, because torch sees a GPU"), (no_cuda, "cpu, because no CUDA device is visible to torch")],
)
def test_a_torch_that_may_see_a_gpu_is_asked(monkeypatch, tmp_path, torch, expected):
    installed(monkeypatch, tmp_path, torch="2.13.0+cu130")
    monkeypatch.setattr(subject.importlib, "import_module", lambda name: torch)
    assert named(doctor(), "device").detail == expected


def test_a_torch_that_does_not_load_is_a_finding_not_a_crash(monkeypatch, tmp_path):
    def broken(name):
        raise OSError("libcudart.so.13: cannot open shared object file")

    installed(monkeypatch, tmp_path, torch="2.13.0+cu130")
    monkeypatch.setattr(subject.importlib, "import_module", broken)
    assert "torch cannot be used (OSError: libcudart" in named(doctor(), "device").detail


def test_a_cpu_build_of_torch_is_not_loaded():
    program = (
        "from eyebright.verbs import doctor as d; import sys\n"
        "d._build = lambda name: '2.13.0+cpu' if name == 'torch' else None\n"
        "d.doctor(); print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_the_size_of_the_cache_is_the_sum_of_its_files(monkeypatch, tmp_path):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"x" * 2**20)
    (tmp_path / "b").write_bytes(b"x" * 2**19)
    assert named(doctor(), "cache").detail == f"{tmp_path}, 1.5 MiB"


def test_the_disk_of_a_cache_that_does_not_exist_yet_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path / "not" / "yet"))
    assert "GiB" in named(doctor(), "free disk").detail
    assert not (tmp_path / "not").exists()


def test_a_disk_that_is_nearly_full_comes_with_a_remedy(monkeypatch):
    monkeypatch.setattr(subject.shutil, "disk_usage", lambda place: Value(free=2**29))
    check = named(doctor(), "free disk")
    assert check.state == "caution"
    assert "EYEBRIGHT_CACHE" in check.remedy


def test_the_data_home_is_looked_at(monkeypatch, tmp_path):
    monkeypatch.delenv("EYEBRIGHT_DATA", raising=False)
    unset = named(doctor(), "EYEBRIGHT_DATA")
    assert (unset.state, unset.detail) == ("fact", f"not set; data sets lie in {resolve_home()}")
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path))
    assert named(doctor(), "EYEBRIGHT_DATA").state == "ok"
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path / "nowhere"))
    assert named(doctor(), "EYEBRIGHT_DATA").state == "caution"


def test_a_machine_without_proc_is_described_by_what_there_is(monkeypatch):
    monkeypatch.setattr(subject.machine, "proc", lambda name: {})
    diagnosis = doctor()
    assert "cores" in named(diagnosis, "cpu").detail
    assert "memory" not in [check.name for check in diagnosis.checks]


def test_the_command_line_gets_the_same_diagnosis(bare):
    assert [check.name for check in run(DoctorSettings()).checks] == [check.name for check in doctor().checks]
