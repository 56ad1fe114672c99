"""Kernels of infinitely wide ReLU networks: arc-cosine kernels and the neural tangent kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kernelfit.arguments import integer
from kernelfit.errors import InputError
from kernelfit.kernels.base import Kernel, Rows, Tile
from kernelfit.kernels.inner_product import cosine_of
from kernelfit.typing import Float


class ArcCosine(Kernel):
    """Arc-cosine kernel of order 0 (step units) or 1 (ReLU units), composed `depth` times.

    With theta the angle between x and x': order 0: 1 - theta / pi; order 1: |x| |x'| J(theta) / pi,
    J = sin theta + (pi - theta) cos theta. Each further layer takes the angle from the layer before.
    Cho and Saul, Kernel methods for deep learning (2009), equations 3-6 and 13. A zero row counts as orthogonal
    to all others.
    """

    name = "arc-cosine"

    def __init__(self, order: int = 1, depth: int = 1) -> None:
        if order not in (0, 1):
            raise InputError(f"order: got {order!r}, expected 0 or 1")
        self.order = int(order)
        self.depth = integer("depth", depth, 1)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"order": self.order, "depth": self.depth}

    def evaluate(self, tile: Tile, out: Float) -> None:
        _arc_cosine(
            tile.dot(),
            tile.offset_rows,
            tile.offset_cols,
            tile.origin_rows,
            tile.origin_cols,
            tile.unit,
            self.order,
            self.depth,
            out,
        )

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        # Both orders preserve the diagonal from the first layer on: J_0(0) / pi = 1, J_1(0) / pi = 1.
        return np.ones_like(sq_norms) if self.order == 0 else sq_norms.copy()


class NeuralTangent(Kernel):
    """Neural tangent kernel of a fully connected ReLU network with `depth` hidden layers and no biases.

    S_0 = Theta_0 = <x, x'>; with rho the cosine belonging to S_{l-1},
    S_l = |x| |x'| kappa_1(rho), Theta_l = S_l + Theta_{l-1} kappa_0(rho),
    kappa_0 = (pi - arccos rho) / pi, kappa_1 = (sqrt(1 - rho^2) + rho (pi - arccos rho)) / pi.
    The value on the diagonal is (depth + 1) |x|^2. Jacot et al. (2018); the recursion as in Bietti and Mairal,
    On the inductive bias of neural tangent kernels (2019), equations 4-6.
    """

    name = "ntk"

    def __init__(self, depth: int = 1) -> None:
        self.depth = integer("depth", depth, 1)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"depth": self.depth}

    def evaluate(self, tile: Tile, out: Float) -> None:
        _neural_tangent(
            tile.dot(),
            tile.offset_rows,
            tile.offset_cols,
            tile.origin_rows,
            tile.origin_cols,
            tile.unit,
            self.depth,
            out,
        )

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        diagonal: Float = (self.depth + 1.0) * sq_norms
        return diagonal


@njit(cache=True, nogil=True, error_model="numpy")
def _kappa_1(rho: float) -> float:
    # sin and angle of the same rho; (1 - rho)(1 + rho) keeps digits that 1 - rho^2 would lose.
    return (math.sqrt((1.0 - rho) * (1.0 + rho)) + rho * (math.pi - math.acos(rho))) / math.pi


@njit(cache=True, nogil=True, error_model="numpy")
def _kappa_0(rho: float) -> float:
    return 1.0 - math.acos(rho) / math.pi


@njit(cache=True, nogil=True, error_model="numpy")
def _arc_cosine(
    dot: Any,
    offset_rows: Any,
    offset_cols: Any,
    origin_rows: Any,
    origin_cols: Any,
    unit: float,
    order: int,
    depth: int,
    out: Any,
) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            inner = dot[i, j] + offset_rows[i] + offset_cols[j]
            rho = cosine_of(inner, origin_rows[i], origin_cols[j])
            for _ in range(depth):
                rho = min(1.0, _kappa_0(rho) if order == 0 else _kappa_1(rho))
            if order == 1:
                rho *= unit * math.sqrt(origin_rows[i] * origin_cols[j])
            out[i, j] = rho


@njit(cache=True, nogil=True, error_model="numpy")
def _neural_tangent(
    dot: Any,
    offset_rows: Any,
    offset_cols: Any,
    origin_rows: Any,
    origin_cols: Any,
    unit: float,
    depth: int,
    out: Any,
) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            inner = dot[i, j] + offset_rows[i] + offset_cols[j]
            rho = cosine_of(inner, origin_rows[i], origin_cols[j])
            theta = rho
            for _ in range(depth):
                derivative = _kappa_0(rho)
                rho = min(1.0, _kappa_1(rho))
                theta = rho + theta * derivative
            out[i, j] = theta * unit * math.sqrt(origin_rows[i] * origin_cols[j])
