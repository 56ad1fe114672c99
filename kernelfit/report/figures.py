"""Figures as files, and the charts of a benchmark. Matplotlib is imported on use and without its global state."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.errors import InputError
from kernelfit.experiments.scaling import FITTED_SIZES
from kernelfit.report import plot, tables
from kernelfit.report.chart import Axis, Chart, Rule, Series, values_of
from kernelfit.report.style import own_style
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


@own_style()
def save(figure: Figure, target: Path) -> None:
    """Write `figure` to `target`, whole or not at all."""
    image = io.BytesIO()
    figure.savefig(image, format=target.suffix[1:].lower(), dpi=150, bbox_inches="tight")
    atomic.write_bytes(target, image.getvalue())


def bench(record: dict[str, Any]) -> Figure:
    """The charts of a benchmark side by side, for a file."""
    return plot.figure(bench_charts(record), measured_on(record))


def bench_charts(record: dict[str, Any]) -> list[Chart]:
    """Seconds against n on logarithmic axes, beside n^3/3 flops at the measured GEMM rate; the factor's share of it.

    The fitted power is drawn over the sizes it was fitted to and no further; what is predicted stands apart.
    """
    rows = record["rows"]
    n = tuple(float(row["n"]) for row in rows)
    ahead = [(float(prediction["n"]), prediction["seconds"]) for prediction in record["predictions"]]
    lines = []
    for name in ("gram", "factor", "solve", "total"):
        seconds = values_of(row["seconds"][name] for row in rows)
        if any(seconds):
            lines.append(Series(name, n, seconds))
    for name in rows[0].get("beside", {}):
        theirs = values_of(row["beside"][name].get("seconds") for row in rows)
        if any(theirs):
            lines.append(Series(f"total, {name}", n, theirs, dashed=True))
    if record["fit"] is not None:
        fit, fitted = record["fit"], np.array(n[-FITTED_SIZES:])
        label = f"total, fitted: n^{fit['exponent']:.2f}"
        reached = fit["coefficient"] * fitted ** fit["exponent"]
        lines.append(Series(label, tuple(fitted.tolist()), tuple(reached.tolist()), "curve", colour=6))
    rate = record["gemm_flops_per_second"]
    grid = np.geomspace(n[0], max([n[-1], *(size for size, _ in ahead)]), 50)
    model = f"n³/3 flops at {tables.rate(rate)}, the GEMM's"
    lines.append(
        Series(
            model, tuple(grid.tolist()), tuple((grid**3 / 3 / rate).tolist()), "curve", dashed=True, colour=7
        )
    )
    if ahead:
        sizes, predicted = zip(*ahead, strict=True)
        lines.append(Series("total, predicted", sizes, values_of(predicted), "dots", colour=3))
    shares = values_of((row["share_of_gemm"] for row in rows), 100.0)
    every = tuple(dict.fromkeys([*n, *(size for size, _ in ahead)]))
    return [
        Chart(
            "bench-time",
            "Time of a solve",
            Axis("training rows n", log=True, ticks=every),
            Axis("seconds", log=True),
            tuple(lines),
        ),
        Chart(
            "bench-share",
            "Rate of the factorisation",
            Axis("training rows n", log=True, ticks=n),
            Axis("% of the GEMM's", low=0, high=max(110.0, *(1.08 * (share or 0.0) for share in shares))),
            (Series("", n, shares),),
            (Rule("the GEMM", "y", 100.0),),
        ),
    ]


def measured_on(record: dict[str, Any]) -> str:
    """Rows, kernel and precision; the machine."""
    processor = record["environment"]["processor"]
    return (
        f"{record['dataset']} rows of {record['n_features']:,} features, {tables.kernel_formula(record['kernel'])}, "
        f"{record['n_rhs']} right-hand sides, {record['precision']}; "
        f"{processor['model']}, {record['threads']} of {processor['cores']} cores; GEMM in {record['gemm_dtype']}"
    )
