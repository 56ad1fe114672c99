"""What a certificate says of residual, alpha and targets: all of it in one pass over their entries."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kernelfit.cpu.jit import njit
from kernelfit.typing import Float

# Squares below this, and more so their errors, lose digits to underflow.
_TINY = 2.0**-900
_ROUNDOFF = 0.5 * float(np.finfo(np.float64).eps)
# Lines of numbers for each column.
_RESIDUAL, _TARGET, _ALPHA, _SPREAD, _SQUARE, _LOST, _FORMED, _MISSED, _FITTED, _LINES = range(10)


class Measures(NamedTuple):
    """Of r = Y - K alpha - ridges alpha (n, c): max over columns of |r|_inf / (size |alpha|_inf + |y|_inf), NaN where
    anything is not finite, and the largest |r| / (|K| |alpha| + ridges |alpha| + |y|); whether alpha^T K alpha or its
    error is too small for its digits in any column; of each column (c,) |r|_inf, |y|_inf, |alpha|_inf, | |K| |alpha|
    |_inf, alpha^T K alpha and a bound of its rounding error; and `linear`, the first four once more (4, c), which scale
    with Y."""

    backward: float
    componentwise: float
    vanishing: bool
    residuals: Float
    targets: Float
    sizes: Float
    spreads: Float
    squares: Float
    lost: Float
    linear: Float


def rounding(n: int) -> float:
    """What a sum of n products loses beside the sum of their absolute values: errors are random, so that sqrt(n) u."""
    return (8.0 + n**0.5) * _ROUNDOFF


def measure(
    targets: Float, alpha: Float, fitted: Float, absolute: Float | None, ridges: float | Float, size: float
) -> Measures:
    """All of alpha (n, c), Y, K alpha and |K| |alpha|; `ridges` is a number or broadcasts to (n, c), `size` |A|_inf.

    Without |K| |alpha| the componentwise error and the bound mean nothing.
    """
    each = np.array(ridges, np.float64, ndmin=2)
    known = fitted if absolute is None else absolute
    arrays = map(np.ascontiguousarray, (targets, alpha, fitted, known, each))
    lines = np.zeros((_LINES, alpha.shape[1]))
    backward, componentwise, vanishing = _measure(*arrays, rounding(len(alpha)), size, lines)
    return Measures(
        backward,
        componentwise,
        vanishing,
        lines[_RESIDUAL],
        lines[_TARGET],
        lines[_ALPHA],
        lines[_SPREAD],
        lines[_SQUARE],
        lines[_LOST],
        lines[: _SPREAD + 1],
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _measure(
    targets: Any, alpha: Any, fitted: Any, absolute: Any, ridges: Any, unit: float, size: float, lines: Any
) -> tuple[float, float, bool]:
    rows, columns = alpha.shape
    componentwise, least = 0.0, np.inf
    for i in range(rows):
        for c in range(columns):
            ridge = ridges[i if len(ridges) > 1 else 0, c if ridges.shape[1] > 1 else 0]
            weight, target = abs(alpha[i, c]), abs(targets[i, c])
            missed = abs(targets[i, c] - fitted[i, c] - ridge * alpha[i, c])
            spread = absolute[i, c] + ridge * weight
            least = min(least, ridge)
            lines[_RESIDUAL, c] = _larger(lines[_RESIDUAL, c], missed)
            lines[_ALPHA, c] = _larger(lines[_ALPHA, c], weight)
            lines[_TARGET, c] = _larger(lines[_TARGET, c], target)
            lines[_SPREAD, c] = _larger(lines[_SPREAD, c], absolute[i, c])
            if missed > 0.0:
                componentwise = _larger(componentwise, missed / (spread + target))
            lines[_SQUARE, c] += alpha[i, c] * fitted[i, c]
            # What alpha does not meet of the targets changes |f|^2 by twice its product with alpha.
            lines[_LOST, c] += weight * (unit * spread + 2.0 * missed)
            lines[_FORMED, c] += weight * (unit * absolute[i, c])
            lines[_MISSED, c] += (missed + unit * spread) ** 2
            lines[_FITTED, c] += fitted[i, c] ** 2
    backward, vanishing = 0.0, False
    for c in range(columns):
        vanishing |= lines[_ALPHA, c] > 0.0 and abs(lines[_SQUARE, c]) < _TINY
        whole = size * lines[_ALPHA, c] + lines[_TARGET, c]
        if not np.isfinite(whole):
            backward = np.nan
        elif whole > 0.0:
            backward = _larger(backward, lines[_RESIDUAL, c] / whole)
        if least > 0.0:
            # The same change is 2 (A^-1 K alpha)^T (y - A alpha), |A^-1| <= 1 / least: far less of a large ridge.
            moved = 2.0 * np.sqrt(lines[_FITTED, c]) * np.sqrt(lines[_MISSED, c]) / least
            lines[_LOST, c] = min(lines[_LOST, c], lines[_FORMED, c] + moved)
    return backward, componentwise, vanishing


@njit(cache=True, nogil=True, error_model="numpy")
def _larger(a: float, b: float) -> float:
    """The larger of two; NaN where one is."""
    return b if b > a or b != b else a
