"""Figures. Matplotlib is imported on use and without its global state."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.errors import InputError
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
    """Seconds against n on logarithmic axes with the fitted power; the factor's share of the GEMM rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    times, shares = figure.subplots(1, 2)
    n = np.array([row["n"] for row in record["rows"]], dtype=float)
    for name, marker in (("gram", "s"), ("factor", "o"), ("solve", "^"), ("total", "D")):
        values = np.array([row["seconds"][name] for row in record["rows"]], dtype=float)
        times.plot(n[values > 0], values[values > 0], marker=marker, label=name)
    if record["fit"] is not None:
        fit = record["fit"]
        grid = np.geomspace(n[0], max([n[-1], *(p["n"] for p in record["predictions"])]), 100)
        times.plot(grid, fit["coefficient"] * grid ** fit["exponent"], "k:", label=f"n^{fit['exponent']:.2f}")
    for prediction in record["predictions"]:
        times.plot(prediction["n"], prediction["seconds"], "k*", markersize=11)
    times.set(xscale="log", yscale="log", xlabel="training rows n", ylabel="seconds", title="solve time")
    times.legend()
    times.grid(which="both", alpha=0.25)
    shares.plot(n, [100 * row["share_of_gemm"] for row in record["rows"]], marker="o")
    shares.axhline(100, color="k", linestyle=":", linewidth=1)
    shares.set(xscale="log", xlabel="training rows n", ylabel="% of GEMM", title="rate of the factorisation")
    shares.set_ylim(0, 110)
    shares.grid(alpha=0.25)
    return figure
