"""Reports as a run would leave them, made up: six classes of rubbish, 43 signs, the least there can be, and a hostile one."""

import fake_findings
import numpy as np
from fake_parts import (
    bootstrap,
    class_figures,
    curves,
    parts,
    precision_recall,
    reliability,
    repeated_curves,
    roc_curve,
    thumbnail,
    wilson,
)

from eyebright.core.report import (
    Attempt,
    ChoiceMade,
    DataSummary,
    Mistake,
    Report,
    SamplePicture,
    Speed,
    TrainingSummary,
)

TRASH = {"cardboard": 403, "glass": 501, "metal": 410, "paper": 594, "plastic": 482, "trash": 137}
TRASH_CONFUSION = [
    [30, 0, 0, 2, 0, 0],
    [0, 33, 4, 0, 3, 0],
    [0, 1, 31, 0, 1, 0],
    [1, 0, 0, 46, 0, 1],
    [0, 3, 1, 1, 34, 0],
    [0, 1, 1, 2, 1, 6],
]


def trash() -> Report:
    """Everything there is, on six classes."""
    names, confusion = list(TRASH), np.array(TRASH_CONFUSION)
    n, right = int(confusion.sum()), int(np.trace(confusion))
    hash_ = "3f9a0c6d" * 8
    return Report(
        part="test",
        n=n,
        figures={
            "accuracy": wilson(right, n),
            "balanced_accuracy": bootstrap(0.842, 0.052, n),
            "f1_macro": bootstrap(0.851, 0.051, n),
            "roc_auc_ovr": bootstrap(0.978, 0.009, n),
            "ece": bootstrap(0.031, 0.018, n),
            "nll": bootstrap(0.412, 0.09, n),
            "brier": bootstrap(0.188, 0.04, n),
            "top2_accuracy": wilson(195, n),
        },
        classes=class_figures(names, confusion),
        confusion=TRASH_CONFUSION,
        roc={name: roc_curve(0.9 + 0.099 * confusion[row, row] / confusion[row].sum()) for row, name in enumerate(names)},
        precision_recall=precision_recall(names, confusion),
        subgroups=fake_findings.subgroups(worse=False),
        reliability={"before": reliability(n, 0.11), "after": reliability(n, 0.02)},
        baselines={
            "majority": {
                "accuracy": wilson(48, n),
                "balanced_accuracy": bootstrap(1 / 6, 0, n),
                "f1_macro": bootstrap(0.064, 0.01, n),
            },
            "random": {
                "accuracy": wilson(36, n),
                "balanced_accuracy": bootstrap(0.17, 0.04, n),
                "f1_macro": bootstrap(0.16, 0.04, n),
            },
        },
        mistakes=[
            Mistake(
                key=f"{label}/{label}{17 * k + 31}.jpg",
                label=label,
                predicted=answer,
                probability=0.98 - 0.03 * k,
                thumbnail=thumbnail(k),
            )
            for k, (label, answer) in enumerate(
                [
                    ("glass", "metal"),
                    ("trash", "paper"),
                    ("plastic", "glass"),
                    ("glass", "plastic"),
                    ("cardboard", "paper"),
                    ("glass", "metal"),
                    ("trash", "metal"),
                    ("paper", "trash"),
                ]
            )
        ],
        temperature=1.42,
        warnings=["The class trash has 11 test pictures: its figures are rough."],
        title="Rubbish, sorted by material",
        created="2025-03-04T10:11:12Z",
        summary=[
            "You asked for a classifier of six materials.",
            "It was trained on 1,870 pictures and measured on 203 it had never seen.",
            "89 times in 100 its answer was right.",
        ],
        cautions=[
            "Pictures with more than one thing in them: every training picture shows one thing on a plain ground.",
            "Glass: 4 of 40 test pictures were taken for metal.",
        ],
        next_steps=[
            "Add pictures of trash; it is the smallest class and the one found least often.",
            "Look at the eight most confident mistakes below; a wrong label there costs more than any setting.",
        ],
        data=DataSummary(
            name="trashnet",
            n=2527,
            classes=TRASH,
            parts=parts(TRASH),
            split="Split at random within each class, copies kept together.",
            fingerprint=hash_,
            duplicates=12,
            near_duplicates=5,
            near_pairs=fake_findings.near_pairs([(thumbnail(40 + k), thumbnail(40 + k)) for k in range(4)]),
            shortcuts=fake_findings.shortcuts(),
            unreadable={
                "glass/glass88.jpg": "The file ends in the middle of the picture.",
                "paper/notes.jpg": "It is a text file.",
            },
            stray=3,
            imbalance=594 / 137,
            sizes="All are 512 by 384 pixels.",
            samples=[
                SamplePicture(key=f"{name}/1.jpg", label=name, thumbnail=thumbnail(20 + k)) for k, name in enumerate(names)
            ],
        ),
        training=TrainingSummary(
            seconds=754,
            model="efficientnet_lite0, pretrained on ImageNet",
            parameters=3_381_098,
            curves=curves(),
            attempts=[
                Attempt(
                    name="linear head on fixed features",
                    score=0.831,
                    metric="f1_macro",
                    seconds=48,
                    reason="Beaten by fine-tuning.",
                ),
                Attempt(
                    name="whole network, 12 epochs",
                    score=0.868,
                    metric="f1_macro",
                    seconds=640,
                    kept=True,
                    reason="Best on validation.",
                ),
                Attempt(
                    name="mixup", score=0.861, metric="f1_macro", seconds=610, reason="No better within the noise of one seed."
                ),
            ],
            choices=[
                ChoiceMade(name="device", value="cpu", reason="no CUDA device is visible"),
                ChoiceMade(name="size", value="224", reason="the size the weights were trained at"),
                ChoiceMade(name="budget", value="10 min", reason="asked for with --minutes 10"),
            ],
            cross_validation=fake_findings.cross_validation(),
            learning_curve=fake_findings.learning_curve(),
            ended="It ended because the time asked for was used; validation loss had stopped falling.",
        ),
        speed=[
            Speed(
                form="torch", batch=1, threads=2, median_ms=21.4, p99_ms=30.2, pictures_per_second=46.7, n=200, megabytes=13.6
            ),
            Speed(
                form="onnx", batch=1, threads=2, median_ms=8.9, p99_ms=12.1, pictures_per_second=112.4, n=200, megabytes=13.4
            ),
            Speed(
                form="onnx-int8", batch=1, threads=2, median_ms=5.1, p99_ms=7.7, pictures_per_second=196.0, n=200, megabytes=3.6
            ),
        ],
        intended_use="To show at a recycling centre which bin a thing belongs in.\nA person looks at every answer.",
        limits="Not for broken glass, not for batteries, and not for more than one thing at a time.",
        machine="AMD EPYC 7R13, 2 cores, 8 GiB, Linux 6.1",
        provenance={
            "eyebright": "0.1.0",
            "seed": 0,
            "weights": {"name": "efficientnet_lite0", "licence": "apache-2.0", "sha256": hash_},
            "bundle_sha256": hash_[::-1],
            "packages": ["torch 2.11.0", "timm 1.0.22", "onnxruntime 1.23.0"],
        },
    )


