"""Charts drawn by matplotlib, which is imported on use and without its global state."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernelfit.report.chart import BARS, Axis, Chart, Series
from kernelfit.report.style import own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: of series; told apart by readers who do not see all colours, and at 3:1 or more on white
PALETTE = ("#1f6fb8", "#b85c01", "#2a7f3f", "#b02a5b", "#6b4fb3", "#11757e", "#7a5230", "#5a616c")
MARKERS = "os^Dv<>P"
#: letters of a name beside an axis, and in a legend
_NAME, _IN_LEGEND = 26, 44
#: inches of one pair of axes: small, so that its letters can be read on a phone
WIDTH, HEIGHT = 4.7, 3.3
#: inches that one name of lying bars takes, and one in two lines
_LINE, _TWO_LINES = 0.24, 0.36
#: points of a line up to which each is marked
_MARKED = 40
#: embeddings, overrides and isolates of direction (UAX #9): one that is not closed turns what stands behind a name
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
#: share of an axis that a tick's label takes
_TICK = 0.13
#: series beyond which a legend has no room within the axes
_LEGEND = 4
#: ticks of a count on a logarithmic axis beyond which decades alone are labelled
_DECADES = 1.3


@own_style()
def figure(charts: Sequence[Chart], title: str = "") -> Figure:
    """The charts side by side, two in a row, with their legends: for a file."""
    from matplotlib.figure import Figure

    columns = min(2, len(charts))
    lines = -(-len(charts) // columns)
    tallest = max(height(chart) for chart in charts)
    drawn = Figure(figsize=(5.0 * columns, (tallest + 0.4) * lines), layout="constrained")
    grid = drawn.subplots(lines, columns, squeeze=False)
    for axes in grid.flat[len(charts) :]:
        axes.set_axis_off()
    for axes, chart in zip(grid.flat, charts, strict=False):
        draw(axes, chart)
        axes.set_title(title_of(chart), fontsize=9)
        _legend(axes, chart)
    if title:
        drawn.suptitle(literal(title), fontsize=10)
    return drawn


def title_of(chart: Chart) -> str:
    """What stands above a chart in a file: what it shows, and what it cannot."""
    return literal(f"{chart.title}\n{chart.unplaced}" if chart.unplaced else chart.title)


def height(chart: Chart) -> float:
    """Inches that a chart wants: more where many names stand one below the other."""
    if chart.y.names is None:
        return HEIGHT
    bars = max(1, sum(series.mark == "bars" for series in chart.series))
    line = _TWO_LINES if any("\n" in in_lines(name) for name in chart.y.names) else _LINE
    return max(1.5, 0.8 + len(chart.y.names) * max(line, 0.15 * bars))


def draw(axes: Any, chart: Chart) -> None:
    """The chart into axes; what belongs to series k has the identifier `series-k`."""
    shown = chart.drawable()
    for number, series in enumerate(shown.series):
        for artist in _DRAW[series.mark](axes, shown, number, series):
            artist.set_gid(f"series-{number}-{artist.get_gid() or 'mark'}")
    _rules(axes, shown)
    _scale(axes.xaxis, axes.set_xscale, axes.set_xlim, shown.x)
    _scale(axes.yaxis, axes.set_yscale, axes.set_ylim, shown.y)
    axes.set(xlabel=literal(chart.x.label), ylabel=literal(chart.y.label))
    if chart.horizontal:
        axes.invert_yaxis()
    axes.grid(alpha=0.16, axis="x" if chart.horizontal else "y" if chart.x.names else "both")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def colour(chart: Chart, number: int) -> str:
    """That of a series."""
    wanted = chart.series[number].colour
    return PALETTE[(number if wanted is None else wanted) % len(PALETTE)]


def marker(chart: Chart, number: int) -> str:
    """That of a series."""
    wanted = chart.series[number].colour
    return MARKERS[(number if wanted is None else wanted) % len(MARKERS)]


def _line(axes: Any, chart: Chart, number: int, series: Series) -> list[Any]:
    every = max(1, math.ceil(len(series.x) / _MARKED))
    marked = series.mark == "line"
    (line,) = axes.plot(
        series.x,
        series.y,
        "--" if series.dashed else "-",
        color=colour(chart, number),
        marker=marker(chart, number) if marked else None,
        markersize=4,
        markevery=every if marked else None,
        linewidth=1.5,
        label=literal(series.name),
    )
    return [line, *_whiskers(axes, chart, number, series, False)]


def _dots(axes: Any, chart: Chart, number: int, series: Series) -> list[Any]:
    many = len(series.x) > 200
    (dots,) = axes.plot(
        series.x,
        series.y,
        linestyle="none",
        marker=marker(chart, number),
        markersize=3 if many else 5,
        alpha=0.55 if many else 0.9,
        color=colour(chart, number),
        label=literal(series.name),
    )
    return [dots, *_whiskers(axes, chart, number, series, False)]


def _bars(axes: Any, chart: Chart, number: int, series: Series) -> list[Any]:
    share = BARS / sum(each.mark == "bars" for each in chart.series)
    place = chart.offset(number)
    lying = chart.horizontal
    at = [float(value or 0.0) + place for value in (series.y if lying else series.x)]
    values = series.x if lying else series.y
    bars = (axes.barh if lying else axes.bar)(
        at, values, 0.95 * share, color=colour(chart, number), label=literal(series.name)
    )
    return [*bars, *_whiskers(axes, chart, number, series, lying)]


def _histogram(axes: Any, chart: Chart, number: int, series: Series) -> list[Any]:
    return list(
        axes.bar(
            series.x, series.y, 0.96 * series.width, color=colour(chart, number), label=literal(series.name)
        )
    )


def _whiskers(axes: Any, chart: Chart, number: int, series: Series, lying: bool) -> list[Any]:
    """The spread of each point."""
    if series.spread is None or not any(series.spread):
        return []
    log, values = (chart.x.log, series.x) if lying else (chart.y.log, series.y)
    spread = [value or 0.0 for value in series.spread]
    # Nothing of a whisker that goes to 0 can be drawn on a logarithmic axis.
    below = [0.0 if log and s >= (v or 0.0) else s for s, v in zip(spread, values, strict=True)]
    place = chart.offset(number)
    x = list(series.x) if lying else [float(value or 0.0) + place for value in series.x]
    y = [float(value or 0.0) + place for value in series.y] if lying else list(series.y)
    marks = axes.errorbar(
        x,
        y,
        **{"xerr" if lying else "yerr": [below, spread]},
        fmt="none",
        ecolor=colour(chart, number) if series.mark != "bars" else "#010203",
        elinewidth=1,
        capsize=2.5,
    )
    _, caps, bars = marks.lines
    for part in (*caps, *bars):
        part.set_gid("spread")
    return [*caps, *bars]


_DRAW: dict[str, Any] = {
    "line": _line,
    "curve": _line,
    "dots": _dots,
    "bars": _bars,
    "histogram": _histogram,
}


def _rules(axes: Any, chart: Chart) -> None:
    style = {"color": PALETTE[-1], "linestyle": ":", "linewidth": 1.2}
    for rule in chart.rules:
        if rule.axis == "diagonal":
            both = [v for series in chart.series for v in (*series.x, *series.y) if v is not None]
            ends = [min(both, default=0.0), max(both, default=1.0)]
            axes.plot(ends, ends, label=literal(rule.name), **style)
        else:
            (axes.axvline if rule.axis == "x" else axes.axhline)(
                rule.value, label=literal(rule.name), **style
            )


def _scale(axis: Any, set_scale: Any, set_limits: Any, told: Axis) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    if told.log:
        set_scale("log")
    if told.low is not None or told.high is not None:
        set_limits(told.low, told.high)
    if told.names is not None:
        axis.set_major_locator(FixedLocator(list(range(len(told.names)))))
        axis.set_major_formatter(
            FuncFormatter(lambda value, _: in_lines(told.names[round(value)]) if told.names else "")
        )
        axis.set_tick_params(length=0)
    elif told.ticks is not None:
        axis.set_major_locator(FixedLocator(_apart(told)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        axis.set_minor_locator(NullLocator())
    elif told.log:
        low, high = sorted(axis.get_view_interval())
        decades = math.log10(high / low) if low > 0 else 9.0
        if decades < _DECADES:
            ticks = _nice(low, high)
            axis.set_major_locator(FixedLocator(ticks))
            axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def _apart(told: Axis) -> list[float]:
    """The ticks that have room for their labels, the last of them first: a logarithmic axis crowds the large ones."""
    ticks = sorted(told.ticks or ())
    if not told.log or len(ticks) < 3 or ticks[0] <= 0:
        return ticks
    room = math.log(ticks[-1] / ticks[0]) * _TICK
    shown = [ticks[-1]]
    for tick in reversed(ticks[:-1]):
        if math.log(shown[-1] / tick) > room:
            shown.append(tick)
    return shown


def _nice(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten between the ends; more digits where that gives fewer than two."""
    for steps in ((1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), tuple(1 + k / 10 for k in range(90))):
        first = math.floor(math.log10(low))
        ticks = [
            step * 10.0**power
            for power in range(first, math.ceil(math.log10(high)) + 1)
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(ticks) >= 2:
            return ticks[:: max(1, len(ticks) // 6)]
    return [low, high]


def short_number(value: float) -> str:
    """What stands at a tick: 20k for 20,000."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= unit:
            return f"{value / (1e3 if letter == 'k' else unit):g}{letter}"
    if value != 0 and abs(value) < 1e-4:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{round(value, 10):,.10g}"


def shortened(name: str, limit: int = _NAME) -> str:
    """A name as far as there is room for it: by default beside an axis."""
    line = " ".join(name.split())
    return literal(line if len(line) <= limit else line[: limit - 1].rstrip() + "…")


def in_lines(name: str) -> str:
    """A name in at most two lines, as beside an axis."""
    words = " ".join(name.split())
    return literal("\n".join(textwrap.wrap(words, _NAME, max_lines=2, placeholder=" …")))


def literal(text: str) -> str:
    """Text that matplotlib shows as it is: dollars begin no formula, and what cannot be printed is a box.

    Joiners and marks of direction belong to a name; what turns the letters after it does not.
    """
    shown = "".join(
        letter
        if letter.isprintable()
        or letter == "\n"
        or (unicodedata.category(letter) == "Cf" and letter not in _TURNING)
        else "\ufffd"
        for letter in text
    )
    return shown.replace("\\$", "$").replace("$", "\\$")


def _legend(axes: Any, chart: Chart) -> None:
    handles, names = axes.get_legend_handles_labels()
    if len(chart.series) + len(chart.rules) < 2 or not any(names):
        return
    names = [shortened(name, _IN_LEGEND) for name in names]
    if len(handles) > _LEGEND:
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24), "ncols": 2, "frameon": False}
        axes.legend(handles, names, fontsize=7, **below)
    else:
        axes.legend(handles, names, fontsize=7, framealpha=0.6)
