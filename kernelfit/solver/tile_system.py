"""A factored system of some hundred rows, in float64 and in memory: K in one piece, each step one compiled call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import few_columns, matrix_product
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import ONE_TILE
from kernelfit.gram.plan import Plan
from kernelfit.linalg import one_tile
from kernelfit.progress import Progress
from kernelfit.solver.cpu_system import CpuSystem
from kernelfit.solver.problem import Problem
from kernelfit.solver.singular import explained
from kernelfit.solver.system import Solved
from kernelfit.typing import Float


def is_one_tile(problem: Problem, plan: Plan) -> bool:
    """Whether a `TileSystem` solves it: one panel, no refinement, in memory."""
    return (
        problem.source.n <= min(one_tile.MAX_ORDER, plan.panel_width)
        and plan.tier == "ram"
        and plan.precision == "float64"
        and problem.jitter == 0
        and matrix_product.available()
    )


class TileSystem(CpuSystem):
    """As `CpuSystem`, with the same bits of L and alpha.

    The K that was factored serves the certificate of the first solve as well: to form it afresh gives the same numbers.
    """

    _gram: Float | None = None

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        plan, source = self.plan, self.problem.source
        started = time.perf_counter()
        self._store = store = self._open_store(np.dtype(np.float64))
        with progress.phase("factor", plan.flops_factor, "flop") as advance:
            gram = self._gram = one_tile.form(source, plan.layout, self.backend)
            formed = time.perf_counter()
            try:
                self.pivots = one_tile.factor(
                    gram, source.diagonal(), self.problem.shift, store.begin(0), self.backend
                )
            except NotPositiveDefiniteError as error:
                raise explained(error, self.problem, plan.precision) from None
            store.finish(0)
            advance(plan.flops_factor)
        self.seconds["gram"] += formed - started
        self.seconds["factor"] += time.perf_counter() - formed

    def solve(self, targets: Float, progress: Progress) -> Solved:
        gram, self._gram = self._gram, None
        if gram is None:
            return super().solve(targets, progress)
        at_once = one_tile.solves(*targets.shape)
        alpha = one_tile.solve(self._lower, targets) if at_once else self.apply_inverse(targets)
        began = time.perf_counter()
        product = one_tile.product(gram, alpha)
        return Solved(alpha, product, seconds=time.perf_counter() - began)

    def inverse_norm(self) -> float:
        if self._inverse_norm is None:
            self._inverse_norm = one_tile.inverse_norm(self._lower, self.pivots.row, self._drawn)
            self._drawn = None
        return self._inverse_norm

    def _solve_in_place(self, block: NDArray[Any]) -> None:
        if self.problem.n > ONE_TILE and block.shape[1] <= few_columns.MAX_COLUMNS:
            one_tile.solve_few(self._lower, block)
        else:
            super()._solve_in_place(block)

    def close(self) -> None:
        self._gram = None
        super().close()

    @property
    def _lower(self) -> Float:
        return self._panels.begin(0)
