"""Gaussian kernel."""

from __future__ import annotations

from typing import Any

from numba import njit

from kernelfit.arguments import positive
from kernelfit.kernels.base import Kernel, Tile
from kernelfit.kernels.elementary import exp_nonpositive, squared_distance
from kernelfit.typing import Float


class Gaussian(Kernel):
    """k(x, x') = exp(-gamma |x - x'|^2), gamma > 0.

    gamma in 1 / (units of x)^2. Strictly positive definite on distinct rows. The same as
    `sklearn.metrics.pairwise.rbf_kernel`, with distances clamped at zero and an exact unit diagonal.
    """

    name = "gaussian"
    stationary = True
    of_distances = True

    def __init__(self, gamma: float) -> None:
        self.gamma = positive("gamma", gamma)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"gamma": self.gamma}

    def evaluate(self, tile: Tile, out: Float) -> None:
        _gaussian(tile.dot(), tile.sq_rows, tile.sq_cols, tile.unit, self.gamma, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _gaussian(dot: Any, sq_rows: Any, sq_cols: Any, unit: float, gamma: float, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = exp_nonpositive(-gamma * squared_distance(dot[i, j], sq_rows[i], sq_cols[j], unit))
