"""Whole solves of MNIST: time of each part, share of GEMM, peak memory, and the answer.

    python -m benchmarks.solve --runs 60000:float64,60000:mixed --out benchmarks/results/mnist.json

Pixels / 255, gaussian kernel, one-hot targets, all test rows. Each run has its own process.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from benchmarks.children import isolated
from kernelfit.cpu import environment
from kernelfit.report import json_output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--runs", default="10000:float64,10000:mixed", help="n:precision, separated by commas"
    )
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--gamma", default="0.02")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    print(f"{'n':>7} {'precision':>9} {'error':>7} {'norm':>9} {'backward':>9} {'factor s':>9} {'of GEMM':>8} "
          f"{'total s':>8} {'peak GB':>8}")  # fmt: skip
    for run in arguments.runs.split(","):
        n, precision = run.split(":")
        row = isolated.run(
            "benchmarks.children.solve",
            dataset=arguments.dataset,
            n=n,
            precision=precision,
            gamma=arguments.gamma,
        )
        rows.append({"n": int(n), "precision": precision, **row})
        show(rows[-1])
    record = {
        "benchmark": "solve",
        "command": "python -m benchmarks.solve " + shlex.join(sys.argv[1:]),
        "environment": environment.describe(),
        "rows": rows,
    }
    if arguments.out:
        json_output.write(record, arguments.out)


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
