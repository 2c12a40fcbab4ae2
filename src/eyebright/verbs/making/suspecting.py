"""What in a data set may be learnt in place of the subject, from the one scan that reads every picture."""

import numpy as np

from eyebright.core.report import Shortcut
from eyebright.data.audit import Audit
from eyebright.data.source import Source
from eyebright.data.split import unit_names
from eyebright.evaluation.shortcuts import find_shortcuts


def shortcuts_of(source: Source, audit: Audit, *, seed: int = 0) -> list[Shortcut]:
    """What each cue alone tells of the label, the suspicious ones first; see ``evaluation.shortcuts``.

    Pictures of all parts are looked at, the test part too: this describes the data set, and nothing of the model is chosen by
    it. Groups and clusters of copies are held out whole. Of a huge set the pictures that ``data.probe`` draws are looked at.
    """
    cues = {key: found.cues for key, found in audit.scanned.items() if found.cues is not None}
    samples = [sample for sample in source.samples if sample.label >= 0 and sample.key in cues]
    return find_shortcuts(
        [cues[sample.key] for sample in samples],
        np.array([sample.label for sample in samples], dtype=np.int64),
        unit_names(samples, audit),
        source.classes,
        seed=seed,
    )
