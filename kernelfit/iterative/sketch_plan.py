"""What sketch-and-project holds in memory, and how many rows its blocks have: pure arithmetic.

A block of b rows takes n b entries of K and b^3 / 3 flops of a Cholesky factor, in b^2 / 2 numbers. The larger, the
fewer epochs; up to where its factor costs as much as its entries, or its memory runs out.
"""

from __future__ import annotations

import math
from dataclasses import replace

from kernelfit.cpu.memory import INTERPRETER
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.errors import PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan

# Of all rows that a block has at most: 8 iterations make an epoch.
_SHARE = 8
# Flops of an entry beside its inner product: the exponential.
_EPILOGUE = 30
# Of b^3 / 3 beside b^2 entries in the time they take: a factor of float64 beside entries by float32 or bytes.
_FACTOR_COST = 4.0
# Vectors of (n, c) float64: W, V, Z, the best, targets, products with |K| and copies.
_VECTORS = 14
# Rows of a block at least, whatever the memory.
_LEAST = 32


def plan_blocks(costs: Costs, memory: int) -> Plan:
    """Blocks as large as pay and fit. Raises `PlanError` with the bytes that are missing."""
    n = costs.n
    entry = 2.0 * costs.d + _EPILOGUE + 2.0 * costs.n_rhs
    paying = math.isqrt(math.ceil(3.0 * n * entry / _FACTOR_COST))
    wanted = min(n, max(_LEAST, min(-(-n // _SHARE), paying)))
    fixed = INTERPRETER + costs.bytes_points + _workspace(costs)
    least = fixed + bytes_of_block(min(n, _LEAST), costs)
    if least > memory:
        raise PlanError(
            f"memory: {least:,} bytes needed for sketch-and-project on n = {n:,}, got {memory:,}: {least - memory:,} "
            f"missing; give memory='{least:,}', or fewer rows or right-hand sides"
        )
    size = _largest(min(n, _LEAST), wanted, costs, memory - fixed)
    held = bytes_of_block(size, costs)
    return replace(
        Plan.in_memory(costs, memory),
        solver="askotch",
        rank=size,
        tier="generated",
        bytes_factor=held,
        bytes_workspace=_workspace(costs),
        bytes_memory=fixed + held,
        flops_factor=float(n) * size * size / 3.0,
        flops_solve=float(n) * n * (2.0 * costs.d + 2.0 * costs.n_rhs),
    )


def bytes_of_block(size: int, costs: Costs) -> int:
    """Of its rows, their conversion, and the panels of its factor with the one that is being built."""
    return 8 * size * (size // 2 + 1_024) + 2 * size * costs.d * 8 + 2 * 8 * size * costs.n_rhs


def _workspace(costs: Costs) -> int:
    """Of vectors, and of tiles: those of a block's rows, or those of a true residual."""
    tiles = max(costs.threads * WIDTH * 1_024 * 24, costs.bytes_tiles)
    return costs.n * max(costs.n_rhs, 2) * 8 * _VECTORS + tiles


def _largest(low: int, high: int, costs: Costs, room: int) -> int:
    while low < high:
        size = (low + high + 1) // 2
        low, high = (size, high) if bytes_of_block(size, costs) <= room else (low, size - 1)
    return low
