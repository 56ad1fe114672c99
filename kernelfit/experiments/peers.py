"""The same system solved by other libraries that are installed: what `kernelfit bench --beside` compares with.

Each forms the whole K of a gaussian kernel in float64 and factors it by LAPACK, without a certificate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernelfit.typing import Float

#: LAPACK's own Cholesky with several threads has been seen to crash from this order on
MAX_ROWS = 16_000
#: matrices of order n in memory at once, at most
_MATRICES = 3.5
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class System:
    """(K + ridge I) alpha = Y, K_ij = exp(-gamma |x_i - x_j|^2): rows X (n, d), targets Y (n, c)."""

    X: Float
    Y: Float
    gamma: float
    ridge: float = 0.0


def rows_of_gram(system: System, start: int, stop: int) -> Float:
    """K[start:stop] (m, n) from |x|^2 + |x'|^2 - 2 <x, x'>, clamped at 0, as these libraries form it."""
    squares = np.einsum("ij,ij->i", system.X, system.X)
    block: Float = system.X[start:stop] @ system.X.T
    block *= -2.0
    block += squares[start:stop, None]
    block += squares
    np.maximum(block, 0.0, out=block)
    block *= -system.gamma
    np.exp(block, out=block)
    return block


def backward_error(system: System, alpha: Float) -> float:
    """|Y - (K + ridge I) alpha| / (|K| |alpha| + |Y|) in Frobenius norms, K formed anew a few rows at a time."""
    residual = gram = 0.0
    for start in range(0, len(system.X), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        block = rows_of_gram(system, start, start + _ROWS_AT_ONCE)
        off = system.Y[part] - block @ alpha - system.ridge * alpha[part]
        residual += float(np.sum(off**2))
        gram += float(np.sum(block**2))
    scale = np.sqrt(gram) * np.linalg.norm(alpha) + np.linalg.norm(system.Y)
    return float(np.sqrt(residual) / scale)


def scikit_learn(system: System) -> tuple[Float, dict[str, float]]:
    """`KernelRidge(alpha=ridge).fit`: alpha (n, c), and the seconds of the fit."""
    from sklearn.kernel_ridge import KernelRidge

    started = time.perf_counter()
    model = KernelRidge(alpha=system.ridge, kernel="rbf", gamma=system.gamma).fit(system.X, system.Y)
    return np.asarray(model.dual_coef_), {"fit": time.perf_counter() - started}


def lapack(system: System) -> tuple[Float, dict[str, float]]:
    """NumPy's K, LAPACK's dpotrf in place and dpotrs: alpha (n, c), and the seconds of each."""
    from scipy.linalg.lapack import dpotrf, dpotrs

    started = time.perf_counter()
    gram = rows_of_gram(system, 0, len(system.X))
    np.fill_diagonal(gram, 1.0 + system.ridge)
    formed = time.perf_counter()
    # K is symmetric: its transpose is K itself in the order of columns that LAPACK wants.
    factor, info = dpotrf(gram.T, lower=1, overwrite_a=1, clean=0)
    factored = time.perf_counter()
    if info:
        raise np.linalg.LinAlgError(f"dpotrf ended with {info}")
    alpha, _ = dpotrs(factor, system.Y, lower=1)
    solved = time.perf_counter()
    return np.asarray(alpha), {
        "gram": formed - started,
        "factor": factored - formed,
        "solve": solved - factored,
    }


PEERS: dict[str, Callable[[System], tuple[Float, dict[str, float]]]] = {
    "scikit-learn": scikit_learn,
    "lapack": lapack,
}


def why_not(n: int, memory: int) -> str | None:
    """Why none of them is asked for n rows with so many bytes of memory; None where they are."""
    if n >= MAX_ROWS:
        return f"LAPACK's own Cholesky has been seen to crash from {MAX_ROWS:,} rows on"
    needed = int(8 * _MATRICES * n * n)
    return f"{needed:,} bytes for K and its copies, {memory:,} available" if needed > memory else None
