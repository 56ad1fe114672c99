"""Arc-cosine kernels: networks of infinitely many step or ReLU units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kernelfit.arguments import integer
from kernelfit.errors import InputError
from kernelfit.kernels.base import Constants, Kernel, Needs, Rows, Tile
from kernelfit.typing import Float


class ArcCosine(Kernel):
    """Arc-cosine kernel of order 0 (step units) or 1 (ReLU units), composed `depth` times.

    With theta the angle between x and x': order 0: 1 - theta / pi; order 1: |x| |x'| J(theta) / pi,
    J = sin theta + (pi - theta) cos theta. Each further layer takes the angle from the layer before.
    Cho and Saul, Kernel methods for deep learning (2009), equations 3-6 and 13. A zero row counts as orthogonal
    to all others.
    """

    name = "arc-cosine"
    needs = Needs.INNER_PRODUCTS
    device_formula = "arc_cosine(pair, order, static_cast<int>(a))"

    def __init__(self, order: int = 1, depth: int = 1) -> None:
        if order not in (0, 1):
            raise InputError(f"order: got {order!r}, expected 0 or 1")
        self.order = int(order)
        self.depth = integer("depth", depth, 1)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"order": self.order, "depth": self.depth}

    @property
    def constants(self) -> Constants:
        return Constants(self.order, float(self.depth))

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.cosines(out)
        _arc_cosine(*tile.lengths(), self.order, self.depth, out)

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        # Both orders preserve the diagonal from the first layer on: J_0(0) / pi = 1, J_1(0) / pi = 1.
        return np.ones_like(sq_norms) if self.order == 0 else sq_norms.copy()


@njit(cache=True, nogil=True, error_model="numpy")
def kappa_1(rho: float) -> float:
    """(sin theta + (pi - theta) cos theta) / pi with rho = cos theta."""
    # (1 - rho)(1 + rho) keeps digits that 1 - rho^2 would lose.
    return (math.sqrt((1.0 - rho) * (1.0 + rho)) + rho * (math.pi - math.acos(rho))) / math.pi


@njit(cache=True, nogil=True, error_model="numpy")
def kappa_0(rho: float) -> float:
    """1 - theta / pi with rho = cos theta."""
    return 1.0 - math.acos(rho) / math.pi


@njit(cache=True, nogil=True, error_model="numpy")
def _arc_cosine(length_rows: Any, length_cols: Any, order: int, depth: int, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            rho = out[i, j]
            for _ in range(depth):
                rho = min(1.0, kappa_0(rho) if order == 0 else kappa_1(rho))
            if order == 1:
                rho *= length_rows[i] * length_cols[j]
            out[i, j] = rho
