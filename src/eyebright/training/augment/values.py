"""How far each change to a training picture may go, as a value, and three such values by name."""

from pydantic import BaseModel, ConfigDict, Field

from eyebright.core.errors import SettingsError
from eyebright.core.registry import unknown


class Augment(BaseModel):
    """How far each change may go; zero is off. Each picture draws its own share of the limit, uniformly.

    Rotation, shift, zoom, shear, perspective, brightness, contrast, saturation and hue go between minus and plus the limit
    and change every picture, many of them a little. ``crop`` takes between nothing and its limit. ``flip`` and ``vertical``
    turn half of the pictures; ``blur``, ``noise``, ``jpeg`` and ``erase`` change half of them, so that a network also
    sees clean pictures. ``mixup`` mixes every picture with another one, and so does ``cutmix``; with both on, each takes half.

    With ``alternate`` a picture is mirrored in every second epoch: two epochs show it from both sides, where chance shows half
    of them twice from the same (Jordan 2024, arXiv 2404.00498, section 3.6). ``pad`` is the usual crop after padding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = Field(default=False, description="mirror half of the pictures")
    alternate: bool = Field(default=False, description="mirror each picture in every other epoch, rather than by chance")
    pad: int = Field(default=0, ge=0, le=32, description="whole pixels that the picture may move, its border reflected")
    shift: float = Field(default=0.0, ge=0, le=0.5, description="share of the width and height")
    rotation: float = Field(default=0.0, ge=0, le=180, description="degrees")
    zoom: float = Field(default=0.0, ge=0, lt=1, description="share: 0.1 is between 0.9 and 1.1 times")
    brightness: float = Field(default=0.0, ge=0, le=1, description="added to the pixels, which lie in [0, 1]")
    contrast: float = Field(default=0.0, ge=0, lt=1, description="factor about the picture's mean: 0.2 is 0.8 to 1.2 times")
    vertical: bool = Field(default=False, description="turn half of the pictures upside down, top for bottom")
    shear: float = Field(default=0.0, ge=0, le=45, description="degrees that uprights lean over")
    perspective: float = Field(default=0.0, ge=0, le=0.2, description="share of the side by which each corner moves, in or out")
    crop: float = Field(default=0.0, ge=0, le=0.95, description="share of the area that may be cut away; the rest is enlarged")
    saturation: float = Field(default=0.0, ge=0, le=1, description="factor on the colourfulness: 0.2 is 0.8 to 1.2 times")
    hue: float = Field(default=0.0, ge=0, le=0.5, description="share of the whole circle of colours")
    noise: float = Field(default=0.0, ge=0, le=0.5, description="standard deviation of the pixels, which lie in [0, 1]")
    blur: float = Field(default=0.0, ge=0, le=0.05, description="standard deviation as a share of the short side")
    jpeg: float = Field(default=0.0, ge=0, le=0.95, description="loss: 0.3 is a JPEG quality between 70 and 100")
    erase: float = Field(default=0.0, ge=0, le=0.5, description="share of the area that a plain rectangle may cover")
    mixup: float = Field(default=0.0, ge=0, le=10, description="alpha of the Beta distribution of the two pictures' shares")
    cutmix: float = Field(default=0.0, ge=0, le=10, description="alpha of the Beta distribution of the two pictures' areas")

    @property
    def geometric(self) -> bool:
        """Whether pixels move other than by mirroring."""
        return any((self.shift, self.rotation, self.zoom, self.shear, self.perspective, self.crop))

    @property
    def mixes(self) -> bool:
        """Whether pictures are mixed with one another, and their targets with them."""
        return self.mixup > 0 or self.cutmix > 0


OFF = Augment()
AMOUNTS = tuple(name for name in Augment.model_fields if name not in ("flip", "alternate", "vertical"))  # not the switches

# ``light`` leaves the object where and as it is, give or take a hand that shakes: nothing small is lost, and no sign turns
# into another. ``medium`` adds framing and what cameras differ in (colour cast, focus, noise, JPEG files); at most three tenths
# are cut away and rotation stays far below the angle at which a 6 becomes doubtful. Brightness is added, so more of it would
# blacken pictures taken at dusk. ``strong`` is for sets of large, plain objects and long training: half of the area may go, and
# pictures are mixed (alpha 0.2: Zhang et al. 2018, section 3.1, who find 0.1 to 0.4 best on ImageNet; alpha 1: Yun et al. 2019,
# section 4.1). None of them mirrors: whether that is harmless is asked of the data.
DIALS: dict[str, Augment] = {
    "light": Augment(shift=0.06, rotation=8, zoom=0.1, brightness=0.1, contrast=0.2),
    "medium": Augment(
        shift=0.06, rotation=12, zoom=0.1, shear=5, perspective=0.04, crop=0.3, brightness=0.1, contrast=0.25,
        saturation=0.25, hue=0.02, noise=0.02, blur=0.004, jpeg=0.4, erase=0.1,
    ),
    "strong": Augment(
        shift=0.1, rotation=20, zoom=0.2, shear=10, perspective=0.08, crop=0.5, brightness=0.2, contrast=0.4,
        saturation=0.5, hue=0.05, noise=0.04, blur=0.008, jpeg=0.7, erase=0.25, mixup=0.2, cutmix=1,
    ),
}  # fmt: skip


def dial(name: str, *, flip: bool) -> Augment:
    """The changes that ``name`` stands for (``light``, ``medium``, ``strong``), with or without mirrored copies.

    Raises ``SettingsError`` for another name.
    """
    if name not in DIALS:
        raise SettingsError(unknown("augmentation", name, DIALS))
    return DIALS[name].model_copy(update={"flip": flip})
