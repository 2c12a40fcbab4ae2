"""The package's own names: they cost nothing until they are used, and each is what its verb defines."""

import subprocess
import sys

import pytest

import eyebright


@pytest.mark.parametrize("name", sorted(set(eyebright.__all__) - {"__version__"}))
def test_every_public_name_is_found_and_documented(name):
    value = getattr(eyebright, name)
    assert value.__doc__
    assert value.__module__.startswith("eyebright.")


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        eyebright.trian  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    program = (
        "import sys, eyebright; eyebright.predict; eyebright.train; eyebright.verify; eyebright.evaluate\n"
        "print(sorted({'torch', 'timm', 'scipy', 'onnxruntime', 'matplotlib', 'onnx'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_dir_lists_the_public_names():
    assert set(dir(eyebright)) == set(eyebright.__all__)


def test_the_package_imports_without_numpy():
    said = subprocess.run(
        [sys.executable, "-c", "import sys, eyebright; print('numpy' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "False\n"
