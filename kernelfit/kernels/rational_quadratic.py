"""Rational quadratic kernel."""

from __future__ import annotations

import math
from typing import Any

from kernelfit.arguments import positive
from kernelfit.cpu.jit import njit
from kernelfit.errors import InputError
from kernelfit.kernels.base import Constants, Kernel, Needs, Tile
from kernelfit.kernels.elementary import pair_distances
from kernelfit.typing import Float


class RationalQuadratic(Kernel):
    """k(x, x') = (1 + |x - x'|^2 / (2 alpha length_scale^2))^-alpha, alpha > 0, length_scale > 0 in units of x.

    A scale mixture of gaussian kernels. The same as `sklearn.gaussian_process.kernels.RationalQuadratic`;
    Rasmussen and Williams (2006), equation 4.19.
    """

    name = "rational-quadratic"
    width_parameter = "length_scale"
    stationary = True
    positive = True
    needs = Needs.DISTANCES
    device_formula = "rational_quadratic(distance(pair, a), b)"

    def __init__(self, alpha: float = 1.0, length_scale: float = 1.0) -> None:
        self.alpha = positive("alpha", alpha)
        self.length_scale = positive("length_scale", length_scale)
        if math.isinf(self.constants.a):
            raise InputError(f"length_scale: got {length_scale}, expected one whose inverse float64 holds")

    @property
    def parameters(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "length_scale": self.length_scale}

    @property
    def constants(self) -> Constants:
        """1 / (sqrt(2 alpha) length_scale), whose square may be beyond float64, and alpha."""
        return Constants(a=math.sqrt(0.5 / self.alpha) / self.length_scale, b=self.alpha)

    def evaluate(self, tile: Tile, out: Float) -> None:
        length = tile.sq_distances(out)
        _rational_quadratic(self.constants.a * length, self.constants.b, out)

    @classmethod
    def length_scale_divides(cls, rows: Float) -> Float:
        return pair_distances(rows, "euclidean")


@njit(cache=True, nogil=True, error_model="numpy")
def _rational_quadratic(rate: float, alpha: float, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            root = rate * math.sqrt(out[i, j])
            # The logarithm keeps digits of what is near 1, the power those of what is near 0; the root cannot overflow.
            if root < 1.0:
                out[i, j] = math.exp(-alpha * math.log1p(root * root))
            elif root < 1e9:
                out[i, j] = (1.0 + root * root) ** -alpha
            else:
                out[i, j] = root ** (-2.0 * alpha)
