"""The README's picture: time of a solve against n, beside scikit-learn and what the machine's GEMM allows.

    python -m benchmarks run solve-time --recorded --picture docs/solve_time.png
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python -m benchmarks run solve-time --picture here.png --out here.json

MNIST's first n rows, gaussian kernel, gamma 0.02, ten right-hand sides. A solve of ours includes its certificate, for
which K is computed a second time; scikit-learn's is `KernelRidge.fit`. `--recorded` draws the runs of `results/` that
`peers-cpu` and `solve` measured. Without it ours and scikit-learn's take turns here, medians count, and a solution of
ours that is not exact to rounding stops the benchmark. Where the two variables are set, OpenBLAS takes other products
than it would on its own.
"""

from __future__ import annotations

import json
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

_RESULTS = Path(__file__).parent / "results"
_PEER = "scikit-learn"
# The smallest n that is drawn of what is recorded.
_FIRST = 1_000
_NAMES = {
    "scikit-learn": "scikit-learn's KernelRidge",
    "kernelfit": "kernelfit, with its certificate",
    "kernelfit-mixed": "the same, mixed precision",
}


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--sizes", default="1000,2000,4000,8000,15000")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recorded", action="store_true", help="draw the runs of results/, measure nothing")
    parser.add_argument("--picture", type=Path, help="the figure: .png, .svg or .pdf")
    options = parser.parse_args(words)
    sizes = tuple(map(int, options.sizes.split(",")))
    results = recorded() if options.recorded else measured(options.dataset, sizes, options.repeats)
    for name, points in results["seconds"].items():
        print(f"{name:>32}  " + "  ".join(f"{n:,}: {seconds:.4g} s" for n, seconds in points))
    if options.picture is not None:
        figures.save(plot(results), options.picture)
    harness.finish("benchmarks.solve_time", words, options.out, results, [])


def measured(dataset: str, sizes: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Points of each solver, measured now."""
    record = Scaling(sizes, dataset=dataset, gamma=0.02, repeats=repeats, beside=(_PEER,)).run()
    rows = record["rows"]
    theirs = [(row["n"], row["beside"][_PEER].get("seconds")) for row in rows]
    return {
        "seconds": {
            _NAMES[_PEER]: [(n, seconds) for n, seconds in theirs if seconds is not None],
            _NAMES["kernelfit"]: [(row["n"], row["seconds_call"]) for row in rows],
        },
        "gemm_flops_per_second": record["gemm_flops_per_second"],
        "threads": record["threads"],
        "dataset": dataset,
        "scaling": record,
    }


def recorded() -> dict[str, Any]:
    """Points of each solver from `results/`, and the fastest GEMM that was measured beside them."""
    taken: dict[str, dict[int, float]] = {name: {} for name in _NAMES.values()}
    rates = []
    for file in ("peers_cpu.json", "peers_10000_15000.json"):
        beside = _read(file)
        rates.append(beside["gemm_flops_per_second"])
        for row in beside["rows"]:
            if row["peer"] in _NAMES and row["n"] >= _FIRST and "fit_seconds" in row:
                taken[_NAMES[row["peer"]]][row["n"]] = row["fit_seconds"]
    for file in ("mnist_30000.json", "mnist_60000_float64.json", "mnist_60000_mixed.json"):
        for row in _read(file)["rows"]:
            seconds = row["seconds"]
            key = "kernelfit" if row["precision"] == "float64" else "kernelfit-mixed"
            taken[_NAMES[key]][row["n"]] = seconds["total"] - seconds["predict"]
            rates.append(row["gemm_flops_per_second"]["float64"])
    points = {name: sorted(of_size.items()) for name, of_size in taken.items()}
    return {"seconds": points, "gemm_flops_per_second": max(rates), "threads": 2, "dataset": "mnist"}


def _read(file: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((_RESULTS / file).read_text(encoding="utf-8"))
    return results


def plot(results: dict[str, Any]) -> Figure:
    """Seconds against n, both axes logarithmic."""
    sizes = sorted({float(n) for points in results["seconds"].values() for n, _ in points})
    grid = np.geomspace(sizes[0], sizes[-1], 50)
    rate = results["gemm_flops_per_second"]
    solvers = tuple(
        Series(name, values_of(n for n, _ in points), values_of(taken for _, taken in points))
        for name, points in results["seconds"].items()
    )
    limit = Series(
        f"n³/3 flops at {tables.rate(rate)}, float64 GEMM",
        tuple(grid.tolist()),
        tuple((grid**3 / 3 / rate).tolist()),
        "curve",
        dashed=True,
        colour=7,
    )
    return charts.figure(
        [
            Chart(
                "solve-time",
                f"Exact fit of {results['dataset'].upper()}'s first n rows, {results['threads']} cores",
                Axis("training rows n", log=True, ticks=tuple(sizes)),
                Axis("seconds", log=True),
                (*solvers, limit),
            )
        ]
    )


if __name__ == "__main__":
    main()
