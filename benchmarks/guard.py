"""Ratios of times that tell a collapse of speed: beside GEMM, scikit-learn and LAPACK, on whatever machine.

    python -m benchmarks run guard
    python -m benchmarks run guard --record          # these ratios are the recorded ones from now on

Every ratio is a median over turns of ours and the other in this process, each the least time of several calls, so that
other load falls on both sides. Where the processor and the BLAS are those of `guard.json`, the benchmark fails if one
is more than 30 % below what is recorded there, three times in a row, and one of a small system, which other load
changes most, if it is less than a third; elsewhere the ratios are only shown.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from kernelfit import solve
from kernelfit.cpu import environment, matrix_product
from kernelfit.experiments import gemm_rate
from kernelfit.experiments.peers import System, lapack, scikit_learn
from kernelfit.experiments.scaling import synthetic_rows
from kernelfit.solver.solution import Solution
from kernelfit.storage import json_output

RECORDED = Path(__file__).with_name("guard.json")
#: a ratio below this share of the recorded one is a collapse
COLLAPSE = 0.7
SMALL_COLLAPSE = 0.33
ATTEMPTS, PAIRS = 3, 3
MAX_BACKWARD_ERROR = 1e-13
_TARGETS = 10


@dataclass(frozen=True)
class Ratio:
    """`pair` gives one measurement: how many times as fast as the other ours is. The median of `PAIRS` counts."""

    about: str
    pair: Callable[[], float]
    collapse: float = COLLAPSE


def system(n: int, d: int = 64) -> System:
    """Normal rows and a gaussian kernel of their width."""
    rng = np.random.default_rng(n)
    return System(synthetic_rows(n, d, 0), rng.standard_normal((n, _TARGETS)), gamma=0.5 / d)


def solved(given: System, precision: str = "float64") -> tuple[Solution, float]:
    """Our solution and the seconds of the call; a wrong one has no speed."""
    started = time.perf_counter()
    solution = solve(given.X, given.Y, gamma=given.gamma, precision=precision, device="cpu")
    taken = time.perf_counter() - started
    solution.close()
    error = solution.certificate.backward_error
    if not error <= MAX_BACKWARD_ERROR:
        raise SystemExit(f"guard: backward error {error:.1e} at n = {len(given.X)}")
    return solution, taken


def share_of_gemm(n: int, precision: str) -> Callable[[], float]:
    """n^3/3 over the seconds of the factor, beside matrix products of the numbers that the factor has."""
    given = system(n)
    dtype = np.float64 if precision == "float64" else np.float32

    def gemm() -> float:
        return n**3 / 3 / gemm_rate.measure(dtype, order=2_048)

    return _pair(lambda: solved(given, precision)[0].seconds["factor"], gemm)


def factor_beside_lapack(n: int) -> Callable[[], float]:
    given = system(n)
    return _pair(lambda: solved(given)[0].seconds["factor"], lambda: lapack(given)[1]["factor"])


def fit_beside_scikit_learn(n: int) -> Callable[[], float]:
    given = system(n)
    return _pair(lambda: solved(given)[1], lambda: scikit_learn(given)[1]["fit"])


def predictions_beside_scikit_learn(n: int, rows: int) -> Callable[[], float]:
    """`rows` new rows from n training rows; the model is fitted once."""
    from sklearn.kernel_ridge import KernelRidge

    given, new = system(n), synthetic_rows(rows, 64, 1)
    solution = solve(given.X, given.Y, gamma=given.gamma, device="cpu")
    solution.close()
    model = KernelRidge(alpha=0.0, kernel="rbf", gamma=given.gamma).fit(given.X, given.Y)

    def ours() -> None:
        solution.predict(new)

    def other() -> None:
        model.predict(new)

    return _pair(ours, other)


def _pair(ours: Callable[[], float | None], other: Callable[[], float | None]) -> Callable[[], float]:
    def pair() -> float:
        mine, others = harness.turn(ours, other)
        return others / mine

    return pair


#: name -> what makes the ratio: its systems are made when it is measured
RATIOS: dict[str, Callable[[], Ratio]] = {
    "factor-gemm": lambda: Ratio("factor, n 4,000, of DGEMM", share_of_gemm(4_000, "float64")),
    "factor-gemm-mixed": lambda: Ratio("float32 factor, n 4,000, of SGEMM", share_of_gemm(4_000, "mixed")),
    "factor-dpotrf-1000": lambda: Ratio("factor, n 1,000, beside dpotrf", factor_beside_lapack(1_000)),
    "factor-dpotrf-4000": lambda: Ratio("factor, n 4,000, beside dpotrf", factor_beside_lapack(4_000)),
    "fit-60": lambda: Ratio("fit, n 60, beside KernelRidge", fit_beside_scikit_learn(60), SMALL_COLLAPSE),
    "fit-500": lambda: Ratio("fit, n 500, beside KernelRidge", fit_beside_scikit_learn(500), SMALL_COLLAPSE),
    "fit-3000": lambda: Ratio("fit, n 3,000, beside KernelRidge", fit_beside_scikit_learn(3_000)),
    "predict-1": lambda: Ratio(
        "one row, n 500, beside KernelRidge", predictions_beside_scikit_learn(500, 1), SMALL_COLLAPSE
    ),
    "predict-1000": lambda: Ratio(
        "1,000 rows, n 1,000, beside KernelRidge",
        predictions_beside_scikit_learn(1_000, 1_000),
        SMALL_COLLAPSE,
    ),
}


def measure(ratio: Ratio) -> dict[str, Any]:
    """The median of the pairs, after one that does not count."""
    values = [ratio.pair() for _ in range(1 + PAIRS)][1:]
    quarters = statistics.quantiles(values, n=4)
    return {
        "ratio": statistics.median(values),
        "quartiles": [quarters[0], quarters[2]],
        "pairs": PAIRS,
        "about": ratio.about,
    }


def machine() -> dict[str, Any]:
    """What ratios depend on: on another processor or BLAS they are others."""
    described = environment.describe()
    processor = described["processor"]
    libraries = sorted(f"{pool['name']} {pool['architecture']}" for pool in described["blas"])
    return {
        "model": processor["model"],
        "micro_kernel": matrix_product.faster_than_blas(),  # one model's name stands for several families
        "cores": processor["cores"],
        "blas": sorted(set(libraries)),
    }


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--only", default="", help="names of ratios, separated by commas; all by default")
    parser.add_argument("--record", action="store_true", help=f"write {RECORDED.name} instead of comparing")
    options = parser.parse_args(words)
    names = [name for name in options.only.split(",") if name] or list(RATIOS)
    if unknown := sorted(set(names) - set(RATIOS)):
        parser.error(f"--only: got {', '.join(unknown)}, expected some of {', '.join(RATIOS)}")
    recorded = recorded_here()
    rows, faults = [], []
    print(f"{'':>26} {'ratio':>7} {'recorded':>9}")
    for name in names:
        wanted = None if options.record else recorded.get(name)
        ratio = RATIOS[name]()
        row = {"name": name, "recorded": wanted, **attempts(ratio, wanted)}
        rows.append(row)
        shown = "-" if wanted is None else f"{wanted:.2f}"
        print(f"{name:>26} {row['ratio']:>7.2f} {shown:>9}   {row['about']}", flush=True)
        if wanted is not None and row["ratio"] < ratio.collapse * wanted:
            faults.append(
                f"{name}: {row['ratio']:.2f}, below {ratio.collapse:.0%} of the recorded {wanted:.2f}"
            )
    if options.record:
        ratios = {row["name"]: round(row["ratio"], 3) for row in rows}
        json_output.write({"machine": machine(), "ratios": ratios}, RECORDED)
    elif not recorded:
        where = "was recorded on another processor or BLAS" if RECORDED.exists() else "is not there"
        print(f"only shown: {RECORDED.name} {where}")
    harness.finish("benchmarks.guard", words, options.out, {"machine": machine(), "rows": rows}, faults)


def attempts(ratio: Ratio, recorded: float | None) -> dict[str, Any]:
    """The first measurement that is no collapse, or the best of `ATTEMPTS`."""
    best = measure(ratio)
    for _ in range(ATTEMPTS - 1):
        if recorded is None or best["ratio"] >= ratio.collapse * recorded:
            break
        best = max(best, measure(ratio), key=lambda measured: float(measured["ratio"]))
    return best


def recorded_here() -> dict[str, float]:
    """The recorded ratios; empty where they are of another machine."""
    if not RECORDED.exists():
        return {}
    record = json.loads(RECORDED.read_text(encoding="utf-8"))
    return dict(record["ratios"]) if record["machine"] == machine() else {}


if __name__ == "__main__":
    main()
