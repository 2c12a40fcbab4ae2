"""Parts of made-up reports: pictures, figures with intervals, curves, counts."""

import base64
import io
import math

import fake_findings
import numpy as np
from PIL import Image, ImageDraw

from eyebright.core.report import ClassFigures, CurvePoint, Figure, PartCounts, ReliabilityBin


def thumbnail(seed: int) -> str:
    """A small picture with a shape in it, as a data URI."""
    rng = np.random.default_rng(seed)
    tint = tuple(int(value) for value in rng.integers(90, 215, 3))
    image = Image.new("RGB", (128, 128), tint)
    draw = ImageDraw.Draw(image)
    x, y, size = (int(value) for value in rng.integers((16, 16, 36), (50, 50, 70)))
    shape = (draw.ellipse, draw.rectangle)[seed % 2]
    shape((x, y, x + size, y + size), fill=tuple(255 - value for value in tint))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def wilson(right: int, n: int) -> Figure:
    """A share with its interval (Wilson 1927)."""
    rate, spread = right / n, 1.96**2 / n
    middle, half = rate + spread / 2, 1.96 * math.sqrt(rate * (1 - rate) / n + spread / (4 * n))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return Figure(value=rate, low=max(0.0, low), high=min(1.0, high), n=n, method="wilson")


def bootstrap(value: float, half: float, n: int) -> Figure:
    """A figure with an interval of ``half`` on each side."""
    return Figure(value=value, low=max(0.0, value - half), high=value + half, n=n, method="bootstrap")


def class_figures(names: list[str], confusion: np.ndarray) -> dict[str, ClassFigures]:
    """What a confusion matrix says of each class."""
    found = {}
    for row, name in enumerate(names):
        n, answers, right = int(confusion[row].sum()), int(confusion[:, row].sum()), int(confusion[row, row])
        off = confusion[row].copy()
        off[row] = 0
        recall = wilson(right, n)
        found[name] = ClassFigures(
            precision=right / answers if answers else None,
            recall=right / n,
            f1=2 * right / (n + answers),
            n=n,
            recall_low=recall.low,
            recall_high=recall.high,
            roc_auc=0.9 + 0.099 * right / n,
            average_precision=0.55 + 0.44 * right / n,
            most_confused_with=names[int(off.argmax())] if off.any() else None,
        )
    return found


def precision_recall(names: list[str], confusion: np.ndarray) -> dict[str, list[tuple[float, float]]]:
    """Curves that end the lower the less of a class is found."""
    counts = confusion.sum(axis=1)
    return {
        name: fake_findings.precision_recall_curve(int(counts[row]), 0.25 + 0.7 * confusion[row, row] / counts[row])
        for row, name in enumerate(names)
    }


def roc_curve(area: float) -> list[tuple[float, float]]:
    """A smooth curve y = x ** p with the area 1 / (p + 1)."""
    power = 1 / area - 1
    return [(round(x, 4), round(x**power, 4)) for x in np.linspace(0, 1, 60) ** 3]


def reliability(n: int, lean: float) -> list[ReliabilityBin]:
    """Ten bins of a model that is ``lean`` surer than right."""
    weights = np.array([0, 1, 2, 3, 5, 8, 10, 14, 22, 60])
    counts = (weights / weights.sum() * n).astype(int)
    wobble = (0, 0.06, -0.05, 0.04, -0.03, 0.02, -0.02, 0.02, -0.01, 0.0)
    return [
        ReliabilityBin(confidence=0.05 + 0.1 * k, accuracy=max(0.0, 0.05 + 0.1 * k - lean + wobble[k]), n=int(counts[k]))
        for k in range(10)
    ]


def curves() -> list[CurvePoint]:
    """A head alone, then the whole network."""
    points = [
        CurvePoint(
            stage="head",
            epoch=epoch,
            metrics={
                "train_loss": 1.5 * math.exp(-epoch / 3) + 0.55,
                "validation_loss": 1.4 * math.exp(-epoch / 3) + 0.62,
                "validation_accuracy": 0.79 - 0.3 * math.exp(-epoch / 2),
            },
        )
        for epoch in range(1, 7)
    ]
    return points + [
        CurvePoint(
            stage="whole network",
            epoch=epoch,
            metrics={
                "train_loss": 0.6 * math.exp(-epoch / 4) + 0.05,
                "validation_loss": 0.5 * math.exp(-epoch / 3) + 0.36 + 0.006 * epoch,
                "validation_accuracy": 0.885 - 0.08 * math.exp(-epoch / 3),
                "lr": 0.001,
            },
        )
        for epoch in range(1, 13)
    ]


def repeated_curves() -> list[CurvePoint]:
    """Five folds, three members and two smaller trainings, then all pictures together and the student of the ensemble."""
    stages = [f"fold {k} of 5" for k in range(1, 6)] + [f"member {k}" for k in range(1, 4)]
    stages += [f"learning curve, {n} pictures" for n in ("467", "935")] + ["training on all", "distillation"]
    return [
        CurvePoint(stage=stage, epoch=epoch, metrics={"train_loss": 0.9 * math.exp(-epoch / 3) + 0.08})
        for stage in stages
        for epoch in range(1, 9)
    ]


def parts(classes: dict[str, int]) -> dict[str, PartCounts]:
    """Counts of four parts."""
    shares = {"train": 0.74, "validation": 0.1, "calibration": 0.08, "test": 0.08}
    counted = {part: {name: round(n * share) for name, n in classes.items()} for part, share in shares.items()}
    return {
        part: PartCounts(n=sum(each.values()), classes=each, groups=sum(each.values()) - 3) for part, each in counted.items()
    }
