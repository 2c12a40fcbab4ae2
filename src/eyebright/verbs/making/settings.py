"""What ``train`` can be told. Each field is at once the Python argument, the TOML key and the flag."""

import re
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from eyebright.core.settings import Settings, argument


class TrainSettings(Settings):
    """What ``train`` needs to know. Only DATA must be given; ``auto`` is chosen from the pictures, with its reason."""

    data: str = argument(
        help="The data set: a folder with one folder a class, a CSV table, a zip of either, or a known name.",
        positional=True,
        min_length=1,
    )
    out: Path | None = argument(None, help="The run's folder. Default: the first free of runs/NAME-1, runs/NAME-2 ...")
    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")
    group: str | None = argument(
        None, help="Regular expression over the keys that names a picture's group, e.g. '(?P<group>person\\d+)_'."
    )

    model: str = argument("auto", help="auto, cnn, lite0, timm:NAME or torchvision:NAME.")
    weights: str = argument("auto", help="Pretrained weights: auto, none, or a file.")
    unfreeze: str = argument("auto", help="What fine-tuning may change: auto, head, all, or a number of last blocks.")
    size: int | None = argument(None, help="Height and width in pixels of what the model sees. Default: chosen.", ge=1, le=2048)
    resize: Literal["squash", "crop", "letterbox"] = argument("squash", help="How pictures of other shapes are fitted.")
    colour: Literal["auto", "colour", "grey"] = argument("auto", help="What is seen. auto: grey where all pictures are.")

    minutes: float = argument(5.0, help="Time for the command up to the last step of training.", gt=0, le=100_000)
    epochs: int | None = argument(None, help="Passes over the training pictures, instead of --minutes.", ge=1, le=100_000)
    seed: int = argument(0, help="Decides the split, the initial weights and the order.", ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda"] = argument("auto", help="Where the arithmetic is done.")
    precision: Literal["auto", "fp32", "bf16"] = argument("auto", help="auto: the faster of the two, timed.")
    layout: Literal["channels-last", "contiguous"] = argument("channels-last", help="Memory layout of the pictures.")

    test: float = argument(0.2, help="Fraction held out for the final figures, where the data gives no test part.", gt=0, lt=1)
    validation: float | None = argument(
        None, help="Fraction that decides when to stop and what to keep. Default: 0.15, at most 5,000 pictures.", gt=0, lt=1
    )
    calibration: float = argument(0.0, help="Fraction kept for the temperature alone.", ge=0, lt=1)
    folds: int = argument(5, help="Folds for choosing the head's strength.", ge=2, le=50)
    on_leak: Literal["report", "refuse"] = argument("report", help="What to do when given parts leak into each other.")
    allow_bad: float = argument(0.01, help="Fraction of pictures that may be unreadable.", ge=0, le=1)

    optimiser: Literal["auto", "adam", "adamw", "sgd"] = argument("auto", help="auto: adam, or adamw for fine-tuning.")
    learning_rate: float | None = argument(None, help="The highest rate. Default: chosen.", gt=0, le=100)
    weight_decay: float | None = argument(None, help="An L2 penalty for adam and sgd, decoupled for adamw.", ge=0, le=10)
    batch_size: int | None = argument(None, help="Pictures a step. Default: 64, or 32 for fine-tuning.", ge=1, le=65536)
    warm_up: float = argument(0.1, help="Share of the steps over which the rate rises.", ge=0, lt=1)
    label_smoothing: float = argument(0.0, help="Share of the label that is spread over all classes.", ge=0, lt=1)
    dropout: float | None = argument(None, help="Share of the features dropped. Default: the model's own.", ge=0, lt=1)
    class_weights: Literal["none", "inverse", "effective"] = argument("none", help="Whether rare classes weigh more.")
    patience: int | None = argument(
        None,
        help="Epochs without a better validation loss before training stops; 0: never. Default: a quarter, 5 at least.",
        ge=0,
    )

    flip: Literal["auto", "on", "off"] = argument("auto", help="Mirrored copies. auto: where the data says they are harmless.")
    shift: float | None = argument(None, help="Random shifts, share of the width. Default: chosen.", ge=0, le=0.5)
    rotation: float | None = argument(None, help="Random rotations, degrees. Default: chosen.", ge=0, le=180)
    zoom: float | None = argument(None, help="Random zoom, share. Default: chosen.", ge=0, lt=1)
    brightness: float | None = argument(None, help="Random brightness, of the range of a pixel. Default: chosen.", ge=0, le=1)
    contrast: float | None = argument(None, help="Random contrast, share. Default: chosen.", ge=0, lt=1)

    resume: bool = argument(False, help="Go on with the run in --out.")
    dry_run: bool = argument(False, help="Read the pictures, say what would be done, write nothing.")

    @field_validator("unfreeze")
    @classmethod
    def _known_amount(cls, value: str) -> str:
        if value in ("auto", "head", "all") or re.fullmatch(r"[1-9]\d{0,3}", value):
            return value
        raise ValueError(f"{value!r} was found; auto, head, all, or a number of blocks such as 3 was expected")

    @model_validator(mode="after")
    def _resumable(self) -> "TrainSettings":
        if self.resume and self.out is None:
            raise ValueError("--resume needs --out RUN, the folder of the run to go on with")
        if self.resume and self.dry_run:
            raise ValueError("--resume and --dry-run exclude each other; leave one out")
        return self
