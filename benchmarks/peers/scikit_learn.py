"""kernelfit beside scikit-learn's KernelRidge(alpha=0): time, peak memory, and the same predictions.

    python -m benchmarks.peers.scikit_learn --out benchmarks/results/sklearn.json

MNIST pixels / 255, gaussian kernel, one-hot targets, all test rows. Each measurement has its own process.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.children import isolated
from benchmarks.children.fit import LIBRARIES
from kernelfit.experiments import gemm_rate

GAMMA = 0.02
# Of the larger of |p| and 1: both solve the same system of condition 1e6 or so to round-off.
SAME = 1e-6


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", default="10000,15000", help="training rows, separated by commas")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    rows = [compare(int(n), options.repeats) for n in options.n.split(",")]
    print_table(rows)
    faults = [
        f"n {row['n']}, {library}: predictions differ by {row[library]['largest_difference']:.1e}"
        for row in rows
        for library in LIBRARIES[:-1]
        if not row[library].get("same_predictions", True)
    ]
    results = {"gemm_flops_per_second": gemm_rate.measure(), "rows": rows}
    harness.finish("benchmarks.peers.scikit_learn", words, options.out, results, faults)


def compare(n: int, repeats: int) -> dict[str, Any]:
    """Both libraries on the first n rows: medians of `repeats` runs each, and the largest difference."""
    row: dict[str, Any] = {"n": n}
    runs: dict[str, list[dict[str, Any]]] = {library: [] for library in LIBRARIES}
    with tempfile.TemporaryDirectory() as folder:
        # In turn, so that other load on the machine falls on both alike.
        for library in LIBRARIES * repeats:
            saved = Path(folder) / f"{library}.npy"
            runs[library].append(
                isolated.run("benchmarks.children.fit", library=library, n=n, gamma=GAMMA, predictions=saved)
            )
        for library in LIBRARIES:
            failures = [run["failed"] for run in runs[library] if "failed" in run]
            row[library] = {"failed": failures[0]} if failures else summary(runs[library])
        theirs = row["sklearn"]
        for library in LIBRARIES[:-1]:
            ours = row[library]
            if "failed" in ours or "failed" in theirs:
                continue
            reference = np.load(Path(folder) / "sklearn.npy")
            gap = np.abs(np.load(Path(folder) / f"{library}.npy") - reference)
            ours["largest_difference"] = float(np.max(gap / np.maximum(1.0, np.abs(reference))))
            ours["same_predictions"] = ours["largest_difference"] < SAME
            ours["speedup"] = theirs["seconds"] / ours["seconds"]
            ours["memory_ratio"] = ours["peak_rss_bytes"] / theirs["peak_rss_bytes"]
    return row


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the runs, and the fit times one by one."""
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {**medians, "fit_seconds_all": [run["fit_seconds"] for run in runs]}


def print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'n':>7} {'library':>15} {'fit s':>8} {'predict s':>10} {'peak GB':>8} {'test error':>11} "
        f"{'faster':>7} {'memory':>7} {'difference':>11}"
    )
    for row in rows:
        for library in LIBRARIES:
            result = row[library]
            if "failed" in result:
                print(f"{row['n']:>7} {library:>15}   {result['failed']}")
                continue
            line = (
                f"{row['n']:>7} {library:>15} {result['fit_seconds']:>8.2f} "
                f"{result['predict_seconds']:>10.2f} {result['peak_rss_bytes'] / 1e9:>8.2f} "
                f"{100 * result['test_error']:>9.2f} %"
            )
            if "speedup" in result:
                line += (
                    f" {result['speedup']:>6.2f}x {result['memory_ratio']:>6.2f}x "
                    f"{result['largest_difference']:>11.1e}"
                )
            print(line)


if __name__ == "__main__":
    main()
