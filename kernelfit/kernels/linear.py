"""Linear kernel."""

from __future__ import annotations

from typing import Any

from kernelfit.kernels.base import Kernel, Needs, Rows, Tile
from kernelfit.typing import Float


class Linear(Kernel):
    """k(x, x') = <x, x'>. Rank at most d: with fewer features than rows the solver computes weights instead."""

    name = "linear"
    linear = True
    needs = Needs.INNER_PRODUCTS
    device_formula = "inner_product(pair, 1.0)"

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.inner_products(out)

    def feature_count(self, d: int) -> int | None:
        return d

    def features(self, rows: Float) -> Float:
        return rows

    def diagonal(self, points: Rows) -> Float:
        return points.domain_sq_norms.copy()
