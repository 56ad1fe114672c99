"""A system that is solved by accelerated sketch-and-project: nothing is stored but blocks of rows, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError, NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.iterative import sketch_checkpoint
from kernelfit.iterative.block_rows import block_rows_product
from kernelfit.iterative.convergence import SKETCH, Convergence
from kernelfit.iterative.sketch_plan import plan_blocks
from kernelfit.iterative.sketch_project import Blocks, State, solve
from kernelfit.iterative.stopping import Goal
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.product import Product
from kernelfit.linalg.triangular import solve_factored
from kernelfit.progress import Progress
from kernelfit.solver.checkpoints import Checkpoints, shown
from kernelfit.solver.context import Context
from kernelfit.solver.iterative_system import IterativeSystem
from kernelfit.solver.place_iterations import costs_of, refuse
from kernelfit.solver.problem import Problem
from kernelfit.solver.system import Solved
from kernelfit.storage.panels import RamPanels
from kernelfit.typing import Float


class SketchSystem(IterativeSystem):
    """A `kernelfit.solver.system.System` without a factor, without K and without a preconditioner."""

    _closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        """Nothing is set up."""
        self._after = after_panel or self._after
        self._after(0)

    def solve(self, targets: Float, progress: Progress) -> Solved:
        problem, goal = self.problem, Goal.of(self.problem.method.tolerance)
        verify = partial(self.product, progress=progress, name="certify", with_norm=True)
        spent = {"iterate": 0.0, "verify": 0.0}
        began = time.perf_counter()

        def verified(solution: Float) -> Product:
            started = time.perf_counter()
            product = verify(solution)
            spent["verify"] += time.perf_counter() - started
            return product

        blocks = Blocks(problem.n, self.plan.rank, self._rows, self._solve_block, verified, problem.ridges)
        of_data = partial(sketch_checkpoint.of_data, per_epoch=blocks.per_epoch)
        checkpoints = Checkpoints(self.run, targets, goal, self._after, sketch_checkpoint.to_data, of_data)
        state = checkpoints.stored(progress)
        with shown(goal, progress, 1.0 if state is None else state.measured) as show:

            def observe(state: State) -> None:
                show(state.measured)
                checkpoints.after(state)

            outcome = solve(
                blocks,
                targets,
                goal,
                seed=problem.method.seed,
                state=state,
                observe=observe,
            )
            show(outcome.state.verified[-1].measured)
        spent["iterate"] = time.perf_counter() - began - spent["verify"]
        residual = targets - outcome.product.values - problem.ridges * outcome.solution
        convergence = Convergence.of(
            goal,
            outcome,
            targets,
            residual,
            method=SKETCH,
            preconditioner="blocks of rows, solved exactly",
            rank=self.plan.rank,
            entries="formed anew in float64",
            seconds={"gram": 0.0, "precondition": 0.0, **spent},
            bytes_gram=0,
            bytes_preconditioner=self.plan.bytes_factor,
        )
        return Solved(outcome.solution, outcome.product, seconds=spent["verify"], convergence=convergence)

    def estimate_inverse_diagonal(self, progress: Progress, probes: int, error: float | None) -> NoReturn:
        raise InputError(_NO_ESTIMATE)

    def estimate_log_determinant(self, progress: Progress, probes: int) -> NoReturn:
        raise InputError(_NO_ESTIMATE)

    def close(self) -> None:
        self._closed = True
        super().close()

    def _rows(self, index: NDArray[np.int64], vectors: Float) -> Float:
        """(A V)[index]."""
        kernel, points = self.problem.kernel, self.problem.points
        assert kernel is not None
        assert points is not None
        shift = np.broadcast_to(self.problem.ridges, (self.problem.n, 1))[index]
        return block_rows_product(kernel, points, index, vectors, self.backend) + shift * vectors[index]

    def _solve_block(self, index: NDArray[np.int64], vectors: Float) -> Float:
        """A[index, index]^-1 V, by the factorisation of any K."""
        problem = self.problem
        shift = problem.shift
        store = RamPanels(PanelLayout.of_order(len(index)), np.float64)
        source = problem.source.subset(index, self.backend)
        try:
            factor(source, shift[index] if isinstance(shift, np.ndarray) else shift, store, self.backend)
        except NotPositiveDefiniteError as error:
            raise NotPositiveDefiniteError(
                f"K: a block of {len(index):,} rows is singular to rounding ({error}); give a ridge, or take a kernel "
                "that falls off faster"
            ) from None
        solved = np.array(vectors, order="C")
        solve_factored(store, solved, self.backend)
        return solved


_NO_ESTIMATE = (
    "solver: got 'askotch', whose sketch-and-project has nothing to estimate leave-one-out or log det by, expected "
    "'pcg' or 'cholesky'; take solver='pcg'"
)


def place_blocks(problem: Problem, context: Context) -> SketchSystem:
    """A system that is not set up yet; raises `InputError` for what does not go with it, and `PlanError`."""
    refuse(problem, context)
    if problem.kernel is None or problem.points is None or problem.has_noise:
        raise InputError(
            "solver: got 'askotch', which forms rows of K where they are used, with a Gram matrix that is given or "
            "summed, or a kernel with noise; take solver='pcg'"
        )
    plan = plan_blocks(costs_of(problem, context), context.resources.memory_limit)
    return SketchSystem(problem, plan, context.backend)
