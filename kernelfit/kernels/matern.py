"""Matern kernels of smoothness 1/2, 3/2 and 5/2, and the rational quadratic kernel."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from kernelfit.arguments import positive
from kernelfit.errors import InputError
from kernelfit.kernels.base import Kernel, Tile
from kernelfit.kernels.elementary import exp_nonpositive, squared_distance
from kernelfit.typing import Float

SMOOTHNESS = (0.5, 1.5, 2.5)


class Matern(Kernel):
    """Matern kernel of smoothness nu; with r = |x - x'| / length_scale,

    nu = 1/2: exp(-r);  nu = 3/2: (1 + s) exp(-s), s = sqrt(3) r;  nu = 5/2: (1 + s + s^2/3) exp(-s), s = sqrt(5) r.

    length_scale > 0 in units of x. Strictly positive definite on distinct rows. The same as
    `sklearn.gaussian_process.kernels.Matern`; Rasmussen and Williams (2006), equation 4.17.
    """

    name = "matern"
    stationary = True
    of_distances = True

    def __init__(self, nu: float = 1.5, length_scale: float = 1.0) -> None:
        if nu not in SMOOTHNESS:
            raise InputError(f"nu: got {nu}, expected one of 0.5, 1.5, 2.5")
        self.nu = float(nu)
        self.length_scale = positive("length_scale", length_scale)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"nu": self.nu, "length_scale": self.length_scale}

    def evaluate(self, tile: Tile, out: Float) -> None:
        # sqrt(2 nu) / length_scale turns distances into s; the order of the polynomial is nu - 1/2.
        rate = math.sqrt(2.0 * self.nu) / self.length_scale
        _matern(tile.dot(), tile.sq_rows, tile.sq_cols, tile.unit, rate, int(self.nu - 0.5), out)


class RationalQuadratic(Kernel):
    """k(x, x') = (1 + |x - x'|^2 / (2 alpha length_scale^2))^-alpha, alpha > 0, length_scale > 0 in units of x.

    A scale mixture of gaussian kernels. The same as `sklearn.gaussian_process.kernels.RationalQuadratic`;
    Rasmussen and Williams (2006), equation 4.19.
    """

    name = "rational-quadratic"
    stationary = True
    of_distances = True

    def __init__(self, alpha: float = 1.0, length_scale: float = 1.0) -> None:
        self.alpha = positive("alpha", alpha)
        self.length_scale = positive("length_scale", length_scale)
        # Divided one by one: the square of an extreme length scale overflows.
        self._rate = 0.5 / self.alpha / self.length_scale / self.length_scale
        if math.isinf(self._rate):
            raise InputError(
                f"length_scale: got {length_scale}, expected one whose square is not lost to rounding"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "length_scale": self.length_scale}

    def evaluate(self, tile: Tile, out: Float) -> None:
        _rational_quadratic(tile.dot(), tile.sq_rows, tile.sq_cols, tile.unit, self._rate, self.alpha, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _matern(dot: Any, sq_rows: Any, sq_cols: Any, unit: float, rate: float, order: int, out: Any) -> None:
    # The coefficients of 1 + a s + b s^2.
    a = 1.0 if order >= 1 else 0.0
    b = 1.0 / 3.0 if order == 2 else 0.0
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            s = rate * math.sqrt(squared_distance(dot[i, j], sq_rows[i], sq_cols[j], unit))
            out[i, j] = (1.0 + s * (a + b * s)) * exp_nonpositive(-s)


@njit(cache=True, nogil=True, error_model="numpy")
def _rational_quadratic(
    dot: Any, sq_rows: Any, sq_cols: Any, unit: float, rate: float, alpha: float, out: Any
) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            distance = squared_distance(dot[i, j], sq_rows[i], sq_cols[j], unit)
            out[i, j] = math.exp(-alpha * math.log1p(rate * distance))
