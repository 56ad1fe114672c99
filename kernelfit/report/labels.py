"""A study of labels as a table and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from kernelfit.report.tables import number, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What the columns of the table show of a summary's row, and how.
_SHOWN = (
    ("test error", "test_error", percent),
    ("train", "train_error", percent),
    ("left out", "loo_error", percent),
    ("norm", "rkhs_norm", number),
    ("margin", "margin", number),
)


def table(summary: list[dict[str, Any]]) -> Table:
    """One line a level of corruption; with several seeds means, and standard deviations behind them."""
    columns = [column for column in _SHOWN if summary[0][column[1]] is not None]
    grid = Table(box=None, pad_edge=False)
    grid.add_column("p", style="bold", no_wrap=True)
    for heading, _, _ in columns:
        grid.add_column(heading, justify="right", overflow="fold")
    for row in summary:
        cells = []
        for _, key, text in columns:
            deviation = f" ± {text(row[f'{key}_std'])}" if row["seeds"] > 1 else ""
            cells.append(f"{text(row[key])}{deviation}")
        grid.add_row(f"{row['p']:g}", *cells)
    return grid


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
    if summary[0]["loo_error"] is not None:
        line(errors, "loo_error", "leave-one-out (fitted labels)", "s", 100)
    line(errors, "train_error", "train (fitted labels)", "^", 100)
    chance = 100 * (1 - 1 / n_classes)
    errors.axhline(chance, color="k", linestyle=":", linewidth=1, label="chance")
    errors.set(xlabel="fraction of labels drawn at random", ylabel="error, %", ylim=(-2, 102))
    errors.legend()
    line(norms, "rkhs_norm", "norm of the solution", "o")
    norms.set(xlabel="fraction of labels drawn at random", ylabel="RKHS norm", ylim=(0, None))
    for axes in (errors, norms):
        axes.grid(alpha=0.25)
    return drawn
