"""The README's picture: time of a solve against n, beside scikit-learn and what the machine's GEMM allows.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python -m benchmarks run solve-time \
        --out benchmarks/results/solve_time.json --picture docs/solve_time.png

MNIST's first n rows, gaussian kernel, gamma 0.02, ten right-hand sides, float64. A solve of ours includes its
certificate, for which K is computed a second time; scikit-learn's is `KernelRidge.fit`. Both take turns, medians
count, and a solution of ours that is not exact to rounding stops the benchmark. Where the two variables are set,
OpenBLAS takes other products than it would on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from kernelfit.experiments.scaling import Scaling
from kernelfit.report import figures, tables
from kernelfit.report import plot as charts
from kernelfit.report.chart import Axis, Chart, Series, values_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PEER = "scikit-learn"


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--sizes", default="1000,2000,4000,8000,15000")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="the figure: .png, .svg or .pdf")
    options = parser.parse_args(words)
    scaling = Scaling(
        tuple(map(int, options.sizes.split(","))),
        dataset=options.dataset,
        gamma=0.02,
        repeats=options.repeats,
        beside=(PEER,),
    )
    measured = scaling.run()
    del measured["benchmark"]
    for row in measured["rows"]:
        print(f"n {row['n']:>6}  kernelfit {row['seconds_call']:8.2f} s  {_beside(row)}", flush=True)
    if options.picture is not None:
        figures.save(plot(measured), options.picture)
    harness.finish("benchmarks.solve_time", words, options.out, measured, [])


def plot(record: dict[str, Any]) -> Figure:
    """Seconds against n, both axes logarithmic."""
    rows = record["rows"]
    n = tuple(float(row["n"]) for row in rows)
    grid = np.geomspace(n[0], n[-1], 50)
    rate = record["gemm_flops_per_second"]
    cores = record["threads"]
    return charts.figure(
        [
            Chart(
                "solve-time",
                f"Exact fit of {record['dataset']}'s first n rows on {cores} cores",
                Axis("training rows n", log=True, ticks=n),
                Axis("seconds", log=True),
                (
                    Series(
                        f"{PEER} KernelRidge",
                        n,
                        values_of(row["beside"][PEER].get("seconds") for row in rows),
                    ),
                    Series("kernelfit, with certificate", n, values_of(row["seconds_call"] for row in rows)),
                    Series(
                        f"n³/3 flops at {tables.rate(rate)}, the GEMM's",
                        tuple(grid.tolist()),
                        tuple((grid**3 / 3 / rate).tolist()),
                        "curve",
                        dashed=True,
                        colour=7,
                    ),
                ),
            )
        ]
    )


def _beside(row: dict[str, Any]) -> str:
    theirs = row["beside"][PEER]
    if "left_out" in theirs:
        return f"{PEER}: {theirs['left_out']}"
    return f"{PEER} {theirs['seconds']:8.2f} s, {theirs['times_ours']:.2f} times as long"
