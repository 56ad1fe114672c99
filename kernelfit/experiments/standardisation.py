"""Columns of mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.gram.arrays import refuse_rounding
from kernelfit.typing import Array, Float


@dataclass(frozen=True)
class Standardisation:
    """z = (x - mean) / scale for each column, as `sklearn.preprocessing.StandardScaler`: `mean` (d,) and `scale` (d,)
    are those of the training rows, and a constant column is only centred. Columns of 0 and 1 that stand for words
    stay as they are: a word that few rows have would set these apart from all others."""

    mean: Float
    scale: Float

    @classmethod
    def of(cls, rows: Array, indicators: NDArray[np.bool_] | None = None) -> Standardisation:
        """That of the rows (n, d), of the columns that are no `indicators` (d,) of words."""
        scale = rows.std(axis=0, dtype=np.float64)
        # The mean of equal numbers is rounded, and their standard deviation then no zero.
        varies = (rows.max(axis=0) > rows.min(axis=0)) & (scale > 0)
        mean, scale = rows.mean(axis=0, dtype=np.float64), np.where(varies, scale, 1.0)
        if indicators is not None:
            mean[indicators], scale[indicators] = 0.0, 1.0
        return cls(mean, scale)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Standardisation:
        """The inverse of `to_dict`. Raises TypeError or ValueError for what is none."""
        mean, scale = (np.array(stored[name], dtype=np.float64) for name in ("mean", "scale"))
        if mean.ndim != 1 or mean.shape != scale.shape or not (np.isfinite(mean).all() and (scale > 0).all()):
            raise ValueError("mean and scale do not belong together")
        return cls(mean, scale)

    def apply(self, rows: Array) -> Float:
        """The rows (m, d), standardised, in float64."""
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise InputError(f"X: got shape {rows.shape}, expected (m, {len(self.mean)})")
        refuse_rounding(rows, "X")
        values: Float = np.asarray(rows, dtype=np.float64) - self.mean
        values /= self.scale
        return values

    def to_dict(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}
