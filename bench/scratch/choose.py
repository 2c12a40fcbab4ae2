"""How the constants were chosen, on training pictures alone:  python -m bench.scratch.choose SET CAPACITY:EPOCHS[:SEED] ...

5,000 of the training pictures are held out in place of the test part. ``SET`` may carry a number, as in cifar10:2000: then so
many of the others are learned from. Prints a line a way.
"""

import dataclasses
import sys

from bench.scratch import ours
from bench.scratch.__main__ import GREY, load
from bench.scratch.ours import Way


def main(name: str, *ways: str) -> None:
    name, _, few = name.partition(":")
    parts = ours.held_out(ours.load(name, 28 if name in GREY else 32, grey=name in GREY))
    if few:
        part = parts.train
        rows = slice(int(few))
        part = dataclasses.replace(part, pictures=part.pictures[rows], labels=part.labels[rows], hashes=part.hashes[rows])
        parts = dataclasses.replace(parts, train=part)
    for written in ways:
        capacity, epochs, *seed = written.split(":")
        found = ours.train(
            parts, Way(capacity, int(epochs), flip=name != "mnist"), int(seed[0]) if seed else 0, compare_views=True
        )
        shares = [f"{found[key] / found['n']:.4f}" for key in ("right_in_one_view", "right", "right_in_every_view")]
        times = f"{found['seconds']:.1f} s, {found['views_seconds']:.1f} s of them for the views"
        print(
            name,
            few or len(parts.train),
            written,
            "one view, where unsure, all:",
            *shares,
            times,
            f"load {load():.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
