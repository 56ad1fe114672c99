"""Kernels of the inner product: linear, polynomial and cosine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kernelfit.arguments import integer, non_negative, positive
from kernelfit.kernels.base import Kernel, Rows, Tile
from kernelfit.typing import Float


class Linear(Kernel):
    """k(x, x') = <x, x'>. Rank at most d: with fewer features than rows the solver takes the primal road."""

    name = "linear"

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    def evaluate(self, tile: Tile, out: Float) -> None:
        _polynomial(tile.dot(), tile.offset_rows, tile.offset_cols, tile.unit, 0.0, 1, out)

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        return sq_norms.copy()


class Polynomial(Kernel):
    """k(x, x') = (gamma <x, x'> + coef0)^degree, gamma > 0, coef0 >= 0, degree >= 1.

    The same as `sklearn.metrics.pairwise.polynomial_kernel`. Rank at most binomial(d + degree, degree).
    """

    name = "polynomial"

    def __init__(self, degree: int = 3, gamma: float = 1.0, coef0: float = 1.0) -> None:
        self.degree = integer("degree", degree, 1)
        self.gamma = positive("gamma", gamma)
        self.coef0 = non_negative("coef0", coef0)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"degree": self.degree, "gamma": self.gamma, "coef0": self.coef0}

    def evaluate(self, tile: Tile, out: Float) -> None:
        unit = self.gamma * tile.unit
        _polynomial(tile.dot(), tile.offset_rows, tile.offset_cols, unit, self.coef0, self.degree, out)

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        powers: Float = (self.gamma * sq_norms + self.coef0) ** self.degree
        return powers


class Cosine(Kernel):
    """k(x, x') = <x, x'> / (|x| |x'|); 0 where a row is zero. Rank at most d.

    The same as `sklearn.metrics.pairwise.cosine_similarity`.
    """

    name = "cosine"

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    def evaluate(self, tile: Tile, out: Float) -> None:
        _cosine(tile.dot(), tile.offset_rows, tile.offset_cols, tile.origin_rows, tile.origin_cols, out)

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        return np.where(sq_norms > 0, 1.0, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _polynomial(
    dot: Any, offset_rows: Any, offset_cols: Any, unit: float, coef0: float, degree: int, out: Any
) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            base = unit * (dot[i, j] + offset_rows[i] + offset_cols[j]) + coef0
            power = base
            for _ in range(degree - 1):
                power *= base
            out[i, j] = power


@njit(cache=True, nogil=True, error_model="numpy")
def cosine_of(dot: float, sq_row: float, sq_col: float) -> float:
    """<x, x'> / (|x| |x'|) clamped to [-1, 1]; 0 where a row is zero."""
    product = sq_row * sq_col
    if product <= 0.0:
        return 0.0
    return min(1.0, max(-1.0, dot / math.sqrt(product)))


@njit(cache=True, nogil=True, error_model="numpy")
def _cosine(
    dot: Any, offset_rows: Any, offset_cols: Any, origin_rows: Any, origin_cols: Any, out: Any
) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            inner = dot[i, j] + offset_rows[i] + offset_cols[j]
            out[i, j] = cosine_of(inner, origin_rows[i], origin_cols[j])
