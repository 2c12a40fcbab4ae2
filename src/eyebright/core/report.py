"""What an evaluation found, as values: the JSON that programs read, and all that ``render`` ever sees."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

POOR_CALIBRATION = 0.05  # a gap of five points between confidence and accuracy is worth a caution


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Figure(_Value):
    """One number with its 95 % interval. ``value`` is None where it is not defined (the ROC-AUC of one class alone)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    method: Literal["wilson", "cluster-wilson", "bootstrap", "cluster-bootstrap", "none"]


class ClassFigures(_Value):
    """How one class does. ``n`` is how many test pictures have it; the interval belongs to the recall."""

    precision: float | None
    recall: float | None
    f1: float | None
    n: int
    recall_low: float | None = None
    recall_high: float | None = None
    roc_auc: float | None = None
    average_precision: float | None = None
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


class Subgroup(_Value):
    """How the model does on the pictures of one value of one column of the user's table."""

    column: str
    value: str
    n: int
    figures: dict[str, Figure] = Field(description="accuracy, f1_macro")
    difference: Figure | None = Field(
        default=None, description="accuracy in this subgroup minus that of all other pictures, with its interval"
    )


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
    precision_recall: dict[str, list[tuple[float, float]]] = Field(
        default_factory=dict, description="class: (recall, precision), from the highest threshold down"
    )
    subgroups: list[Subgroup] = Field(default_factory=list, description="one row a value of each column that was asked for")
    reliability: dict[Literal["before", "after"], list[ReliabilityBin]] = Field(default_factory=dict)
    baselines: dict[str, dict[str, Figure]] = Field(default_factory=dict, description="majority and random: the same figures")
    without_leaks: dict[str, Figure] | None = Field(
        default=None, description="the figures without rows that leaked into training"
    )
    leaked: int = 0
    mistakes: list[Mistake] = Field(default_factory=list)
    views: tuple[str, ...] = ("identity",)
    views_below: float | None = Field(default=None, description="of which pictures: those less likely than this at first sight")
    temperature: float = 1.0
    warnings: list[str] = Field(default_factory=list)

    @property
    def misleads_by_confidence(self) -> bool:
        """Whether confidence surely lies further from accuracy than ``POOR_CALIBRATION``, on average over the bins.

        By the low end of the interval, as the bins' noise alone lifts the figure of a few hundred pictures to several points.
        """
        error = self.figures.get("ece")
        return error is not None and error.value is not None and (error.low or 0.0) > POOR_CALIBRATION


class ComparedFigure(_Value):
    """One figure of two models on the same pictures. ``difference`` is the second minus the first."""

    first: float
    second: float
    difference: Figure
    better: Literal["first", "second", "neither"] = Field(description="which one the interval of the difference favours")


class Comparison(_Value):
    """What ``compare --json`` prints: two models on the same pictures, paired."""

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    first: str
    second: str
    n: int
    groups: int
    figures: dict[str, ComparedFigure]
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float | None = Field(default=None, description="McNemar's exact test; None where pictures come in groups")
    recalls: dict[str, ComparedFigure] = Field(default_factory=dict, description="class: its recall")
    disagreements: list[str] = Field(default_factory=list, description="keys that one alone has right, for a look")
    verdict: str
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


class Shortcut(_Value):
    """What one cue beside the subject (file size, border, camera ...) alone tells about the label.

    ``score`` is the balanced accuracy, out of fold, of answers made from the cue alone; ``chance`` is what guessing gives.
    """

    cue: str
    score: Figure
    chance: float
    suspicious: bool
    sentence: str = Field(description="what was found and what to do, in words")


class NearPair(_Value):
    """Two pictures that show nearly the same. ``correlation`` is that of their pixels after alignment, at most 1."""

    first: str
    second: str
    correlation: float
    same_label: bool
    thumbnails: tuple[str, str] | None = None


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
    near_duplicates: int = Field(default=0, description="pictures that are nearly the same as an earlier one")
    near_pairs: list[NearPair] = Field(default_factory=list, description="some of them, for the eye")
    shortcuts: list[Shortcut] = Field(default_factory=list)
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


class Fold(_Value):
    """One fold of a cross-validation: trained on the others, judged on this one."""

    fold: int
    n: int
    figures: dict[str, float]


class CrossValidation(_Value):
    """What k-fold said. ``figures`` are of all out-of-fold predictions together; ``folds`` shows their spread."""

    how: str = Field(description="how the folds were made, in words")
    folds: list[Fold]
    mean: dict[str, float]
    spread: dict[str, float] = Field(description="standard deviation over the folds (n - 1)")
    figures: dict[str, Figure]


class LearningPoint(_Value):
    """What a smaller training set would have given: accuracy on the same held-out pictures."""

    n: int = Field(description="training pictures")
    figures: dict[str, Figure]
    recalls: dict[str, float | None] = Field(default_factory=dict, description="class: recall")


class LearningCurve(_Value):
    """Would more pictures help, and of which class."""

    points: list[LearningPoint]
    how: str
    advice: list[str] = Field(description="in words")


class TrainingSummary(_Value):
    """How the model came about."""

    seconds: float
    model: str
    parameters: int = 0
    curves: list[CurvePoint] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)
    choices: list[ChoiceMade] = Field(default_factory=list)
    ended: str = Field(default="", description="why training ended, in words")
    cross_validation: CrossValidation | None = None
    learning_curve: LearningCurve | None = None


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


class Trial(_Value):
    """One set of values that a search tried. ``score`` is the search's metric, None where the trial came to no end."""

    number: int
    state: Literal["finished", "stopped early", "failed"]
    values: dict[str, str | int | float | bool | None]
    score: float | None = None
    accuracy: float | None = None
    seconds: float = 0.0
    curve: list[float] = Field(default_factory=list, description="validation loss by epoch, as far as it is a number")
    reason: str = Field(default="", description="why it was stopped, or how it failed")


class Search(_Value):
    """What ``tune --json`` prints: which settings were tried, which were best, and what mattered.

    Trial 0 has the settings that would have been used without a search.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    title: str
    created: str = Field(description="ISO 8601, UTC")
    method: Literal["grid", "random", "bayesian"]
    metric: Literal["log_loss", "accuracy", "f1_macro"]
    n: int = Field(description="validation pictures that every trial was judged on")
    planned: int = Field(description="trials that were asked for, trial 0 apart")
    space: dict[str, str] = Field(description="setting: what was searched, in words")
    logarithmic: list[str] = Field(default_factory=list, description="the settings that were searched by their logarithm")
    trials: list[Trial]
    best: int = Field(description="the number of the best finished trial")
    importances: dict[str, float] = Field(
        default_factory=dict, description="setting: its share of the differences between trials, most important first"
    )
    mattered: list[str] = Field(default_factory=list, description="the settings whose importance is beyond chance")
    gain: Figure | None = Field(default=None, description="accuracy of the best minus that of trial 0, on the same pictures")
    advice: list[str] = Field(default_factory=list, description="in words")
    how: list[str] = Field(default_factory=list, description="how it was searched, in words")
    machine: str = ""


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
    intended_use: str = Field(default="", description="what its makers say that it is for, in their words")
    limits: str = Field(default="", description="what its makers say that it is not for")
    provenance: dict[str, Any] = Field(default_factory=dict)
