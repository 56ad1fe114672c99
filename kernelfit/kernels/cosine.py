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

    def feature_count(self, d: int) -> int | None:
        return d

    def features(self, rows: Float) -> Float:
        # Over a power of two first, so that no square under- or overflows.
        units = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, initial=0.0))[1][:, None])
        lengths = np.linalg.norm(units, axis=1)[:, None]
        features: Float = np.divide(units, lengths, out=np.zeros_like(units), where=lengths > 0)
        return features

    def diagonal(self, points: Rows) -> Float:
        return np.where(points.lengths > 0, 1.0, 0.0)
