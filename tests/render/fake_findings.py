"""What a run may find beside its figures, made up: shortcuts, near copies, folds, a learning curve, subgroups, curves."""

import math

from eyebright.core.report import (
    CrossValidation,
    Figure,
    Fold,
    LearningCurve,
    LearningPoint,
    NearPair,
    Shortcut,
    Subgroup,
)


def figure(value: float, half: float, n: int) -> Figure:
    """A share with an interval of ``half`` on each side."""
    return Figure(value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=n, method="bootstrap")


def difference(value: float, half: float, n: int) -> Figure:
    """A signed difference of two shares, with an interval of ``half`` on each side."""
    return Figure(value=value, low=value - half, high=value + half, n=n, method="bootstrap")


def shortcuts(*suspicious: str) -> list[Shortcut]:
    """Six cues of six classes, those named with a score of 62 %; the others tell nothing to speak of."""
    advice = {
        "camera": "Take every class with the same cameras, and test on pictures of another one.",
        "file size": "It grows with the detail of the subject, but also with the size and quality a picture was saved at.",
    }
    found = []
    for rank, cue in enumerate(["file size", "camera", "resolution", "border", "mean colour", "sharpness"]):
        score = 0.62 if cue in suspicious else 0.24 - 0.015 * rank
        told = f"The {cue} alone tells the 6 classes apart, trash best of all: right 62 times in 100 where guessing gives 17."
        weak = f"The {cue} alone is right {100 * score:.0f} times in 100 where guessing gives 17: not enough to be a shortcut."
        found.append(
            Shortcut(
                cue=cue,
                score=figure(score, 0.024, 2527),
                chance=1 / 6,
                suspicious=cue in suspicious,
                sentence=f"{told} {advice.get(cue, '')}".strip() if cue in suspicious else weak,
            )
        )
    return found


def near_pairs(pictures: list[tuple[str, str]], *, torn: int = 0) -> list[NearPair]:
    """Five pairs with thumbnails from ``pictures``, the last without; the first ``torn`` of them have two labels."""
    correlations = (0.9996, 0.991, 0.984, 0.962, 0.957)
    return [
        NearPair(
            first=f"glass/glass{31 + place}.jpg",
            second=f"{'plastic/plastic' if place < torn else 'glass/glass'}{231 + 7 * place}.jpg",
            correlation=value,
            same_label=place >= torn,
            thumbnails=pictures[place] if place < len(pictures) else None,
        )
        for place, value in enumerate(correlations)
    ]


def cross_validation(accuracies: tuple[float, ...] = (0.829, 0.861, 0.822, 0.868, 0.847)) -> CrossValidation:
    """Folds with these accuracies, 374 pictures each."""
    folds = [
        Fold(
            fold=number,
            n=374,
            figures={
                "accuracy": value,
                "balanced_accuracy": value - 0.03,
                "f1_macro": value - 0.02,
                "log_loss": 1.4 * (1 - value) + 0.21,
            },
        )
        for number, value in enumerate(accuracies, start=1)
    ]
    mean = {name: sum(fold.figures[name] for fold in folds) / len(folds) for name in folds[0].figures}
    spread = {
        name: math.sqrt(sum((fold.figures[name] - mean[name]) ** 2 for fold in folds) / (len(folds) - 1)) for name in mean
    }
    n = 374 * len(folds)
    # A share of n independent pictures: 1.96 standard errors on each side.
    half = 1.96 * math.sqrt(mean["accuracy"] * (1 - mean["accuracy"]) / n)
    return CrossValidation(
        how=f"out-of-fold predictions of {len(folds)} stratified grouped folds",
        folds=folds,
        mean=mean,
        spread=spread,
        figures={name: figure(value, half * (2.4 if name == "log_loss" else 1), n) for name, value in mean.items()},
    )


def learning_curve() -> LearningCurve:
    """Four sizes, each twice the one before; still climbing."""
    rows = [(234, 0.713, 0.021), (467, 0.774, 0.019), (935, 0.815, 0.018), (1870, 0.846, 0.016)]
    return LearningCurve(
        points=[
            LearningPoint(n=n, figures={"accuracy": figure(value, half, 1870)}, recalls={"glass": value})
            for n, value, half in rows
        ],
        how="the head on frozen features, 3 folds of every picture but the test part",
        advice=[
            "More pictures would help: from 935 to 1,870 training pictures the accuracy changed by +0.031 (+0.018 to +0.044). "
            "If the trend goes on, twice as many would make it right about 3 times in 100 more often.",
            "The classes that gained most from the last doubling, and are still missed: trash (0.48 to 0.55 found).",
        ],
    )


def subgroups(*, worse: bool) -> list[Subgroup]:
    """Three sites and two cameras; one site is worse where ``worse``, and then the others are better."""
    rows = [
        ("site", "Aberdeen", 101, 0.92, 0.05, 0.02 if not worse else 0.11),
        ("site", "Bristol, the old building", 61, 0.79 if worse else 0.87, 0.09, -0.14 if worse else -0.02),
        ("site", "(empty)", 41, 0.9, 0.09, 0.01),
        ("camera", "phone", 150, 0.89, 0.05, 0.03),
        ("camera", "scanner", 53, 0.86, 0.09, -0.03),
    ]
    return [
        Subgroup(
            column=column,
            value=value,
            n=n,
            figures={"accuracy": figure(accuracy, half, n), "f1_macro": figure(accuracy - 0.04, half + 0.02, n)},
            difference=difference(gap, half + 0.02, 203),
        )
        for column, value, n, accuracy, half, gap in rows
    ]


def whole(n: int) -> Subgroup:
    """A column with one value: there are no other pictures to compare with."""
    return Subgroup(column="hospital", value="only one", n=n, figures={"accuracy": figure(0.887, 0.044, n)})


def precision_recall_curve(n: int, precision: float) -> list[tuple[float, float]]:
    """(recall, precision) at each of ``n`` positives, as false alarms come in ever faster."""
    steps = min(n, 60)
    return [
        (round(k / steps, 4), round(k / (k + (1 / precision - 1) * k * (k / steps) ** 3 + (k % 4 == 2) * 0.3), 4))
        for k in range(1, steps + 1)
    ]
