"""How much the error of a small random convolution net depends on which rows and filters were drawn.

    python -m benchmarks.draws --out benchmarks/results/draws.json

CIFAR-10 is cut into disjoint sets of `--n` training rows and `--n-test` test rows. A net with filters of its own seed
is drawn for each training set and interpolates it; its errors on every test set are reported, without and with a ridge
(`RIDGE` mean diagonals). One measurement of this kind is one entry of the table: its scatter says what another
measurement, on other rows, may give.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit import datasets, solve
from kernelfit.cpu import environment
from kernelfit.features.random_conv import RandomConv
from kernelfit.metrics import one_hot
from kernelfit.report import json_output
from kernelfit.streaming.gram import feature_gram

#: of the mean diagonal of K
RIDGE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, default=5_000, help="training rows of a set")
    parser.add_argument("--n-test", type=int, default=2_000, help="test rows of a set")
    parser.add_argument("--sets", type=int, default=5, help="training sets")
    parser.add_argument("--filters", type=int, default=3_000)
    parser.add_argument("--quantise", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    data = datasets.load("cifar10")
    if arguments.sets * arguments.n > data.n_train:
        sys.exit(f"--sets: {arguments.sets} of {arguments.n:,} rows are more than {data.n_train:,}")
    rows = []
    for number in range(arguments.sets):
        rows.append(measure(data, number, arguments))
        show(rows[-1])
    record: dict[str, Any] = {
        "benchmark": "draws",
        "command": "python -m benchmarks.draws " + shlex.join(sys.argv[1:]),
        "n": arguments.n,
        "n_test": arguments.n_test,
        "filters": arguments.filters,
        "quantise": arguments.quantise,
        "ridge_of_mean_diagonal": RIDGE,
        "rows": rows,
    }
    for name in ("interpolation", "ridge"):
        errors = np.array([row[name]["test_errors"] for row in rows])
        found = {
            "mean": errors.mean(),
            "standard_deviation": errors.std(ddof=1) if errors.size > 1 else None,
            "of_training_sets": errors.mean(axis=1),
        }
        record[name] = found
        scatter = f" +- {100 * found['standard_deviation']:.2f}" if errors.size > 1 else ""
        print(f"{name}: {100 * found['mean']:.2f}{scatter} % over {errors.size}")
    record |= {"seconds": time.perf_counter() - started, "environment": environment.describe()}
    record["notes"] = data.notes
    if arguments.out:
        json_output.write(json_output.plain(record), arguments.out)


def measure(data: datasets.Dataset, number: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Training set `number`, filters of the seed `number`: errors on every test set, and norms."""
    part = slice(number * arguments.n, (number + 1) * arguments.n)
    train = data.X_train[part]
    net = RandomConv(
        data.image_shape, n_filters=arguments.filters, quantise=arguments.quantise, random_state=number
    )
    grams = feature_gram(net.fit(train), train, data.X_test)
    assert data.classes is not None
    targets = one_hot(data.y_train[part], len(data.classes))
    row: dict[str, Any] = {"first_row": part.start, "seed": number, "seconds": grams.seconds}
    for name, ridge in (("interpolation", 0.0), ("ridge", RIDGE * grams.mean_diagonal)):
        solution = solve(grams.gram, targets, kernel="precomputed", ridge=ridge, condition=False)
        wrong = grams.predict(solution).argmax(axis=1) != data.y_test
        starts = range(0, len(wrong) - arguments.n_test + 1, arguments.n_test)
        row[name] = {
            "test_errors": [float(wrong[start : start + arguments.n_test].mean()) for start in starts],
            "rkhs_norm": solution.rkhs_norm,
            "backward_error": solution.certificate.backward_error,
        }
        solution.close()
    grams.close()
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
