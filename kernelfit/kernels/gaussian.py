"""Gaussian kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import positive
from kernelfit.cpu.jit import njit
from kernelfit.kernels.base import Constants, Kernel, Needs, Tile
from kernelfit.kernels.elementary import exp_nonpositive, exp_nonpositive_single, pair_distances
from kernelfit.typing import Float

_LARGEST = float(np.finfo(np.float32).max)


class Gaussian(Kernel):
    """k(x, x') = exp(-gamma |x - x'|^2), gamma > 0.

    gamma in 1 / (units of x)^2. Strictly positive definite on distinct rows. The same as
    `sklearn.metrics.pairwise.rbf_kernel`, with distances clamped at zero and an exact unit diagonal.
    """

    name = "gaussian"
    aliases = ("rbf",)
    width_parameter = "gamma"
    stationary = True
    positive = True
    single = True
    needs = Needs.DISTANCES
    device_formula = "exp(-squared_distance(pair, a))"

    def __init__(self, gamma: float) -> None:
        self.gamma = positive("gamma", gamma)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"gamma": self.gamma}

    @property
    def constants(self) -> Constants:
        return Constants(a=self.gamma)

    def evaluate(self, tile: Tile, out: Float) -> None:
        length = tile.sq_distances(out)
        _gaussian(self.gamma * length * length, out)

    def evaluate_single(self, sq_distances: NDArray[np.float32], unit: float) -> None:
        # An infinite factor would make no number of a distance of 0.
        _gaussian_single(np.float32(max(-self.gamma * unit, -_LARGEST)), sq_distances)

    @classmethod
    def gamma_multiplies(cls, rows: Float) -> Float:
        return pair_distances(rows, "sqeuclidean")


@njit(cache=True, nogil=True, error_model="numpy")
def _gaussian(gamma: float, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = exp_nonpositive(-gamma * out[i, j])


@njit(cache=True, nogil=True, error_model="numpy")
def _gaussian_single(factor: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = exp_nonpositive_single(factor * out[i, j])
