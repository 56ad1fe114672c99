"""The charts of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.report.chart import Axis, Chart, Rule, Series, values_of
from kernelfit.typing import Array, Float

#: rows of a scatter that are drawn, evenly chosen: more make one blot
MAX_DOTS = 1_500


def ridge_path(path: list[dict[str, Any]], chosen: float) -> Chart:
    """Leave-one-out error against the ridge in units of the mean diagonal; 0 stands at the left end."""
    key = "loo_error" if any(row.get("loo_error") is not None for row in path) else "loo_rmse"
    path = sorted((row for row in path if row.get(key) is not None), key=lambda row: row["relative"])
    ridges = np.array([row["relative"] for row in path], dtype=float)
    least = float(ridges[ridges > 0].min(initial=1e-8))
    shown = np.where(ridges > 0, ridges, least / 10)
    unit = 100.0 if key == "loo_error" else 1.0
    left = "; the left end is 0" if (ridges == 0).any() else ""
    texts = tuple(f"ridge {row['ridge']:.4g}" if "ridge" in row else f"{row['relative']:.4g}" for row in path)
    return Chart(
        "ridge-path",
        "Leave-one-out along the ridge",
        Axis(f"ridge / mean diagonal of K{left}", log=True),
        Axis("leave-one-out error, %" if unit == 100.0 else "leave-one-out RMSE"),
        (Series("", tuple(shown.tolist()), values_of((row[key] for row in path), unit), texts=texts),),
        (Rule("chosen", "x", chosen if chosen > 0 else least / 10),),
    )


def left_out_against_test(names: tuple[str, ...], left_out: Float, test: Float) -> Chart:
    """Errors of the classes in per cent, leave-one-out across and test upward."""
    return Chart(
        "leave-one-out",
        "Errors of each class",
        Axis("leave-one-out error on training rows, %"),
        Axis("error on test rows, %"),
        (Series("", values_of(left_out.tolist()), values_of(test.tolist()), "dots", texts=names),),
        (Rule("equal", "diagonal"),),
    )


def norms(names: tuple[str, ...], values: list[float]) -> Chart:
    """The norm of the function of each class."""
    places = tuple(float(index) for index in range(len(names)))
    return Chart(
        "norms",
        "Norm of the function of each class",
        Axis("RKHS norm", low=0),
        Axis(names=names),
        (Series("", values_of(values), places, "bars"),),
    )


def predicted_against_true(truth: Array, predicted: Array) -> Chart:
    """Predictions of a target upward, its true values across."""
    rows = _chosen(len(truth))
    return Chart(
        "predicted",
        "Predicted against true",
        Axis("true value"),
        Axis("predicted value"),
        (
            Series(
                "", *_pairs(truth, predicted, rows), "dots", texts=tuple(f"test row {row:,}" for row in rows)
            ),
        ),
        (Rule("equal", "diagonal"),),
    )


def residuals_against_predicted(truth: Array, predicted: Array) -> Chart:
    """What predictions miss by, against the predictions: a pattern here is structure that f has not found."""
    rows = _chosen(len(truth))
    return Chart(
        "residuals",
        "Residuals against predictions",
        Axis("predicted value"),
        Axis("predicted - true"),
        (
            Series(
                "",
                *_pairs(predicted, predicted - truth, rows),
                "dots",
                texts=tuple(f"test row {row:,}" for row in rows),
            ),
        ),
        (Rule("no error", "y", 0.0),),
    )


def residual_histogram(truth: Array, predicted: Array) -> Chart:
    """How often predictions miss by how much."""
    missed = np.asarray(predicted - truth, dtype=float)
    missed = missed[np.isfinite(missed)]
    counts, edges = np.histogram(missed, bins=min(40, max(5, len(missed) // 10)))
    centres = (edges[:-1] + edges[1:]) / 2
    width = float(edges[1] - edges[0])
    return Chart(
        "residual-histogram",
        "How far predictions miss",
        Axis("predicted - true"),
        Axis("test rows", low=0),
        (Series("", values_of(centres.tolist()), values_of(counts.tolist()), "histogram", width=width),),
        (Rule("no error", "x", 0.0),),
    )


def seconds(phases: dict[str, float]) -> Chart:
    """Time of each phase of a solve."""
    places = tuple(float(index) for index in range(len(phases)))
    return Chart(
        "seconds",
        "Time of each phase",
        Axis("seconds", low=0),
        Axis(names=tuple(phases)),
        (Series("", values_of(phases.values()), places, "bars"),),
    )


def _chosen(count: int) -> list[int]:
    if count <= MAX_DOTS:
        return list(range(count))
    return [int(row) for row in np.linspace(0, count - 1, MAX_DOTS)]


def _pairs(x: Array, y: Array, rows: list[int]) -> tuple[Any, Any]:
    return values_of(np.asarray(x, float)[rows].tolist()), values_of(np.asarray(y, float)[rows].tolist())
