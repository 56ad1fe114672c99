"""A system that is solved by preconditioned conjugate gradients: K in memory in float32, or formed anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError, NotPositiveDefiniteError
from kernelfit.gram.cache import cache
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.iterative.block_cg import Operators, State, solve
from kernelfit.iterative.checkpoint import of_data, to_data
from kernelfit.iterative.convergence import Convergence
from kernelfit.iterative.formed_gram import formed_gram
from kernelfit.iterative.inverse_diagonal import PROBES, InverseDiagonal, estimate_inverse_diagonal
from kernelfit.iterative.kernel_entries import KernelEntries
from kernelfit.iterative.log_determinant import LogDeterminant, estimate_log_determinant
from kernelfit.iterative.outcome import Outcome
from kernelfit.iterative.pivoted_cholesky import pivoted_cholesky
from kernelfit.iterative.plan import EXACT, columns_within, plan_iterations
from kernelfit.iterative.preconditioner import Preconditioner, neighbours_of, residual_inverse
from kernelfit.iterative.stopping import Goal
from kernelfit.iterative.stored_gram import StoredGram
from kernelfit.iterative.tiled_gram import TiledGram
from kernelfit.iterative.vectors import type_of_sums
from kernelfit.linalg.product import Product, symmetric_product
from kernelfit.progress import Notes, Progress, Silent
from kernelfit.runs.folder import Run
from kernelfit.solver.checkpoints import Checkpoints, shown
from kernelfit.solver.predict import predict_here
from kernelfit.solver.problem import Problem
from kernelfit.solver.resources import memory_here
from kernelfit.solver.system import Solved, System
from kernelfit.typing import Float

# Rows whose sums are a guess of |K|_inf where a product takes long.
_SUMMED = 64
# Digits of a residual that a rough solution has at most.
_DIGITS = 8
# Of an entry of K, so that sums of products stay within single precision.
_LARGEST = 1e30
_ROUNDOFF = {dtype: 0.5 * float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64)}


class IterativeSystem:
    """A `kernelfit.solver.system.System` without a factor: it iterates, and what a factor alone tells is refused."""

    name = "cpu"
    pivots = None
    bytes_read = 0

    def __init__(self, problem: Problem, plan: Plan, backend: CpuBackend, run: Run | None = None) -> None:
        self.problem, self.plan, self.backend, self.run = problem, plan, backend, run
        self._after: Callable[[int], None] = lambda iteration: None
        self.seconds = dict.fromkeys(("gram", "factor"), 0.0)
        self.traffic = dict.fromkeys(("factor_read", "factor_written"), 0)
        self._gram: TiledGram | None = None
        self._products: GramSource = problem.source
        self._preconditioner: Preconditioner | None = None
        self._waits = self._was_exact = False

    @classmethod
    def of_finished(
        cls, problem: Problem, plan: Plan, backend: CpuBackend, convergence: Convergence
    ) -> IterativeSystem:
        """Of a run that has ended: K and the preconditioner are made again when they are asked for."""
        system = cls(problem, plan, backend)
        system._waits, system._was_exact = True, "float64" in convergence.entries
        return system

    @property
    def closed(self) -> bool:
        return self._preconditioner is None and not self._waits

    def _set_up(self, progress: Progress) -> None:
        if self._waits:
            self._plan_here(progress)
            with self.backend:
                self.factorise(progress)
                if self._was_exact and self._rounds:
                    self._make_exact(progress)

    def _plan_here(self, progress: Progress) -> None:
        """Keep the plan of a run, which may come from another machine, within the memory of this one. Raises
        `PlanError`."""
        plan, memory = self.plan, memory_here(self.plan)
        self.plan = replace(plan, memory_limit=min(plan.memory_limit, memory))
        if plan.bytes_memory <= memory:
            return
        costs = Costs.of(
            n=plan.n,
            d=plan.d,
            n_rhs=plan.n_rhs,
            threads=self.backend.threads,
            bytes_points=plan.bytes_points,
            panel_width=plan.panel_width,
        )
        self.plan = plan_iterations(costs, memory, generated=is_generated(self.problem))
        progress.note(
            f"memory: the run was planned with {plan.bytes_memory:,} bytes, here are {memory:,}: iterating again with "
            + ("K formed anew for every product" if self.plan.tier == "generated" else "K in memory")
            + f" and a preconditioner of rank {self.plan.rank:,}"
        )

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        """K in memory, where the plan says so, and the preconditioner."""
        problem, backend = self.problem, self.backend
        _require_single(problem.source.diagonal())
        _require_positive(problem.source.diagonal() + self._ridge)
        self._after = after_panel or self._after
        if self.plan.tier == "ram":
            with self._timed("gram"):
                self._gram = StoredGram.of(problem.source, self.plan.layout, backend, progress)
                if problem.n <= EXACT:
                    self._products = cache(problem.source, self.plan.layout, "gram", backend, progress)
        elif problem.n > EXACT:
            with self._timed("gram"):
                self._gram = formed_gram(problem.kernel, problem.points)
        self._after(0)
        with self._timed("factor"):
            diagonal = problem.source.diagonal()
            entries = self._entries
            low_rank = pivoted_cholesky(
                partial(entries.columns, backend=backend),
                diagonal,
                self.plan.rank,
                problem.method.seed,
                backend,
                progress,
            )
            inverse = residual_inverse(
                entries, low_rank, diagonal, self._ridge, neighbours_of(problem.n), backend
            )
            self._preconditioner = Preconditioner(low_rank, inverse, backend, progress)
        self._waits = False

    def solve(self, targets: Float, progress: Progress) -> Solved:
        self._set_up(progress)
        goal = Goal.of(self.problem.method.tolerance)
        spent = {"iterate": 0.0, "verify": 0.0}
        began = time.perf_counter()

        def verify(solution: Float) -> Product:
            started = time.perf_counter()
            product = self.product(solution, progress, "certify", with_norm=True)
            spent["verify"] += time.perf_counter() - started
            return product

        checkpoints = Checkpoints(self.run, targets, goal, self._after, to_data, of_data)
        state = checkpoints.stored(progress)
        with shown(goal, progress, 1.0 if state is None else state.measured) as show:

            def observe(state: State) -> None:
                show(state.measured)
                checkpoints.after(state)

            def iterated(state: State | None, *, exact: bool = False) -> Outcome[State]:
                operators = self._operators(targets.shape[1], verify)
                state = State.start(operators, targets, exact=exact) if state is None else state
                return solve(operators, targets, goal, state=state, observe=observe)

            if state is not None and state.exact:
                self._make_exact(progress)
            try:
                outcome = iterated(state)
            except NotPositiveDefiniteError as error:
                if not self._rounds:
                    raise
                progress.note(f"{error}; beginning again with K in float64")
                self._make_exact(progress)
                outcome = iterated(None, exact=True)
            show(outcome.state.measured)
        spent["iterate"] = time.perf_counter() - began - spent["verify"]
        convergence = self._convergence(goal, outcome, targets, spent)
        return Solved(outcome.solution, outcome.product, seconds=spent["verify"], convergence=convergence)

    def apply_inverse(self, vectors: Float) -> NoReturn:
        raise InputError(
            f"solver: got {self.problem.method.solver!r}, which has no factor to apply, expected 'cholesky'; solve "
            "with that"
        )

    def apply_lower_inverse(self, vectors: Float) -> NoReturn:
        self.apply_inverse(vectors)

    def inverse_diagonal(self, progress: Progress) -> Float:
        """An estimate of diag(A^-1) (n,)."""
        return self.estimate_inverse_diagonal(progress, PROBES, None).values

    def estimate_inverse_diagonal(
        self, progress: Progress, probes: int, error: float | None
    ) -> InverseDiagonal:
        """diag(A^-1) by random probes, see `kernelfit.iterative.inverse_diagonal`."""
        self._set_up(progress)
        width = columns_within(self.plan, probes)
        verify = partial(self.product, progress=progress, name="certify", with_norm=True)
        with self.backend, progress.phase("leave-one-out", float(probes), "probes") as advance:
            return estimate_inverse_diagonal(
                self._operators(width, verify),
                self._made,
                self.problem.source.diagonal() + np.ravel(self.problem.ridges),
                probes=probes,
                error=error,
                width=width,
                seed=self.problem.method.seed,
                advance=advance,
            )

    def estimate_log_determinant(self, progress: Progress, probes: int) -> LogDeterminant:
        """log det A by random probes, see `kernelfit.iterative.log_determinant`."""
        self._set_up(progress)
        ridge = self.problem.ridges
        # Rounding is off by anything up to half a unit.
        entry = float(np.abs(self.problem.source.diagonal()).max()) * _ROUNDOFF[np.float32] / np.sqrt(3.0)
        with self.backend, progress.phase("log det", 1.0, "estimate"):
            return estimate_log_determinant(
                lambda vectors: self._multiplied(vectors, np.float64) + ridge * vectors,
                self._made,
                probes,
                self.problem.method.seed,
                width=columns_within(self.plan, probes),
                roundoff=entry if self._rounds else 0.0,
            )

    def precondition(self, vectors: Float) -> Float:
        """M^-1 V (n, c), with the backend open."""
        self._set_up(Silent())
        return self._made(vectors)

    def roughly(self, vectors: Float, weights: Float) -> Float:
        """A^-1 V (n, c), until a residual ten times smaller changes it, rows counting by weights (n,), by a quarter at
        most; with the backend open. Raises `NotPositiveDefiniteError`."""
        self._set_up(Silent())
        verify = partial(self.product, progress=Silent(), name="certify", with_norm=True)
        operators, state = self._operators(vectors.shape[1], verify), None
        solution = np.zeros_like(vectors)
        for digits in range(1, _DIGITS + 1):
            outcome = solve(operators, vectors, Goal("relative residual", 10.0**-digits), state=state)
            before, solution, state = solution, outcome.solution, outcome.state
            change, size = (
                np.linalg.norm(each * weights[:, None], axis=0) for each in (solution - before, solution)
            )
            if outcome.reason != "converged" or (change <= 0.25 * size).all():
                break
        return solution

    def inverse_norm(self) -> float:
        """NaN: not computed."""
        return float("nan")

    def product(
        self, vectors: Float, progress: Progress, name: str, *, with_norm: bool = False, fresh: bool = True
    ) -> Product:
        """K V with K formed anew in float64."""
        return symmetric_product(
            self.problem.source,
            self.plan.layout,
            vectors,
            self.backend,
            with_norm=with_norm,
            progress=progress,
            name=name,
        )

    def predict(self, rows: Points, alpha: Float, progress: Progress) -> Float:
        return predict_here(self.problem, rows, alpha, self.backend, progress)

    def fall_back(self, notes: Notes) -> System:
        raise AssertionError("there is no other precision to fall back to")

    def close(self) -> None:
        self._gram = self._preconditioner = None
        self._waits = False
        self._products = self.problem.source

    @property
    def _made(self) -> Preconditioner:
        assert self._preconditioner is not None
        return self._preconditioner

    def _operators(self, columns: int, verify: Callable[[Float], Product]) -> Operators:
        """A and the preconditioner for so many columns at a time."""
        ridge, dtype = self.problem.ridges, self._dtype(columns)
        return Operators(
            product=lambda vectors: self._multiplied(vectors, dtype) + ridge * vectors,
            precondition=self._made,
            verify=verify,
            ridge=ridge,
            norm=self._norm_below(),
            roundoff=_ROUNDOFF[np.float32 if self._rounds else np.float64],
            single=dtype == np.float32,
        )

    @property
    def _ridge(self) -> float | Float:
        """One for each row, of targets that have ridges of their own the least."""
        ridges = self.problem.ridges
        return ridges if np.ndim(ridges) == 0 else np.min(ridges, axis=1)

    @property
    def _entries(self) -> TiledGram | KernelEntries:
        if self._gram is not None:
            return self._gram
        kernel, points = self.problem.kernel, self.problem.points
        assert kernel is not None
        assert points is not None
        return KernelEntries(kernel, points)

    def _dtype(self, columns: int) -> Any:
        """Of sums over a tile: float64 where memory sets the pace anyhow."""
        return type_of_sums(columns) if self._rounds else np.float64

    @property
    def _rounds(self) -> bool:
        """Whether the iteration has K in float32."""
        return self._gram is not None and self.problem.n > EXACT

    def _multiplied(self, vectors: Float, dtype: Any) -> Float:
        if self._rounds and self._gram is not None:
            return self._gram.product(vectors, self.backend, dtype)
        return symmetric_product(self._products, self.plan.layout, vectors, self.backend).values

    def _norm_below(self) -> float:
        """|A|_inf or less: of a K that is formed anew the largest sum of a few rows, else its row sums, which are those
        of |A| where no entry is negative."""
        n, ridge = self.problem.n, self.problem.min_ridge
        if self.plan.tier == "generated":
            rows = np.unique(np.linspace(0, n - 1, _SUMMED).astype(np.int64))
            return (
                float(
                    np.abs(self._entries.columns(rows, self.backend)).sum(axis=(0, 2), dtype=np.float64).max()
                )
                + ridge
            )
        return float(np.abs(self._multiplied(np.ones((n, 1)), np.float64)).max()) + ridge

    def _convergence(
        self, goal: Goal, outcome: Outcome[Any], targets: Float, spent: dict[str, float]
    ) -> Convergence:
        preconditioner, gram = self._made, self._gram
        return Convergence.of(
            goal,
            outcome,
            targets,
            targets - outcome.product.values - self.problem.ridges * outcome.solution,
            fallback=f"with K {self._where}, as in float32 it is singular to rounding"
            if outcome.state.exact and not outcome.state.curvature
            else "",
            preconditioner="randomly pivoted Cholesky and neighbours",
            rank=preconditioner.rank,
            entries=self._where,
            seconds={"gram": self.seconds["gram"], "precondition": self.seconds["factor"], **spent},
            bytes_gram=(0 if gram is None else gram.nbytes)
            + 8 * self.plan.layout.elements * self._stores_float64,
            bytes_preconditioner=preconditioner.nbytes,
        )

    @property
    def _where(self) -> str:
        if self._rounds and self._gram is not None:
            return self._gram.entries
        return "float64 in memory" if self._stores_float64 else "formed anew in float64"

    @property
    def _stores_float64(self) -> bool:
        return self._products is not self.problem.source

    def _make_exact(self, progress: Progress) -> None:
        """K in float64 from here on: in memory where the limit leaves room, else formed anew for every product."""
        if self._gram is None:
            return
        room = self.plan.memory_limit - self.plan.bytes_memory + self._gram.nbytes
        self._gram = None
        if 8 * self.plan.layout.elements <= room:
            self._products = cache(self.problem.source, self.plan.layout, "gram", self.backend, progress)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - started


def _require_single(diagonal: Float) -> None:
    """Raise for a K, whose entries are no larger than its diagonal's, that single precision cannot hold."""
    if not is_single(diagonal):
        largest = float(np.abs(diagonal).max())
        raise InputError(
            f"kernel: got a diagonal of up to {largest:.1e} with solver 'pcg', whose K is in single precision, "
            f"expected between {1.0 / _LARGEST:.0e} and {_LARGEST:.0e}; rescale it and the ridge, or take "
            "solver='cholesky'"
        )


def _require_positive(diagonal: Float) -> None:
    """Raise for an A that is not positive definite by one entry, which targets may hide from directions."""
    row = int(np.argmin(diagonal))
    if not diagonal[row] > 0:
        raise NotPositiveDefiniteError(
            f"K: has {diagonal[row]:g} on its diagonal at row {row}, the ridge included, expected a positive number; "
            "leave such rows out, or give a larger ridge"
        )


def is_single(diagonal: Float) -> bool:
    """Whether single precision holds a K of this diagonal."""
    largest = float(np.abs(diagonal).max())
    return largest == 0 or 1.0 / _LARGEST <= largest <= _LARGEST


def is_generated(problem: Problem) -> bool:
    return problem.kernel is not None and problem.points is not None
