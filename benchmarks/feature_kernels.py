"""Kernels of random convolution features, and options of the features, by leave-one-out over several draws.

    python -m benchmarks.feature_kernels --sums FOLDER --out benchmarks/results/feature_kernels.json

A draw is its own `--n` training rows of CIFAR-10, `--n-test` test rows and filters. The inner products of each draw's
features are summed once, and stored in `--sums` where that is given, with the rows that are finished; every kernel is
formed from them. The error of rows left out is what the choice goes by, of the ridge (a multiple of the mean diagonal
of K, `RIDGES`) and of all else; errors of test rows stand beside it and decide nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from kernelfit import solve
from kernelfit.datasets import Dataset, training_targets
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.experiments.experiment import Experiment
from kernelfit.kernels import ArcCosine, Kernel, Linear, NeuralTangent
from kernelfit.metrics import error_rate
from kernelfit.storage import json_output
from kernelfit.streaming.gram import FeatureGram, feature_gram
from kernelfit.streaming.protocol import StreamingFeatures, streaming

#: name -> options beside the number of filters and the seed
FEATURES: dict[str, dict[str, Any]] = {
    "unit": {"contrast": "unit", "power": 1.0},
    "unit-root": {"contrast": "unit", "power": 0.5},
    "var10": {"contrast": "var10", "power": 1.0},
    "var10-root": {"contrast": "var10", "power": 0.5},
    "var10-root-bytes": {"contrast": "var10", "power": 0.5, "quantise": True},
    "var10-root-flips": {"contrast": "var10", "power": 0.5, "flips": True},
}
#: name -> kernel
KERNELS: dict[str, Kernel] = {
    "linear": Linear(),
    "arc-cosine": ArcCosine(),
    "ntk": NeuralTangent(),
}
#: what is measured unless other rows are asked for: features:kernel
ROWS = (
    "unit:linear",
    "unit:arc-cosine",
    "unit:ntk",
    "var10:linear",
    "var10-root:linear",
    "var10-root:arc-cosine",
    "var10-root:ntk",
    "var10-root-bytes:linear",
    "var10-root-bytes:ntk",
)
#: of the mean diagonal of K
RIDGES = (0.0, 1e-3, 1e-2, 3e-2, 0.1, 0.3)
MAX_BACKWARD_ERROR = 1e-14


def main(words: Sequence[str] | None = None) -> None:
    parser = parser_of_draws(__doc__)
    parser.add_argument("--rows", default=",".join(ROWS), help="FEATURES:KERNEL, separated by commas")
    parser.add_argument("--sums", type=Path, help="a folder for sums of features, to be used again")
    options = parser.parse_args(words)
    data = Experiment("cifar10").inputs.load()
    if options.draws * max(options.n / data.n_train, options.n_test / data.n_test) > 1:
        parser.error(
            f"--draws: got {options.draws} of {options.n:,} and {options.n_test:,} rows, expected fewer"
        )
    rows = []
    for features, kernels in asked(options.rows).items():
        for draw in range(options.draws):
            rows += finished(data, features, kernels, draw, options)
    results = {
        "n": options.n,
        "n_test": options.n_test,
        "filters": options.filters,
        "ridges_of_mean_diagonal": RIDGES,
        "features": {name: FEATURES[name] for name in asked(options.rows)},
        "summary": summary(rows),
        "rows": rows,
        "notes": data.notes,
    }
    for line in results["summary"]:
        print(shown(line), flush=True)
    faults = [
        f"{row['features']}, {row['kernel']}, draw {row['draw']}: backward error {trial['backward_error']:.1e}"
        for row in rows
        for trial in row["trials"]
        if trial["backward_error"] is not None and not trial["backward_error"] <= MAX_BACKWARD_ERROR
    ]
    harness.finish("benchmarks.feature_kernels", words, options.out, results, faults)


def parser_of_draws(doc: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark that draws rows of CIFAR-10 several times."""
    parser = harness.parser(doc)
    parser.add_argument("--n", type=int, default=5_000, help="training rows of a draw")
    parser.add_argument("--n-test", type=int, default=2_500, help="test rows of a draw")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--filters", type=int, default=2_500)
    return parser


def asked(text: str) -> dict[str, list[str]]:
    """Feature maps, and the kernels of each."""
    kernels: dict[str, list[str]] = {}
    for row in text.split(","):
        features, _, kernel = row.partition(":")
        if features not in FEATURES or kernel not in KERNELS:
            sys.exit(
                f"--rows: got {row!r}, expected FEATURES:KERNEL of {', '.join(FEATURES)}; {', '.join(KERNELS)}"
            )
        kernels.setdefault(features, []).append(kernel)
    return kernels