def leaking() -> Report:
    """The same in a bad way: copies in two parts, shortcuts, contradicting labels, folds and a site that differ."""
    report = trash()
    assert report.training
    data = {
        "leaks": ["12 test pictures are copies of training pictures."],
        "near_pairs": fake_findings.near_pairs([(thumbnail(40 + k), thumbnail(40 + k)) for k in range(4)], torn=2),
        "shortcuts": fake_findings.shortcuts("file size", "camera"),
    }
    training = {
        "cross_validation": fake_findings.cross_validation((0.71, 0.87, 0.92, 0.86, 0.79)),
        "learning_curve": None,
        "curves": [*curves(), *repeated_curves()],
    }
    return report.model_copy(
        update={
            "data": report.data.model_copy(update=data),
            "training": report.training.model_copy(update=training),
            "subgroups": fake_findings.subgroups(worse=True),
            "leaked": 12,
            "without_leaks": {"accuracy": wilson(168, 191), "f1_macro": bootstrap(0.836, 0.055, 191)},
        }
    )


def signs() -> Report:
    """43 classes, unevenly filled."""
    names = [f"sign {number:02d}" for number in range(43)]
    rng = np.random.default_rng(7)
    sizes = (720 * np.exp(-np.arange(43) / 11) + 20).astype(int)
    rows = [np.bincount(rng.choice(43, size=n // 6 + 2, p=_sign_answers(k)), minlength=43) for k, n in enumerate(sizes)]
    confusion = np.stack(rows)
    n, right = int(confusion.sum()), int(np.trace(confusion))
    counts = dict(zip(names, map(int, sizes), strict=True))
    return Report(
        part="test",
        n=n,
        figures={
            "accuracy": wilson(right, n),
            "balanced_accuracy": bootstrap(0.81, 0.04, n),
            "f1_macro": bootstrap(0.79, 0.04, n),
            "ece": bootstrap(0.05, 0.01, n),
        },
        classes=class_figures(names, confusion),
        confusion=confusion.tolist(),
        roc={name: roc_curve(0.93 + 0.0015 * k) for k, name in enumerate(names)},
        precision_recall=precision_recall(names, confusion),
        subgroups=[fake_findings.whole(n)],
        reliability={"before": reliability(n, 0.12)},
        baselines={"majority": {"accuracy": wilson(int(confusion[0].sum()), n), "balanced_accuracy": bootstrap(1 / 43, 0, n)}},
        title="German traffic signs",
        created="2025-03-04T10:11:12Z",
        summary=["43 kinds of traffic sign, told apart on pictures of 32 by 32 pixels."],
        data=DataSummary(
            name="signs",
            n=sum(counts.values()),
            classes=counts,
            parts=parts(counts),
            split="Split by track.",
            fingerprint="ab" * 32,
            imbalance=max(counts.values()) / min(counts.values()),
        ),
    )


def _sign_answers(k: int) -> np.ndarray:
    answers = np.full(43, 0.03 / 42)
    answers[k], answers[(k * 5 + 3) % 43] = 0.97, answers[(k * 5 + 3) % 43] + 0.01 * (k % 9)
    return answers / answers.sum()


def minimal() -> Report:
    """Nothing that may be left out."""
    return Report(
        part="test",
        n=0,
        figures={},
        classes={},
        confusion=[],
        title="Nothing measured",
        created="2025-03-04T10:11:12Z",
        summary=[],
        data=DataSummary(name="empty", n=0, classes={}, parts={}, split="", fingerprint="0" * 64),
    )


HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "قطة جميلة جدا",
    "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 4,
    "{{ 7 * 7 }} {% raw %} $x^2$ #010101; --> ]]>",
    "line\nbreak\x00 and \u202eturned [link](http://example.com) | cell `code` www.example.com",
)


def hostile() -> Report:
    """The full report with names and sentences that try to become something else."""
    text = trash().model_dump_json(by_alias=True)
    report = Report.model_validate_json(text)
    renamed = dict(zip(TRASH, HOSTILE_NAMES, strict=True))
    values = _renamed(report.model_dump(), renamed)
    evil = HOSTILE_NAMES[0] + HOSTILE_NAMES[1]
    values |= {"title": evil, "summary": [evil], "cautions": [evil], "next_steps": [evil], "machine": evil, "warnings": [evil]}
    values["data"] |= {
        "name": evil,
        "split": evil,
        "sizes": evil,
        "leaks": [evil],
        "fingerprint": evil,
        "unreadable": {evil: evil},
    }
    values["provenance"] = {evil: evil, "nested": {evil: [evil]}}
    values["training"] |= {"model": evil, "ended": evil}
    values |= {"intended_use": evil, "limits": evil}
    values["data"]["shortcuts"][0] |= {"cue": evil, "sentence": evil, "suspicious": True}
    values["data"]["near_pairs"][0] |= {
        "first": evil,
        "second": evil,
        "same_label": False,
        "thumbnails": ("https://example.com/x.png", "data:text/html,x"),
    }
    values["training"]["cross_validation"]["how"] = evil
    values["training"]["learning_curve"] |= {"how": evil, "advice": [evil]}
    for name, row in zip(HOSTILE_NAMES, values["subgroups"], strict=False):
        row |= {"column": name, "value": name}
        row["difference"] = {"value": -0.2, "low": -0.3, "high": -0.1, "n": 203, "method": "bootstrap"}
    for point in values["training"]["curves"]:
        point["stage"] = evil
    values["training"]["choices"] = [{"name": evil, "value": evil, "reason": evil}]
    values["mistakes"][0] |= {"key": evil, "thumbnail": "data:image/svg+xml;base64,PHN2Zz4="}
    values["mistakes"][1] |= {"key": evil, "thumbnail": "https://example.com/x.png"}
    values["mistakes"][2] |= {"key": evil, "thumbnail": 'data:image/png;base64,AAAA" onerror="alert(3)'}
    values["figures"][evil] = {"value": None, "n": 3, "method": "none"}
    return Report.model_validate(values)


def _renamed(value, names):
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, names) for item in value]
    return value


EVERY = {"trash": trash, "leaking": leaking, "signs": signs, "minimal": minimal, "hostile": hostile}
