"""A factored system whose panels live in memory or on a disk and whose arithmetic is the CPU's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import few_columns
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import NotPositiveDefiniteError, PlanError
from kernelfit.gram import placement
from kernelfit.gram.cache import cache
from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.cholesky import Pivots, factor
from kernelfit.linalg.condition import DRAWN, EXACT, drawn, inverse_norm
from kernelfit.linalg.leave_one_out import inverse_diagonal
from kernelfit.linalg.product import Product, symmetric_product
from kernelfit.linalg.triangular import solve_factored, solve_lower
from kernelfit.progress import Notes, Progress
from kernelfit.runs.folder import Run, free_for_factor
from kernelfit.solver.predict import predict_here
from kernelfit.solver.problem import Problem
from kernelfit.solver.problem_record import record_of
from kernelfit.solver.refinement import solve_with_factor
from kernelfit.solver.singular import explained
from kernelfit.solver.system import Solved
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.folders import make_folder, scratch_folder
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.panels import PanelStore, RamPanels
from kernelfit.storage.write_behind import WriteBehind
from kernelfit.typing import Float


class CpuSystem:
    """A `kernelfit.solver.system.System` on the CPU; `folder` is where panels of the disk tier go without a run,
    None the system's."""

    name = "cpu"

    def __init__(
        self, problem: Problem, plan: Plan, backend: CpuBackend, folder: Path | None, run: Run | None = None
    ) -> None:
        self.problem, self.plan, self.backend, self.run = problem, plan, backend, run
        self.seconds = dict.fromkeys(("gram", "factor"), 0.0)
        self.traffic = dict.fromkeys(("factor_read", "factor_written"), 0)
        self.pivots = Pivots()
        self._folder = folder
        self._inverse_norm: float | None = None
        self._drawn: Float | None = None
        self._products: GramSource = problem.source
        self._store: PanelStore | None = None

    @classmethod
    def of_factor(
        cls,
        problem: Problem,
        plan: Plan,
        backend: CpuBackend,
        store: PanelStore,
        pivots: Pivots,
        inverse_norm: float | None,
    ) -> CpuSystem:
        """The system of a factor that is there already."""
        system = cls(problem, plan, backend, None)
        system._store, system.pivots, system._inverse_norm = store, pivots, inverse_norm
        return system

    @property
    def closed(self) -> bool:
        return self._store is None

    @property
    def bytes_read(self) -> int:
        return 0 if self._store is None else self._store.bytes_read

    @property
    def _panels(self) -> PanelStore:
        assert self._store is not None
        return self._store

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        plan, run = self.plan, self.run
        if plan.cache != "none":
            started = time.perf_counter()
            self._products = cache(self.problem.source, plan.layout, plan.cache, self.backend, progress)
            self.seconds["gram"] += time.perf_counter() - started
        self._store = store = self._open_store(precision_of(plan.precision).factor)
        read, written = store.bytes_read, store.bytes_written
        finished, (gram, factored) = (run.finished, run.seconds) if run else (0, (0.0, 0.0))
        try:
            self.pivots = factor(
                self._products,
                self.problem.shift,
                store,
                self.backend,
                progress,
                first_panel=finished,
                after_panel=after_panel,
            )
        except NotPositiveDefiniteError as error:
            raise explained(error, self.problem, plan.precision) from None
        self.seconds["gram"] += gram + self.pivots.seconds_gram
        self.seconds["factor"] += factored + self.pivots.seconds_factor
        self.traffic["factor_read"] += store.bytes_read - read
        self.traffic["factor_written"] += store.bytes_written - written

    def solve(self, targets: Float, progress: Progress) -> Solved:
        return solve_with_factor(self, targets, progress)

    def apply_inverse(self, vectors: Float) -> Float:
        count = vectors.shape[1]
        shared = self._shares_solve(count)
        if shared:
            vectors = np.hstack([vectors, drawn(self.plan.n, self.pivots.row)])
        with self.backend:
            block = np.array(vectors, self._panels.dtype, order="C")
            self._solve_in_place(block)
        applied = block.astype(np.float64, copy=False)
        if not shared:
            return applied
        self._drawn = applied[:, count:]
        return np.ascontiguousarray(applied[:, :count])

    def _solve_in_place(self, block: NDArray[Any]) -> None:
        solve_factored(self._panels, block, self.backend)

    def _shares_solve(self, count: int) -> bool:
        """Whether so many columns bring those of the condition estimate with them, at no cost to their bits."""
        wanted = self.problem.condition and self.plan.n > EXACT and self._inverse_norm is None
        few = not self.plan.layout.small and count + DRAWN <= few_columns.MAX_COLUMNS
        return wanted and few and self._drawn is None

    def apply_lower_inverse(self, vectors: Float) -> Float:
        with self.backend:
            block = np.array(vectors, self._panels.dtype, order="C")
            solve_lower(self._panels, block, self.backend)
            return block.astype(np.float64, copy=False)

    def product(
        self, vectors: Float, progress: Progress, name: str, *, with_norm: bool = False, fresh: bool = True
    ) -> Product:
        source = self.problem.source if fresh else self._products
        return symmetric_product(
            source, self.plan.layout, vectors, self.backend, with_norm=with_norm, progress=progress, name=name
        )

    def inverse_norm(self) -> float:
        if self._inverse_norm is None:
            self._inverse_norm = inverse_norm(self._panels, self.backend, self.pivots.row, self._drawn)
            self._drawn = None
        return self._inverse_norm

    def inverse_diagonal(self, progress: Progress) -> Float:
        with self.backend:
            columns = self.plan.inverse_columns
            return inverse_diagonal(self._panels, self.backend, progress, at_once=columns)

    def predict(self, rows: Points, alpha: Float, progress: Progress) -> Float:
        return predict_here(self.problem, rows, alpha, self.backend, progress)

    def fall_back(self, notes: Notes) -> CpuSystem:
        self.close()
        plan, run = self.plan, self.run
        run_dir, folder = None if run is None else run.folder, self._folder
        try:
            costs = Costs.of(
                n=plan.n,
                d=plan.d,
                n_rhs=plan.n_rhs,
                threads=plan.threads,
                bytes_points=plan.bytes_points,
                panel_width=plan.panel_width,
            )
            limits = Limits(plan.memory_limit, lambda: free_for_factor(run_dir, folder))
            plan = placement.place(costs, limits, stored=run is not None)
        except PlanError as error:
            raise PlanError(
                f"mixed precision cannot solve this system, and float64 does not fit: {error}"
            ) from None
        if run is not None:
            run.restart(record_of(self.problem, plan, notes.lines))
        elif plan.tier == "disk":
            folder = scratch_folder(folder, notes.add)
        follower = CpuSystem(self.problem, plan, self.backend, folder, run)
        follower.seconds = dict(self.seconds)
        return follower

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        self._products = self.problem.source

    def _open_store(self, dtype: np.dtype[Any]) -> PanelStore:
        if self.run is not None:
            return self.run.open_store(dtype)
        if self.plan.tier == "ram":
            return RamPanels(self.plan.layout, dtype)
        folder, _ = make_folder(scratch_folder(self._folder))
        path = folder / f"kernelfit-{os.getpid()}-{id(self):x}.h5"
        file = PanelFile.create(path, self.plan.layout, dtype, named=False)
        return DiskPanels(file, self.plan.rows_at_once, WriteBehind(file))
