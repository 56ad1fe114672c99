"""The charts of a run, drawn in the style that is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.typing import Array, Float

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: readable on white and on black
BLUE, ORANGE = "#4c8fd6", "#e08a2e"


def _axes(width: float = 6.4, height: float = 3.8) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    return figure, axes


def ridge_path(path: list[dict[str, Any]], chosen: float) -> Figure:
    """Leave-one-out error against the ridge in units of the mean diagonal; 0 stands at the left end."""
    figure, axes = _axes()
    key = "loo_error" if any(row.get("loo_error") is not None for row in path) else "loo_rmse"
    path = [row for row in path if row.get(key) is not None]
    ridges = np.array([row["relative"] for row in path], dtype=float)
    errors = np.array([row[key] for row in path], dtype=float) * (100 if key == "loo_error" else 1)
    order = np.argsort(ridges)
    least = ridges[ridges > 0].min(initial=1e-8)
    shown = np.where(ridges > 0, ridges, least / 10)
    axes.plot(shown[order], errors[order], marker="o", color=BLUE, markersize=4)
    at = chosen if chosen > 0 else least / 10
    axes.axvline(at, color=ORANGE, linewidth=1.2, label="chosen")
    left = ", the left end is 0" if (ridges == 0).any() else ""
    axes.set(xscale="log", xlabel=f"ridge / mean diagonal of K{left}")
    axes.set_ylabel("leave-one-out error, %" if key == "loo_error" else "leave-one-out RMSE")
    axes.legend()
    return figure


def left_out_against_test(names: tuple[str, ...], left_out: Float, test: Float) -> Figure:
    """Errors of the classes in per cent, leave-one-out across and test upward."""
    figure, axes = _axes(height=4.4)
    axes.scatter(left_out, test, color=BLUE, s=24, zorder=3)
    for name, x, y in zip(names, left_out, test, strict=True):
        axes.annotate(name, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    most = float(max(left_out.max(initial=0), test.max(initial=0), 1e-9))
    axes.plot([0, most], [0, most], color=ORANGE, linewidth=1, linestyle=":", label="equal")
    axes.set(xlabel="leave-one-out error on training rows, %", ylabel="error on test rows, %")
    axes.legend(loc="lower right")
    return figure


def norms(names: tuple[str, ...], values: list[float]) -> Figure:
    """The norm of the function of each class."""
    figure, axes = _axes(height=max(2.2, 0.32 * len(names) + 1))
    axes.barh(range(len(names)), values, color=BLUE)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("RKHS norm")
    return figure


def predicted_against_true(truth: Array, predicted: Array) -> Figure:
    """Predictions of a target upward, its true values across."""
    figure, axes = _axes(height=4.4)
    axes.scatter(truth, predicted, color=BLUE, s=12, alpha=0.7)
    ends = [float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))]
    axes.plot(ends, ends, color=ORANGE, linewidth=1, linestyle=":", label="equal")
    axes.set(xlabel="true value", ylabel="predicted value")
    axes.legend()
    return figure


def residuals(truth: Array, predicted: Array) -> Figure:
    """How often predictions miss by how much."""
    figure, axes = _axes()
    axes.hist(predicted - truth, bins=min(40, max(5, len(truth) // 10)), color=BLUE)
    axes.axvline(0, color=ORANGE, linewidth=1)
    axes.set(xlabel="predicted value - true value", ylabel="test rows")
    return figure
