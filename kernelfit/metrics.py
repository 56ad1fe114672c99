"""How well scores match labels or targets: what every report of an error is computed with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import flag, integer, numbers
from kernelfit.errors import InputError, shown
from kernelfit.typing import Float


def one_hot(codes: NDArray[np.int64], n_classes: int) -> Float:
    """Class codes (n,) in 0..n_classes-1 as rows of the identity, (n, n_classes). Raises `InputError` for others."""
    known = numbers("codes", codes, (1,))
    integer("n_classes", n_classes, 1, 2**31 - 1)
    if known.size and (known.dtype.kind not in "ui" or not 0 <= known.min() <= known.max() < n_classes):
        raise InputError(f"codes: got {shown(known)}, expected integers from 0 to {n_classes - 1}")
    targets = np.zeros((len(known), n_classes))
    targets[np.arange(len(known)), known.astype(np.int64)] = 1.0
    return targets


def error_rate(scores: Float, codes: NDArray[Any], weights: Float | None = None) -> float:
    """The fraction of rows whose largest score (n, c) is not that of their class (n,); row i counts weights_i times."""
    scores = numbers("scores", scores, (2,))
    wrong = scores.argmax(axis=1) != numbers("codes", codes, (1,), len(scores))
    if weights is not None:
        weights = numbers("weights", weights, (1,), len(scores))
    return float(np.average(wrong, weights=weights))


def root_mean_square(residuals: Float) -> float:
    """sqrt(mean r^2) over all rows and columns, also where squares are beyond float64."""
    values = numbers("residuals", residuals, (1, 2)).astype(np.float64)
    _, power = np.frexp(np.abs(values).max(initial=0.0))
    return float(np.ldexp(np.sqrt(np.mean(np.square(np.ldexp(values, -power)))), power))


@dataclass(frozen=True)
class Errors:
    """How far scores are from the truth: the fraction of wrong classes, or for targets the root mean square, the
    coefficient of determination R^2 and the mean absolute error; the others are None."""

    error: float | None = None
    rmse: float | None = None
    r2: float | None = None
    mae: float | None = None

    def named(self, part: str) -> dict[str, float | None]:
        """Under the names of a record: test_error, test_rmse, test_r2, test_mae for the part "test"."""
        return {f"{part}_{name}": value for name, value in asdict(self).items()}


def compare(scores: Float, truth: NDArray[Any], classification: bool) -> Errors:
    """Of scores (m, c) and class codes (m,), or targets of the shape of the scores; no rows have no errors."""
    scores = numbers("scores", scores, (1, 2))
    if not len(scores):
        return Errors()
    if flag("classification", classification):
        return Errors(error_rate(scores, truth))
    residuals = scores - _like(scores, truth)
    return Errors(
        rmse=root_mean_square(residuals),
        r2=coefficient_of_determination(scores, truth),
        mae=float(np.mean(np.abs(residuals))),
    )


def spread(scores: Float, likely: Sequence[Float], truth: NDArray[Any], classification: bool) -> Errors:
    """Standard deviations of `compare` for scores (m, c) that are as uncertain, row by row, as equally likely ones
    (m, c) each differ.

    With v_i the variance of the loss of row i over these, and b the difference between its mean and what the scores
    have, summed over rows, a mean loss has sqrt(2 sum v_i + b^2) / m: errors of rows of an estimated diagonal have
    correlations (A^-1)_ij^2 beside the variances sum_j (A^-1)_ij^2, which together count as much as the rows alone.
    """
    if not len(scores) or not likely:
        return Errors()
    if flag("classification", classification):
        wrong = [(each.argmax(axis=1) != truth).astype(np.float64) for each in (scores, *likely)]
        return Errors(_spread_of_mean(wrong))
    target = _like(scores, truth)
    size = max(float(np.abs(target - scores).max(initial=0.0)), float(np.finfo(np.float64).tiny))
    residuals = [np.abs(each - target) / size for each in (scores, *likely)]
    squares = [np.square(each).mean(axis=1) for each in residuals]
    square, off = float(squares[0].mean()), _spread_of_mean(squares)
    determination = coefficient_of_determination(scores, truth)
    return Errors(
        rmse=size * (0.5 * off / np.sqrt(square) if square > 0 else np.sqrt(off)),
        r2=None if determination is None or square == 0 else (1.0 - determination) * off / square,
        mae=size * _spread_of_mean([each.mean(axis=1) for each in residuals]),
    )


def _spread_of_mean(losses: Sequence[Float]) -> float:
    """Of the mean over rows of the first losses (m,), as the others vary."""
    likely = np.array(losses[1:])
    variance, shift = float(likely.var(axis=0).sum()), float((likely.mean(axis=0) - losses[0]).sum())
    return float(np.sqrt(2.0 * variance + shift**2)) / len(losses[0])


def coefficient_of_determination(scores: Float, truth: NDArray[Any]) -> float | None:
    """R^2 = 1 - residual / total sum of squares over all columns; None where the truth is constant."""
    scores = numbers("scores", scores, (1, 2)).astype(np.float64)
    target = _like(scores, truth)
    _, power = np.frexp(max(np.abs(target).max(initial=0.0), np.abs(scores).max(initial=0.0)))
    target, scores = np.ldexp(target, -power), np.ldexp(scores, -power)
    # The mean of equal numbers is rounded, and they then differ from it.
    varies = (target != target[:1]).any(axis=0)
    total = float(np.sum(np.square(np.where(varies, target - target.mean(axis=0), 0.0))))
    return 1.0 - float(np.sum(np.square(scores - target))) / total if total > 0 else None


def _like(scores: Float, truth: NDArray[Any]) -> Float:
    """The truth as float64 of the shape of the scores."""
    array = numbers("truth", truth, (1, 2), len(scores))
    if array.size != scores.size:
        raise InputError(f"truth: got shape {array.shape}, expected {scores.shape} as the scores have")
    values: Float = array.astype(np.float64).reshape(scores.shape)
    return values
