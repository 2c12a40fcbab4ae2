"""The shell that every page shares: one look, one policy, one way of putting values into templates.

A page is a template that extends ``page.html.j2`` and fills its blocks ``header``, ``main`` and, if it likes, ``footer``;
``macros.html.j2`` draws what it shows of the values below. It asks for nothing from anywhere: no script, no font, no picture
but its own.
"""

import dataclasses
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from eyebright.core.report import Figure
from eyebright.core.words import duration, sureness
from eyebright.render import findings, words

# Bitmaps alone: an SVG could hold anything, and thumbnails are re-encoded before they come here.
_THUMBNAIL = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")


@dataclasses.dataclass(frozen=True)
class Range:
    """A share and its interval on a track from 0 to 100, all in per cent; ``mark`` is what it is compared with."""

    value: float
    low: float
    high: float
    mark: float | None = None


@dataclasses.dataclass(frozen=True)
class Plot:
    """A drawing with the finding as its title, and a caption that tells how to read it."""

    name: str
    title: str
    svg: Markup
    caption: str


def render_page(template: str, context: dict[str, Any]) -> str:
    """The page that ``template`` makes of ``context``, which holds at least ``title``; strings in it are escaped.

    Strings should be ``words.plain`` before they come here. The same context gives the same page.
    """
    page = templates().get_template(template).render(context)
    # A value and its per cent sign never part at the end of a line.
    return page.replace(" %", "\u00a0%")


@cache
def templates() -> jinja2.Environment:
    """The templates of this room, names escaped; what is not defined is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, findings=findings, duration=duration, sureness=sureness)
    environment.filters["thumbnail"] = safe_thumbnail
    return environment


def safe_thumbnail(uri: str | None) -> str:
    """The data URI where it is a bitmap, and nothing where it is anything else."""
    return uri if uri and _THUMBNAIL.fullmatch(uri) else ""


def range_of(figure: Figure, mark: float | None = None) -> Range | None:
    """The figure on its track; None where it is not defined."""
    if figure.value is None:
        return None
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    value, low, high = (round(min(max(share, 0.0), 1.0) * 100, 2) for share in (figure.value, low, high))
    return Range(value, low, high, None if mark is None else round(mark * 100, 2))
