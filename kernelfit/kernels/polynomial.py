"""Polynomial kernel."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import integer, non_negative, positive
from kernelfit.cpu.jit import njit
from kernelfit.kernels.base import Constants, Kernel, Needs, Rows, Tile
from kernelfit.typing import Float

# A power is that many products: a forged file would keep us busy for years.
_MAX_DEGREE = 10_000
# Beyond this features are not written down: how often a monomial occurs leaves the range of float64.
_MAX_FEATURE_DEGREE = 64


def _orders(monomial: NDArray[np.int64]) -> float:
    """In how many orders the factors of a monomial can stand."""
    counts = np.unique(monomial, return_counts=True)[1]
    return float(math.factorial(len(monomial)) // math.prod(math.factorial(int(count)) for count in counts))


class Polynomial(Kernel):
    """k(x, x') = (gamma <x, x'> + coef0)^degree, gamma > 0, coef0 >= 0, degree >= 1.

    The same as `sklearn.metrics.pairwise.polynomial_kernel`. Rank at most binomial(d + degree, degree).
    """

    name = "polynomial"
    aliases = ("poly",)
    width_parameter = "gamma"
    needs = Needs.INNER_PRODUCTS
    device_formula = "power(inner_product(pair, a) + b, order)"

    def __init__(self, degree: int = 3, gamma: float = 1.0, coef0: float = 1.0) -> None:
        self.degree = integer("degree", degree, 1, _MAX_DEGREE)
        self.gamma = positive("gamma", gamma)
        self.coef0 = non_negative("coef0", coef0)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"degree": self.degree, "gamma": self.gamma, "coef0": self.coef0}

    @property
    def constants(self) -> Constants:
        return Constants(self.degree, self.gamma, self.coef0)

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.inner_products(out, self.gamma)
        _polynomial(self.coef0, self.degree, out)

    def diagonal(self, points: Rows) -> Float:
        sq_norms = points.domain_sq_norms
        base = self.gamma * sq_norms
        # |x|^2 may leave the range of float64 where gamma |x|^2 does not.
        lost = ~(sq_norms >= np.finfo(float).tiny) | ~np.isfinite(sq_norms)
        base[lost] = (math.sqrt(self.gamma) * points.lengths[lost]) ** 2
        powers: Float = (base + self.coef0) ** self.degree
        return powers

    def feature_count(self, d: int) -> int | None:
        terms = d + (self.coef0 > 0)
        return math.comb(terms + self.degree - 1, self.degree) if self.degree <= _MAX_FEATURE_DEGREE else None

    def features(self, rows: Float) -> Float:
        """Every monomial of degree `degree` in sqrt(gamma) x and sqrt(coef0), times the root of how often it occurs."""
        terms = math.sqrt(self.gamma) * rows
        if self.coef0 > 0:
            terms = np.hstack([terms, np.full((len(rows), 1), math.sqrt(self.coef0))])
        indices = np.array(list(combinations_with_replacement(range(terms.shape[1]), self.degree)))
        features: Float = np.tile(np.sqrt([_orders(monomial) for monomial in indices]), (len(rows), 1))
        for position in range(self.degree):
            features *= terms[:, indices[:, position]]
        return features

    @classmethod
    def gamma_multiplies(cls, rows: Float) -> Float:
        """|x|^2: gamma then makes the base of the power 1 + coef0 at a typical x = x'."""
        sq_norms: Float = np.einsum("ij,ij->i", rows, rows)
        return sq_norms


@njit(cache=True, nogil=True, error_model="numpy")
def _polynomial(coef0: float, degree: int, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            base = out[i, j] + coef0
            power = base
            for _ in range(degree - 1):
                power *= base
            out[i, j] = power
