"""How much the error of a small random convolution net depends on which rows and filters were drawn.

    python -m benchmarks.draws --out benchmarks/results/draws.json

CIFAR-10 is cut into disjoint sets of `--n` training rows and `--n-test` test rows. A net with filters of its own seed
is drawn for each training set and interpolates it; its errors on every test set are reported, without and with a ridge
(`RIDGE` mean diagonals). One measurement of this kind is one entry of the table: its scatter says what another
measurement, on other rows, may give.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import harness
from kernelfit import solve
from kernelfit.datasets import Dataset
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.paper import RANDOM_CONV_KERNEL, RANDOM_CONV_OPTIONS
from kernelfit.experiments.stream import Checkpoint, stream
from kernelfit.progress import Silent

#: of the mean diagonal of K
RIDGE = 1e-3
MAX_BACKWARD_ERROR = 1e-14


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=5_000, help="training rows of a set")
    parser.add_argument("--n-test", type=int, default=2_000, help="test rows of a set")
    parser.add_argument("--sets", type=int, default=5, help="training sets")
    parser.add_argument("--filters", type=int, default=3_000)
    parser.add_argument("--quantise", action="store_true")
    options = parser.parse_args(words)
    started = time.perf_counter()
    data = experiment(options, 0).inputs.load()
    if options.sets * options.n > data.n_train:
        parser.error(
            f"--sets: got {options.sets} of {options.n:,} rows, expected at most {data.n_train:,} rows"
        )
    rows = []
    for number in range(options.sets):
        rows.append(measure(data, number, options))
        show(rows[-1])
    results: dict[str, Any] = {
        "n": options.n,
        "n_test": options.n_test,
        "filters": options.filters,
        "quantise": options.quantise,
        "ridge_of_mean_diagonal": RIDGE,
        "rows": rows,
    }
    for name in ("interpolation", "ridge"):
        errors = np.array([row[name]["test_errors"] for row in rows])
        deviation = float(errors.std(ddof=1)) if errors.size > 1 else None
        results[name] = {
            "mean": errors.mean(),
            "standard_deviation": deviation,
            "of_training_sets": errors.mean(axis=1),
        }
        scatter = "" if deviation is None else f" +- {100 * deviation:.2f}"
        print(f"{name}: {100 * errors.mean():.2f}{scatter} % over {errors.size}")
    results |= {"seconds": time.perf_counter() - started, "notes": data.notes}
    faults = [
        f"rows from {row['first_row']}, {name}: backward error {row[name]['backward_error']:.1e}"
        for row in rows
        for name in ("interpolation", "ridge")
        if not row[name]["backward_error"] <= MAX_BACKWARD_ERROR
    ]
    harness.finish("benchmarks.draws", words, options.out, results, faults)


def experiment(options: argparse.Namespace, seed: int) -> Experiment:
    """Of all rows; `measure` takes its training set out of them."""
    net = {"n_filters": options.filters, "quantise": options.quantise, "random_state": seed}
    return Experiment(
        "cifar10",
        features="random-conv",
        feature_options={**RANDOM_CONV_OPTIONS, **net},
        kernel=RANDOM_CONV_KERNEL,
    )


def measure(data: Dataset, number: int, options: argparse.Namespace) -> dict[str, Any]:
    """Training set `number`, filters of the seed `number`: errors on every test set, and norms."""
    part = slice(number * options.n, (number + 1) * options.n)
    taken = replace(data, X_train=data.X_train[part], y_train=data.y_train[part])
    settings = replace(experiment(options, number).solver, ridge=RIDGE)
    features = experiment(options, number).inputs.features
    kernel = experiment(options, number).kernel
    prepared = stream(taken, features, kernel, settings, Checkpoint(), Silent())
    assert prepared.streamed is not None
    row: dict[str, Any] = {"first_row": part.start, "seed": number, "seconds": prepared.streamed.seconds}
    for name, ridge in (("interpolation", 0.0), ("ridge", RIDGE)):
        arguments = prepared.solver_arguments(replace(settings, ridge=ridge))
        solution = solve(
            prepared.X_train, prepared.targets(taken), kernel="precomputed", condition=False, **arguments
        )
        wrong = prepared.predict(solution, Silent()).argmax(axis=1) != data.y_test
        starts = range(0, len(wrong) - options.n_test + 1, options.n_test)
        row[name] = {
            "test_errors": [float(wrong[start : start + options.n_test].mean()) for start in starts],
            "rkhs_norm": solution.rkhs_norm,
            "backward_error": solution.certificate.backward_error,
        }
        solution.close()
    prepared.close()
    return row


def show(row: dict[str, Any]) -> None:
    for name in ("interpolation", "ridge"):
        errors = " ".join(f"{100 * error:6.2f}" for error in row[name]["test_errors"])
        print(
            f"rows from {row['first_row']:>6}  {name:>13}  {errors} %  norm {row[name]['rkhs_norm']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
