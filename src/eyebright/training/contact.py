"""A contact sheet: training pictures as prepared, and beside them as the network will see them, epoch by epoch."""

import dataclasses
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from eyebright.core.arrays import ByteBatch, Image, KeyHashes, Labels
from eyebright.training.augment import Augment, augmented, mixed, to_batch

PAPER, INK, FAINT = "#fbfaf7", "#1d1f21", "#6b6f73"
WIDEST = 1600  # pixels of the sheet: what a screen shows without scrolling sideways
ENLARGED = 144  # pixels: up to this side small pictures grow, by whole factors, so that one sees the pixels
NARROWEST = 112  # pixels a column, so that a caption has room
MARGIN, GAP, LINE, TYPE = 28, 14, 17, 13


def contact_sheet(
    pictures: ByteBatch,
    labels: Labels,
    class_names: Sequence[str],
    augment: Augment,
    *,
    hashes: KeyHashes,
    seed: int = 0,
    epochs: int = 6,
) -> Image:
    """A picture of pictures: a row for each, first as prepared, then as the first ``epochs`` epochs change it.

    What is shown is what training draws for these hashes and this seed. Only the partners of mixed pictures differ, since
    they come from the batch, which here is the sheet. Captions under mixed pictures give the shares of their classes.
    """
    columns = [(to_batch(pictures), torch.eye(len(class_names))[torch.from_numpy(labels)])]
    for epoch in range(epochs):
        pixels = augmented(columns[0][0], hashes, augment, seed=seed, epoch=epoch)
        columns.append(mixed(pixels, columns[0][1], hashes, augment, seed=seed, epoch=epoch))
    heads = ["as prepared", *(f"epoch {epoch + 1}" for epoch in range(epochs))]
    sheet = _Sheet(_drawable_names(class_names), _tile_size(pictures.shape[2:], len(columns)), 2 if augment.mixes else 1)
    return sheet.drawn(heads, columns, in_words(augment))


