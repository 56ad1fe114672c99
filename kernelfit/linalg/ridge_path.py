"""Leave-one-out predictions for many ridges from one Gram, by the cheaper of two methods.

For every ridge r, with A = K + r I and alpha = A^-1 Y,

    f_{-i}(x_i) = y_i - alpha_i / (A^-1)_ii          (Rasmussen and Williams 2006, equation 5.12)

refactoring : K is stored and A factored anew: n^3/3 flops for the factor and n^3/3 for the diagonal of A^-1, for
    every ridge, on all threads.
eigenvalues : K = Q diag(s) Q^T once, about 9 n^3 flops; then alpha = Q (s + r)^-1 Q^T Y and
    (A^-1)_ii = sum_k Q_ik^2 / (s_k + r) take 2 n^2 (c + 1) flops a ridge. LAPACK runs on one thread here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import NotPositiveDefiniteError, PlanError
from kernelfit.gram.cache import cache
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.submatrix import submatrix
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.leave_one_out import inverse_diagonal, leave_one_out_predictions
from kernelfit.linalg.spectrum import Spectrum
from kernelfit.linalg.triangular import solve_factored
from kernelfit.progress import Progress, Silent
from kernelfit.storage.panels import RamPanels
from kernelfit.typing import Float

REFACTORING, EIGENVALUES = "refactoring", "eigenvalues"
#: u of float64
ROUNDOFF = 2.0**-53
# Pivots or eigenvalues below this times n u K_ii count as 0.
_WEAK = 10.0
#: all rows are used up to this many, whatever the ridges cost: n^3 is then seconds a ridge on two cores
ALL_ROWS = 6_000
# Cost of the methods in units of n^3 flops at the rate of products on all threads. Measured on AVX-512 with OpenBLAS
# (n = 1,000 and 2,000): the eigen-decomposition runs at half the rate of products of its one thread.
_PER_RIDGE = 2.0 / 3.0
_EIGENVALUES = 9.0 * 2.0


@dataclass(frozen=True)
class PathPlan:
    """How many of the n rows the path is computed on, by which method, and what that takes."""

    rows: int
    of: int
    method: str
    flops: float
    bytes: int


def plan_path(n: int, n_ridges: int, n_rhs: int, threads: int, memory_limit: int) -> PathPlan:
    """The cheaper method that fits into `memory_limit` bytes, for as many rows as the path may take.

    Up to 6,000 rows all are used. Beyond, the path may take as long as the factorisation of all n rows, n^3/3 flops:
    with 14 ridges that is a third of the rows. Fewer rows are used where the memory asks for it. Raises `PlanError`
    where not even two rows fit.
    """
    cheapest = min(_PER_RIDGE * n_ridges, _EIGENVALUES * threads)
    rows = min(n, max(ALL_ROWS, int(n * (3.0 * cheapest) ** (-1.0 / 3.0))))
    while rows >= min(n, 2):
        methods = sorted(
            [
                (_PER_RIDGE * n_ridges * rows**3, REFACTORING, _bytes_refactoring(rows, n_rhs)),
                (_EIGENVALUES * threads * rows**3, EIGENVALUES, _bytes_eigenvalues(rows, n_rhs)),
            ]
        )
        for cost, method, needed in methods:
            # Where memory forbids the cheaper method, the other one takes fewer rows for the same time.
            if needed <= memory_limit and (rows <= ALL_ROWS or cost <= n**3 / 3.0 * (1 + 1e-9)):
                flops = (_PER_RIDGE * n_ridges if method == REFACTORING else 9.0) * rows**3
                return PathPlan(rows, n, method, flops, needed)
        rows = int(0.9 * rows)
    needed = _bytes_refactoring(2, n_rhs)
    raise PlanError(
        f"memory: {needed:,} bytes needed to choose a ridge on two rows, got {max(memory_limit, 0):,} beside "
        "what is held; give the ridge as a number"
    )


def _bytes_refactoring(n: int, n_rhs: int) -> int:
    """K in full (a subsample of a precomputed one), its factor in panels, columns of the inverse, targets."""
    layout = PanelLayout.of_order(n)
    return 8 * (n * n + layout.elements + n * layout.width + 4 * n * max(n_rhs, 2))


def _bytes_eigenvalues(n: int, n_rhs: int) -> int:
    """K, Q, and LAPACK's work."""
    return 8 * (2 * n * n + 30 * n + 4 * n * max(n_rhs, 2))


def leave_one_out_path(
    source: GramSource,
    targets: Float,
    ridges: Sequence[float],
    method: str,
    backend: CpuBackend,
    progress: Progress | None = None,
    roundoff: float = ROUNDOFF,
) -> Iterator[Float | None]:
    """f_{-i}(x_i) (n, c) for every ridge, in their order; None where K + ridge I is singular to rounding.

    Singular means: a pivot (or the least eigenvalue) below 10 n u K_ii, where hardly a digit of A^-1 is right, u the
    `roundoff` of the factor that is made with the ridge in the end. The path itself is computed in float64.
    """
    methods = {REFACTORING: _refactoring, EIGENVALUES: _eigenvalues}
    with (progress or Silent()).phase("ridge path", len(ridges), "ridges") as advance:
        for predictions in methods[method](source, targets, ridges, backend, roundoff):
            advance(1)
            yield predictions


def _refactoring(
    source: GramSource, targets: Float, ridges: Sequence[float], backend: CpuBackend, roundoff: float
) -> Iterator[Float | None]:
    layout = source.layout or PanelLayout.of_order(source.n)
    if source.kernel is not None:  # it would be formed anew for every ridge
        source = cache(source, layout, "gram", backend, Silent())
    store = RamPanels(layout, np.float64)
    weak = (
        _WEAK * source.n * roundoff * float(np.abs(source.diagonal()).max()) if roundoff > ROUNDOFF else 0.0
    )
    for ridge in ridges:
        try:
            pivots = factor(source, ridge, store, backend)
        except NotPositiveDefiniteError:
            yield None
            continue
        if pivots.weak or pivots.smallest < weak:
            yield None
            continue
        alpha = targets.copy()
        solve_factored(store, alpha, backend)
        yield leave_one_out_predictions(targets, alpha, inverse_diagonal(store, backend))


def _eigenvalues(
    source: GramSource, targets: Float, ridges: Sequence[float], backend: CpuBackend, roundoff: float
) -> Iterator[Float | None]:
    from scipy.linalg import eigh

    gram = submatrix(source, np.arange(source.n), backend)
    scale = float(np.abs(np.diagonal(gram)).max())
    # Transposed, K is in LAPACK's order and is overwritten; as it is, it would be copied.
    values, vectors = eigh(gram.T, driver="evr", overwrite_a=True, check_finite=False)
    spectrum = Spectrum(values, vectors, scale)
    del gram
    coordinates = spectrum.vectors.T @ targets
    strips = PanelLayout.of_order(source.n).strips(0)
    for ridge in ridges:
        if not spectrum.is_regular(ridge, _WEAK * roundoff / ROUNDOFF):
            yield None
            continue
        alpha, inverse = np.empty_like(targets), np.empty(source.n)

        def apply(
            strip: tuple[int, int], ridge: float = ridge, alpha: Float = alpha, inverse: Float = inverse
        ) -> None:
            rows = slice(*strip)
            solved, diagonal = spectrum.solve(coordinates, [ridge], strip)
            alpha[rows], inverse[rows] = solved[:, 0], diagonal[:, 0]

        backend.run(apply, strips)
        yield leave_one_out_predictions(targets, alpha, inverse)
