"""The cues in families: what is tried together and called by one name, in words for a person who has to act on it."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal

import numpy as np

from eyebright.evaluation.naive_bayes import Codes, number_codes, word_codes
from eyebright.images.cues import IN_PLACE, Cues

Cell = float | str | None
MINUTES_A_DAY = 24 * 60


@dataclasses.dataclass(frozen=True)
class Family:
    """Cues that are tried together.

    ``kind`` says what a strong cue means: what is ``made`` with the file is never the subject; what is ``seen`` in the picture
    may be. ``cells`` gives one picture's numbers or words, a column each. ``places`` names columns that are tried apart: a mark
    in one corner would be lost among four. ``usual`` says what is usual for some pictures.
    """

    cue: str
    subject: str
    kind: Literal["made", "seen"]
    cells: Callable[[Cues], Sequence[Cell]]
    advice: str
    usual: Callable[[Sequence[Cues]], str] | None = None
    places: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def codes(self, cues: Sequence[Cues]) -> dict[str, Codes]:
        """The columns as bins, by the name of the place; those that are the same for every picture are 0 throughout."""
        columns = np.stack([_column(cells) for cells in zip(*map(self.cells, cues), strict=True)], axis=1)
        return {place: columns[:, list(own)] for place, own in self.places.items()} if self.places else {"": columns}


def _column(cells: Sequence[Cell]) -> np.ndarray:
    if isinstance(cells[0], str):
        return word_codes([str(cell) for cell in cells])
    return number_codes(np.array(cells, dtype=np.float64))  # None becomes nan


def _commonest(word: Callable[[Cues], str]) -> Callable[[Sequence[Cues]], str]:
    return lambda cues: Counter(map(word, cues)).most_common(1)[0][0] or "none given"


def _medians(words: str, numbers: Callable[[Cues], Sequence[float]]) -> Callable[[Sequence[Cues]], str]:
    return lambda cues: words.format(*map(median, zip(*map(numbers, cues), strict=True)))


def _day(cues: Cues) -> Cell:
    return None if cues.header.taken is None else cues.header.taken // MINUTES_A_DAY


def _hour(cues: Cues) -> Cell:
    return None if cues.header.taken is None else cues.header.taken % MINUTES_A_DAY // 60


def _coding(cues: Cues) -> str:
    return " ".join(word for word in (cues.format, cues.mode, cues.header.coding) if word)


def _columns(places: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The columns of each place, which come one place after the other."""
    return {place: tuple(range(IN_PLACE * at, IN_PLACE * (at + 1))) for at, place in enumerate(places)}


_SIDES = _columns([f"{side} border" for side in ("top", "right", "bottom", "left")])
_CORNERS = _columns([f"{corner} corner" for corner in ("top left", "top right", "bottom right", "bottom left")])
_LEARNT = "A model can learn this in place of the subject."
_CUT = "if there is one, cut it off with --cut-border, or take the pictures anew."

FAMILIES = (
    Family(
        "camera",
        "The camera (by EXIF)",
        "made",
        lambda cues: (cues.header.camera,),
        f"{_LEARNT} Take every class with the same cameras, and test on pictures of another one.",
        usual=_commonest(lambda cues: cues.header.camera),
    ),
    Family(
        "software",
        "The software (by EXIF)",
        "made",
        lambda cues: (cues.header.software,),
        f"{_LEARNT} Export every class with the same program and settings.",
        usual=_commonest(lambda cues: cues.header.software),
    ),
    Family(
        "date",
        "The day and hour (by EXIF)",
        "made",
        lambda cues: (_day(cues), _hour(cues)),
        "Light, place and season change with them, and a model can learn those in place of the subject. Take every class on "
        "the same days, and test on other days.",
    ),
    Family(
        "resolution",
        "The resolution",
        "made",
        lambda cues: (cues.height, cues.width, cues.height / cues.width),
        f"{_LEARNT} Bring every class from the same sources and at the same size: what is resized later keeps traces.",
        usual=_commonest(lambda cues: f"{cues.height} x {cues.width}"),
    ),
    Family(
        "file format",
        "The way of saving (format, colour mode, sampling)",
        "made",
        lambda cues: (_coding(cues),),
        f"{_LEARNT} Save every class alike, from the originals.",
        usual=_commonest(_coding),
    ),
    Family(
        "JPEG quality",
        "The JPEG quality",
        "made",
        lambda cues: (cues.header.quality,),
        f"{_LEARNT} Save every class alike, from the originals: saving again keeps the traces of the first time.",
        usual=_commonest(lambda cues: "no JPEG" if cues.header.quality is None else str(cues.header.quality)),
    ),
    Family(
        "file size",
        "The file size",
        "seen",
        lambda cues: (cues.file_bytes,),
        "It grows with the detail of the subject, but also with the size and quality a picture was saved at. Save every class "
        "alike, from the originals, to tell these apart.",
        usual=_medians("{:,.0f} bytes", lambda cues: (cues.file_bytes or 0,)),
    ),
    Family(
        "border",
        "The border",
        "seen",
        lambda cues: cues.border,
        f"That may be the subject or its natural ground. Look for a ruler or frame in pictures of one class only; {_CUT}",
        places=_SIDES,
    ),
    Family(
        "corners",
        "The look of the corners",
        "seen",
        lambda cues: cues.corners,
        f"That may be the subject or its natural ground. Look for a date, mark or label in pictures of one class only; {_CUT}",
        places=_CORNERS,
    ),
    Family(
        "mean colour",
        "The mean colour",
        "seen",
        lambda cues: cues.colour,
        "That may well be the subject's own colour. If it is the light or the background, take every class in the same light "
        "and before the same background.",
        usual=_medians("red {:.0f}, green {:.0f}, blue {:.0f} of 255", lambda cues: cues.colour),
    ),
    Family(
        "exposure",
        "The share of black, white and vivid pixels",
        "seen",
        lambda cues: cues.extremes,
        "That may well be the subject itself. If it is the exposure or the background, take every class with the same settings "
        "and before the same background.",
        usual=_medians("{:.0f}, {:.0f} and {:.0f} %", lambda cues: [level / 2.55 for level in cues.extremes]),
    ),
    Family(
        "sharpness",
        "The sharpness",
        "seen",
        lambda cues: cues.sharpness,
        "That may well be the subject's own texture. If focus, compression or enlarging differs between the classes, take and "
        "save every class alike, from the originals.",
        usual=_medians("level {:.1f} (each is twice as sharp)", lambda cues: cues.sharpness[:1]),
    ),
)
