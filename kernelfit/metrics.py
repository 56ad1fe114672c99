"""How well scores match labels or targets: what every report of an error is computed with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.typing import Float


def one_hot(codes: NDArray[np.int64], n_classes: int) -> Float:
    """Class codes (n,) in 0..n_classes-1 as rows of the identity, (n, n_classes)."""
    targets = np.zeros((len(codes), n_classes))
    targets[np.arange(len(codes)), codes] = 1.0
    return targets


def error_rate(scores: Float, codes: NDArray[Any], weights: Float | None = None) -> float:
    """The fraction of rows whose largest score (n, c) is not that of their class (n,); row i counts weights_i times."""
    return float(np.average(scores.argmax(axis=1) != codes, weights=weights))


def root_mean_square(residuals: Float) -> float:
    """sqrt(mean r^2) over all rows and columns."""
    return float(np.sqrt(np.mean(np.square(residuals))))


def compare(scores: Float, truth: NDArray[Any], classification: bool) -> tuple[float | None, float | None]:
    """(error rate, None) for class codes, (None, root mean square) for targets of the shape of the scores."""
    if classification:
        return error_rate(scores, truth), None
    return None, root_mean_square(scores - np.asarray(truth, dtype=np.float64).reshape(scores.shape))


def coefficient_of_determination(scores: Float, truth: NDArray[Any]) -> float | None:
    """R^2 = 1 - residual / total sum of squares over all columns; None where the truth is constant."""
    target = np.asarray(truth, dtype=np.float64).reshape(scores.shape)
    total = float(np.sum(np.square(target - target.mean(axis=0))))
    return 1.0 - float(np.sum(np.square(scores - target))) / total if total > 0 else None
