"""How a network is trained, as a value: what the settings and the automatic choices come down to."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from eyebright.data.balance import Sampling
from eyebright.training.augment import Augment

Optimiser = Literal["adam", "adamw", "sgd", "muon"]
Precision = Literal["fp32", "bf16"]
LossName = Literal["cross-entropy", "focal"]
Schedule = Literal["cosine", "linear", "constant", "plateau"]


class Recipe(BaseModel):
    """Everything that decides the weights, besides the data and the initial weights. It is stored; a resume re-reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=0)
    batch_size: int = Field(default=64, ge=1)
    optimiser: Optimiser = "adam"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="an L2 penalty for adam and sgd, decoupled for adamw; for muon the share that biases and head lose a step",
    )
    head_weight_decay: float | None = Field(default=None, ge=0, description="the last layer's own; None: as the others")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="sgd's")
    clip: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="the longest gradient, as the norm over all parameters; 0: any length",
    )
    average: float = Field(default=0.0, ge=0, lt=1, description="share that the average of the weights keeps a step; 0: none")
    schedule: Schedule = "cosine"
    warm_up: float = Field(default=0.1, ge=0, lt=1, description="share of the steps over which the rate rises from zero")
    plateau_patience: int = Field(default=3, ge=1, description="epochs without a better validation loss before the rate falls")
    rate_falls: tuple[int, ...] | None = Field(
        default=None, description="epochs after which the rate falls, for a plateau that was watched in another training"
    )
    loss: LossName = "cross-entropy"
    focal_gamma: float = Field(
        default=2.0, ge=0, allow_inf_nan=False, description="the focal loss's power; 2 was best in Lin et al. 2017, table 1"
    )
    sampling: Sampling = "none"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    sides: tuple[tuple[float, int], ...] = Field(
        default=(), description="until which share of the steps pictures are shown at which side in pixels; then at their own"
    )
    judged_from: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the epochs after which the validation part is first asked; the last one is",
    )
    patience: int = Field(default=0, ge=0, description="epochs without a better validation loss before it stops; 0: never")
    device: str = "cpu"
    precision: Precision = "fp32"
    channels_last: bool = True
    unfreeze: str = Field(default="all", description="head, all, or the number of last blocks that are trained")
    frozen_norms: bool = Field(default=False, description="batch norms keep the statistics of the pretrained network")
    augment: Augment = Augment()
    seed: int = 0
