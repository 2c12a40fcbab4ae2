"""The colours: readable on light paper and on dark."""

import re
from pathlib import Path

import pytest

import eyebright.render.html
from eyebright.render.tables import shade

LOOK = Path(eyebright.render.html.__file__).with_name("templates") / "look.css"


def _properties(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))


def schemes() -> dict[str, dict[str, str]]:
    light, dark = LOOK.read_text(encoding="utf-8").split("prefers-color-scheme: dark")[:2]
    return {"light": _properties(light), "dark": _properties(light) | _properties(dark)}


def channels(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def luminance(rgb: list[float]) -> float:
    """WCAG 2.2, relative luminance."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: list[float], second: list[float]) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_has_the_contrast_that_the_standard_names():
    assert contrast([0, 0, 0], [1, 1, 1]) == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "good", "caution", "bad"])
def test_text_stands_out_from_the_paper(scheme, name):
    colours = schemes()[scheme]
    assert contrast(channels(colours[name]), channels(colours["paper"])) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_stand_out_from_the_darkest_cell_of_the_matrix(scheme):
    colours = schemes()[scheme]
    part = shade(1, 1) / 100
    mixed = zip(channels(colours["accent"]), channels(colours["paper"]), strict=True)
    cell = [accent * part + paper * (1 - part) for accent, paper in mixed]
    assert contrast(channels(colours["ink"]), cell) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_two_line_colours_are_alike(scheme):
    colours = [value for name, value in schemes()[scheme].items() if name.startswith("cat-")]
    assert len(set(colours)) == len(colours) == 6
