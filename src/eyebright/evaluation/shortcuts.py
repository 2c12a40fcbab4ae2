"""Shortcuts: does something beside the subject tell the class? Each cue alone is put to the test, out of fold.

A model learns whatever tells the classes apart, a ruler in the picture or the camera of one hospital as gladly as the disease
(Geirhos et al., "Shortcut learning in deep neural networks", 2020), and a test part of the same set rewards it. So what the
cues alone can do is worth knowing before anything is learned.

A cue is *suspicious* where it tells much, and more than luck can, however many cues were tried.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from eyebright.core.arrays import Labels
from eyebright.core.errors import DataError
from eyebright.core.report import Figure, Shortcut
from eyebright.core.words import rounded
from eyebright.data.folds import group_folds, units_of_groups
from eyebright.evaluation.accuracy import balanced_accuracy, count_answers
from eyebright.evaluation.cue_families import FAMILIES, Family
from eyebright.evaluation.cue_scores import Score, Shares, drawn, is_class, luck, score
from eyebright.evaluation.intervals import Values, Weights, estimate
from eyebright.evaluation.naive_bayes import Codes, posteriors
from eyebright.images.cues import Cues

FOLDS = 5
FEWEST = 5  # groups that a class must have to be asked about: one for each fold
MOST_CLASSES = 100  # that are asked about; what tells a thousand classes tells a hundred of them

# How much of the way from chance to always right is too much: for all classes, and for one class against the others. What is
# made with the file is never the subject, so 60 in 100 of two classes are enough. What is seen may be the subject, and in
# photographs of leaves it reaches 0.37 and 0.62, where all is well (bench/shortcuts.py).
LIMITS = {"made": (0.2, 0.4), "seen": (0.5, 0.7)}


@dataclasses.dataclass(frozen=True)
class _Table:
    """The pictures that can be judged, and the classes that can be."""

    cues: list[Cues]
    labels: Labels
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    folds: Int64[np.ndarray, "n"]


@dataclasses.dataclass(frozen=True)
class _Finding:
    """What one family of cues says, and how well, at the place where it says most.

    ``suspicious`` is the question that it answers too well: see ``Score``.
    """

    family: Family
    place: str
    shares: Shares
    score: Score
    suspicious: int | None = None

    @property
    def question(self) -> int:
        """The question that is reported."""
        return self.suspicious or 0

    @property
    def best(self) -> int:
        """The class it knows best."""
        return self.suspicious - 1 if self.suspicious else int(self.score.strength[1:].argmax())


def find_shortcuts(
    cues: Sequence[Cues], labels: Labels, groups: Sequence[str], classes: Sequence[str], *, seed: int = 0
) -> list[Shortcut]:
    """What each family of cues alone tells of the label: the suspicious ones first, then those that tell most.

    A row has the cues of one picture, its label and its group; no group is in two folds, so what only knows a patient or a
    track again is worth nothing. Left out are cues that are the same for every picture, rows without a label, classes of fewer
    than ``FEWEST`` groups, of which nothing certain could be said, and all but the ``MOST_CLASSES`` with the most groups. The
    result is empty where fewer than two classes are left.

    Raises ``DataError`` where the rows do not match.
    """
    if not len(cues) == len(labels) == len(groups):
        raise DataError(
            f"{len(cues)} cues came with {len(labels)} labels and {len(groups)} groups; one of each was expected for every "
            "picture. Give them in the same order."
        )
    table = _judgeable(cues, labels, groups, classes, seed)
    if len(table.classes) < 2:
        return []
    coded = [(family, _telling(family.codes(table.cues))) for family in FAMILIES]
    findings = [_look(family, codes, table) for family, codes in coded if codes]
    findings = _suspect(findings, [own for _, codes in coded for own in codes.values()], table, seed)
    findings.sort(key=lambda finding: (finding.suspicious is None, -finding.score.skill[finding.question]))
    figures = _figures(findings, table, seed)
    return [_shortcut(finding, figures[finding.family.cue], table) for finding in findings]


def _judgeable(cues: Sequence[Cues], labels: Labels, groups: Sequence[str], classes: Sequence[str], seed: int) -> _Table:
    """The rows of the classes that are asked about, with their folds."""
    pairs = np.unique(np.stack([labels, units_of_groups(groups).of_row]), axis=1)
    separate = np.bincount(pairs[0][pairs[0] >= 0], minlength=len(classes))
    largest = np.argsort(-separate, kind="stable")[:MOST_CLASSES]
    kept = np.sort(largest[separate[largest] >= FEWEST])
    rows = np.flatnonzero(np.isin(labels, kept)).tolist()
    found = np.searchsorted(kept, labels[rows]).astype(np.int64)
    names = tuple(groups[row] for row in rows)
    folds = group_folds(found, names, FOLDS, seed)
    return _Table([cues[row] for row in rows], found, names, tuple(classes[k] for k in kept.tolist()), folds)


def _telling(codes: dict[str, Codes]) -> dict[str, Codes]:
    """The places that differ between pictures."""
    return {place: own for place, own in codes.items() if own.any()}


def _look(family: Family, codes: dict[str, Codes], table: _Table) -> _Finding:
    """What the family says at the place where one of its questions is answered most strongly."""
    shares = {place: posteriors(own, table.labels, table.folds, len(table.classes)) for place, own in codes.items()}
    scores = {place: score(own, table.labels) for place, own in shares.items()}
    best = max(scores, key=lambda place: scores[place].strength.max())
    return _Finding(family, best, shares[best], scores[best])


def _suspect(findings: list[_Finding], columns: list[Codes], table: _Table, seed: int) -> list[_Finding]:
    """The findings, of which the suspicious ones say so; ``columns`` are all that was tried."""
    everywhere = np.arange(len(table.labels))
    if all(_too_well(finding, -math.inf, table.labels, everywhere) is None for finding in findings):
        return findings  # what luck can do need not be known
    units = units_of_groups(table.groups).of_row
    least = luck(columns, table.labels, units, table.folds, seed=seed)
    # A standard error is counted in rows. Where rows come in groups it shrinks with them and luck does not, so strength is
    # compared on the very rows that luck was asked of.
    rows = drawn(table.labels, seed) if len(np.unique(units)) < len(units) else np.arange(len(units))
    return [dataclasses.replace(finding, suspicious=_too_well(finding, least, table.labels, rows)) for finding in findings]


def _too_well(finding: _Finding, least: float, labels: Labels, rows: Int64[np.ndarray, "rows"]) -> int | None:
    """The question that is answered too well, and on ``rows`` more strongly than ``least``: the best answered of them."""
    which, one = LIMITS[finding.family.kind]
    skill, strength = finding.score.skill, score(finding.shares[rows], labels[rows]).strength
    passed = (strength > least) & (skill >= np.append(which, np.full(len(skill) - 1, one)))
    return int(np.where(passed, skill, -math.inf).argmax()) if passed.any() else None


def _figures(findings: Sequence[_Finding], table: _Table, seed: int) -> dict[str, Figure]:
    """The score of each family with its interval, by the name of the cue; the same resamples serve all."""
    asked = {finding.family.cue: _answers(finding.shares, table, finding.question) for finding in findings}

    def scores(weights: Weights) -> dict[str, Values]:
        return {cue: balanced_accuracy(count_answers(*answers, weights)) for cue, answers in asked.items()}

    return estimate(scores, table.groups, bounds=dict.fromkeys(asked, (0.0, 1.0)), seed=seed)


def _answers(shares: Shares, table: _Table, question: int) -> tuple[Labels, Labels, int]:
    """The labels, answers and number of classes of a question."""
    if question == 0:
        return table.labels, shares.argmax(axis=1), len(table.classes)
    k = question - 1
    return (table.labels == k).astype(np.int64), is_class(shares)[:, k].astype(np.int64), 2


def _shortcut(finding: _Finding, figure: Figure, table: _Table) -> Shortcut:
    return Shortcut(
        cue=finding.family.cue,
        score=figure,
        chance=float(finding.score.chance[finding.question]),
        suspicious=finding.suspicious is not None,
        sentence=_sentence(finding, table),
    )


def _sentence(finding: _Finding, table: _Table) -> str:
    score, question = finding.score, finding.question
    times, chance = _in_100(score.balanced[question]), _in_100(score.chance[question])
    right = f"right {times} times in 100, every class counting alike, where guessing gives {chance}"
    if finding.suspicious is None:
        return f"{finding.family.subject} alone is {right}: not enough to be a shortcut."
    said = f"{finding.family.subject} alone tells {_whom(finding, table)}: {right}."
    return " ".join(part for part in (said, _detail(finding, table), finding.family.advice) if part)


def _whom(finding: _Finding, table: _Table) -> str:
    """Which class is told from which."""
    best, others = _names(finding, table)
    if finding.question or len(table.classes) == 2:
        return f"{best} from {others}"
    return f"the {len(table.classes)} classes apart, {best} best of all"


def _names(finding: _Finding, table: _Table) -> tuple[str, str]:
    """The class that is known best, and all others."""
    two = len(table.classes) == 2
    return table.classes[finding.best], table.classes[1 - finding.best] if two else "the other classes"


def _detail(finding: _Finding, table: _Table) -> str:
    """Where in the picture, or what is usual for the class."""
    if finding.place:
        return f"It is the {finding.place} that tells most."
    if finding.family.usual is None:
        return ""
    mine = (table.labels == finding.best).tolist()
    own = finding.family.usual([cues for cues, is_mine in zip(table.cues, mine, strict=True) if is_mine])
    others = finding.family.usual([cues for cues, is_mine in zip(table.cues, mine, strict=True) if not is_mine])
    best, rest = _names(finding, table)
    return f"Usual for {best}: {own}; for {rest}: {others}."


def _in_100(share: float) -> str:
    return rounded(100 * share, 0, 100)
