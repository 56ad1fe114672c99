"""Mirror images, patch sizes and pooling grids of random convolution features, by leave-one-out.

    python -m benchmarks run random-conv-levers --stored FOLDER --out benchmarks/results/random_conv_levers.json

A draw is its own `--n` training rows of CIFAR-10, `--n-test` test rows and filters, as in `feature-kernels`; features
are bytes, with var10 contrast and square roots. Patches and grids are screened on the first draw, without test rows.
Grids at once are sums of the Grams of each, of the same filters.

Mirror images take the products of the features u of every row and v of its mirror image: with 1/2 (k + k') where k is
that of <u, u'>, two images are alike however either faces. `flips` says which of the means it is:

    features    k of s = (u + v) / 2
    pairs       1/2 k of (<u, u'> + <v, v'>) / 2  +  1/2 k of (<u, v'> + <v, u'>) / 2:
                the mean of k(x, x') and k(x, mirror x') of filters in mirrored pairs
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.feature_kernels import (
    KERNELS,
    MAX_BACKWARD_ERROR,
    averaged,
    fitted,
    parser_of_draws,
    part_of,
    percent,
)
from kernelfit import solve
from kernelfit.cpu.pool import CpuBackend
from kernelfit.datasets import Dataset, training_targets
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.experiments.experiment import Experiment
from kernelfit.gram.pointwise import Lengths, rectangle_of_products
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels import Kernel
from kernelfit.metrics import error_rate
from kernelfit.storage import json_output
from kernelfit.streaming.gram import feature_gram
from kernelfit.typing import Float

#: what all features have in common
FEATURES = {"contrast": "var10", "power": 0.5, "quantise": True}
#: kernels and their ridges, of the mean diagonal of K
TRIALS = (("ntk", 0.0), ("ntk", 1e-2), ("arc-cosine", 1e-2), ("linear", 3e-2))
#: kernels that patches and grids are screened with
SCREENING = ("ntk", "arc-cosine")
_GRIDS: dict[str, dict[str, Any]] = {
    "grid-2": {"pooling": "quadrants"},
    "grid-3": {},
    "grid-4": {"pool_size": 12, "pool_stride": 5},
}
#: lever -> grids or options whose Grams are added
SCREENED: dict[str, tuple[dict[str, Any], ...]] = {
    "patch-5": ({"patch_size": 5},),
    "patch-7": ({"patch_size": 7},),  # of whose windows 2 x 2 fit
    **{name: (options,) for name, options in _GRIDS.items()},
    "grids-2-3": (_GRIDS["grid-2"], _GRIDS["grid-3"]),
    "grids-3-4": (_GRIDS["grid-3"], _GRIDS["grid-4"]),
    "grids-2-3-4": (_GRIDS["grid-2"], _GRIDS["grid-3"], _GRIDS["grid-4"]),
}


@dataclass(frozen=True)
class Products:
    """Inner products of the features of some rows (m, n) with those of the training rows, and both squared lengths."""

    values: Float
    rows: Float
    columns: Float

    def of(self, kernel: Kernel, backend: CpuBackend) -> Float:
        return rectangle_of_products(kernel, self.values, Lengths(self.rows), Lengths(self.columns), backend)


@dataclass(frozen=True)
class Sided:
    """Products of rows and their mirror images: `values` (m, n, of the sides of both) by "uu", "uv", "vu" and "vv"."""

    values: dict[str, Float]
    rows: dict[str, Float]
    columns: dict[str, Float]

    def pair(self, sides: str) -> Products:
        return Products(self.values[sides], self.rows[sides[0]], self.columns[sides[1]])

    def none(self, kernel: Kernel, backend: CpuBackend) -> Float:
        return self.pair("uu").of(kernel, backend)

    def features(self, kernel: Kernel, backend: CpuBackend) -> Float:
        mean = sum(self.values.values(), np.float64(0)) / 4
        return Products(mean, self.rows["s"], self.columns["s"]).of(kernel, backend)

    def pairs(self, kernel: Kernel, backend: CpuBackend) -> Float:
        rows, columns = ((part["u"] + part["v"]) / 2 for part in (self.rows, self.columns))
        total = np.zeros_like(self.values["uu"])
        for one, other in (("uu", "vv"), ("uv", "vu")):
            values = (self.values[one] + self.values[other]) / 2
            total += Products(values, rows, columns).of(kernel, backend)
        return total / 2


#: `flips` -> K or the test rows' kernel of products of both sides
FLIPS: dict[str, Callable[[Sided, Kernel, CpuBackend], Float]] = {
    "none": Sided.none,
    "features": Sided.features,
    "pairs": Sided.pairs,
}


def main(words: Sequence[str] | None = None) -> None:
    parser = parser_of_draws(__doc__)
    parser.add_argument("--levers", default="flips,screened", help="flips, screened, or both")
    parser.add_argument("--stored", type=Path, help="a folder for what is finished, to be used again")
    options = parser.parse_args(words)
    levers = options.levers.split(",")
    if unknown := set(levers) - {"flips", "screened"}:
        sys.exit(f"--levers: got {', '.join(sorted(unknown))}, expected flips, screened")
    data = Experiment("cifar10").inputs.load()
    rows = []
    for draw in range(options.draws if "flips" in levers else 0):
        rows += finished(f"flips-{draw}", options, lambda d=draw: mirrored(data, d, options))  # type: ignore[misc]
    grams = dict[str, tuple[Float, float]]()
    for lever in SCREENED if "screened" in levers else ():
        rows += finished(lever, options, lambda name=lever: screened(data, name, grams, options))  # type: ignore[misc]
    results = {
        "n": options.n,
        "n_test": options.n_test,
        "filters": options.filters,
        "features": FEATURES,
        "levers": SCREENED,
        "summary": summary(rows),
        "rows": rows,
        "notes": data.notes,
    }
    for line in results["summary"]:
        print(shown(line), flush=True)
    faults = [
        f"{row['lever']}, {row['kernel']}, draw {row['draw']}: backward error {row['backward_error']:.1e}"
        for row in rows
        if row["backward_error"] is not None and not row["backward_error"] <= MAX_BACKWARD_ERROR
    ]
    harness.finish("benchmarks.random_conv_levers", words, options.out, results, faults)


def finished(
    name: str, options: argparse.Namespace, measure: Callable[[], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Rows as they are stored, or measured and stored."""
    about = {"n": options.n, "n_test": options.n_test, "filters": options.filters, "trials": list(TRIALS)}
    about = json.loads(json.dumps(about))
    path = None if options.stored is None else options.stored / f"{name}.json"
    if path is not None and path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["about"] == about:
            rows: list[dict[str, Any]] = content["rows"]
            return rows
    rows = measure()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        json_output.write({"about": about, "rows": rows}, path)
    return rows


