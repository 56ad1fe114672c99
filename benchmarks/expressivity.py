"""Explicit networks that fit random labels on all of CIFAR-10: size, error, seconds, memory.

    python -m benchmarks.expressivity --out benchmarks/results/expressivity.json

Seconds are the median of the repeats, for building the network and for running every layer on all rows. The
benchmark fails unless every label is fitted with an error below 1e-3.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import environment
from kernelfit.datasets import load
from kernelfit.datasets.corruptions import random_labels
from kernelfit.deep.images import centre_crop
from kernelfit.expressivity import fit
from kernelfit.report import json_output

LARGEST_ERROR = 1e-3
CASES = (("plain", 2), ("plain", 3), ("plain", 5), ("plain", 17), ("clipped", 17), ("multiplexer", 17))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, help="first n images; default all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    data = centre_crop(load("cifar10", n_train=arguments.n))
    y = random_labels(data.y_train, 10, seed=0)
    rows = [measure(data.X_train, y, variant, depth, arguments.repeats) for variant, depth in CASES]
    for row in rows:
        print(
            f"{row['variant']:>12} depth {row['depth']:>3} width {row['width']:>6} weights {row['weights']:>7} "
            f"accuracy {row['accuracy']:.4f} error {row['max_error']:.1e} "
            f"build {row['seconds_build']:.2f} s run {row['seconds_run']:.2f} s"
        )
    record = {
        "benchmark": "expressivity",
        "command": "python -m benchmarks.expressivity " + shlex.join(sys.argv[1:]),
        "n": data.n_train,
        "d": data.n_features,
        "notes": data.notes,
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "load_average": os.getloadavg(),  # above the number of cores, other work shared the machine
        "environment": environment.describe(),
        "rows": rows,
    }
    if arguments.out:
        json_output.write(record, arguments.out)
    wrong = [row for row in rows if row["accuracy"] < 1 or not row["max_error"] < LARGEST_ERROR]
    if wrong:
        sys.exit(f"not fitted: {[(row['variant'], row['depth']) for row in wrong]}")


def measure(X: NDArray[Any], y: NDArray[np.int64], variant: str, depth: int, repeats: int) -> dict[str, Any]:
    """Build and run one network `repeats` times."""
    builds, runs = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        network = fit(X, y, depth=depth, variant=variant)
        built = time.perf_counter()
        error = np.abs(network.predict(X) - y)
        runs.append(time.perf_counter() - built)
        builds.append(built - start)
    return {
        "variant": variant,
        "depth": network.depth,
        "width": network.width,
        "weights": network.n_weights,
        "accuracy": float((error < 0.5).mean()),
        "max_error": float(error.max()),
        "seconds_build": statistics.median(builds),
        "seconds_run": statistics.median(runs),
        "seconds_all": [a + b for a, b in zip(builds, runs, strict=True)],
    }


if __name__ == "__main__":
    main()
