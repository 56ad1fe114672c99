"""What an iterative solve holds in memory: pure arithmetic, no array is allocated here.

K in float32, 2 n^2 bytes and its diagonal tiles, or where it is formed anew rows of bytes once more; H, 4 n r bytes;
G, some 24 bytes a neighbour; and some vectors of n c numbers. The rank r pays while it saves more iterations than it
costs: H is read twice an iteration, 8 n r bytes beside 2 n^2 of K, and takes 2 n r^2 flops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from kernelfit.cpu.memory import INTERPRETER
from kernelfit.cpu.tile_products import WIDTH, group_of
from kernelfit.errors import PlanError, StorageError
from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits, place
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import BYTES_BESIDE
from kernelfit.iterative.preconditioner import neighbours_of
from kernelfit.iterative.vectors import chunks_of, vectors_of

# Rank beside the root of n, in whole tiles from one on. Neighbours do what more columns would do for small eigenvalues:
# 30,000 digits take 185 iterations to 1e-6 with rank 1,536 and 32 neighbours, 138 with twice the rank, 140 with twice
# the neighbours, 102 with both.
_RANK, _RANK_OF_FEW = 10.0, 12.0
#: order up to which K is in memory in float64: no time to be saved, and any condition number may come
EXACT = 4_096
# A rank below this part of that is not worth having.
_MIN_RANK = 0.25
# Vectors of (n, c) float64: those of the iteration, the best, products with |K|, copies in the order of tiles, and the
# sums of runs for all columns, of which there are some 13.
_VECTORS = 20 + 13
# Rows at which conjugate gradients to 1e-2 and a factor take about the same time.
_MEETING = 6_000
# Columns of K that are formed at a time, with what is left of them.
_COLUMNS = 2 * 256


def bytes_of_gram(n: int) -> int:
    """Of the float32 tiles of K's lower triangle."""
    chunks = chunks_of(n)
    return 4 * WIDTH * WIDTH * (chunks * (chunks + 1) // 2)


def bytes_of_exact(costs: Costs) -> int:
    """Of K in float64 beside the tiles, up to the order where it is there."""
    return costs.layout.elements * 8 if costs.n <= EXACT else 0


def bytes_of_rows(costs: Costs) -> int:
    """Of rows of bytes in the order in which products read them; 0 where rows are no bytes."""
    are_bytes = 0 < costs.bytes_points <= costs.n * (costs.d + BYTES_BESIDE)
    return chunks_of(costs.n) * WIDTH * (costs.d + 12) if are_bytes else 0


def bytes_of_preconditioner(n: int, rank: int) -> int:
    """Of H, the factor of C, and G by rows and by columns."""
    factor = 4 * WIDTH * WIDTH * chunks_of(n) * chunks_of(rank) + 8 * rank * rank
    return factor + n * (8 + 24 * (neighbours_of(n) + 1))


def plan_iterations(costs: Costs, memory: int, *, generated: bool) -> Plan:
    """K in memory where it fits beside a preconditioner, else `generated` for every product where it may be.

    Raises `PlanError` with the bytes that are missing.
    """
    n, wanted = costs.n, _rank_of(costs.n)
    fixed = INTERPRETER + costs.bytes_points + _workspace(costs)
    stored = bytes_of_gram(n) + bytes_of_exact(costs)
    for gram, tier in ((stored, "ram"), (bytes_of_rows(costs), "generated")):
        if tier == "generated" and not generated:
            break
        rank = _rank_within(n, wanted, memory - fixed - gram)
        if rank >= min(wanted, max(1, math.ceil(_MIN_RANK * wanted))):
            return _plan(costs, memory, rank, gram, tier)
    least = fixed + bytes_of_preconditioner(n, max(1, math.ceil(_MIN_RANK * wanted)))
    least += bytes_of_rows(costs) if generated else stored
    raise PlanError(
        f"memory: {least:,} bytes needed for conjugate gradients on n = {n:,}, got {memory:,}: {least - memory:,} "
        f"missing; give memory='{least:,}', or fewer rows or right-hand sides"
    )


def crossover(tolerance: float, n_rhs: int) -> float:
    """Rows from which on conjugate gradients to a relative residual take less time than a factor.

    Measured on MNIST with a gaussian kernel, gamma 0.02, and ten targets: between 5,000 and 7,000 rows the two meet to
    1e-2, between 7,000 and 10,000 to 1e-6, at 20,000 to a factor's backward error. More targets cost an iteration in
    proportion, and a factor nothing.
    """
    rows: float = _MEETING * 2.0 ** ((-math.log10(tolerance) - 2.0) / 8.0)
    return rows * max(1.0, n_rhs / 10.0)


def plan_either(
    costs: Costs,
    limits: Limits,
    *,
    generated: bool,
    tolerance: float | None = None,
    stored: bool = False,
    note: Callable[[str], None] | None = None,
) -> Plan:
    """Conjugate gradients where they are to reach a `tolerance` only and are faster; else a factor where it fits into
    memory; else conjugate gradients where K in float32 does; else the factor on the disk; else K `generated` for every
    product where it may be. A factor that is `stored` fits only where the disk has room as well, and none fits on the
    disk where there is no folder to write to: of K that is formed anew, `note` is told why. Raises `PlanError`."""
    if tolerance is not None and costs.n >= crossover(tolerance, costs.n_rhs):
        with suppress(PlanError):
            return plan_iterations(costs, limits.memory, generated=False)
    if Plan.in_memory(costs, limits.memory).bytes_memory <= limits.memory:
        with suppress(PlanError, StorageError):
            return place(costs, limits, stored=stored)
    with suppress(PlanError):
        return plan_iterations(costs, limits.memory, generated=False)
    try:
        return place(costs, limits, stored=stored)
    except (PlanError, StorageError) as error:
        lacking = str(error)
    try:
        plan = plan_iterations(costs, limits.memory, generated=generated)
    except PlanError as error:
        raise PlanError(f"{error}; nor is a factor made: {lacking}") from None
    if note is not None and plan.tier == "generated":
        note(f"solver auto: no factor is made: {lacking}")
    return plan


def columns_within(plan: Plan, wanted: int) -> int:
    """Right-hand sides up to `wanted` that are iterated at a time within the memory of a plan: those it was made for,
    and what its limit leaves room for."""
    planned, group = vectors_of(max(plan.n_rhs, 1)), group_of(np.float32)
    room = max(plan.memory_limit - plan.bytes_memory, 0) // (8 * _VECTORS * plan.n)
    return min(wanted, planned + room // group * group)


def _workspace(costs: Costs) -> int:
    """Of vectors, columns of K, and tiles: those that become float32, or those of a true residual."""
    columns = vectors_of(max(costs.n_rhs, 1))
    tiles = max(costs.threads * WIDTH * costs.layout.width * 24, costs.bytes_tiles)
    return costs.n * columns * 8 * _VECTORS + costs.n * 4 * _COLUMNS + tiles


def _rank_of(n: int) -> int:
    """The rank that is worth having."""
    root = math.sqrt(n)
    small = round(_RANK_OF_FEW * root)
    return min(n, small if small < WIDTH else WIDTH * math.ceil(_RANK * root / WIDTH))


def _rank_within(n: int, wanted: int, room: int) -> int:
    """The largest rank up to `wanted` whose preconditioner fits into `room` bytes, by bisection; 0 where none does."""
    low, high = 0, wanted
    while low < high:
        rank = (low + high + 1) // 2
        low, high = (rank, high) if bytes_of_preconditioner(n, rank) <= room else (low, rank - 1)
    return low


def _plan(costs: Costs, memory: int, rank: int, gram: int, tier: str) -> Plan:
    n = costs.n
    held = gram + bytes_of_preconditioner(n, rank)
    workspace = _workspace(costs)
    return replace(
        Plan.in_memory(costs, memory),
        solver="pcg",
        rank=rank,
        tier=tier,
        bytes_factor=held,
        bytes_workspace=workspace,
        bytes_memory=INTERPRETER + costs.bytes_points + workspace + held,
        flops_factor=2.0 * n * rank * rank,
        flops_solve=2.0 * n * n * costs.n_rhs + 4.0 * n * rank * costs.n_rhs,
    )
