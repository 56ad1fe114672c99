"""Figures. Matplotlib is imported on use and without its global state."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.errors import InputError
from kernelfit.experiments.scaling import FITTED_SIZES
from kernelfit.report import tables
from kernelfit.storage import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")


def check_target(target: Path) -> None:
    """Raise `InputError` before the work where a figure cannot be written after it."""
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"--figure: got {target}, expected a name ending in {', '.join(FORMATS)}")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise InputError(f"--figure: {target.parent} is not a folder that can be written to; name another")


def save(figure: Figure, target: Path) -> None:
    """Write `figure` to `target`, whole or not at all."""
    image = io.BytesIO()
    figure.savefig(image, format=target.suffix[1:].lower(), dpi=150, bbox_inches="tight")
    atomic.write_bytes(target, image.getvalue())


def bench(record: dict[str, Any]) -> Figure:
    """Seconds against n on logarithmic axes, beside n^3/3 flops at the measured GEMM rate; the factor's share of it.

    The fitted power is drawn over the sizes it was fitted to and no further; what is predicted is a star.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.8), layout="constrained")
    times, shares = figure.subplots(1, 2)
    n = np.array([row["n"] for row in record["rows"]], dtype=float)
    ahead = [(prediction["n"], prediction["seconds"]) for prediction in record["predictions"]]
    for name, marker in (("gram", "s"), ("factor", "o"), ("solve", "^"), ("total", "D")):
        values = np.array([row["seconds"][name] for row in record["rows"]], dtype=float)
        if (values > 0).any():
            times.plot(n[values > 0], values[values > 0], marker=marker, label=name)
    for name in record["rows"][0].get("beside", {}):
        theirs = [(row["n"], row["beside"][name].get("seconds")) for row in record["rows"]]
        measured = [(size, seconds) for size, seconds in theirs if seconds is not None]
        if measured:
            times.plot(*zip(*measured, strict=True), linestyle="--", marker="x", label=f"total, {name}")
    if record["fit"] is not None:
        fit, fitted = record["fit"], n[-FITTED_SIZES:]
        label = f"total, fitted: n^{fit['exponent']:.2f}"
        times.plot(
            fitted, fit["coefficient"] * fitted ** fit["exponent"], color="k", linewidth=0.8, label=label
        )
    rate = record["gemm_flops_per_second"]
    grid = np.geomspace(n[0], max([n[-1], *(size for size, _ in ahead)]), 50)
    model = f"n³/3 flops at {tables.rate(rate)}, the GEMM's"
    times.plot(grid, grid**3 / 3 / rate, "k:", label=model)
    if ahead:
        times.plot(*zip(*ahead, strict=True), "k*", markersize=11, linestyle="none", label="total, predicted")
    times.set(xscale="log", yscale="log", xlabel="training rows n", ylabel="seconds", title="time of a solve")
    times.grid(which="both", alpha=0.25)
    shares.plot(n, [100 * row["share_of_gemm"] for row in record["rows"]], marker="o")
    shares.axhline(100, color="k", linestyle=":", linewidth=1)
    shares.set(
        xscale="log", xlabel="training rows n", ylabel="% of the GEMM's", title="rate of the factorisation"
    )
    shares.set_ylim(0, 110)
    shares.grid(alpha=0.25)
    _label_sizes(times, [*n, *(size for size, _ in ahead)])
    _label_sizes(shares, list(n))
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(_measured_on(record), fontsize=9)
    return figure


def _label_sizes(axes: Any, sizes: list[float]) -> None:
    """Ticks at the sizes themselves, in full."""
    from matplotlib.ticker import NullFormatter

    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], rotation=30)


def _measured_on(record: dict[str, Any]) -> str:
    """Rows, kernel and precision; the machine."""
    processor = record["environment"]["processor"]
    return (
        f"{record['dataset']} rows of {record['n_features']:,} features, {tables.kernel_formula(record['kernel'])}, "
        f"{record['n_rhs']} right-hand sides, {record['precision']}\n"
        f"{processor['model']}, {record['threads']} of {processor['cores']} cores; GEMM in {record['gemm_dtype']}"
    )
