"""GridSearchCV of a KernelClassifier on digits with two workers beside one: their times in pairs, and equal scores.

    python -m benchmarks run grid-search --out benchmarks/results/grid_search.json

Workers are started and have compiled code at hand before what counts. Each pair runs both in turn, the first one
changing from pair to pair, so that other load on the machine falls on both alike.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import harness
from kernelfit import KernelClassifier

GAMMAS = (1e-4, 3e-4, 1e-3, 3e-3)
RIDGES = (1e-6, 1e-3, 1e-1)


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=1_797, help="rows of digits")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of each solve; by default what a solve takes by itself")
    options = parser.parse_args(words)
    X, y = _digits(options.n)
    jobs = (1, options.workers)
    for workers in jobs:
        search(X, y, workers, options.threads)
    seconds: dict[int, list[float]] = {workers: [] for workers in jobs}
    scores: dict[int, np.ndarray[Any, Any]] = {}
    for pair in range(options.pairs):
        for workers in jobs if pair % 2 else jobs[::-1]:
            spent, scores[workers] = search(X, y, workers, options.threads)
            seconds[workers].append(spent)
        print(
            f"pair {pair + 1}: 1 worker {seconds[1][-1]:.2f} s, {options.workers} workers "
            f"{seconds[options.workers][-1]:.2f} s, ratio {seconds[1][-1] / seconds[options.workers][-1]:.2f}, load "
            f"{os.getloadavg()[0]:.1f}"
        )
    ratios = [one / many for one, many in zip(seconds[1], seconds[options.workers], strict=True)]
    print(f"ratio of the times, median of {options.pairs} pairs: {statistics.median(ratios):.2f}")
    faults = [] if np.array_equal(*scores.values()) else ["scores differ with the number of workers"]
    results = {
        "n": options.n,
        "threads": options.threads,
        "candidates": len(GAMMAS) * len(RIDGES),
        "seconds": {str(workers): spent for workers, spent in seconds.items()},
        "ratios": ratios,
        "ratio": statistics.median(ratios),
    }
    harness.finish("benchmarks.grid_search", words, options.out, results, faults)


def search(
    X: np.ndarray[Any, Any], y: np.ndarray[Any, Any], workers: int, threads: int | None
) -> tuple[float, np.ndarray[Any, Any]]:
    """Seconds of one search, and the score of every candidate in every fold."""
    from sklearn.model_selection import GridSearchCV

    grid = {"gamma": GAMMAS, "ridge": RIDGES}
    made = GridSearchCV(KernelClassifier(threads=threads), grid, n_jobs=workers, cv=3, refit=False)
    started = time.perf_counter()
    made.fit(X, y)
    spent = time.perf_counter() - started
    return spent, np.array([made.cv_results_[f"split{fold}_test_score"] for fold in range(3)])


def _digits(n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:n], y[:n]


if __name__ == "__main__":
    main()
