"""The main job from end to end, on pictures that come with the installed packages:  python examples/demo.py [FOLDER]

1. scikit-learn's 1,797 handwritten digits are written out as a folder with one folder a class.
2. ``eyebright train`` makes a classifier of them, measures it on pictures it never saw, and writes a report.
3. ``eyebright verify`` and ``evaluate`` check the bundle that came out.
4. ``eyebright predict imagenet`` names what is in the photographs of scikit-image and scikit-learn.

What is in FOLDER (default: demo) from an earlier demonstration is replaced.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image
from sklearn.datasets import load_digits

PHOTOGRAPHS = (
    *(Path(skimage.__file__).parent / "data" / name for name in ("coffee.png", "chelsea.png", "rocket.jpg")),
    *(Path(sklearn.__file__).parent / "datasets/images" / name for name in ("flower.jpg", "china.jpg")),
)


def main() -> None:
    started = time.monotonic()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    for part in ("digits", "run", "photographs"):
        shutil.rmtree(folder / part, ignore_errors=True)
    write_digits(folder / "digits")
    photographs = copy_photographs(folder / "photographs")

    eyebright("inspect", folder / "digits")
    eyebright("train", folder / "digits", "--out", folder / "run", "--minutes", "0.75")
    eyebright("verify", folder / "run")
    eyebright("evaluate", folder / "run", folder / "digits")
    eyebright("predict", "imagenet", *photographs)
    print(f"\nThe demonstration took {time.monotonic() - started:.0f} seconds. The report is a file to open in a browser:")
    print((folder / "run" / "report.html").resolve())


def write_digits(folder: Path) -> None:
    """The digits as PNG files, one folder a class."""
    digits = load_digits()
    for index, (picture, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture * (255 / 16)).round().astype(np.uint8)).save(place / f"{index:04}.png")


def copy_photographs(folder: Path) -> list[Path]:
    """The photographs under short names."""
    folder.mkdir(parents=True)
    return [Path(shutil.copy(photograph, folder)) for photograph in PHOTOGRAPHS]


def eyebright(*words: object) -> None:
    """Runs one command as a user would type it; stops the demonstration where it fails."""
    print(f"\n$ eyebright {' '.join(map(str, words))}", flush=True)
    done = subprocess.run([sys.executable, "-m", "eyebright", *map(str, words)], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
