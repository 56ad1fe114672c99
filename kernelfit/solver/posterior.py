"""The Gaussian process whose posterior mean is f: variances and covariances from the factor that is there.

With the prior covariance k and noise of variance ridge / w_i on target i, A = K + ridge W^-1 and k_x = k(X, x) (n,),

    cov(x, x') = k(x, x') - k_x^T A^-1 k_x' = k(x, x') - (L^-1 k_x)^T (L^-1 k_x')

(Rasmussen and Williams 2006, equation 2.24 and algorithm 2.1): n^2 flops a row. The noise itself is not in it, as in
`sklearn.gaussian_process.GaussianProcessRegressor` with alpha = ridge.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.progress import Progress
from kernelfit.solver.predict import cross_gram
from kernelfit.solver.refinement import solve_with_factor
from kernelfit.solver.scaling import scaled, unit_sized
from kernelfit.solver.system import System
from kernelfit.typing import Float

# Bytes of a block of columns k_x: each pass over the factor serves as many rows.
_BLOCK = 2**26


def variances(system: System, rows: Points, progress: Progress) -> Float:
    """cov(x, x) (m,) for rows (m, d); 0 where rounding makes it negative."""
    kernel = system.problem.kernel
    assert kernel is not None
    values = kernel.diagonal(rows)
    with progress.phase("variances", rows.shape[0], "rows") as advance:
        for start, stop, columns, applied in _blocks(system, rows, progress):
            values[start:stop] -= np.einsum("ij,ij->j", columns, applied)
            advance(stop - start)
    return np.maximum(values, 0.0)


def covariance(system: System, rows: Points, progress: Progress) -> Float:
    """cov(x_i, x_j) (m, m) for rows (m, d); n m numbers at once."""
    kernel = system.problem.kernel
    assert kernel is not None
    if rows.shape[0] == 0:
        return np.zeros((0, 0))
    with CpuBackend(system.backend.threads) as backend:
        values = cross_gram(kernel, rows, rows, backend)
    values = np.tril(values) + np.tril(values, -1).T
    np.fill_diagonal(values, kernel.diagonal(rows))
    parts = list(_blocks(system, rows, progress))
    for start, stop, columns, _ in parts:
        for first, last, _, applied in parts:
            if first <= start:
                values[start:stop, first:last] -= columns.T @ applied
    values = np.tril(values) + np.tril(values, -1).T
    np.fill_diagonal(values, np.maximum(np.diagonal(values), 0.0))
    return values


def _blocks(system: System, rows: Points, progress: Progress) -> Iterator[tuple[int, int, Float, Float]]:
    """Rows start:stop with U and V (n, stop - start), where U^T V is what the targets take off the prior covariance.

    U = V = L^-1 k_x. A factor of lower precision, or of A + jitter I, would give its own covariance: there U = k_x, and
    V = A^-1 k_x is refined. Columns are solved for at unit size: k_x may be beyond the range of a float32 factor.
    """
    problem = system.problem
    kernel, points = problem.kernel, problem.points
    assert kernel is not None
    assert points is not None
    refined = precision_of(system.plan.precision).refined or problem.jitter > 0
    height = max(64, _BLOCK // (8 * problem.n))
    for start in range(0, rows.shape[0], height):
        stop = min(start + height, rows.shape[0])
        with CpuBackend(system.backend.threads) as backend:
            columns = np.ascontiguousarray(cross_gram(kernel, points, rows, backend, (start, stop)).T)
        unit, powers = unit_sized(columns)
        with system.backend:
            if refined:
                yield start, stop, columns, scaled(solve_with_factor(system, unit, progress).alpha, powers)
            else:
                half = scaled(system.apply_lower_inverse(unit), powers)
                yield start, stop, half, half
