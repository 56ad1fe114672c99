"""Columns of mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.gram.arrays import refuse_rounding
from kernelfit.typing import Array, Float

# Sums of squares of larger numbers, and of smaller ones than its inverse, are no float64.
_LARGE = 1e140


@dataclass(frozen=True, eq=False)
class Standardisation:
    """z = (x - mean) / scale for each column, as `sklearn.preprocessing.StandardScaler`: `mean` (d,) and `scale` (d,)
    are those of the training rows, and a constant column is only centred. Columns of 0 and 1 that stand for words
    stay as they are: a word that few rows have would set these apart from all others."""

    mean: Float
    scale: Float

    @classmethod
    def of(cls, rows: Array, indicators: NDArray[np.bool_] | None = None) -> Standardisation:
        """That of the rows (n, d), of the columns that are no `indicators` (d,) of words."""
        largest, smallest = rows.max(axis=0), rows.min(axis=0)
        unit = _unit(np.maximum(np.abs(largest.astype(np.float64)), np.abs(smallest.astype(np.float64))))
        within = rows if (unit == 1.0).all() else rows / unit
        scale = within.std(axis=0, dtype=np.float64) * unit
        # The mean of equal numbers is rounded, and their standard deviation then no zero.
        varies = (largest > smallest) & (scale > 0)
        mean, scale = within.mean(axis=0, dtype=np.float64) * unit, np.where(varies, scale, 1.0)
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
        unit = _unit(self.scale)
        within = np.asarray(rows, dtype=np.float64)
        values: Float = (within if (unit == 1.0).all() else within / unit) - self.mean / unit
        values /= self.scale / unit
        return values

    def to_dict(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}


def _unit(largest: Float) -> Float:
    """Powers of two (d,) that numbers so large are divided by where their squares, or differences, would under- or
    overflow; else 1."""
    extreme = (largest > _LARGE) | ((largest < 1 / _LARGE) & (largest > 0))
    return np.where(extreme, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1.0)
