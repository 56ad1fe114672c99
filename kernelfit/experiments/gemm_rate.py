"""The machine's own ceiling: the rate of matrix products, measured in the same process as what it judges."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import DTypeLike

# Large enough that packing the operands does not show, small enough for a second or less a product.
ORDER = 3072
REPEATS = 3


def measure(dtype: DTypeLike = np.float64, threads: int | None = None, order: int = ORDER) -> float:
    """flop/s of C = A B with A, B of shape (order, order): the best of three after one warm-up.

    The best and not the median: other load can only slow a product down, so a share of this rate is never
    flattered. A and B are distinct, so that NumPy takes GEMM and not SYRK. `threads` caps the BLAS pools.
    """
    from threadpoolctl import threadpool_limits

    generator = np.random.default_rng(0)
    a = generator.standard_normal((order, order)).astype(dtype)
    b = generator.standard_normal((order, order)).astype(dtype)
    c = np.empty((order, order), dtype)
    best = float("inf")
    with threadpool_limits(limits=threads, user_api="blas"):
        np.matmul(a, b, out=c)
        for _ in range(REPEATS):
            start = time.perf_counter()
            np.matmul(a, b, out=c)
            best = min(best, time.perf_counter() - start)
    return 2.0 * order**3 / best
