"""Conjugate gradients on MNIST shifted by a pixel each way, in a process of its own: what it took beside what was said.

    python -m benchmarks.children.shifted_mnist --n 200000 --tolerance 1e-1 --memory 4GB

Prints one JSON object on the last line.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kernelfit
from kernelfit.arguments import bytes_of
from kernelfit.datasets import load
from kernelfit.experiments.planning import Shape, plan_solve
from kernelfit.experiments.specs import SolverSettings
from kernelfit.progress import TerminalProgress

#: rows and columns by which images are shifted
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))


def shifted(images: NDArray[np.uint8], chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images (m, 28, 28) as rows (n, 784) for `chosen` (n,) of the 5 m shifted ones: image c mod m by shift c div m."""
    count, height, width = images.shape
    rows = np.zeros((len(chosen), height, width), np.uint8)
    for index, (down, right) in enumerate(SHIFTS):
        where = np.flatnonzero(chosen // count == index)
        for part in np.array_split(where, max(1, len(where) // 4096)):
            moved = np.zeros((len(part), height, width), np.uint8)
            source = images[chosen[part] % count]
            moved[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = source[
                :, max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
            ]
            rows[part] = moved
    return rows.reshape(len(chosen), height * width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--tolerance", type=float, default=1e-1)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--gamma", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    digits = load("mnist")
    images = np.asarray(digits.X_train, np.uint8).reshape(-1, 28, 28)
    total = len(SHIFTS) * len(images)
    chosen = np.sort(np.random.default_rng(options.seed).choice(total, min(options.n, total), replace=False))
    labels = np.asarray(digits.y_train)[chosen % len(images)]
    X, Y = shifted(images, chosen), np.eye(10)[labels]
    settings = SolverSettings(solver="pcg", memory=options.memory)
    plan = plan_solve(Shape(len(X), X.shape[1], 10, "uint8"), settings)
    started = time.perf_counter()
    solution = kernelfit.solve(
        X, Y, gamma=options.gamma, scale=1 / 255, solver="pcg", tolerance=options.tolerance,
        memory=options.memory, seed=options.seed, progress=TerminalProgress(),
    )  # fmt: skip
    taken = time.perf_counter() - started
    scores = solution.predict(np.asarray(digits.X_test, np.uint8).reshape(-1, X.shape[1]))
    error = float(np.mean(scores.argmax(axis=1) != np.asarray(digits.y_test)))
    record = {**_of(solution, plan, taken), "test_error": error}
    record["seconds"]["predict"] = time.perf_counter() - started - taken
    record["peak_rss_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    record["memory_limit"] = bytes_of(options.memory)
    sys.stdout.write(json.dumps(record) + "\n")


def _of(solution: Any, plan: Any, taken: float) -> dict[str, Any]:
    """What was predicted, what it took, and how far it came."""
    convergence = solution.convergence
    iterations = convergence.iterations
    predicted = plan.predicted_seconds + iterations * plan.seconds_iteration
    return {
        "n": plan.n,
        "rank": convergence.rank,
        "entries": convergence.entries,
        "iterations": iterations,
        "stopped": convergence.stopped,
        "relative_residual": convergence.relative_residual,
        "backward_error": solution.certificate.backward_error,
        "rkhs_norm": solution.rkhs_norm,
        "history": list(convergence.history),
        "seconds": {**convergence.seconds, "solve": taken},
        "seconds_predicted": predicted,
        "seconds_iteration": convergence.seconds["iterate"] / max(1, iterations),
        "seconds_iteration_predicted": plan.seconds_iteration,
        "taken_over_predicted": taken / predicted,
        "planned_bytes": plan.bytes_memory,
        "notes": list(solution.notes),
    }


if __name__ == "__main__":
    main()
