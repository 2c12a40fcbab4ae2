"""What ``train`` can be told. Each field is at once the Python argument, the TOML key and the flag."""

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from eyebright.core.preprocess import Equalise, WhiteBalance
from eyebright.core.settings import Settings, argument


def _pictures(default: Any, **options: Any) -> Any:
    return argument(default, section="What the model sees", **options)


def _validation(default: Any, **options: Any) -> Any:
    return argument(default, section="Parts, folds and ensembles", **options)


def _fitting(default: Any, **options: Any) -> Any:
    return argument(default, section="Training", **options)


def _balance(default: Any, **options: Any) -> Any:
    return argument(default, section="Classes out of balance", **options)


def _change(default: Any, **options: Any) -> Any:
    return argument(default, section="Changed copies of the training pictures", **options)


class TrainSettings(Settings):
    """What ``train`` needs to know. Only DATA must be given; ``auto`` is chosen from the pictures, with its reason."""

    data: str = argument(
        help="The data set: a folder with one folder a class, a CSV table, a zip or tar of either, an .npz, or a known name.",
        positional=True,
        min_length=1,
    )
    out: Path | None = argument(None, help="The run's folder. Default: the first free of runs/NAME-1, runs/NAME-2 ...")
    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")
    group: str | None = argument(
        None, help="Regular expression over the keys that names a picture's group, e.g. '(?P<group>person\\d+)_'."
    )
    model: str = argument(
        "auto", help="auto, or a name that eyebright models lists: cnn, lite0, resnet50, hog-svm, timm:NAME ..."
    )
    weights: str = argument("auto", help="Pretrained weights: auto, none, or a file.")
    minutes: float = argument(5.0, help="Time for the command up to the last step of training.", gt=0, le=100_000)
    epochs: int | None = argument(None, help="Passes over the training pictures, instead of --minutes.", ge=1, le=100_000)
    seed: int = argument(0, help="Decides the split, the initial weights and the order.", ge=0, lt=2**63)
    resume: bool = argument(False, help="Go on with the run in --out.")
    dry_run: bool = argument(False, help="Read the pictures, say what would be done, write no run.")

    size: int | None = _pictures(
        None, help="Height and width in pixels of what the model sees. Default: chosen.", ge=1, le=2048
    )
    resize: Literal["squash", "crop", "letterbox"] = _pictures("squash", help="How pictures of other shapes are fitted.")
    colour: Literal["auto", "colour", "grey"] = _pictures("auto", help="What is seen. auto: grey where all pictures are.")
    cut_border: float = _pictures(0.0, help="Share of height and width that is cut off on each side.", ge=0, le=0.45)
    centre_crop: float = _pictures(1.0, help="Share of height and width that is kept around the centre.", gt=0, le=1)
    white_balance: WhiteBalance = _pictures("none", help="Remove a cast of colour.")
    equalise: Equalise = _pictures("none", help="Spread the brightness over the full range; clahe: region by region.")
    clahe_clip: float = _pictures(3.0, help="How many times contrast may rise in clahe.", ge=1, le=256)
    clahe_grid: int = _pictures(8, help="Regions along each side in clahe.", ge=1, le=32)
    sharpen: float = _pictures(0.0, help="Strength of an unsharp mask; 1 is strong.", ge=0, le=5)

    test: float = _validation(
        0.2, help="Fraction held out for the final figures, where the data gives no test part.", gt=0, lt=1
    )
    validation: float | None = _validation(
        None, help="Fraction that decides when to stop and what to keep. Default: 0.15, at most 5,000 pictures.", gt=0, lt=1
    )
    calibration: float = _validation(0.0, help="Fraction kept for the temperature alone.", ge=0, lt=1)
    folds: int = _validation(
        0, help="Cross-validate by this many folds of every picture but the test part; 0: not.", ge=0, le=50
    )
    ensemble: Literal["none", "folds", "seeds"] = _validation(
        "none", help="Average the probabilities of the folds' models, or of models from several seeds."
    )
    members: int = _validation(3, help="Models in an ensemble of seeds.", ge=2, le=50)
    distil: bool = _validation(False, help="Train one network on the ensemble's answers and keep that alone.")
    learning_curve: bool = _validation(False, help="Ask whether more pictures would help, by training on fewer.")
    subgroups: tuple[str, ...] = _validation((), help="Columns of the table, such as site or sex, to give figures by.")
    baselines: tuple[str, ...] = _validation((), help="Handcrafted models to put beside it in the report, such as hog-svm.")
    head_folds: int = _validation(5, help="Folds for choosing the head's strength, where --folds is 0.", ge=2, le=50)
    on_leak: Literal["report", "refuse"] = _validation("report", help="What to do when given parts leak into each other.")
    allow_bad: float = _validation(0.01, help="Fraction of pictures that may be unreadable.", ge=0, le=1)

    unfreeze: str = _fitting("auto", help="What fine-tuning may change: auto, head, all, or a number of last blocks.")
    device: Literal["auto", "cpu", "cuda"] = _fitting("auto", help="Where the arithmetic is done.")
    precision: Literal["auto", "fp32", "bf16"] = _fitting("auto", help="auto: the faster of the two, timed.")
    layout: Literal["channels-last", "contiguous"] = _fitting("channels-last", help="Memory layout of the pictures.")
    optimiser: Literal["auto", "adam", "adamw", "sgd", "muon"] = _fitting(
        "auto", help="auto: adam, adamw for fine-tuning, muon for speed, from scratch only."
    )
    learning_rate: float | None = _fitting(None, help="The highest rate. Default: chosen.", gt=0, le=100)
    schedule: Literal["auto", "cosine", "linear", "constant", "plateau"] = _fitting(
        "auto", help="How the rate falls. plateau: where the validation loss stops falling. auto: cosine, linear for speed."
    )
    plateau_patience: int = _fitting(3, help="Epochs without a better validation loss before the rate falls.", ge=1, le=10_000)
    warm_up: float | None = _fitting(
        None, help="Share of the steps over which the rate rises. Default: 0.1, none for speed.", ge=0, lt=1
    )
    batch_size: int | None = _fitting(
        None, help="Pictures a step. Default: 64, 32 for fine-tuning, more for speed.", ge=1, le=65536
    )
    weight_decay: float | None = _fitting(
        None, help="An L2 penalty for adam and sgd, decoupled for adamw; muon: of biases and head.", ge=0, le=10
    )
    head_weight_decay: float | None = _fitting(None, help="The last layer's own. Default: as the others.", ge=0, le=10)
    dropout: float | None = _fitting(None, help="Share of the features dropped. Default: the model's own.", ge=0, lt=1)
    depths: int | None = _fitting(
        None,
        help="Of how many of lite0's last maps the features are made. Default: 5 with pretrained weights, else 1.",
        ge=1,
        le=8,
    )
    mirrored_head: Literal["auto", "yes", "no"] = _fitting(
        "auto",
        help="Learn the head from mirror images too, if it is then better out of fold. auto: where there is time for it.",
    )
    fine_tune_in_folds: Literal["auto", "yes", "no"] = _fitting(
        "auto",
        help="Fine-tune a network a fold, judge each on its fold, average their weights. auto: of few pictures, with time.",
    )
    drop_path: float | None = _fitting(
        None, help="Stochastic depth: share of the residual blocks skipped. Default: the model's own.", ge=0, lt=1
    )
    label_smoothing: float | None = _fitting(
        None, help="Share of the label that is spread over all classes. Default: 0, 0.09 for speed.", ge=0, lt=1
    )
    average: float = _fitting(
        0.0, help="Share that a running average of the weights keeps a step, such as 0.999; 0: none.", ge=0, lt=1
    )
    clip: float = _fitting(0.0, help="Longest gradient, as the norm over all weights; 0: any.", ge=0, le=1e6)
    patience: int | None = _fitting(
        None,
        help="Epochs without a better validation loss before training stops; 0: never. Default: a quarter, 5 at least.",
        ge=0,
    )
    capacity: Literal["auto", "narrow", "standard", "wide", "deep"] = _fitting(
        "auto", help="How large speed is. auto: what the minutes are enough for, or standard where --epochs is given."
    )
    views: Literal["auto", "one", "all"] = _fitting(
        "auto",
        help="Whether doubtful pictures are also seen mirrored and moved by a pixel when the model answers. auto: for speed.",
    )
    tensorboard: bool = _fitting(False, help="Write a log for TensorBoard into the run.")

    class_weights: Literal["none", "inverse", "effective"] = _balance("none", help="Whether rare classes weigh more.")
    sampling: Literal["auto", "none", "over", "under", "sqrt"] = _balance(
        "auto", help="Draw rare classes more often, common ones less often, or rare ones half-way. auto: sqrt from 2:1 on."
    )
    loss: Literal["cross-entropy", "focal"] = _balance("cross-entropy", help="focal: what is known already counts less.")
    focal_gamma: float = _balance(2.0, help="How much less.", ge=0, le=10)

    augment: Literal["auto", "none", "light", "medium", "strong"] = _change("auto", help="How much, all flags below together.")
    flip: Literal["auto", "on", "off", "alternate"] = _change(
        "auto", help="Mirrored copies, by chance or in every other epoch. auto: where the data says they are harmless."
    )
    vertical: bool = _change(False, help="Copies that are upside down, too.")
    pad: int | None = _change(None, help="Shifts by whole pixels, the border reflected, up to so many.", ge=0, le=32)
    shift: float | None = _change(None, help="Shifts, share of the width.", ge=0, le=0.5)
    rotation: float | None = _change(None, help="Rotations, degrees.", ge=0, le=180)
    zoom: float | None = _change(None, help="Zoom, share.", ge=0, lt=1)
    crop: float | None = _change(None, help="Random crops, share of the area that may go.", ge=0, le=0.95)
    shear: float | None = _change(None, help="Shear, degrees.", ge=0, le=45)
    perspective: float | None = _change(None, help="Perspective, share of the side by which corners move.", ge=0, le=0.2)
    brightness: float | None = _change(None, help="Brightness, of the range of a pixel.", ge=0, le=1)
    contrast: float | None = _change(None, help="Contrast, share.", ge=0, lt=1)
    saturation: float | None = _change(None, help="Saturation, share.", ge=0, le=1)
    hue: float | None = _change(None, help="Hue, share of the circle of colours.", ge=0, le=0.5)
    noise: float | None = _change(None, help="Noise, standard deviation of pixels in 0..1.", ge=0, le=0.5)
    blur: float | None = _change(None, help="Blur, standard deviation as a share of the short side.", ge=0, le=0.05)
    jpeg: float | None = _change(None, help="JPEG artefacts: 0.3 is a quality of 70 to 100.", ge=0, le=0.95)
    erase: float | None = _change(None, help="Erased rectangles, largest share of the area.", ge=0, le=0.5)
    mixup: float | None = _change(None, help="Mixup: alpha of the Beta distribution.", ge=0, le=10)
    cutmix: float | None = _change(None, help="CutMix: alpha of the Beta distribution.", ge=0, le=10)

    intended_use: str = argument(
        "", section="The model card", help="What the model is meant for, in a sentence.", max_length=2000
    )
    limits: str = argument("", section="The model card", help="What it must not be used for, in a sentence.", max_length=2000)

    @field_validator("unfreeze")
    @classmethod
    def _known_amount(cls, value: str) -> str:
        if value in ("auto", "head", "all") or re.fullmatch(r"[1-9]\d{0,3}", value):
            return value
        raise ValueError(f"{value!r} was found; auto, head, all, or a number of blocks such as 3 was expected")

    @field_validator("folds")
    @classmethod
    def _more_than_one(cls, value: int) -> int:
        if value == 1:
            raise ValueError("1 was found; cross-validation needs 2 folds at least, 0 leaves it out")
        return value

    @model_validator(mode="after")
    def _resumable(self) -> Self:
        if self.resume and self.out is None:
            raise ValueError("--resume needs --out RUN, the folder of the run to go on with")
        if self.resume and self.dry_run:
            raise ValueError("--resume and --dry-run exclude each other; leave one out")
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.ensemble == "folds" and not self.folds:
            raise ValueError("--ensemble folds needs --folds K, the number of folds")
        if self.distil and self.ensemble == "none":
            raise ValueError("--distil needs --ensemble folds or --ensemble seeds: something to learn from")
        if self.sampling not in ("auto", "none") and self.class_weights != "none":
            raise ValueError("--sampling and --class-weights both level the classes; choose one of them")
        if self.schedule == "plateau" and self.patience and self.patience <= self.plateau_patience:
            raise ValueError(
                f"--patience {self.patience} stops before --plateau-patience {self.plateau_patience} lowers the rate; give more"
            )
        return self
