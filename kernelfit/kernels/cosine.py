"""Cosine kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.kernels.base import Kernel, Needs, Rows, Tile
from kernelfit.typing import Float


class Cosine(Kernel):
    """k(x, x') = <x, x'> / (|x| |x'|); 0 where a row is zero. Rank at most d.

    The same as `sklearn.metrics.pairwise.cosine_similarity`.
    """

    name = "cosine"
    needs = Needs.INNER_PRODUCTS
    device_formula = "cosine_of(pair)"

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    def evaluate(self, tile: Tile, out: Float) -> None:
        tile.cosines(out)

    def diagonal(self, points: Rows) -> Float:
        return np.where(points.lengths > 0, 1.0, 0.0)
