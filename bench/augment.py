"""Augmentation beside torchvision v2 and kornia:  python -m bench.augment [--batch 64] [--repeats 9] [--threads N]

The same operations with the same limits, each picture with draws of its own, on float32 batches as a network takes them.
torchvision's v2 transforms draw once a call, so they are called picture by picture; kornia's are called on the whole batch
with ``same_on_batch=False``. Blur, noise, JPEG and erasing change half of the pictures in all three. What differs: ours takes
places outside the picture from its reflection, theirs fill with black; our noise is the same in the three channels; our hue
turns YIQ, theirs HSV; torchvision and kornia blur all chosen pictures with one kernel length, ours with each picture's own.

Contenders take turns, so that a busy moment hits all of them; the median of the repeats is printed, with the quartiles in the
file. kornia is not a dependency. It is measured where it can be imported; to put it into a folder of its own, so that it
replaces nothing:

    pip install --no-deps --target FOLDER kornia kornia_rs packaging
    PYTHONPATH=FOLDER python -m bench.augment
"""

import argparse
import importlib
import math
import os
import statistics
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eyebright.core import seeds
from eyebright.core.files import write_json
from eyebright.core.machine import machine_line
from eyebright.models.zoo import torchvision_models
from eyebright.training.augment import Augment, augmented

RESULT = Path(__file__).parent / "results" / "augment.json"
SIZES = (224, 32)
LIMITS = {
    "flip": Augment(flip=True),
    "rotation, shift, zoom, shear": Augment(rotation=15, shift=0.1, zoom=0.1, shear=8),
    "perspective": Augment(perspective=0.1),
    "random resized crop": Augment(crop=0.5),
    "brightness, contrast, saturation, hue": Augment(brightness=0.2, contrast=0.3, saturation=0.3, hue=0.05),
    "blur": Augment(blur=0.01),
    "noise": Augment(noise=0.05),
    "JPEG": Augment(jpeg=0.5),
    "erasing": Augment(erase=0.2),
}
# JPEG is not in every build of torchvision, and a crop beside the affine map would frame twice.
COMPOSITE = tuple(name for name in LIMITS if name not in ("JPEG", "random resized crop"))
Change = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = [row for size in SIZES for row in measured(given.batch, size, given.repeats)]
    result = {
        "machine": machine_line(),
        "load": round(os.getloadavg()[0], 2),
        "threads": given.threads,
        "batch": given.batch,
        "n": given.repeats,
        "unit": "ms a batch: median, first and third quartile",
        "versions": {name: version for name in ("eyebright", "torch", "torchvision", "kornia") if (version := _version(name))},
        "rows": rows,
    }
    write_json(RESULT, result)
    print_table(
        rows, f"{result['machine']}; threads {given.threads}, batch {given.batch}, n = {given.repeats}, median ms a batch"
    )


