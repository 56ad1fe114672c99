"""A factored system: what depends on K but not on the right-hand sides, and what it does with right-hand sides."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import NotPositiveDefiniteError, RefinementError
from kernelfit.gram.cache import cache
from kernelfit.gram.plan import Plan
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.cholesky import Pivots, factor
from kernelfit.linalg.condition import inverse_norm
from kernelfit.linalg.conjugate_gradients import Operators, Refinement, backward_error, refine
from kernelfit.linalg.leave_one_out import inverse_diagonal
from kernelfit.linalg.product import symmetric_product
from kernelfit.linalg.triangular import solve_factored
from kernelfit.progress import Progress
from kernelfit.runs.folder import Run, make_folder
from kernelfit.solver.certificate import Certificate, interpolates, rkhs_norms
from kernelfit.solver.inputs import nearest_neighbour
from kernelfit.solver.problem import Problem
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.panels import PanelStore, RamPanels
from kernelfit.storage.write_behind import WriteBehind
from kernelfit.typing import Float

# A refined solution is as good as a float64 factor's when its backward error is below ten units of roundoff.
_AS_GOOD_AS_FLOAT64 = 10.0 * 0.5 * float(np.finfo(np.float64).eps)


class FactoredSystem:
    """A = K + ridge I with its factor: the part of a solve that does not depend on the right-hand sides."""

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        backend: CpuBackend,
        *,
        run: Run | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.source, self.points, self.plan = problem.source, problem.points, plan
        self.ridge, self.jitter, self.condition = problem.ridge, problem.jitter, problem.condition
        self.backend, self.run, self.scratch = backend, run, scratch
        self._kept = problem.kept
        self.seconds = dict.fromkeys(("gram", "factor", "solve", "certify"), 0.0)
        #: bytes that the factor's panels moved to and from a disk, by phase
        self.traffic = dict.fromkeys(("factor_read", "factor_written", "solve_read", "certify_read"), 0)
        self.pivots = Pivots()
        self._inverse_norm: float | None = None
        self._products: GramSource = self.source
        self.store: PanelStore | None = None

    @classmethod
    def of_factor(
        cls,
        problem: Problem,
        plan: Plan,
        backend: CpuBackend,
        store: PanelStore,
        pivots: Pivots,
        inverse_norm: float | None,
    ) -> FactoredSystem:
        """The system of a factor that is there already."""
        system = cls(problem, plan, backend)
        system.store, system.pivots, system._inverse_norm = store, pivots, inverse_norm
        return system

    @property
    def closed(self) -> bool:
        """Whether the factor has been given back."""
        return self.store is None

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        """K + (ridge + jitter) I = L L^T into panels of the planned tier and precision.

        `after_panel` is called when a panel is finished.
        """
        plan = self.plan
        dtype = np.float64 if plan.precision == "float64" else np.float32
        if plan.cache != "none":
            started = time.perf_counter()
            self._products = cache(self.source, plan.layout, plan.cache, self.backend, progress)
            self.seconds["gram"] += time.perf_counter() - started
        self.store = self._open_store(dtype)
        before = self._moved()
        finished, (gram, factored) = (self.run.finished, self.run.seconds) if self.run else (0, (0.0, 0.0))
        try:
            self.pivots = factor(
                self._products,
                self.ridge + self.jitter,
                self.store,
                self.backend,
                progress,
                first_panel=finished,
                after_panel=after_panel,
            )
        except NotPositiveDefiniteError as error:
            raise self._explain(error) from None
        self.seconds["gram"] += gram + self.pivots.seconds_gram
        self.seconds["factor"] += factored + self.pivots.seconds_factor
        self.traffic["factor_read"] += self._moved()[0] - before[0]
        self.traffic["factor_written"] += self._moved()[1] - before[1]

    def solve(self, targets: Float, progress: Progress) -> tuple[Float, Float, Certificate]:
        """alpha, K alpha formed afresh, and the certificate."""
        with self.backend:
            started, read = time.perf_counter(), self._moved()[0]
            refined: Refinement | None = None
            verified = 0.0
            fitted: Float | None = None
            if self.plan.precision == "mixed" or self.jitter > 0:
                refined, norm, verified = self._refine(targets, progress)
                alpha = refined.solution
                fitted = None if refined.applied is None else refined.applied - self.ridge * alpha
            else:
                alpha = self._precondition(targets)
            solved, read_solving = time.perf_counter(), self._moved()[0]
            if fitted is None:
                fitted, norm = self._product(alpha, self.source, progress, "certify", with_norm=True)
                norm += self.ridge
            with np.errstate(over="ignore", invalid="ignore"):  # what overflowed is refused below
                residual = targets - fitted - self.ridge * alpha
                error = backward_error(residual, norm, alpha, targets)
            if not np.isfinite(error):
                raise RefinementError(
                    f"alpha: overflows in {self.plan.precision} precision, with Y up to {np.abs(targets).max():.3g}; "
                    "rescale Y, or give ridge > 0"
                )
            if self.plan.precision == "mixed" and not error <= _AS_GOOD_AS_FLOAT64:
                raise RefinementError(
                    f"alpha: backward error {error:.1e} in {self.plan.precision} precision after "
                    f"{refined.iterations if refined else 0} products with K, expected at most "
                    f"{_AS_GOOD_AS_FLOAT64:.1e}; solve in float64, or give ridge > 0"
                )
            if self._inverse_norm is None and self.condition:
                assert self.store is not None
                self._inverse_norm = inverse_norm(self.store, self.backend)
            self.seconds["solve"] += solved - started - verified
            self.seconds["certify"] += time.perf_counter() - solved + verified
            self.traffic["solve_read"] += read_solving - read
            self.traffic["certify_read"] += self._moved()[0] - read_solving
        norms = rkhs_norms(alpha, fitted)
        n = self.source.n
        certificate = Certificate(
            backward_error=error,
            residual=float(np.abs(residual).max(initial=0.0)),
            norm=norm,
            condition_estimate=norm * self._inverse_norm if self._inverse_norm is not None else float("nan"),
            min_pivot=self.pivots.smallest,
            min_pivot_row=self.pivots.row,
            weak_pivots=self.pivots.weak,
            log_det=self.pivots.log_det,
            jitter=self.jitter,
            interpolates=self.ridge == 0 and interpolates(error, residual, targets),
            refinements=refined.iterations if refined and refined.iterations > 1 else 0,
            factor_precision="float64" if self.plan.precision == "float64" else "float32",
            rank=n,
            consistent=True,
            rkhs_norm=float(np.sqrt(np.sum(norms**2))),
            rkhs_norm_per_column=tuple(float(value) for value in norms),
        )
        return alpha, fitted, certificate

    def inverse_diagonal(self, progress: Progress) -> Float:
        assert self.store is not None
        with self.backend:
            return inverse_diagonal(self.store, self.backend, progress, at_once=self.plan.inverse_columns)

    def apply_inverse(self, vectors: Float) -> Float:
        with self.backend:
            return self._precondition(vectors)

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None
        self._products = self.source

    def _moved(self) -> tuple[int, int]:
        assert self.store is not None
        return self.store.bytes_read, self.store.bytes_written

    def _unit_roundoff(self) -> float:
        return float(np.finfo(np.float64 if self.plan.precision == "float64" else np.float32).eps) / 2.0

    def _open_store(self, dtype: Any) -> PanelStore:
        if self.run is not None:
            return self.run.open_store(dtype)
        if self.plan.tier == "ram":
            return RamPanels(self.plan.layout, dtype)
        folder, _ = make_folder(self.scratch or Path(tempfile.gettempdir()))
        path = folder / f"kernelfit-{os.getpid()}-{id(self):x}.h5"
        file = PanelFile.create(path, self.plan.layout, dtype, named=False)
        return DiskPanels(file, self.plan.rows_at_once, WriteBehind(file))

    def _precondition(self, vectors: Float) -> Float:
        """(L L^T)^-1 V in the precision of the factor."""
        assert self.store is not None
        block = np.array(vectors, self.store.dtype, order="C")
        solve_factored(self.store, block, self.backend)
        return block.astype(np.float64, copy=False)

    def _product(
        self, vectors: Float, source: GramSource, progress: Progress, name: str, with_norm: bool = False
    ) -> tuple[Float, float]:
        return symmetric_product(
            source, self.plan.layout, vectors, self.backend, with_norm=with_norm, progress=progress, name=name
        )

    def _refine(self, targets: Float, progress: Progress) -> tuple[Refinement, float, float]:
        """Conjugate gradients on A = K + ridge I, without the jitter, preconditioned by the factor; |A|_1; seconds.

        True residuals are formed with K computed afresh, which is the certificate's product as well; the seconds are
        those that it took.
        """
        start = self._precondition(targets)
        applied, norm = self._product(start, self._products, progress, "refine", with_norm=True)
        seconds = 0.0

        def product(vectors: Float) -> Float:
            values, _ = self._product(vectors, self._products, progress, "refine")
            return values + self.ridge * vectors

        def verify(vectors: Float) -> Float:
            nonlocal norm, seconds
            began = time.perf_counter()
            values, norm = self._product(vectors, self.source, progress, "certify", with_norm=True)
            seconds += time.perf_counter() - began
            return values + self.ridge * vectors

        residual = targets - applied - self.ridge * start
        operators = Operators(product, self._precondition, norm + self.ridge, verify)
        refined = refine(operators, targets, start, residual)
        return refined, norm + self.ridge, seconds

    def _explain(self, error: NotPositiveDefiniteError) -> NotPositiveDefiniteError:
        # Rows are counted as in X, of which equal rows may have been left out.
        kept = self._kept
        row, neighbour = int(kept[error.row]), -1
        message = f"{error}".replace(f"the pivot of row {error.row} ", f"the pivot of row {row} ", 1)
        if self.points is not None and self.points.shape[0] > 1:
            nearest, distance = nearest_neighbour(self.points, error.row)
            neighbour = int(kept[nearest])
            message += f"; its nearest row is {neighbour} at distance {distance:.3g}"
        scale = float(np.mean(np.abs(self.source.diagonal())))
        message += (
            f"; drop one of such rows, take a kernel that falls off faster (larger gamma), or give ridge or jitter "
            f"(in {self.plan.precision} from about {10 * self.source.n * self._unit_roundoff() * scale:.0e})"
        )
        return NotPositiveDefiniteError(message, row, error.pivot, neighbour)
