"""eyebright: image classification that people can trust, on the computer they have.

The public names below are resolved on first use: ``import eyebright`` loads neither numpy nor torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "inspect": "eyebright.verbs.inspect",
    "train": "eyebright.verbs.train",
    "tune": "eyebright.verbs.tune",
    "evaluate": "eyebright.verbs.evaluate",
    "predict": "eyebright.verbs.predict",
    "import_model": "eyebright.verbs.import_",
    "serve": "eyebright.serving.serve",
    "verify": "eyebright.verbs.verify",
    "benchmark": "eyebright.verbs.benchmark",
    "compare": "eyebright.verbs.compare",
    "report": "eyebright.verbs.report",
    "doctor": "eyebright.verbs.doctor",
    "list_models": "eyebright.verbs.models",
    "list_datasets": "eyebright.verbs.datasets",
    "download": "eyebright.verbs.download",
    "EyebrightError": "eyebright.core.errors",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604 - the names are resolved by __getattr__


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'eyebright' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
