"""How long an iteration will take on this machine, from the same work on a few thousand rows.

A product goes as the tiles of K, the preconditioner as n r to apply and as n r^2, n^2 and n r to set up, vectors as n,
a true residual as n^2; a block of b rows of sketch-and-project as n b, and its factor as b^3. How many iterations there
will be depends on K and the targets: nothing here knows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.iterative.block_cg import Operators, State, step
from kernelfit.iterative.block_rows import block_rows_product
from kernelfit.iterative.formed_gram import formed_gram
from kernelfit.iterative.kernel_entries import KernelEntries
from kernelfit.iterative.nearest import nearest_before
from kernelfit.iterative.pivoted_cholesky import LowRank, pivoted_cholesky
from kernelfit.iterative.preconditioner import Preconditioner, neighbours_of, residual_inverse
from kernelfit.iterative.sparse_inverse import SparseInverse
from kernelfit.iterative.stored_gram import StoredGram
from kernelfit.iterative.tiled_gram import TiledGram
from kernelfit.iterative.vectors import chunks_of, type_of_sums
from kernelfit.kernels import Gaussian
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.product import symmetric_product
from kernelfit.linalg.triangular import solve_factored
from kernelfit.progress import Silent
from kernelfit.storage.panels import RamPanels
from kernelfit.typing import Float

# Rows and rank of the trial: a K that no cache holds, and products at their rate.
_ORDER, _RANK = 8_192, 1_024
_REPEATS = 3
# Rank with products as large as those of a trial, which are compiled code of their own.
_COMPILED_RANK = WIDTH
# Rows of a block whose factor is timed.
_BLOCK = 4_096
# Columns of K that are drawn for each that is accepted.
_DRAWN = 1.25
# Of a feature of the trial's rows, with what products make of them: no more than the memory of the plan.
_BYTES = 32


def timed(plan: Plan, *, exact: bool) -> Plan:
    """With the seconds of an iteration, and of all else with one true residual, for a gaussian kernel.

    `exact`: rows are bytes. Reading rows and predicting others are not in it.
    """
    trial = _Trial(plan, exact)
    rank = min(plan.rank, trial.n, _RANK)
    tiles = _tiles(plan.n) / _tiles(trial.n)
    rows, ranks = plan.n / trial.n, plan.rank / rank
    with CpuBackend(plan.threads) as backend:
        _compile(plan, exact, backend)
        seconds_gram, gram = _taken(lambda: trial.gram(plan.tier, backend))
        entries = KernelEntries(trial.kernel, trial.points) if gram is None else gram
        seconds_columns = _least(lambda: trial.columns(entries, rank, backend))
        seconds_factor, low_rank = _taken(lambda: trial.low_rank(entries, rank, backend))
        seconds_nearest = _least(lambda: trial.nearest(entries, backend))
        seconds_inverse, inverse = _taken(lambda: trial.inverse(entries, low_rank, backend))
        seconds_core, preconditioner = _taken(lambda: Preconditioner(low_rank, inverse, backend, Silent()))
        iteration = (
            _least(lambda: trial.product(gram, backend)) * tiles
            + _least(lambda: preconditioner(trial.vectors)) * rows * ranks
            + _least(trial.step) * rows
        )
        true_residual, _ = _taken(lambda: trial.true_residual(backend))
    rest = (
        seconds_gram * tiles
        + seconds_columns * rows * ranks
        + (max(seconds_factor - seconds_columns, 0.0) + seconds_core) * rows * ranks**2
        + seconds_nearest * tiles
        + max(seconds_inverse - seconds_nearest, 0.0) * rows * ranks
        + true_residual * rows**2
    )
    return replace(plan, predicted_seconds=rest, seconds_iteration=iteration)


def timed_blocks(plan: Plan, *, exact: bool) -> Plan:
    """The same of sketch-and-project, whose iteration is one block of `plan.rank` rows."""
    trial = _Trial(plan, exact)
    size = min(plan.rank, trial.n, _BLOCK)
    index = np.linspace(0, trial.n - 1, size).astype(np.int64)
    with CpuBackend(plan.threads) as backend:
        seconds_rows = _least(
            lambda: block_rows_product(trial.kernel, trial.points, index, trial.vectors, backend)
        )
        seconds_factor = _least(lambda: trial.block(index, backend))
        true_residual = _least(lambda: trial.true_residual(backend))
    part = plan.rank / size
    iteration = seconds_rows * (plan.n / trial.n) * part + seconds_factor * part**3
    return replace(
        plan, predicted_seconds=true_residual * (plan.n / trial.n) ** 2, seconds_iteration=iteration
    )


def _compile(plan: Plan, exact: bool, backend: CpuBackend) -> None:
    """Have all that is timed at its first call compiled, and loaded, on a few rows."""
    trial = _Trial(replace(plan, n=min(plan.n, 2 * WIDTH)), exact)
    gram = trial.gram(plan.tier, backend)
    entries = KernelEntries(trial.kernel, trial.points) if gram is None else gram
    low_rank = trial.low_rank(entries, min(trial.n, _COMPILED_RANK), backend)
    Preconditioner(low_rank, trial.inverse(entries, low_rank, backend), backend, Silent())
    trial.true_residual(backend)


class _Trial:
    """Random rows of a plan's width, as many as are enough."""

    def __init__(self, plan: Plan, exact: bool) -> None:
        self.n = min(plan.n, _ORDER, max(WIDTH, plan.memory_limit // (_BYTES * plan.d)))
        random = np.random.default_rng(0)
        shape = (self.n, plan.d)
        rows: Any = random.integers(0, 256, shape, np.uint8) if exact else random.standard_normal(shape)
        self.points, self.kernel = Points(rows, 1 / 255 if exact else None), Gaussian(1.0 / plan.d)
        self.vectors = random.standard_normal((self.n, plan.n_rhs)).astype(np.float32).astype(np.float64)
        self.source, self.layout = KernelGram(self.kernel, self.points), PanelLayout.of_order(self.n)
        self.neighbours = min(neighbours_of(plan.n), self.n)
        self.type_of_sums = type_of_sums(plan.n_rhs)

    def gram(self, tier: str, backend: CpuBackend) -> TiledGram | None:
        if tier == "ram":
            return StoredGram.of(self.source, self.layout, backend, Silent())
        return formed_gram(self.kernel, self.points)

    def columns(self, entries: TiledGram | KernelEntries, rank: int, backend: CpuBackend) -> None:
        """As many as are formed for a rank, those that are not accepted included."""
        count = min(self.n, round(_DRAWN * rank))
        for index in np.array_split(
            np.unique(np.linspace(0, self.n - 1, count).astype(np.int64)), -(-count // 256)
        ):
            entries.columns(index, backend)

    def product(self, gram: TiledGram | None, backend: CpuBackend) -> None:
        if gram is None:
            symmetric_product(self.source, self.layout, self.vectors, backend)
        else:
            gram.product(self.vectors, backend, self.type_of_sums)

    def low_rank(self, entries: TiledGram | KernelEntries, rank: int, backend: CpuBackend) -> LowRank:
        columns = partial(entries.columns, backend=backend)
        return pivoted_cholesky(columns, self.source.diagonal(), rank, 0, backend, Silent())

    def nearest(self, entries: TiledGram | KernelEntries, backend: CpuBackend) -> None:
        nearest_before(entries.line, np.ones(self.n), self.neighbours, backend)

    def inverse(
        self, entries: TiledGram | KernelEntries, low_rank: LowRank, backend: CpuBackend
    ) -> SparseInverse:
        return residual_inverse(entries, low_rank, self.source.diagonal(), 0.0, self.neighbours, backend)

    def block(self, index: NDArray[np.int64], backend: CpuBackend) -> None:
        """The factor of a block, and a solve with it."""
        store = RamPanels(PanelLayout.of_order(len(index)), np.float64)
        factor(self.source.subset(index, backend), 1.0, store, backend)
        solve_factored(store, self.vectors[index], backend)

    def step(self) -> None:
        """One iteration with products that take no time."""
        operators = Operators(lambda x: 2.0 * x, np.copy, self._verify, 0.0, 1.0, 0.0, single=True)
        step(operators, State.start(operators, self.vectors), self.vectors)

    def true_residual(self, backend: CpuBackend) -> None:
        symmetric_product(self.source, self.layout, self.vectors, backend, with_norm=True)

    def _verify(self, solution: Float) -> Any:
        raise AssertionError("a step forms no true residual")


def _tiles(n: int) -> float:
    chunks = chunks_of(n)
    return chunks * (chunks + 1) / 2.0


def _taken(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and what it gave."""
    started = time.perf_counter()
    made = work()
    return time.perf_counter() - started, made


def _least(work: Callable[[], Any]) -> float:
    """Seconds of the shortest of some calls, the first of which compiles and touches memory."""
    work()
    return min(_taken(work)[0] for _ in range(_REPEATS))
