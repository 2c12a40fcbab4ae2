"""How a decoded picture becomes a model's pixels, as a value that travels with the model. ``images.preprocess`` applies it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Resize = Literal["squash", "crop", "letterbox"]
Resampler = Literal["pillow-bicubic", "pillow-bilinear"]
WhiteBalance = Literal["none", "grey-world", "per-channel"]
Equalise = Literal["none", "global", "clahe"]

CLAHE_CLIP = 3.0  # Pizer et al. 1987: contrast is limited to 3 to 4 times
CLAHE_GRID = 8  # Zuiderveld 1994: 8 x 8 regions


class Preprocess(BaseModel):
    """Order of operations: decode, cut, colour or grey, resize, balance, equalise, sharpen, fill, [0, 1].

    Normalisation is inside the model, not here. Height and width are pixels. The defaults after ``resize`` change nothing.

    Cut: ``cut_border`` is the share of height and width that is removed on each side, where frames, rulers and dates are;
    of what is left ``centre_crop`` is the share of both that is kept around the centre. Both come first: what is removed
    costs nothing and has no part in what follows.

    Resize: ``squash`` stretches to the size; ``crop`` fits the short side to ``size / crop_fraction`` and cuts the centre;
    ``letterbox`` fits the long side and, at the very end, fills the rest with black.

    The others work on the picture at the model's size: they judge what the model sees, cost the same for every picture, and
    what they sharpen is not blurred again. ``white_balance``: ``grey-world`` makes the means of the channels equal (Buchsbaum
    1980); ``per-channel`` stretches each channel over the full range (Limare et al. 2011). ``equalise`` spreads luminance over
    the full range: ``global`` by the histogram of the picture, ``clahe`` by those of ``clahe_grid`` x ``clahe_grid`` regions,
    contrast limited to ``clahe_clip`` times (Pizer et al. 1987, Zuiderveld 1994). ``sharpen`` is the share of the difference
    from a blurred copy that is added (unsharp mask).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    resize: Resize = "squash"
    crop_fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    resampler: Resampler = "pillow-bicubic"
    colour: Literal["colour", "grey"] = "colour"
    cut_border: float = Field(default=0.0, ge=0.0, le=0.45)
    centre_crop: float = Field(default=1.0, gt=0.0, le=1.0)
    white_balance: WhiteBalance = "none"
    equalise: Equalise = "none"
    clahe_clip: float = Field(default=CLAHE_CLIP, ge=1.0, le=256.0)
    clahe_grid: int = Field(default=CLAHE_GRID, ge=1, le=32)
    sharpen: float = Field(default=0.0, ge=0.0, le=5.0)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width
