"""Figures of matplotlib as inline SVG that takes the colours of the page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernelfit.report.html.markup import Markup, element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Drawn in a colour that nothing else has, then replaced by that of the text around the figure.
_INK = "#010203"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kernelfit",
    "font.family": "sans-serif",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.framealpha": 0.0,
    "legend.facecolor": "none",
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
            "legend.edgecolor",
            "legend.labelcolor",
            "lines.color",
        ),
        _INK,
    ),
}


class Drawings:
    """Makes figures of one page; their identifiers are kept apart."""

    def __init__(self) -> None:
        self._count = 0

    def draw(self, make: Callable[[], Figure], caption: str, description: str) -> Markup:
        """The figure that `make` gives, below it the caption; `description` is what a screen reader says of it."""
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            figure = make()
            text = io.StringIO()
            figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
        self._count += 1
        return element(
            "figure",
            element(
                "div",
                _inline(text.getvalue(), self._count),
                class_="drawing",
                role="img",
                aria_label=description,
            ),
            element("figcaption", caption),
        )


def _inline(svg: str, number: int) -> Markup:
    """The svg element alone, as wide as the page allows."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'\bid="', f'id="f{number}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1f{number}-", svg)
    # matplotlib writes black where a colour was asked for by name.
    for ink in (_INK, "#000000"):
        svg = svg.replace(ink, "currentColor")
    svg = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1system-ui, sans-serif", svg)
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))
