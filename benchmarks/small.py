"""Small and middle sizes beside scikit-learn and LAPACK: fits, predictions, one row, the factor; ratios of times.

    python -m benchmarks run small --out benchmarks/results/small.json

Gaussian kernel, 20 features, one target, a small ridge. Ours and the other take turns, so that both meet the same load,
with a rest before each, as threads of OpenBLAS spin on after their work; of each the least time counts, and the ratio
other / ours is above 1 where ours is faster. The benchmark fails where predictions or factors differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg import lapack
from sklearn.kernel_ridge import KernelRidge

import kernelfit
from benchmarks import harness
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.linalg.cholesky import factor
from kernelfit.storage.panels import RamPanels

_GAMMA, _RIDGE, _FEATURES = 0.02, 1e-3, 20
# Orders whose dpotrf of two threads has not crashed.
_LARGEST = 14_000
_AGREE = 1e-8


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--orders", default="50,200,500,1000,2000,4000,8000")
    parser.add_argument("--turns", type=int, default=5, help="of each pair")
    options = parser.parse_args(words)
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    print(f"{'n':>6} {'what':<12} {'ours ms':>9} {'other ms':>9} {'ratio':>6}")
    for n in map(int, options.orders.split(",")):
        for what, ours, other, check in pairs(rng, n):
            row = {"n": n, "what": what, **compared(ours, other, options.turns)}
            rows.append(row)
            print(
                f"{n:>6} {what:<12} {row['ours_ms']:>9.3f} {row['other_ms']:>9.3f} {row['ratio']:>6.2f}",
                flush=True,
            )
            if not check() <= _AGREE:
                faults.append(f"n {n}, {what}: results differ by {check():.1e}")
    harness.finish("benchmarks.small", words, options.out, {"rows": rows}, faults)


def pairs(rng: np.random.Generator, n: int) -> list[tuple[str, Callable[[], Any], Callable[[], Any], Any]]:
    """What is compared at order n: its name, ours, the other, and how far their results are apart."""
    x, y = rng.standard_normal((n, _FEATURES)), rng.standard_normal(n)
    tests = rng.standard_normal((1_000, _FEATURES))
    ours = kernelfit.KernelInterpolator(gamma=_GAMMA, ridge=_RIDGE)
    other = KernelRidge(alpha=_RIDGE, kernel="rbf", gamma=_GAMMA)

    def apart() -> float:
        expected = other.predict(tests)
        return float(np.abs(ours.predict(tests) - expected).max() / np.abs(expected).max())

    made: list[tuple[str, Callable[[], Any], Callable[[], Any], Any]] = [
        ("fit", _timed(ours.fit, x, y), _timed(other.fit, x, y), apart),
        ("1,000 rows", _timed(ours.predict, tests), _timed(other.predict, tests), apart),
        ("one row", _timed(ours.predict, tests[:1]), _timed(other.predict, tests[:1]), apart),
    ]
    return [*made, _factors(x, n)] if 200 <= n <= _LARGEST else made


def _timed(work: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
    def call() -> None:
        work(*arguments)

    return call


def _factors(x: Any, n: int) -> tuple[str, Callable[[], float], Callable[[], float], Any]:
    """The factor of a matrix in memory: seconds that each reports, without copies of the matrix."""
    squares = np.einsum("ij,ij->i", x, x)
    gram = np.exp(-_GAMMA * (squares[:, None] + squares - 2.0 * x @ x.T))
    gram[np.diag_indices(n)] = 1.0 + 0.1
    fortran, source = np.asfortranarray(gram), ArrayGram(gram)
    logs: dict[str, float] = {}

    def ours() -> float:
        store = RamPanels(PanelLayout.of_order(n), np.float64)
        with CpuBackend() as backend:
            pivots = factor(source, 0.0, store, backend)
        logs["ours"] = pivots.log_det
        return pivots.seconds_factor

    def other() -> float:
        block = fortran.copy(order="F")
        began = time.perf_counter()
        lower, _ = lapack.dpotrf(block, lower=1, overwrite_a=1, clean=0)
        seconds = time.perf_counter() - began
        logs["other"] = 2.0 * float(np.log(np.diagonal(lower)).sum())
        return seconds

    return "factor", ours, other, lambda: abs(logs["ours"] - logs["other"]) / abs(logs["other"])


def compared(ours: Callable[[], Any], other: Callable[[], Any], turns: int) -> dict[str, float]:
    """Least times, and the ratio of them, of calls in so many turns after one that compiles."""
    ours(), other()
    taken = np.array([harness.turn(ours, other) for _ in range(turns)]) * 1e3
    least = taken.min(axis=0)
    return {
        "ours_ms": float(least[0]),
        "other_ms": float(least[1]),
        "ratio": float(least[1] / least[0]),
        "median_ratio": float(np.median(taken[:, 1] / taken[:, 0])),
        "turns": turns,
    }


if __name__ == "__main__":
    main()
