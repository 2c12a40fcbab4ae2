"""Small files of weights as others write them, and the real ones where they lie beside this checkout."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from eyebright.core.bundle import Architecture
from eyebright.models.catalogue import build_seeded

CLASSES = ("lying", "standing", "leaning")
SIZE = 16  # pixels, the least that LeNet-5 takes


def toy(name="lenet", seed=0, **arguments):
    """A seeded network of the catalogue."""
    sizes = {"height": SIZE, "width": SIZE} if name in ("lenet", "mlp", "cnn") else {}
    return build_seeded(Architecture(name=name, arguments={**sizes, **arguments}), len(CLASSES), seed).eval()


def foreign_state(network, *, last="fc", prefix=""):
    """The network's tensors as they are called where nobody cuts networks in two."""
    return {
        prefix + (key.removeprefix("backbone.") if key.startswith("backbone.") else key.replace("head.", f"{last}.")): value
        for key, value in network.state_dict().items()
    }


def save_npz(path, state):
    np.savez(path, **{key: value.numpy() for key, value in state.items()})
    return path


def pixels_of(n=4, size=SIZE):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def real_weights(name):
    """A file of ``../shared/weights``, or of the folder that EYEBRIGHT_WEIGHTS names; else a plain skip."""
    home = Path(os.environ.get("EYEBRIGHT_WEIGHTS") or Path(__file__).parents[4] / "shared" / "weights")
    if not (home / name).is_file():
        pytest.skip(f"{name} is not there: set EYEBRIGHT_WEIGHTS to the folder of real models")
    return home / name
