"""Rational quadratic kernel."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from kernelfit.arguments import positive
from kernelfit.errors import InputError
from kernelfit.kernels.base import Constants, Kernel, Needs, Tile
from kernelfit.typing import Float


class RationalQuadratic(Kernel):
    """k(x, x') = (1 + |x - x'|^2 / (2 alpha length_scale^2))^-alpha, alpha > 0, length_scale > 0 in units of x.

    A scale mixture of gaussian kernels. The same as `sklearn.gaussian_process.kernels.RationalQuadratic`;
    Rasmussen and Williams (2006), equation 4.19.
    """

    name = "rational-quadratic"
    stationary = True
    needs = Needs.DISTANCES
    device_formula = "exp(-b * log1p(a * squared_distance(pair)))"

    def __init__(self, alpha: float = 1.0, length_scale: float = 1.0) -> None:
        self.alpha = positive("alpha", alpha)
        self.length_scale = positive("length_scale", length_scale)
        if math.isinf(self.constants.a):
            raise InputError(
                f"length_scale: got {length_scale}, expected one whose square is not lost to rounding"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "length_scale": self.length_scale}

    @property
    def constants(self) -> Constants:
        """1 / (2 alpha length_scale^2), divided one by one: the square of an extreme length scale overflows; alpha."""
        return Constants(a=0.5 / self.alpha / self.length_scale / self.length_scale, b=self.alpha)

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.sq_distances(out)
        _rational_quadratic(self.constants.a, self.constants.b, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _rational_quadratic(rate: float, alpha: float, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = math.exp(-alpha * math.log1p(rate * out[i, j]))
