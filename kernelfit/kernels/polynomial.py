"""Polynomial kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.arguments import integer, non_negative, positive
from kernelfit.cpu.jit import njit
from kernelfit.kernels.base import Constants, Kernel, Needs, Rows, Tile
from kernelfit.typing import Float

# A power is that many products: a forged file would keep us busy for years.
_MAX_DEGREE = 10_000


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
        powers: Float = (self.gamma * points.domain_sq_norms + self.coef0) ** self.degree
        return powers

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
