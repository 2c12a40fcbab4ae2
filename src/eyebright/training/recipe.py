"""How a network is trained, as a value: what the settings and the automatic choices come down to."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from eyebright.training.augment import Augment

Optimiser = Literal["adam", "adamw", "sgd"]
Precision = Literal["fp32", "bf16"]


class Recipe(BaseModel):
    """Everything that decides the weights, besides the data and the initial weights. It is stored; a resume re-reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=0)
    batch_size: int = Field(default=64, ge=1)
    optimiser: Optimiser = "adam"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0, description="an L2 penalty for adam and sgd, decoupled for adamw")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="sgd's")
    warm_up: float = Field(default=0.1, ge=0, lt=1, description="share of the steps over which the rate rises from zero")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    patience: int = Field(default=0, ge=0, description="epochs without a better validation loss before it stops; 0: never")
    device: str = "cpu"
    precision: Precision = "fp32"
    channels_last: bool = True
    unfreeze: str = Field(default="all", description="head, all, or the number of last blocks that are trained")
    frozen_norms: bool = Field(default=False, description="batch norms keep the statistics of the pretrained network")
    augment: Augment = Augment()
    seed: int = 0
