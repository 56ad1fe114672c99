"""Small and middle sizes beside scikit-learn and LAPACK: fits, predictions, one row, the factor; ratios of times.

    python -m benchmarks run small --out benchmarks/results/small.json

Gaussian kernel, 20 features, one target, a small ridge. Ours and the other take turns, so that both meet the same load;
of each the least time counts, and the ratio other / ours is above 1 where ours is faster. The benchmark fails where
predictions or factors differ.
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
    parser.add_argument("--seconds", type=float, default=4.0, help="for each pair")
    options = parser.parse_args(words)
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    print(f"{'n':>6} {'what':<12} {'ours ms':>9} {'other ms':>9} {'ratio':>6}")
    for n in map(int, options.orders.split(",")):
        for what, ours, other, check in pairs(rng, n):
            row = {"n": n, "what": what, **compared(ours, other, options.seconds)}
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
        ("fit", lambda: ours.fit(x, y), lambda: other.fit(x, y), apart),
        ("1,000 rows", lambda: ours.predict(tests), lambda: other.predict(tests), apart),
        ("one row", lambda: ours.predict(tests[:1]), lambda: other.predict(tests[:1]), apart),
    ]
    return [*made, _factors(x, n)] if 200 <= n <= _LARGEST else made


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


def compared(ours: Callable[[], Any], other: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Least times, and the ratio of them, of calls in turn for about so many seconds, three at least.

    A call that returns a float tells its own seconds.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    ends = None
    while ends is None or len(taken[0]) < 3 or time.perf_counter() < ends:
        for work, times in zip((ours, other), taken, strict=True):
            began = time.perf_counter()
            told = work()
            times.append(told if isinstance(told, float) else time.perf_counter() - began)
        if ends is None:  # the first calls compile
            taken[0].clear()
            taken[1].clear()
            ends = time.perf_counter() + seconds
    least = [1e3 * min(times) for times in taken]
    ratios = np.array(taken[1]) / np.array(taken[0])
    return {
        "ours_ms": least[0],
        "other_ms": least[1],
        "ratio": least[1] / least[0],
        "median_ratio": float(np.median(ratios)),
        "pairs": len(taken[0]),
    }


if __name__ == "__main__":
    main()
