"""Our factor beside LAPACK's `dpotrf`, on one thread and on all: milliseconds of each and their ratio.

    python -m benchmarks run factors --orders 200,300,400,500,1000,2000,4000,8000,12000 --out factors.json

The lower triangle of a Gaussian K of 20 features, with a ridge, in memory. Both take turns, with a rest before each, as
threads of OpenBLAS spin on after their work; of each the least time of all turns counts, and the ratio dpotrf / ours is
above 1 where ours is faster. The benchmark fails where the two factors differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from benchmarks import harness
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.threads import available_threads
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.linalg.cholesky import factor
from kernelfit.storage.panels import RamPanels

_FEATURES, _GAMMA, _RIDGE = 20, 0.02, 0.1
# Beyond this dpotrf of two threads has been seen to crash.
_LARGEST = 14_000
_AGREE = 1e-8


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument(
        "--orders", default="200,250,300,350,400,500,750,1000,1500,2000,3000,4000,6000,8000,12000"
    )
    parser.add_argument("--threads", default=f"1,{available_threads()}", help="how many either has")
    parser.add_argument("--turns", type=int, default=5, help="of each pair")
    options = parser.parse_args(words)
    orders = [int(order) for order in options.orders.split(",")]
    if max(orders) > _LARGEST:
        parser.error(
            f"--orders: got {max(orders)}, expected at most {_LARGEST}, from where on dpotrf has crashed"
        )
    rows, faults = [], []
    print(f"{'n':>6} {'threads':>7} {'ours ms':>9} {'dpotrf ms':>9} {'ratio':>6} {'GFLOP/s':>8}")
    for n in orders:
        for threads in map(int, options.threads.split(",")):
            row, apart = _compared(_gram(n), threads, options.turns)
            rows.append(row)
            print(
                f"{n:>6} {threads:>7} {row['ours_ms']:>9.3f} {row['dpotrf_ms']:>9.3f} {row['ratio']:>6.2f} "
                f"{row['gflops']:>8.1f}",
                flush=True,
            )
            if not apart <= _AGREE:
                faults.append(f"n {n}, {threads} threads: log det differs by {apart:.1e}")
    harness.finish("benchmarks.factors", words, options.out, {"rows": rows}, faults)


def _gram(n: int) -> NDArray[np.float64]:
    x = np.random.default_rng(0).standard_normal((n, _FEATURES))
    squares = np.einsum("ij,ij->i", x, x)
    gram = np.exp(-_GAMMA * (squares[:, None] + squares - 2.0 * x @ x.T))
    gram[np.diag_indices(n)] = 1.0 + _RIDGE
    return gram


def _compared(gram: NDArray[np.float64], threads: int, turns: int) -> tuple[dict[str, Any], float]:
    """A row of the table, and how far the two logarithms of the determinant are apart."""
    n, logs = len(gram), {"ours": 0.0, "dpotrf": 0.0}
    ours, other = _ours(gram, threads, logs), _dpotrf(gram, threads, logs)
    ours(), other()
    taken = np.array([harness.turn(ours, other) for _ in range(turns)]) * 1e3
    least = taken.min(axis=0)
    row = {
        "n": n,
        "threads": threads,
        "ours_ms": float(least[0]),
        "dpotrf_ms": float(least[1]),
        "ratio": float(least[1] / least[0]),
        "median_ratio": float(np.median(taken[:, 1] / taken[:, 0])),
        "gflops": n**3 / 3e6 / float(least[0]),
        "turns": turns,
    }
    return row, abs(logs["ours"] - logs["dpotrf"]) / abs(logs["dpotrf"])


def _ours(gram: NDArray[np.float64], threads: int, logs: dict[str, float]) -> Callable[[], float]:
    """Seconds that the factor reports, without K."""
    source = ArrayGram(gram)

    def call() -> float:
        store = RamPanels(PanelLayout.of_order(len(gram)), np.float64)
        with CpuBackend(threads) as backend:
            pivots = factor(source, 0.0, store, backend)
        logs["ours"] = pivots.log_det
        return pivots.seconds_factor

    return call


def _dpotrf(gram: NDArray[np.float64], threads: int, logs: dict[str, float]) -> Callable[[], float]:
    """Seconds of the call, without the copy of K; triangles above the diagonal are left as they are."""
    fortran = np.asfortranarray(gram)

    def call() -> float:
        block = fortran.copy(order="F")
        with threadpool_limits(threads):
            began = time.perf_counter()
            lower, _ = lapack.dpotrf(block, lower=1, overwrite_a=1, clean=0)
            seconds = time.perf_counter() - began
        logs["dpotrf"] = 2.0 * float(np.log(np.diagonal(lower)).sum())
        return seconds

    return call


if __name__ == "__main__":
    main()
