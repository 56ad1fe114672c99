"""Matern kernels of smoothness 1/2, 3/2 and 5/2."""

from __future__ import annotations

import math
from typing import Any

from kernelfit.arguments import finite, positive
from kernelfit.cpu.jit import njit
from kernelfit.errors import InputError
from kernelfit.kernels.base import Constants, Kernel, Needs, Tile
from kernelfit.kernels.elementary import exp_nonpositive, pair_distances
from kernelfit.typing import Float

SMOOTHNESS = (0.5, 1.5, 2.5)


class Matern(Kernel):
    """Matern kernel of smoothness nu; with r = |x - x'| / length_scale,

    nu = 1/2: exp(-r);  nu = 3/2: (1 + s) exp(-s), s = sqrt(3) r;  nu = 5/2: (1 + s + s^2/3) exp(-s), s = sqrt(5) r.

    length_scale > 0 in units of x. Strictly positive definite on distinct rows. The same as
    `sklearn.gaussian_process.kernels.Matern`; Rasmussen and Williams (2006), equation 4.17.
    """

    name = "matern"
    width_parameter = "length_scale"
    stationary = True
    positive = True
    needs = Needs.DISTANCES
    device_formula = "matern(distance(pair, a), order)"

    def __init__(self, nu: float = 1.5, length_scale: float = 1.0) -> None:
        if finite("nu", nu) not in SMOOTHNESS:
            raise InputError(f"nu: got {nu}, expected one of 0.5, 1.5, 2.5")
        self.nu = float(nu)
        self.length_scale = positive("length_scale", length_scale)
        if math.isinf(self.constants.a):
            raise InputError(f"length_scale: got {length_scale}, expected one whose inverse float64 holds")

    @property
    def parameters(self) -> dict[str, Any]:
        return {"nu": self.nu, "length_scale": self.length_scale}

    @property
    def constants(self) -> Constants:
        """The order nu - 1/2 of the polynomial, and sqrt(2 nu) / length_scale, which turns distances into s."""
        return Constants(int(self.nu - 0.5), math.sqrt(2.0 * self.nu) / self.length_scale)

    def evaluate(self, tile: Tile, out: Float) -> None:
        length = tile.sq_distances(out)
        _matern(self.constants.a * length, self.constants.order, out)

    @classmethod
    def length_scale_divides(cls, rows: Float) -> Float:
        return pair_distances(rows, "euclidean")


@njit(cache=True, nogil=True, error_model="numpy")
def _matern(rate: float, order: int, out: Any) -> None:
    # The coefficients of 1 + u s + v s^2.
    u = 1.0 if order >= 1 else 0.0
    v = 1.0 / 3.0 if order == 2 else 0.0
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            # Beyond 1e3 the exponential is 0, and s^2 may be infinite.
            s = min(rate * math.sqrt(out[i, j]), 1e3)
            out[i, j] = (1.0 + s * (u + v * s)) * exp_nonpositive(-s)
