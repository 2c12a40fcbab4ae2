"""How a decoded picture becomes a model's pixels, as a value that travels with the model. ``images.preprocess`` applies it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Resize = Literal["squash", "crop", "letterbox"]
Resampler = Literal["pillow-bicubic", "pillow-bilinear"]


class Preprocess(BaseModel):
    """Order of operations: decode, colour or grey, resize, [0, 1]. Normalisation is inside the model, not here.

    ``squash`` stretches to the size; ``crop`` fits the short side to ``size / crop_fraction`` and cuts the centre;
    ``letterbox`` fits the long side and fills the rest with black. Height and width are pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    resize: Resize = "squash"
    crop_fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    resampler: Resampler = "pillow-bicubic"
    colour: Literal["colour", "grey"] = "colour"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width
