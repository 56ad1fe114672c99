"""An estimate of the condition number |K|_1 |K^-1|_1 from a few solves with the factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.linalg.triangular import solve_factored
from kernelfit.storage.panels import PanelStore
from kernelfit.typing import Float


def inverse_norm(store: PanelStore, backend: CpuBackend) -> float:
    """A lower bound of |(L L^T)^-1|_1, nearly always within a factor of three.

    Higham and Tisseur's block 1-norm estimator (SIAM J. Matrix Anal. Appl. 2000), `scipy.sparse.linalg.onenormest`
    with the solves as the operator; K^-1 is symmetric, so one product serves for the transpose.
    """

    def solve(vectors: Float) -> Float:
        block = np.array(vectors, store.dtype, order="C")
        solve_factored(store, block, backend)
        return block.astype(np.float64)

    return inverse_norm_of(solve, store.layout.n)


def inverse_norm_of(solve_columns: Callable[[Float], Float], n: int) -> float:
    """The same from a function that solves for a block of right-hand sides (n, c), float64."""
    from scipy.sparse.linalg import LinearOperator, onenormest

    def solve(vectors: Any) -> Any:
        return solve_columns(np.ascontiguousarray(vectors).reshape(n, -1)).reshape(vectors.shape)

    if n == 1:
        return float(abs(solve(np.ones((1, 1)))[0, 0]))
    operator = LinearOperator(
        (n, n), matvec=solve, rmatvec=solve, matmat=solve, rmatmat=solve, dtype=np.float64
    )
    # The estimator draws its start from NumPy's global generator; the estimate must not depend on it, nor disturb it.
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(0)  # noqa: NPY002
        return float(onenormest(operator))
    finally:
        np.random.set_state(state)  # noqa: NPY002
