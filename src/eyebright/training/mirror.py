"""Whether mirrored copies of the pictures may be shown in training: the data itself is asked.

Traffic signs and digits change their meaning in the mirror; leaves and bottles do not. The question is put to the pixels, not
to a pretrained network: its features hardly change in the mirror, so that it would find "keep left" and "keep right" alike.
"""

import numpy as np
from jaxtyping import Int64

from eyebright.core.arrays import Features, Labels
from eyebright.training.head import HARMED, HeadProblem

MIRROR_LOSS = 0.02  # accuracy that mirror images may lose out of fold before mirroring is called harmful


def mirror_is_harmless(
    plain: Features,
    mirrored: Features,
    labels: Labels,
    classes: tuple[str, ...],
    folds: Int64[np.ndarray, "n"],
    *,
    strength: float,
) -> tuple[bool, str]:
    """Whether heads that never saw a picture know its mirror image as well as itself, and the reason in words.

    ``plain`` and ``mirrored`` are the pixels of each picture and of its mirror image, as rows. Harmless means: on all pictures
    together the accuracy falls by at most ``MIRROR_LOSS``, and no class is recognised significantly worse (McNemar 1947, on the
    pictures of the class that are known one way and not the other).
    """
    problem = HeadProblem(plain, labels, len(classes))
    right, turned = np.zeros(len(labels), dtype=bool), np.zeros(len(labels), dtype=bool)
    for fold in np.unique(folds):
        held = folds == fold
        head, _ = problem.fit(np.flatnonzero(~held), strength)
        right[held] = head(plain[held]).argmax(axis=1) == labels[held]
        turned[held] = head(mirrored[held]).argmax(axis=1) == labels[held]
    if right.mean() - turned.mean() > MIRROR_LOSS:
        return (
            False,
            f"by their pixels, mirror images are recognised at {turned.mean():.3f}, the pictures at {right.mean():.3f}",
        )
    worst = max(range(len(classes)), key=lambda label: _mcnemar(right[labels == label], turned[labels == label]))
    known, known_turned = right[labels == worst], turned[labels == worst]
    if _mcnemar(known, known_turned) > HARMED:
        return False, (
            f"{classes[worst]} changes its meaning: by their pixels, {known_turned.sum()} of its {len(known)} mirror images "
            f"are recognised, {known.sum()} of the pictures"
        )
    return True, f"by their pixels, mirror images are recognised at {turned.mean():.3f}, the pictures at {right.mean():.3f}"


def _mcnemar(plain: np.ndarray, turned: np.ndarray) -> float:
    """How many standard errors more pictures are known only as they are than only in the mirror."""
    lost, won = int((plain & ~turned).sum()), int((~plain & turned).sum())
    return (lost - won) / max(1.0, float(np.sqrt(lost + won)))