def finished(
    data: Dataset, features: str, kernels: Sequence[str], draw: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """The rows of one draw of one feature map; those that are stored beside its sums are taken from there."""
    if options.sums is None:
        return measured(data, features, kernels, draw, options)
    about = {"n": options.n, "n_test": options.n_test, "filters": options.filters, "ridges": list(RIDGES)}
    path, stored = options.sums / f"{features}-{draw}.json", dict[str, dict[str, Any]]()
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["about"] == about:
            stored = {row["kernel"]: row for row in content["rows"]}
    if missing := [name for name in kernels if name not in stored]:
        stored |= {row["kernel"]: row for row in measured(data, features, missing, draw, options)}
        json_output.write({"about": about, "rows": list(stored.values())}, path)
    return [stored[name] for name in kernels]


def measured(
    data: Dataset, features: str, kernels: Sequence[str], draw: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Some kernels of one draw of one feature map."""
    taken = part_of(data, draw, options.n, options.n_test)
    net = fitted(taken, {"n_filters": options.filters, "random_state": draw, **FEATURES[features]})
    stored = None if options.sums is None else options.sums / f"{features}-{draw}.h5"
    sums = feature_gram(net, taken.X_train, taken.X_test, checkpoint=stored)
    rows = []
    for name in kernels:
        started = time.perf_counter()
        grams = sums.of(KERNELS[name])
        trials = [trial(taken, grams, ridge) for ridge in RIDGES]
        usable = [each for each in trials if each["loo_error"] is not None]
        best = min(usable, key=lambda each: each["loo_error"])
        rows.append(
            {
                "features": features,
                "kernel": name,
                "draw": draw,
                "interpolation": trials[0],
                "best": best,
                "trials": trials,
                "seconds_of_sums": sums.seconds,
                "seconds": time.perf_counter() - started,
            }
        )
        print(shown_row(rows[-1]), flush=True)
    sums.close()
    return rows


def part_of(data: Dataset, draw: int, n: int, n_test: int) -> Dataset:
    """The rows of one draw, which no other has."""
    part, tests = slice(draw * n, (draw + 1) * n), slice(draw * n_test, (draw + 1) * n_test)
    return replace(
        data,
        X_train=data.X_train[part],
        y_train=data.y_train[part],
        X_test=data.X_test[tests],
        y_test=data.y_test[tests],
    )


def fitted(data: Dataset, options: dict[str, Any]) -> StreamingFeatures:
    """Random convolution features of such options."""
    spec = Experiment("cifar10", features="random-conv", feature_options=options).inputs.features
    return streaming(spec.fit(data, None))


def trial(data: Dataset, grams: FeatureGram, relative: float) -> dict[str, Any]:
    """Errors with one ridge; None where K is singular."""
    row: dict[str, Any] = {"ridge": relative, "loo_error": None, "test_error": None, "backward_error": None}
    ridge = relative * grams.mean_diagonal
    try:
        solution = solve(
            grams.gram, training_targets(data), kernel="precomputed", ridge=ridge, condition=False
        )
    except NotPositiveDefiniteError:
        return row
    row |= {
        "loo_error": error_rate(solution.leave_one_out(), data.y_train),
        "test_error": error_rate(grams.predict(solution), data.y_test),
        "backward_error": solution.certificate.backward_error,
    }
    solution.close()
    return row


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the draws, of every feature map and kernel."""
    lines = []
    for features, kernel in dict.fromkeys((row["features"], row["kernel"]) for row in rows):
        same = [row for row in rows if (row["features"], row["kernel"]) == (features, kernel)]
        line: dict[str, Any] = {"features": features, "kernel": kernel, "draws": len(same)}
        for name in ("interpolation", "best"):
            for error in ("loo_error", "test_error"):
                line |= averaged(f"{name}_{error}", [row[name][error] for row in same])
        line["best_ridges"] = [row["best"]["ridge"] for row in same]
        lines.append(line)
    return lines


def averaged(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """The mean and the standard deviation, over draws, of a figure of that name where it was measured."""
    there = [value for value in values if value is not None]
    return {
        name: float(np.mean(there)) if there else None,
        f"{name}_deviation": float(np.std(there, ddof=1)) if len(there) > 1 else None,
    }


def percent(value: float | None) -> str:
    return "  –  " if value is None else f"{100 * value:5.2f}"


def shown(line: dict[str, Any]) -> str:
    parts = [f"{line['features']:>18} {line['kernel']:>12}"]
    for name in ("interpolation", "best"):
        for error in ("loo_error", "test_error"):
            key = f"{name}_{error}"
            parts.append(f"{percent(line[key])} ± {percent(line[f'{key}_deviation'])}")
    return "  ".join([*parts, str(line["best_ridges"])])


def shown_row(row: dict[str, Any]) -> str:
    none, best = row["interpolation"], row["best"]
    return (
        f"{row['features']:>18} {row['kernel']:>12} draw {row['draw']}  ridge 0: {percent(none['loo_error'])} / "
        f"{percent(none['test_error'])}  ridge {best['ridge']:g}: {percent(best['loo_error'])} / "
        f"{percent(best['test_error'])}  {row['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
