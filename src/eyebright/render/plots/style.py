"""A drawing in the house style: text stays text, colours are the page's own CSS variables.

matplotlib knows no CSS, so it draws in stand-in colours that are exchanged afterwards; dark paper then needs no second
drawing. Ids carry the plot's name, because several drawings share one page. Equal reports give equal strings.
"""

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH, HEIGHT = 360.0, 250.0  # points; a phone shows them at 0.8, a desk at 1.2, so 10.5 pt text stays readable

INK, MUTED, LINE, ACCENT, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505"
CATEGORIES = tuple(f"#0606{number:02x}" for number in range(1, 7))
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", PAPER: "paper"} | {
    colour: f"cat-{number}" for number, colour in enumerate(CATEGORIES, start=1)
}
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)))

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "eyebright",
    "text.parse_math": False,  # a class may be called "$5"
    "font.size": 10.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


class Drawing:
    """A figure that is being drawn: ``axes`` to draw on, ``svg`` once it is done."""

    def __init__(self, name: str, label: str, width: float, height: float) -> None:
        self._name = name
        self._label = label
        self._figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        self.axes: Axes = self._figure.add_subplot()
        self.svg = ""

    def finish(self) -> None:
        """Turns the figure into ``svg``."""
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        self._figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
        self.svg = inline_svg(buffer.getvalue(), self._name, self._label)


@contextmanager
def drawing(name: str, label: str, *, width: float = WIDTH, height: float = HEIGHT) -> Iterator[Drawing]:
    """A drawing in the house style; after the block its ``svg`` is there. ``label`` is what a screen reader says."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The font that measures lacks many scripts; the reader's own fonts draw them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        plot = Drawing(name, label, width, height)
        yield plot
        plot.finish()


def inline_svg(document: str, name: str, label: str) -> str:
    """The ``<svg>`` of a matplotlib document, fit to stand in a page beside others."""
    svg = document[document.index("<svg") :]
    # matplotlib's own style rule would reach every drawing of the page; the page's style sheet says the same.
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    view_box = re.search(r'viewBox="([^"]*)"', svg)
    head = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="{view_box[1] if view_box else ""}">'
    svg = re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'font-family: [^;"]*', "font-family: var(--sans)", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(f": {colour}", f": var(--{variable})")
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def grid(axes: Axes, axis: str = "y") -> None:
    """Hairlines behind what is drawn, in place of ticks."""
    axes.grid(axis=axis, color=LINE, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """The positions moved up where needed, so that neighbours are at least ``gap`` apart; their order is kept.

    >>> spread([1.0, 1.2, 5.0], 1.0)
    [1.0, 2.0, 5.0]
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    moved = list(positions)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved


def unit_square(axes: Axes, horizontal: str, vertical: str) -> None:
    """Makes both axes run from 0 to 100 %."""
    grid(axes, "both")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_box_aspect(0.8)
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)


def key(axes: Axes, x: float, y: float, text: str, colour: str, dash: Any) -> None:
    """One line of a key without a box, in shares of the axes; paper behind the words keeps curves from crossing them."""
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    axes.plot([x, x + 0.08], [y, y], color=colour, linestyle=dash, transform=axes.transAxes)
    axes.text(x + 0.1, y, text, transform=axes.transAxes, va="center", fontsize=9.5, bbox=paper)
