"""Arc-cosine kernels: networks of infinitely many step or ReLU units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kernelfit.arguments import integer
from kernelfit.cpu.jit import njit
from kernelfit.kernels.base import Constants, Kernel, Needs, Rows, Tile
from kernelfit.typing import Float

#: every layer is computed for every entry: a forged file would keep us busy for years
MAX_DEPTH = 10_000


class ArcCosine(Kernel):
    """Arc-cosine kernel of order 0 (step units) or 1 (ReLU units), composed `depth` times.

    With theta the angle between x and x': order 0: 1 - theta / pi; order 1: |x| |x'| J(theta) / pi,
    J = sin theta + (pi - theta) cos theta. Each further layer takes the angle from the layer before.
    Cho and Saul, Kernel methods for deep learning (2009), equations 3-6 and 13. A zero row counts as orthogonal
    to all others, and parallel to itself.
    """

    name = "arc-cosine"
    needs = Needs.INNER_PRODUCTS
    device_formula = "arc_cosine(pair, order, static_cast<int>(a))"

    def __init__(self, order: int = 1, depth: int = 1) -> None:
        self.order = integer("order", order, 0, 1)
        self.depth = integer("depth", depth, 1, MAX_DEPTH)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"order": self.order, "depth": self.depth}

    @property
    def constants(self) -> Constants:
        return Constants(self.order, float(self.depth))

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.half_tangents(out)
        _arc_cosine(*tile.lengths(), self.order, self.depth, out)

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        # Both orders preserve the diagonal from the first layer on: J_0(0) / pi = 1, J_1(0) / pi = 1.
        return np.ones_like(sq_norms) if self.order == 0 else sq_norms.copy()


@njit(cache=True, nogil=True, error_model="numpy")
def angles(tangent: float) -> tuple[float, float]:
    """theta and pi - theta from tan^2(theta / 2); whichever is small has all its digits."""
    if tangent <= 1.0:
        theta = 2.0 * math.atan(math.sqrt(tangent))
        return theta, math.pi - theta
    rest = 2.0 * math.atan(math.sqrt(1.0 / tangent))
    return math.pi - rest, rest


@njit(cache=True, nogil=True, error_model="numpy")
def _sine_less(theta: float, one_less_cosine: float) -> float:
    """sin theta - theta cos theta; below 1/2 by its series, whose ninth term is 1e-19 of the first."""
    if theta >= 0.5:
        sine = math.sqrt(one_less_cosine * (2.0 - one_less_cosine))
        return sine - theta * (1.0 - one_less_cosine)
    square = theta * theta
    series = 16.0 / 355687428096000.0
    series = 14.0 / 1307674368000.0 - square * series
    series = 12.0 / 6227020800.0 - square * series
    series = 10.0 / 39916800.0 - square * series
    series = 8.0 / 362880.0 - square * series
    series = 6.0 / 5040.0 - square * series
    series = 4.0 / 120.0 - square * series
    series = 2.0 / 6.0 - square * series
    return theta * square * series


@njit(cache=True, nogil=True, error_model="numpy")
def step_layer(theta: float, rest: float) -> tuple[float, float]:
    """kappa_0 = 1 - theta / pi, and tan^2 of half the angle whose cosine that is."""
    return rest / math.pi, theta / (math.pi + rest)


@njit(cache=True, nogil=True, error_model="numpy")
def relu_layer(tangent: float, theta: float, rest: float) -> tuple[float, float]:
    """kappa_1 = (sin theta + (pi - theta) cos theta) / pi, and tan^2 of half the angle whose cosine that is.

    1 - kappa_1 = (1 - cos theta) - (sin theta - theta cos theta) / pi, which is formed without cancellation.
    """
    if rest < 0.5:
        kappa = _sine_less(rest, 2.0 / (1.0 + tangent)) / math.pi
        left = 1.0 - kappa
    else:
        one_less_cosine = 2.0 * tangent / (1.0 + tangent)
        left = one_less_cosine - _sine_less(theta, one_less_cosine) / math.pi
        kappa = 1.0 - left
    return kappa, left / (1.0 + kappa)


@njit(cache=True, nogil=True, error_model="numpy")
def _arc_cosine(length_rows: Any, length_cols: Any, order: int, depth: int, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            tangent = out[i, j]
            kappa = 1.0
            for _ in range(depth):
                theta, rest = angles(tangent)
                kappa, tangent = step_layer(theta, rest) if order == 0 else relu_layer(tangent, theta, rest)
            out[i, j] = kappa if order == 0 else kappa * (length_rows[i] * length_cols[j])
