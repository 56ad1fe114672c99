"""The result of a solve: a function that interpolates, with its factor, its norms and its certificate."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points, as_array
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels.base import Kernel
from kernelfit.progress import Progress, Silent
from kernelfit.solver.certificate import Certificate
from kernelfit.solver.ridge import RidgeChoice
from kernelfit.typing import Float

# Rows of a strip of test points.
_STRIP = 512


class Factored(Protocol):
    """What a solution needs of the factorisation behind it, which it may share with others."""

    @property
    def closed(self) -> bool: ...

    def solve(self, targets: Float, progress: Progress) -> tuple[Float, Float, Certificate]:
        """alpha (n, c), K alpha (n, c) formed afresh, and the certificate of the solve."""
        ...

    def inverse_diagonal(self, progress: Progress) -> Float:
        """diag(A^-1) (n,), with the jitter in A."""
        ...

    def apply_inverse(self, vectors: Float) -> Float:
        """A^-1 V (n, c) as the factor has it: with the jitter in A, and not refined."""
        ...

    def close(self) -> None: ...


@dataclass
class Solution:
    """f(x) = sum_i k(x, x_i) alpha_i, the interpolant of least RKHS norm (ridge = 0) or the ridge solution.

    Attributes
    ----------
    alpha : (n, c) float64
    points : the n training rows that were kept
    kernel : k, or None for a precomputed Gram
    targets : (n, c) Y
    fitted : (n, c) K alpha, formed afresh
    certificate : evidence about the solve
    plan : what was planned
    ridge : what was added to the diagonal on purpose
    seconds : gram, factor, solve, certify
    kept : (n,) indices of the rows of X that were kept; rows that repeat another are left out when ridge = 0
    rows_given : rows of X before any were left out (None: as many as were kept)
    duplicates : groups of equal rows of X, of which the first was kept
    traffic : bytes of the factor read from and written to a disk, by phase
    notes : what the user should know
    weights : (d, c) on the primal road of the linear kernel, else None
    ridge_choice : how ridge="auto" was decided, by the call that decided it; a file keeps only its line in the notes
    """

    alpha: Float
    targets: Float
    fitted: Float
    certificate: Certificate
    plan: Plan
    kernel: Kernel | None
    points: Points | None
    ridge: float
    precision: str
    seconds: dict[str, float]
    kept: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)
    weights: Float | None = None
    input_scale: float | None = None
    single_target: bool = False
    gflops_factor: float | None = None
    threads: int | None = None
    device: str = "cpu"
    factor: Factored | None = None
    rows_given: int | None = None
    duplicates: tuple[tuple[int, ...], ...] = ()
    traffic: dict[str, int] = field(default_factory=dict)
    ridge_choice: RidgeChoice | None = None

    @property
    def rkhs_norm(self) -> float:
        """|f| = sqrt(sum_c alpha_c^T K alpha_c)."""
        return self.certificate.rkhs_norm

    @property
    def rkhs_norm_per_column(self) -> Float:
        """|f_c| (c,)."""
        return np.array(self.certificate.rkhs_norm_per_column)

    def predict(self, X: ArrayLike, progress: Progress | None = None) -> Float:
        """f at the rows of X (m, d), in the units of the training rows: (m, c), or (m,) where Y was (n,).

        For a precomputed Gram X is k(test row, training row), (m, n).
        """
        started = time.perf_counter()
        if self.kernel is None:
            values = self._predict_from_gram(as_array(X, "X"))
        else:
            assert self.points is not None
            rows = Points(X, self.input_scale, like=self.points)
            # A factor on a device has the training rows there.
            open_factor = None if self.factor is None or self.factor.closed else self.factor
            on_device = getattr(open_factor, "predict", None)
            if on_device is not None:
                values = on_device(rows, self.alpha, progress or Silent())
            else:
                with CpuBackend(self.threads) as backend:
                    values = self._predict(rows, backend, progress or Silent())
        self.seconds["predict"] = self.seconds.get("predict", 0.0) + time.perf_counter() - started
        return values[:, 0] if self.single_target else values

    def score(self, X: ArrayLike, Y: ArrayLike) -> float:
        """The coefficient of determination R^2 of the predictions, as `sklearn.metrics.r2_score`."""
        from sklearn.metrics import r2_score

        return float(r2_score(Y, self.predict(X)))

    def solve(self, Y: ArrayLike, progress: Progress | None = None) -> Solution:
        """The solution for other right-hand sides of the same factor.

        Y has the rows of the first Y, or those of them that were kept: (n,) or (n, c).
        """
        from kernelfit.solver.inputs import Duplicates, as_targets, refuse_conflicts

        factor = self._factor_or_raise("solve")
        given = as_array(Y, "Y")
        if given.shape[:1] == (len(self.kept),):
            targets = as_targets(given, len(self.kept))
        else:
            rows = self.rows_given or max((*given.shape[:1], int(self.kept.max()) + 1))
            every = as_targets(given, rows)
            refuse_conflicts(Duplicates(self.duplicates), every)
            targets = np.ascontiguousarray(every[self.kept])
        started = time.perf_counter()
        alpha, fitted, certificate = factor.solve(targets, progress or Silent())
        seconds = dict.fromkeys(self.seconds, 0.0) | {"solve": time.perf_counter() - started}
        return Solution(
            **{
                **self.__dict__,
                "alpha": alpha,
                "targets": targets,
                "fitted": fitted,
                "certificate": certificate,
                "seconds": seconds,
                "notes": list(self.notes),
                "single_target": given.ndim == 1,
            }
        )

    def inverse_diagonal(self, progress: Progress | None = None) -> Float:
        """diag((K + ridge I)^-1) (n,), as the factor has it (with a jitter in it); n^3/3 flops."""
        if self.weights is not None:
            raise InputError("inverse_diagonal: the primal path has no factor; give ridge > 0")
        return self._factor_or_raise("inverse_diagonal").inverse_diagonal(progress or Silent())

    def leave_one_out(self, progress: Progress | None = None) -> Float:
        """f_{-i}(x_i) for every training row, (n, c) or (n,): the prediction of row i by the other n - 1 rows.

        y_i - alpha_i / (A^-1)_ii; one more n^3/3 flops. Notes say where the factor is that of K + jitter I, or float32.
        """
        from kernelfit.linalg.leave_one_out import leave_one_out_predictions

        if self.weights is not None:
            raise InputError(
                "leave_one_out: the primal road has no factor; give ridge > 0, or use cross-validation"
            )
        progress = progress or Silent()
        factor, alpha = self._factor_or_raise("leave_one_out"), self.alpha
        started = time.perf_counter()
        if self.certificate.jitter > 0:
            self._note("leave-one-out is that of K + jitter I: the factor holds the jitter", progress)
            alpha = factor.apply_inverse(self.targets)
        if self.certificate.factor_precision == "float32":
            self._note("leave-one-out has the precision of the factor, float32", progress)
        inverse = factor.inverse_diagonal(progress)
        self.seconds["loo"] = self.seconds.get("loo", 0.0) + time.perf_counter() - started
        predictions = leave_one_out_predictions(self.targets, alpha, inverse)
        return predictions[:, 0] if self.single_target else predictions

    def save(self, path: str | Path) -> None:
        """Write alpha, training rows, kernel and certificate to an HDF5 file (no pickle; the factor is not saved)."""
        from kernelfit.solver.solution_file import write

        write(self, Path(path))

    @staticmethod
    def load(path: str | Path, function: Any = None) -> Solution:
        """Read what `save` wrote; a user's own kernel function must be given again."""
        from kernelfit.solver.solution_file import read

        return read(Path(path), function)

    def close(self) -> None:
        """Give back the memory or files of the factor, which other solutions may share; predictions stay possible."""
        if self.factor is not None:
            self.factor.close()
            self.factor = None

    def _note(self, message: str, progress: Progress) -> None:
        if message not in self.notes:
            self.notes.append(message)
            progress.note(message)

    def _factor_or_raise(self, method: str) -> Factored:
        if self.factor is None or self.factor.closed:
            raise InputError(
                f"{method}: this solution has no factor (closed, or loaded from a file); solve again"
            )
        return self.factor

    def _predict_from_gram(self, gram: NDArray[Any]) -> Float:
        if gram.dtype.kind not in "buif":
            raise InputError(f"X: got dtype {gram.dtype}, expected numbers k(test, training)")
        if gram.ndim != 2 or gram.shape[1] not in (len(self.kept), int(self.kept.max()) + 1):
            raise InputError(
                f"X: got shape {gram.shape}, expected (m, {len(self.kept)}) values k(test, training)"
            )
        values: Float = gram.astype(np.float64, copy=False) @ self.alpha
        return values

    def _predict(self, rows: Points, backend: CpuBackend, progress: Progress) -> Float:
        assert self.points is not None
        assert self.kernel is not None
        m, n = rows.shape[0], self.points.shape[0]
        values = np.zeros((m, self.alpha.shape[1]))
        strips = [(a, min(a + _STRIP, m)) for a in range(0, m, _STRIP)]
        if self.weights is not None:
            for start, stop in strips:
                values[start:stop] = rows.scaled(start, stop) @ self.weights
            return values
        layout = PanelLayout.of_order(n)
        exact = rows.exact and self.points.exact
        self.kernel.compile()
        with progress.phase("predict", float(m) * n, "entries") as advance:
            for j in range(layout.count):
                columns = ColumnBlock(self.points, layout.start(j), layout.stop(j), exact)

                def accumulate(strip: tuple[int, int], columns: ColumnBlock = columns) -> None:
                    start, stop = strip
                    assert self.kernel is not None
                    tile = backend.scratch("predict", stop - start, columns.stop - columns.start, np.float64)
                    evaluate(self.kernel, rows, start, stop, columns, tile, backend)
                    blas.gemm(1.0, tile, self.alpha[columns.start : columns.stop], 1.0, values[start:stop])
                    advance(float(stop - start) * (columns.stop - columns.start))

                backend.run(accumulate, strips)
        return values
