"""Laplacian kernel."""

from __future__ import annotations

from typing import Any

from kernelfit.arguments import positive
from kernelfit.cpu.jit import njit
from kernelfit.kernels.base import Constants, Kernel, Needs, Tile
from kernelfit.kernels.elementary import exp_nonpositive, pair_distances
from kernelfit.typing import Float


class Laplacian(Kernel):
    """k(x, x') = exp(-gamma |x - x'|_1), gamma > 0 in 1 / units of x.

    Strictly positive definite on distinct rows. The same as `sklearn.metrics.pairwise.laplacian_kernel`.
    """

    name = "laplacian"
    aliases = ("laplace",)
    width_parameter = "gamma"
    stationary = True
    positive = True
    needs = Needs.L1_DISTANCES
    device_formula = "exp(-a * pair.l1)"

    def __init__(self, gamma: float) -> None:
        self.gamma = positive("gamma", gamma)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"gamma": self.gamma}

    @property
    def constants(self) -> Constants:
        return Constants(a=self.gamma)

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.l1_distances(out)
        _laplacian(self.gamma, out)

    @classmethod
    def gamma_multiplies(cls, rows: Float) -> Float:
        return pair_distances(rows, "cityblock")


@njit(cache=True, nogil=True, error_model="numpy")
def _laplacian(gamma: float, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = exp_nonpositive(-gamma * out[i, j])