def features_of(data: Dataset, draw: int, options: argparse.Namespace, given: dict[str, Any]) -> Any:
    return fitted(data, {**FEATURES, **given, "n_filters": options.filters, "random_state": draw})


def with_mirrors(X: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The rows, then their mirror images."""
    flipped = X.reshape(len(X), *shape)[:, :, ::-1].reshape(len(X), -1)
    return np.concatenate([X, flipped])


def mirrored(data: Dataset, draw: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every mean over mirror images, of one draw."""
    taken = part_of(data, draw, options.n, options.n_test)
    net = features_of(taken, draw, options, {})
    train, test = (with_mirrors(X, net.image_shape_) for X in (taken.X_train, taken.X_test))
    started = time.process_time()
    sums = feature_gram(net, train, test)
    seconds = time.process_time() - started
    rows = []
    with CpuBackend() as backend:
        gram = submatrix(sums.gram, np.arange(len(train)), backend)
        columns = lengths(np.diag(gram), np.diag(gram, options.n))
        # <u, v> of a test row and its mirror image is not among the products: |s|^2 is computed of the features.
        tests = lengths(sums.test_sq_norms, own_products(net, test))
        training, testing = (
            Sided(quarters(values), known, columns)
            for values, known in ((gram, columns), (sums.cross.astype(np.float64), tests))
        )
        sums.close()
        for flips, form in FLIPS.items():
            name = f"flips-{flips}"
            for kernel in dict.fromkeys(kernel for kernel, _ in TRIALS):
                K, K_test = (form(sided, KERNELS[kernel], backend) for sided in (training, testing))
                rows += judged(taken, K, K_test, name, kernel, draw, seconds)
    return rows


def lengths(squares: Float, products: Float) -> dict[str, Float]:
    """Squared lengths (m,) of u, v and s = (u + v) / 2, from |u|^2 and |v|^2 (2 m,) and <u, v> (m,)."""
    u, v = np.split(squares, 2)
    return {"u": u, "v": v, "s": (u + v + 2 * products) / 4}


def quarters(values: Float) -> dict[str, Float]:
    m, n = (side // 2 for side in values.shape)
    sides = {"u": slice(None), "v": slice(None)}
    return {
        a + b: np.ascontiguousarray(
            values[(slice(m) if a == "u" else slice(m, None)), (slice(n) if b == "u" else slice(n, None))]
        )
        for a in sides
        for b in sides
    }


def own_products(net: Any, rows: NDArray[Any]) -> Float:
    """<u, v> (m,) of the rows (2 m, d)."""
    m = len(rows) // 2
    total = np.zeros(m)
    for start in range(0, net.n_filters, 256):
        block = net.filter_block(net.validated(rows), start, min(start + 256, net.n_filters))
        total += np.einsum("ij,ij->i", block[:m], block[m:], dtype=np.float64)
    return total


def screened(
    data: Dataset, lever: str, grams: dict[str, tuple[Float, float]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Patches or grids, of the first draw; `grams` gathers those that were summed, with their CPU seconds."""
    taken = part_of(data, 0, options.n, 0)
    gram, seconds, rows = np.zeros((options.n, options.n)), 0.0, []
    with CpuBackend() as backend:
        for given in SCREENED[lever]:
            key = repr(given)
            if key not in grams:
                started = time.process_time()
                sums = feature_gram(features_of(taken, 0, options, given), taken.X_train, taken.X_test)
                whole = submatrix(sums.gram, np.arange(options.n), backend)
                grams[key] = whole, time.process_time() - started
                sums.close()
            gram += grams[key][0]
            seconds += grams[key][1]
        squares = np.diag(gram).copy()
        for kernel in SCREENING:
            K = Products(gram, squares, squares).of(KERNELS[kernel], backend)
            rows += judged(taken, K, None, lever, kernel, 0, seconds)
    return rows


def judged(
    data: Dataset, K: Float, K_test: Float | None, lever: str, kernel: str, draw: int, seconds: float
) -> list[dict[str, Any]]:
    """Errors of one kernel with each of its ridges; None where K is singular or there are no test rows."""
    K = (K + K.T) / 2
    rows = []
    for ridge in (ridge for name, ridge in TRIALS if name == kernel):
        row: dict[str, Any] = {"lever": lever, "kernel": kernel, "ridge": ridge, "draw": draw}
        row |= {"loo_error": None, "test_error": None, "backward_error": None}
        row |= {"cpu_seconds_of_sums": seconds}
        rows.append(row)
        absolute = ridge * float(np.trace(K)) / len(K)
        try:
            solution = solve(K, training_targets(data), kernel="precomputed", ridge=absolute, condition=False)
        except NotPositiveDefiniteError:
            continue
        row["loo_error"] = error_rate(solution.leave_one_out(), data.y_train)
        row["backward_error"] = solution.certificate.backward_error
        if K_test is not None:
            row["test_error"] = error_rate(solution.predict(K_test), data.y_test)
        solution.close()
        print(shown({**row, "draws": 1}), flush=True)
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the draws, of every lever, kernel and ridge."""
    lines = []
    for lever, kernel, ridge in dict.fromkeys((row["lever"], row["kernel"], row["ridge"]) for row in rows):
        same = [row for row in rows if (row["lever"], row["kernel"], row["ridge"]) == (lever, kernel, ridge)]
        line: dict[str, Any] = {"lever": lever, "kernel": kernel, "ridge": ridge, "draws": len(same)}
        for error in ("loo_error", "test_error"):
            line |= averaged(error, [row[error] for row in same])
        lines.append(line)
    return lines


def shown(line: dict[str, Any]) -> str:
    parts = [f"{line['lever']:>14} {line['kernel']:>10} ridge {line['ridge']:<5g}"]
    for error in ("loo_error", "test_error"):
        parts.append(f"{percent(line[error])} ± {percent(line.get(f'{error}_deviation'))}")
    return "  ".join([*parts, f"{line['draws']} draws"])


if __name__ == "__main__":
    main()
