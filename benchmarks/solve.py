"""Whole solves of MNIST: time of each part, share of GEMM, peak memory, and the answer.

    python -m benchmarks.solve --runs 60000:float64,60000:mixed --out benchmarks/results/mnist.json

Pixels / 255, gaussian kernel, one-hot targets, all test rows. Each run has its own process. The benchmark fails where
one has no answer or a backward error of more than `MAX_BACKWARD_ERROR`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import harness
from benchmarks.children import isolated

#: of both precisions: a float32 factor is refined to float64's
MAX_BACKWARD_ERROR = 1e-15


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument(
        "--runs", default="10000:float64,10000:mixed", help="n:precision, separated by commas"
    )
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--gamma", default="0.02")
    options = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    print(f"{'n':>7} {'precision':>9} {'error':>7} {'norm':>9} {'backward':>9} {'factor s':>9} {'of GEMM':>8} "
          f"{'total s':>8} {'peak GB':>8}")  # fmt: skip
    for run in options.runs.split(","):
        n, precision = run.split(":")
        row = isolated.run(
            "benchmarks.children.solve",
            dataset=options.dataset,
            n=n,
            precision=precision,
            gamma=options.gamma,
        )
        rows.append({"n": int(n), "precision": precision, **row})
        show(rows[-1])
    faults = [
        f"n {row['n']}, {row['precision']}: {fault}" for row in rows if (fault := fault_of(row)) is not None
    ]
    harness.finish("benchmarks.solve", words, options.out, {"rows": rows}, faults)


def fault_of(row: dict[str, Any]) -> str | None:
    """What is wrong with a run, None where nothing is."""
    if "failed" in row:
        return str(row["failed"])
    error = float(row["backward_error"])
    return None if error <= MAX_BACKWARD_ERROR else f"backward error {error:.1e}"


def show(row: dict[str, Any]) -> None:
    """One line of the table."""
    if "failed" in row:
        print(f"{row['n']:>7} {row['precision']:>9}   {row['failed']}", flush=True)
        return
    print(
        f"{row['n']:>7} {row['precision']:>9} {100 * row['test_error']:>5.2f} % {row['rkhs_norm']:>9.2f} "
        f"{row['backward_error']:>9.1e} {row['seconds']['factor']:>9.2f} {100 * row['factor_share_of_gemm']:>6.1f} % "
        f"{row['seconds']['total']:>8.2f} {row['peak_rss_bytes'] / 1e9:>8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
