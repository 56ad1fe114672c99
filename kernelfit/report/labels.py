"""A study of labels as a table and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

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


def figure(summary: list[dict[str, Any]], n_classes: int) -> Figure:
    """Test and leave-one-out error, and the norm, against p; bars are standard deviations over seeds."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(10.0, 4.2), layout="constrained")
    errors, norms = drawn.subplots(1, 2)
    p = np.array([row["p"] for row in summary])

    def line(axes: Any, key: str, label: str, marker: str, unit: float = 1.0) -> None:
        mean = unit * np.array([row[key] for row in summary])
        bars = unit * np.array([row[f"{key}_std"] for row in summary])
        axes.errorbar(p, mean, yerr=bars, marker=marker, capsize=3, label=label)

    line(errors, "test_error", "test (clean labels)", "o", 100)
    if all(row["loo_error"] is not None for row in summary):
        line(errors, "loo_error", "leave-one-out (fitted labels)", "s", 100)
    line(errors, "train_error", "train (fitted labels)", "^", 100)
    chance = 100 * (1 - 1 / n_classes)
    errors.axhline(chance, color="k", linestyle=":", linewidth=1, label="chance")
    errors.set(xlabel="fraction of labels drawn at random", ylabel="error, %", ylim=(-2, 102))
    errors.legend()
    if all(row["rkhs_norm"] is not None for row in summary):
        line(norms, "rkhs_norm", "norm of the solution", "o")
    norms.set(xlabel="fraction of labels drawn at random", ylabel="RKHS norm", ylim=(0, None))
    for axes in (errors, norms):
        axes.grid(alpha=0.25)
    return drawn