def in_words(augment: Augment) -> list[str]:
    """The changes that are on, each with its limit.

    >>> in_words(Augment(flip=True, rotation=8, crop=0.3, jpeg=0.4))
    ['mirrored', 'rotation 8°', 'crop up to 30 %', 'JPEG down to quality 60']
    """
    said = {
        "flip": "mirrored",
        "alternate": "in every other epoch",
        "pad": f"moved by up to {augment.pad} pixels",
        "vertical": "upside down",
        "rotation": f"rotation {augment.rotation:g}°",
        "shift": f"shift {_percent(augment.shift)}",
        "zoom": f"zoom {_percent(augment.zoom)}",
        "crop": f"crop up to {_percent(augment.crop)}",
        "shear": f"shear {augment.shear:g}°",
        "perspective": f"perspective {_percent(augment.perspective)}",
        "brightness": f"brightness {_percent(augment.brightness)}",
        "contrast": f"contrast {_percent(augment.contrast)}",
        "saturation": f"saturation {_percent(augment.saturation)}",
        "hue": f"hue {360 * augment.hue:.3g}°",
        "blur": f"blur {_percent(augment.blur)}",
        "noise": f"noise {_percent(augment.noise)}",
        "jpeg": f"JPEG down to quality {100 - 100 * augment.jpeg:.0f}",
        "erase": f"erasing up to {_percent(augment.erase)}",
        "mixup": f"Mixup, alpha {augment.mixup:g}",
        "cutmix": f"CutMix, alpha {augment.cutmix:g}",
    }
    return [words for name, words in said.items() if getattr(augment, name)]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _tile_size(size: tuple[int, int], columns: int) -> tuple[int, int]:
    """Height and width of a picture on the sheet: its own, whole times as large, or smaller where the sheet is full."""
    height, width = size
    room = (WIDEST - 2 * MARGIN - (columns - 1) * GAP) // columns
    factor = max(1, min(ENLARGED, room) // max(size))
    shrink = min(1.0, room / (width * factor))
    return max(1, round(height * factor * shrink)), max(1, round(width * factor * shrink))


def _drawable_names(names: Sequence[str]) -> list[str]:
    """The names in letters that Pillow's own font has: without accents, or ``class 3`` for another script."""
    plain = [unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() for name in names]
    bare = [sum(unicodedata.combining(letter) == 0 for letter in unicodedata.normalize("NFKD", name)) for name in names]
    return [
        short if len(short) == letters else f"class {number}"
        for number, (short, letters) in enumerate(zip(plain, bare, strict=True), 1)
    ]


@dataclasses.dataclass(frozen=True)
class _Sheet:
    """Names and measures of a sheet. ``lines`` is how many a caption has room for."""

    names: list[str]
    tile: tuple[int, int]
    lines: int

    def drawn(self, heads: list[str], columns: list[tuple[torch.Tensor, torch.Tensor]], words: list[str]) -> Image:
        rows = len(columns[0][0])
        step = max(self.tile[1], NARROWEST) + GAP, self.tile[0] + self.lines * LINE + GAP
        width = 2 * MARGIN + len(columns) * step[0] - GAP
        title = self._wrapped(words or ["no changes"], width - 2 * MARGIN)
        top = MARGIN + (len(title) + 2) * LINE
        paper = Pillow.new("RGB", (width, top + LINE + rows * step[1] + MARGIN - GAP), PAPER)
        draw = ImageDraw.Draw(paper)
        draw.text((MARGIN, MARGIN), "What the network sees", INK, ImageFont.load_default(TYPE + 4))
        for number, line in enumerate(title, 1):
            draw.text((MARGIN, MARGIN + 5 + number * LINE), line, FAINT, self._font)
        for column, (head, (pixels, targets)) in enumerate(zip(heads, columns, strict=True)):
            left = MARGIN + column * step[0]
            draw.text((left, top), head, FAINT, self._font)
            for row, (picture, target) in enumerate(zip(pixels, targets, strict=True)):
                upper = top + LINE + 4 + row * step[1]
                paper.paste(self._tile(picture), (left, upper))
                lines = self._caption(target) if column == 0 or self.lines > 1 else []
                for number, line in enumerate(lines):
                    draw.text((left, upper + self.tile[0] + 2 + number * LINE), self._cut(line), INK, self._font)
        return np.asarray(paper)

    @property
    def _font(self) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return ImageFont.load_default(TYPE)

    def _tile(self, picture: torch.Tensor) -> Pillow.Image:
        shown = Pillow.fromarray((picture * 255).round().byte().permute(1, 2, 0).contiguous().numpy())
        larger = self.tile[0] >= shown.height
        return shown.resize(self.tile[::-1], Pillow.Resampling.NEAREST if larger else Pillow.Resampling.LANCZOS)

    def _caption(self, target: torch.Tensor) -> list[str]:
        """The class, or the two classes of a mixed picture with their shares."""
        shares = {self.names[row]: share for row, share in enumerate(target.tolist()) if share >= 0.005}
        if len(shares) == 1:
            return list(shares)
        return [f"{100 * share:.0f} % {name}" for name, share in sorted(shares.items(), key=lambda item: -item[1])]

    def _cut(self, text: str) -> str:
        """The text, its end left out where the column is too narrow."""
        room = max(self.tile[1], NARROWEST)
        if self._font.getlength(text) <= room:
            return text
        kept = next(end for end in range(len(text) - 1, -1, -1) if self._font.getlength(text[:end] + "…") <= room)
        return text[:kept].rstrip() + "…"

    def _wrapped(self, words: list[str], width: int) -> list[str]:
        lines = [words[0]]
        for word in words[1:]:
            longer = f"{lines[-1]} · {word}"
            lines = [*lines[:-1], longer] if self._font.getlength(longer) <= width else [*lines, word]
        return lines
