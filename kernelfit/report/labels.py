"""A study of labels as a table and charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from kernelfit.report import plot
from kernelfit.report.chart import Axis, Chart, Rule, Series, values_of
from kernelfit.report.grid import Grid
from kernelfit.report.tables import MISSING, kernel_formula, seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What the columns of the table show of a summary's row, in which unit, and the digits of a mean and of a deviation.
_SHOWN = (
    ("test %", "test_error", 100.0, ".2f", ".2f"),
    ("train %", "train_error", 100.0, ".2f", ".2f"),
    ("loo %", "loo_error", 100.0, ".2f", ".2f"),
    ("norm", "rkhs_norm", 1.0, ".5g", ".2g"),
    ("margin", "margin", 1.0, ".3g", ".1g"),
)


def table(record: dict[str, Any]) -> RenderableType:
    """The record of `kernelfit study labels`: a line a level; with several seeds means ± standard deviations."""
    spent = ", ".join(f"{name} {seconds(value)}" for name, value in record["seconds"].items() if value)
    rows = f"{record['n_train']:,} training and {record['n_test']:,} test rows of {record['dataset']}"
    kernel = f"{kernel_formula(record['kernel'])}, ridge {record['ridge']:g}"
    about = Text(f"{rows}; {kernel}; one factor for {len(record['trials'])} labellings", style="dim")
    worst = max(trial["backward_error"] for trial in record["trials"])
    time = Text(f"largest backward error {worst:.1e}; {spent}", style="dim")
    return Group(_grid(record["summary"]), about, time)


def _grid(summary: list[dict[str, Any]]) -> Grid:
    columns = [column for column in _SHOWN if any(row[column[1]] is not None for row in summary)]
    numbers = range(1, 1 + len(columns))
    headings = ("p", *(heading for heading, *_ in columns))
    optional = [headings.index(name) for name in ("margin", "train %") if name in headings]
    grid = Grid(headings, right=numbers, optional=optional)
    for row in summary:
        grid.add_row(f"{row['p']:g}", *(_cell(row, *column[1:]) for column in columns))
    return grid


def _cell(row: dict[str, Any], key: str, unit: float, digits: str, spread: str) -> str:
    mean, deviation = row[key], row[f"{key}_std"]
    if mean is None:
        return MISSING
    behind = f" ±{unit * deviation:{spread}}" if row["seeds"] > 1 else ""
    return f"{unit * mean:{digits}}{behind}"


def charts(summary: list[dict[str, Any]], n_classes: int) -> list[Chart]:
    """Test, leave-one-out and train error, the norm, and the margin, against p; spreads are over seeds."""
    p = values_of(row["p"] for row in summary)

    def line(key: str, name: str, unit: float = 1.0) -> Series:
        return Series(
            name,
            p,
            values_of((row.get(key) for row in summary), unit),
            spread=values_of((row.get(f"{key}_std") for row in summary), unit),
        )

    chance = Rule("chance", "y", 100 * (1 - 1 / n_classes))
    axis = Axis("fraction of labels drawn at random")
    errors = [line("test_error", "test (clean labels)", 100.0)]
    if all(row["loo_error"] is not None for row in summary):
        errors.append(line("loo_error", "leave-one-out (fitted labels)", 100.0))
    errors.append(line("train_error", "train (fitted labels)", 100.0))
    drawn = [
        Chart(
            "labels-error",
            "Error while labels lose their meaning",
            axis,
            Axis("error, %", low=-2, high=102),
            tuple(errors),
            (chance,),
        )
    ]
    for key, label, title in (
        ("rkhs_norm", "RKHS norm", "Norm of the function that fits them"),
        ("margin", "mean margin / norm", "Mean margin of the training rows, divided by the norm"),
    ):
        if all(row.get(key) is not None for row in summary):
            low = 0 if key == "rkhs_norm" else None
            drawn.append(
                Chart(f"labels-{key.replace('_', '-')}", title, axis, Axis(label, low=low), (line(key, ""),))
            )
    return drawn


def figure(summary: list[dict[str, Any]], n_classes: int) -> Figure:
    """Errors and norm side by side, for a file."""
    return plot.figure(charts(summary, n_classes)[:2])