def measured(batch: int, size: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each operation and for the composite, with the times of each library that has it."""
    torch.manual_seed(0)
    pixels = torch.rand(batch, 3, size, size)
    libraries = {"eyebright": _ours(batch), "torchvision": _torchvision(size), "kornia": _kornia(size)}
    rows = []
    for name in [*LIMITS, "composite"]:
        contenders = {library: changes[name] for library, changes in libraries.items() if name in changes}
        rows.append({"size": size, "operation": name, "times": _interleaved(contenders, pixels, repeats)})
    return rows


def _interleaved(contenders: dict[str, Change], pixels: Tensor, repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {library: [] for library in contenders}
    for repeat in range(repeats + 1):
        for library, change in contenders.items():
            started = time.perf_counter()
            change(pixels)
            if repeat:  # the first call of each allocates and is slower
                seconds[library].append(time.perf_counter() - started)
    quartiles = {library: np.quantile(times, [0.25, 0.75]) for library, times in seconds.items()}
    return {
        library: [round(1000 * value, 3) for value in (statistics.median(times), *quartiles[library])]
        for library, times in seconds.items()
    }


def _ours(batch: int) -> dict[str, Change]:
    hashes = seeds.key_hashes([str(row) for row in range(batch)])

    def change(augment: Augment) -> Change:
        return lambda pixels: augmented(pixels, hashes, augment, seed=0, epoch=0)

    together = [LIMITS[name].model_dump(exclude_defaults=True) for name in COMPOSITE]
    composite = Augment(**{field: value for limits in together for field, value in limits.items()})
    return {name: change(augment) for name, augment in (LIMITS | {"composite": composite}).items()}


def _torchvision(size: int) -> dict[str, Change]:
    torchvision_models()  # makes it importable beside a CPU build of torch
    from torchvision.transforms import v2

    taps, sigmas = _blur(size)
    transforms = {
        "flip": v2.RandomHorizontalFlip(),
        "rotation, shift, zoom, shear": v2.RandomAffine(
            15, (0.1, 0.1), (0.9, 1.1), 8, interpolation=v2.InterpolationMode.BILINEAR
        ),
        "perspective": v2.RandomPerspective(0.2, p=1.0),
        "random resized crop": v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=False),
        "brightness, contrast, saturation, hue": v2.ColorJitter(0.2, 0.3, 0.3, 0.05),
        "blur": v2.RandomApply([v2.GaussianBlur(taps, sigmas)], p=0.5),
        "noise": v2.RandomApply([v2.GaussianNoise(sigma=0.025)], p=0.5),
        "erasing": v2.RandomErasing(0.5, (0.02, 0.2)),
    }

    def change(transform: Callable[[Tensor], Tensor]) -> Change:
        return lambda pixels: torch.stack([transform(picture) for picture in pixels])

    transforms["composite"] = v2.Compose([transforms[name] for name in COMPOSITE])
    return {name: change(transform) for name, transform in transforms.items()}


def _kornia(size: int) -> dict[str, Change]:
    try:
        kornia = importlib.import_module("kornia.augmentation")
    except ModuleNotFoundError:
        print("kornia is not installed and is left out. See python -m bench.augment --help.")
        return {}
    taps, sigmas = _blur(size)
    transforms = {
        "flip": kornia.RandomHorizontalFlip(),
        "rotation, shift, zoom, shear": kornia.RandomAffine(15.0, (0.1, 0.1), (0.9, 1.1), 8.0, p=1.0),
        "perspective": kornia.RandomPerspective(0.2, p=1.0),
        "random resized crop": kornia.RandomResizedCrop((size, size), (0.5, 1.0)),
        "brightness, contrast, saturation, hue": kornia.ColorJitter(0.2, 0.3, 0.3, 0.05, p=1.0),
        "blur": kornia.RandomGaussianBlur((taps, taps), sigmas, p=0.5),
        "noise": kornia.RandomGaussianNoise(std=0.025, p=0.5),
        "JPEG": kornia.RandomJPEG((50.0, 100.0), p=0.5),
        "erasing": kornia.RandomErasing((0.02, 0.2), p=0.5),
    }
    transforms["composite"] = torch.nn.Sequential(*(transforms[name] for name in COMPOSITE))
    return transforms


def _blur(size: int) -> tuple[int, tuple[float, float]]:
    """The taps and the standard deviations in pixels, for libraries that have one kernel length: three deviations a side."""
    widest = LIMITS["blur"].blur * size
    return 2 * math.ceil(3 * widest) + 1, (widest / 100, widest)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def print_table(rows: Iterable[dict[str, Any]], caption: str) -> None:
    """A line for each operation: medians, and how many times ours the others take."""
    print(caption)
    print(f"{'size':>4}  {'operation':38}{'eyebright':>10}{'torchvision':>18}{'kornia':>18}")
    for row in rows:
        ours = row["times"]["eyebright"][0]
        others = [row["times"].get(library, [None])[0] for library in ("torchvision", "kornia")]
        cells = "".join(f"{'-':>18}" if other is None else f"{other:10.1f} ({other / ours:4.1f}x)" for other in others)
        print(f"{row['size']:>4}  {row['operation']:38}{ours:>10.1f}{cells}")


if __name__ == "__main__":
    main()
