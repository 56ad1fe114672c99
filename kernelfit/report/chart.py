"""A chart as numbers: what a page draws, what is written as PNG or SVG, and what CSV lists is one description."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Mark = Literal["line", "curve", "dots", "bars", "histogram"]
Value = float | None

#: the share of the room between two names that the bars at one of them take together
BARS = 0.8


def values_of(numbers: Iterable[Any], unit: float = 1.0) -> tuple[Value, ...]:
    """`unit` times the numbers; None for what is missing, no number, or not finite."""
    return tuple(
        unit * float(number)
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        else None
        for number in numbers
    )


@dataclass(frozen=True)
class Series:
    """Values that belong together.

    Attributes
    ----------
    name : what the legend says
    x, y : of each point; with `bars` the value of each name of the axis that has names, the other 0, 1, ...
    spread : y, or the value of a bar, plus and minus this
    mark : a line with its points, a curve without, dots, bars beside names, or bars of `width` along x
    texts : what each point is called
    colour : of the palette; that of its place among the series where it is None
    """

    name: str
    x: tuple[Value, ...]
    y: tuple[Value, ...]
    mark: Mark = "line"
    spread: tuple[Value, ...] | None = None
    dashed: bool = False
    texts: tuple[str, ...] | None = None
    width: float = 1.0
    colour: int | None = None


@dataclass(frozen=True)
class Axis:
    """Label, scale, ends (None: those of the data), and names at 0, 1, ... or ticks at chosen values."""

    label: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] | None = None
    ticks: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Rule:
    """A line across the chart: x = value, y = value, or y = x."""

    name: str
    axis: Literal["x", "y", "diagonal"]
    value: float = 0.0


@dataclass(frozen=True)
class Chart:
    """One pair of axes.

    Attributes
    ----------
    name : short, of letters and hyphens: files are called by it
    title : what it shows, as a reader is told
    """

    name: str
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    rules: tuple[Rule, ...] = ()

    @property
    def horizontal(self) -> bool:
        """Whether bars lie."""
        return self.y.names is not None

    def drawable(self) -> Chart:
        """Without the points that have no place: missing values, and those that a logarithm has none for."""
        return replace(self, series=tuple(self._drawable(series) for series in self.series))

    @property
    def unplaced(self) -> str:
        """What is to be said of points that a logarithmic axis has no place for; empty where there are none."""
        count = sum(
            x is not None and y is not None and not (_placed(x, self.x) and _placed(y, self.y))
            for series in self.series
            for x, y in zip(series.x, series.y, strict=True)
        )
        points = "1 point" if count == 1 else f"{count:,} points"
        return f"not drawn on a logarithmic axis: {points} at 0 or below" if count else ""

    def _drawable(self, series: Series) -> Series:
        shown = [
            index
            for index, (x, y) in enumerate(zip(series.x, series.y, strict=True))
            if _placed(x, self.x) and _placed(y, self.y)
        ]

        def of(values: Sequence[Any] | None) -> Any:
            return None if values is None else tuple(values[index] for index in shown)

        return replace(
            series, x=of(series.x), y=of(series.y), spread=of(series.spread), texts=of(series.texts)
        )

    def offset(self, number: int) -> float:
        """Where the bars of a series stand beside their name."""
        groups = [index for index, series in enumerate(self.series) if series.mark == "bars"]
        if self.series[number].mark != "bars":
            return 0.0
        return BARS / len(groups) * (groups.index(number) - (len(groups) - 1) / 2)

    def says(self, number: int, index: int) -> str:
        """A point in words: its series, what it is called, and its values."""
        series = self.series[number]
        parts = []
        if len(self.series) > 1 and series.name:
            parts.append(series.name)
        if series.texts is not None:
            parts.append(series.texts[index])
        for axis, values in self._named_first(series):
            value = values[index]
            assert value is not None
            if axis.names is not None:
                parts.append(axis.names[round(value)])
                continue
            spread = series.spread[index] if series.spread else None
            along = (axis is self.x) == (series.mark == "bars" and self.horizontal)
            behind = f" ± {spread:.3g}" if spread and along else ""
            parts.append(f"{axis.label} {_digits(value)}{behind}".strip())
        return "; ".join(parts)

    def _named_first(self, series: Series | None) -> list[tuple[Axis, tuple[Value, ...]]]:
        """The axes with a series' values: what has a name before its value, else x before y."""
        pairs = [(self.x, series.x if series else ()), (self.y, series.y if series else ())]
        return pairs[::-1] if self.horizontal else pairs

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Headings and a row a point, numbers in full."""
        several = len(self.series) > 1 or bool(self.series and self.series[0].name)
        called = any(series.texts is not None for series in self.series)
        spread = any(series.spread is not None for series in self.series)
        headings = (
            *(["series"] if several else []),
            *(["point"] if called else []),
            *(axis.label or "name" for axis, _ in self._named_first(None)),
            *(["plus or minus"] if spread else []),
        )
        rows = []
        for series in self.series:
            for index in range(len(series.x)):
                rows.append(
                    (
                        *([series.name] if several else []),
                        *([series.texts[index] if series.texts else ""] if called else []),
                        *(_cell(values[index], axis) for axis, values in self._named_first(series)),
                        *([series.spread[index] if series.spread else None] if spread else []),
                    )
                )
        return headings, rows

    def csv(self) -> str:
        """The table as RFC 4180 has it; numbers in full, nothing where there is none."""
        text = io.StringIO()
        headings, rows = self.table()
        writer = csv.writer(text)
        writer.writerow(_harmless(headings))
        writer.writerows(_harmless(row) for row in rows)
        return text.getvalue()


def _placed(value: Value, axis: Axis) -> bool:
    return value is not None and (value > 0 or not axis.log)


def _cell(value: Value, axis: Axis) -> Any:
    if axis.names is None or value is None:
        return value
    return axis.names[round(value)]


def _harmless(cells: Iterable[Any]) -> list[Any]:
    """A name that a spreadsheet would take for a formula is quoted; a number stays one."""
    return [
        f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
        for cell in cells
    ]


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.6g}"
