"""What an evaluation found, as values: the JSON that programs read, and all that ``render`` ever sees."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Figure(_Value):
    """One number with its 95 % interval. ``value`` is None where it is not defined (the ROC-AUC of one class alone)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    method: Literal["wilson", "bootstrap", "cluster-bootstrap", "none"]


class ClassFigures(_Value):
    """How one class does. ``n`` is how many test pictures have it; the interval belongs to the recall."""

    precision: float | None
    recall: float | None
    f1: float | None
    n: int
    recall_low: float | None = None
    recall_high: float | None = None
    roc_auc: float | None = None
    most_confused_with: str | None = None


class ReliabilityBin(_Value):
    """Pictures whose confidence lies in one bin: how sure the model was, and how often it was right."""

    confidence: float
    accuracy: float
    n: int


class Mistake(_Value):
    """A picture that was taken for something else. ``thumbnail`` is a data URI of a small re-encoded copy, or None."""

    key: str
    label: str
    predicted: str
    probability: float
    thumbnail: str | None = None


class Evaluation(_Value):
    """What ``evaluate --json`` prints."""

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    part: str
    n: int
    figures: dict[str, Figure]
    classes: dict[str, ClassFigures]
    confusion: list[list[int]] = Field(description="row: the true class; column: the answer; both in the order of `classes`")
    roc: dict[str, list[tuple[float, float]]] = Field(
        default_factory=dict, description="class: (false positive rate, true positive rate)"
    )
    reliability: dict[Literal["before", "after"], list[ReliabilityBin]] = Field(default_factory=dict)
    baselines: dict[str, dict[str, Figure]] = Field(default_factory=dict, description="majority and random: the same figures")
    without_leaks: dict[str, Figure] | None = Field(
        default=None, description="the figures without rows that leaked into training"
    )
    leaked: int = 0
    mistakes: list[Mistake] = Field(default_factory=list)
    views: tuple[str, ...] = ("identity",)
    temperature: float = 1.0
    warnings: list[str] = Field(default_factory=list)


class PartCounts(_Value):
    """How many pictures of each class a part holds."""

    n: int
    classes: dict[str, int]
    groups: int


class SamplePicture(_Value):
    """A picture shown as an example of its class."""

    key: str
    label: str
    thumbnail: str


class DataSummary(_Value):
    """The data set as it was used."""

    name: str
    n: int
    classes: dict[str, int]
    parts: dict[str, PartCounts]
    split: str = Field(description="how the parts came about, in words")
    fingerprint: str
    leaks: list[str] = Field(default_factory=list, description="one sentence a leak between parts")
    duplicates: int = 0
    unreadable: dict[str, str] = Field(default_factory=dict, description="key: reason")
    stray: int = 0
    imbalance: float = Field(default=1.0, description="largest class over smallest")
    sizes: str = ""
    samples: list[SamplePicture] = Field(default_factory=list)


class CurvePoint(_Value):
    """One epoch of one stage of training."""

    stage: str
    epoch: int
    metrics: dict[str, float]


class Attempt(_Value):
    """Something that was tried. ``kept`` says whether the final model uses it; ``reason`` says why."""

    name: str
    score: float | None = None
    metric: str = ""
    seconds: float = 0.0
    kept: bool = False
    reason: str = ""


class ChoiceMade(_Value):
    """An automatic choice and its reason."""

    name: str
    value: str
    reason: str


class TrainingSummary(_Value):
    """How the model came about."""

    seconds: float
    model: str
    parameters: int = 0
    curves: list[CurvePoint] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)
    choices: list[ChoiceMade] = Field(default_factory=list)
    ended: str = Field(default="", description="why training ended, in words")


class Speed(_Value):
    """Latency and throughput of one form, with what they depend on."""

    form: str
    batch: int
    threads: int
    median_ms: float = Field(description="median time of one call, milliseconds")
    p99_ms: float
    pictures_per_second: float
    n: int = Field(description="calls timed")
    megabytes: float


class Report(Evaluation):
    """An evaluation with the story around it: what ``report.json`` holds."""

    title: str
    created: str = Field(description="ISO 8601, UTC")
    summary: list[str] = Field(description="plain sentences: what was asked, on what data, how well it does")
    cautions: list[str] = Field(default_factory=list, description="when not to trust it")
    next_steps: list[str] = Field(default_factory=list)
    data: DataSummary
    training: TrainingSummary | None = None
    speed: list[Speed] = Field(default_factory=list)
    machine: str = ""
    provenance: dict[str, Any] = Field(default_factory=dict)
