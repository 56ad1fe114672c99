"""Charts on a page: inline SVG in the page's colours, their values under pointer and keyboard, and as table and CSV."""

from __future__ import annotations

import io
import json
import re
import urllib.parse
from collections.abc import Sequence
from typing import Any

from kernelfit.report import plot
from kernelfit.report.chart import Chart
from kernelfit.report.html.markup import Markup, element, join, table
from kernelfit.report.style import own_style
from kernelfit.report.tables import MISSING, number

# Drawn in a colour that nothing else has, then replaced by that of the text around the figure.
_INK = "#010203"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kernelfit",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
            "lines.color",
        ),
        _INK,
    ),
}
#: rows of a chart's table on the page; its CSV has them all
MAX_ROWS = 200
#: points of a chart that can be asked for their values
MAX_POINTS = 3_000


class Drawings:
    """Makes the figures of one page; their identifiers are kept apart. `charts` holds what was drawn, by file name."""

    def __init__(self) -> None:
        self.charts: dict[str, Chart] = {}

    def draw(self, charts: Sequence[Chart], caption: str, command: str = "") -> Markup:
        """Charts side by side, each with its values, and what they show below. `command` is what made the numbers."""
        shown = [self._one(chart, command) for chart in charts if any(s.x for s in chart.drawable().series)]
        if not shown:
            return element("p", f"{caption} There are no values to draw.")
        return element(
            "figure",
            element("div", shown, class_="panels"),
            element("figcaption", caption) if caption else "",
            class_="charts",
        )

    def _one(self, chart: Chart, command: str) -> Markup:
        count = len(self.charts) + 1
        name = f"{count:02d}-{chart.name}"
        self.charts[name] = chart
        svg, points = _drawn(chart.drawable(), count)
        many = len(chart.series) > 1
        legend = [
            element(
                "button",
                element("span", class_=_key(chart, index), aria_hidden="true"),
                series.name,
                type="button",
                aria_pressed="true",
                data_series=index,
            )
            for index, series in enumerate(chart.series)
            if many
        ]
        if not many and chart.series[0].name:
            legend = [element("span", chart.series[0].name)]
        rules = [
            element("span", element("span", class_="rule", aria_hidden="true"), rule.name)
            for rule in chart.rules
        ]
        return element(
            "div",
            element("h4", chart.title, id=f"t{count}"),
            element("div", legend, rules, class_="legend") if legend or rules else "",
            element(
                "div",
                svg,
                element("output", class_="value"),
                class_="plot",
                role="group",
                tabindex=0,
                aria_roledescription="chart",
                aria_label=_described(chart),
                data_points=json.dumps(points, separators=(",", ":")),
                data_name=name,
            ),
            element("small", f"{chart.unplaced}; the numbers below have them") if chart.unplaced else "",
            _numbers(chart, name, command),
            class_="panel",
        )


def _described(chart: Chart) -> str:
    """What a screen reader says of a chart before its points."""
    series = ", ".join(series.name for series in chart.series if series.name)
    count = sum(len(series.x) for series in chart.drawable().series)
    of = f" of {series}" if series else ""
    return (
        f"{chart.title}. {chart.y.label or 'names'} against {chart.x.label or 'names'}{of}; {count:,} points. "
        "Arrow keys go through them; the table below has them all."
    )


def _numbers(chart: Chart, name: str, command: str) -> Markup:
    """The table of a chart, as far as a reader wants it, and the whole as CSV."""
    headings, rows = chart.table()
    shown = [
        [cell if isinstance(cell, str) else MISSING if cell is None else number(cell, 8) for cell in row]
        for row in rows[:MAX_ROWS]
    ]
    words = next(
        (column for column, cell in enumerate(rows[0]) if not isinstance(cell, str)) if rows else iter(()), 1
    )
    cut = f" (the first {MAX_ROWS:,} of {len(rows):,})" if len(rows) > MAX_ROWS else ""
    address = "data:text/csv;charset=utf-8," + urllib.parse.quote(chart.csv(), errors="replace")
    return element(
        "details",
        element("summary", "numbers", element("span", f" of “{chart.title}”", class_="unseen")),
        table(headings, shown, f"{chart.title}{cut}", max(1, words)),
        element(
            "p",
            element("a", "CSV", href=address, download=f"{name}.csv"),
            element("span", class_="more"),
            class_="files",
        ),
        element("p", element("small", "made by ", element("code", command))) if command else "",
    )


def _key(chart: Chart, number: int) -> str:
    """The class of what stands for a series in the legend."""
    dashed = " dashed" if chart.series[number].dashed else ""
    return f"key c{plot.PALETTE.index(plot.colour(chart, number))}{dashed}"


def _drawn(chart: Chart, count: int) -> tuple[Markup, list[list[Any]]]:
    """The chart as SVG, and its points: across and down in the units of the drawing, series, words."""
    from matplotlib.figure import Figure

    with own_style(_STYLE):
        height = plot.height(chart)
        figure = Figure(figsize=(plot.WIDTH, height), layout="constrained")
        axes = figure.subplots()
        plot.draw(axes, chart)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        points: list[list[Any]] = []
        for number_of, series in enumerate(chart.series):
            place = chart.offset(number_of)
            step = max(1, -(-len(series.x) * len(chart.series) // MAX_POINTS))
            for index in range(0, len(series.x), step):
                x, y = series.x[index], series.y[index]
                assert x is not None
                assert y is not None
                lying = chart.horizontal
                at = (x + (0 if lying else place), y + (place if lying else 0))
                across, up = axes.transData.transform(at) * 72 / figure.dpi
                points.append(
                    [
                        round(float(across), 1),
                        round(72 * height - float(up), 1),
                        number_of,
                        chart.says(number_of, index),
                    ]
                )
    return _inline(text.getvalue(), count), points


def _inline(svg: str, count: int) -> Markup:
    """The svg element alone, as wide as the page allows, in the colours that the page defines."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(
        r"<[^>]*>", lambda tag: _of_page(tag[0], count), svg
    )  # letters between tags stay as they are
    svg = re.sub(r"\n\s*", "\n", svg)
    return join([Markup(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))])


def _of_page(tag: str, count: int) -> str:
    """A tag of the drawing with identifiers of its own on the page, in the page's colours and letters."""
    tag = re.sub(r'<g id="series-(\d+)-(\w+)">', r'<g data-series="\1">', tag)
    tag = re.sub(r'\bid="', f'id="f{count}-', tag)
    tag = re.sub(r'(url\(#|href="#)', rf"\1f{count}-", tag)
    for index, colour in enumerate(plot.PALETTE):
        tag = tag.replace(colour, f"var(--c{index})")
    # matplotlib writes black where a colour was asked for by name.
    for ink in (_INK, "#000000"):
        tag = tag.replace(ink, "currentColor")
    # `font: 9.5px 'DejaVu Sans', ...` or, of newer matplotlib, `font-family: 'DejaVu Sans', ...`
    return re.sub(r"(font(?:-family)?: [^;\"']*)'[^;\"]*", r"\1system-ui, sans-serif", tag)
