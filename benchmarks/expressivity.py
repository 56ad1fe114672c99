"""Explicit networks that fit random labels on all of CIFAR-10: size, error, seconds, memory.

    python -m benchmarks.expressivity --out benchmarks/results/expressivity.json

Seconds are the median of the repeats, for building the network and for running every layer on all rows. The
benchmark fails unless every label is fitted with an error below 1e-3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from kernelfit.cpu import environment
from kernelfit.datasets import load
from kernelfit.datasets.corruptions import random_labels
from kernelfit.deep.data.images import centre_crop
from kernelfit.expressivity import fit

MAX_ERROR = 1e-3
CASES = (("plain", 2), ("plain", 3), ("plain", 5), ("plain", 17), ("clipped", 17), ("multiplexer", 17))


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, help="first n images; default all")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    data = centre_crop(load("cifar10", n_train=options.n))
    y = random_labels(data.y_train, 10, seed=0)
    rows = [measure(data.X_train, y, variant, depth, options.repeats) for variant, depth in CASES]
    for row in rows:
        print(
            f"{row['variant']:>12} depth {row['depth']:>3} width {row['width']:>6} weights {row['weights']:>7} "
            f"accuracy {row['accuracy']:.4f} error {row['max_error']:.1e} "
            f"build {row['build']['seconds']:.2f} s run {row['run']['seconds']:.2f} s"
        )
    results = {
        "n": data.n_train,
        "d": data.n_features,
        "notes": data.notes,
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "rows": rows,
    }
    faults = [
        f"{row['variant']}, depth {row['depth']}: accuracy {row['accuracy']}, error {row['max_error']:.1e}"
        for row in rows
        if row["accuracy"] < 1 or not row["max_error"] < MAX_ERROR
    ]
    harness.finish("benchmarks.expressivity", words, options.out, results, faults)


def measure(X: NDArray[Any], y: NDArray[np.int64], variant: str, depth: int, repeats: int) -> dict[str, Any]:
    """Build one network and run it on all rows, `repeats` times each."""
    network = fit(X, y, depth=depth, variant=variant)
    built = harness.timed(lambda: fit(X, y, depth=depth, variant=variant), repeats, warm_up=0)
    error = np.abs(network.predict(X) - y)
    run = harness.timed(lambda: network.predict(X), repeats, warm_up=0)
    return {
        "variant": variant,
        "depth": network.depth,
        "width": network.width,
        "weights": network.n_weights,
        "accuracy": float((error < 0.5).mean()),
        "max_error": float(error.max()),
        "build": built.describe(),
        "run": run.describe(),
    }


if __name__ == "__main__":
    main()
