"""What cues alone tell of the label, on the real data sets:  python -m bench.shortcuts [DATA_HOME]

Prints a table of set x cue with the balanced accuracy, out of fold, and writes bench/results/shortcuts.json. Of the large sets
5,000 pictures are drawn. "skill" is how much of the way from chance to always right a cue goes, "best class" the same for
telling one class from all others: the limits of evaluation/shortcuts.py are in these terms.
"""

import argparse
import dataclasses
import platform
import time
from pathlib import Path

import numpy as np

from eyebright import __version__
from eyebright.core import seeds
from eyebright.core.files import write_json
from eyebright.core.machine import machine_line
from eyebright.data.audit import Audit, audit
from eyebright.data.catalogue import resolve_home
from eyebright.data.folds import group_folds
from eyebright.data.open import open_source
from eyebright.data.source import Source, group_of
from eyebright.evaluation.cue_families import FAMILIES
from eyebright.evaluation.cue_scores import score
from eyebright.evaluation.naive_bayes import posteriors
from eyebright.evaluation.shortcuts import FOLDS
from eyebright.verbs.making.suspecting import shortcuts_of

SETS = {
    "trashnet": None,
    "chest_xray": r"(?P<group>person\d+|IM-\d+)",
    "gtsrb": r"train/(?P<group>\d+/\d+)_",
    "rice_leaf": None,
    "cifar10": None,
    "mnist": None,
}
MOST = 5000
RESULT = Path(__file__).parent / "results" / "shortcuts.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, nargs="?")
    home = resolve_home(parser.parse_args().home)
    rows = []
    for name, group in SETS.items():
        rows += measured(drawn(open_source(name, data_home=home, group=group)))
    RESULT.parent.mkdir(exist_ok=True)
    versions = {"eyebright": __version__, "numpy": np.__version__, "python": platform.python_version()}
    write_json(RESULT, {"schema": 1, "machine": machine_line(), "versions": versions, "rows": rows})


def drawn(source: Source) -> Source:
    """The source, or ``MOST`` pictures of it."""
    keys = seeds.key_hashes([sample.key for sample in source.samples])
    rows = sorted(seeds.order(0, "bench", 0, keys)[:MOST].tolist())
    return dataclasses.replace(source, samples=tuple(source.samples[row] for row in rows))


def measured(source: Source) -> list[dict[str, object]]:
    """A row a cue, printed as they are found."""
    found = audit(source)
    begun = time.perf_counter()
    shortcuts = shortcuts_of(source, found)
    seconds = time.perf_counter() - begun
    print(f"\n{source.name}: {len(source.samples):,} pictures, {len(source.classes)} classes, {seconds:.1f} s")
    best = best_class_skills(source, found)
    for shortcut in shortcuts:
        figure = shortcut.score
        print(
            f"  {shortcut.cue:12} {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}), chance {shortcut.chance:.3f},",
            end="",
        )
        print(
            f" skill {(figure.value - shortcut.chance) / (1 - shortcut.chance):.2f}, best class {best[shortcut.cue]:.2f}",
            end="",
        )
        print("  SUSPICIOUS: " + shortcut.sentence if shortcut.suspicious else "")
    return [
        {"set": source.name, "classes": len(source.classes), "best_class_skill": best[cut.cue], **cut.model_dump()}
        for cut in shortcuts
    ]


def best_class_skills(source: Source, found: Audit) -> dict[str, float]:
    """By cue, how much of the way from chance to always right it goes in telling one class, the best, from all others."""
    cues = [found.scanned[sample.key].cues for sample in source.samples]
    labels = np.array([sample.label for sample in source.samples])
    folds = group_folds(labels, [group_of(sample) for sample in source.samples], FOLDS, 0)
    return {
        family.cue: max(
            float(score(posteriors(codes, labels, folds, len(source.classes)), labels).skill[1:].max())
            for codes in family.codes(cues).values()
        )
        for family in FAMILIES
    }


if __name__ == "__main__":
    main()
