"""The neural tangent kernel of ReLU networks."""

from __future__ import annotations

import math
from typing import Any

from kernelfit.arguments import integer
from kernelfit.cpu.jit import njit
from kernelfit.kernels.arc_cosine import MAX_DEPTH, angles, relu_layer
from kernelfit.kernels.base import Constants, Kernel, Needs, Rows, Tile
from kernelfit.typing import Float


class NeuralTangent(Kernel):
    """Neural tangent kernel of a fully connected ReLU network with `depth` hidden layers and no biases.

    S_0 = Theta_0 = <x, x'>; with rho the cosine belonging to S_{l-1},
    S_l = |x| |x'| kappa_1(rho), Theta_l = S_l + Theta_{l-1} kappa_0(rho),
    kappa_0 = (pi - arccos rho) / pi, kappa_1 = (sqrt(1 - rho^2) + rho (pi - arccos rho)) / pi.
    The value on the diagonal is (depth + 1) |x|^2. Jacot et al. (2018); the recursion as in Bietti and Mairal,
    On the inductive bias of neural tangent kernels (2019), equations 4-6.
    """

    name = "ntk"
    needs = Needs.INNER_PRODUCTS
    device_formula = "neural_tangent(pair, order)"

    def __init__(self, depth: int = 1) -> None:
        self.depth = integer("depth", depth, 1, MAX_DEPTH)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"depth": self.depth}

    @property
    def constants(self) -> Constants:
        return Constants(self.depth)

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.half_tangents(out)
        _neural_tangent(*tile.lengths(), self.depth, out)

    def diagonal(self, points: Rows) -> Float:
        diagonal: Float = (self.depth + 1.0) * points.domain_sq_norms
        return diagonal


@njit(cache=True, nogil=True, error_model="numpy")
def _neural_tangent(length_rows: Any, length_cols: Any, depth: int, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            tangent = out[i, j]
            # The cosine, from whichever of 1 - cos and 1 + cos is small.
            total = 1.0 - 2.0 * tangent / (1.0 + tangent) if tangent <= 1.0 else 2.0 / (1.0 + tangent) - 1.0
            for _ in range(depth):
                theta, rest = angles(tangent)
                kappa, tangent = relu_layer(tangent, theta, rest)
                total = kappa + total * (rest / math.pi)
            out[i, j] = total * (length_rows[i] * length_cols[j])
