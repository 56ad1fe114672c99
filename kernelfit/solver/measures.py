"""What a certificate says of residual, alpha and targets: all of it in one pass over their entries."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kernelfit.cpu.jit import njit
from kernelfit.solver.scaling import Exponents, times_power
from kernelfit.typing import Float

# Squares below this, and more so their errors, lose digits to underflow.
_TINY = 2.0**-900
_ROUNDOFF = 0.5 * float(np.finfo(np.float64).eps)
#: a residual that still counts as rounding, relative to the largest target
RESIDUAL = 1e-6
#: targets below this, beside the largest of their column, are rounding of it
SMALL = 1e-13
#: a norm whose relative error may be larger has no digit
UNRESOLVED = 0.5
# Lines of numbers for each column: those that scale with Y, and others.
_RESIDUAL, _TARGET, _ALPHA, _SPREAD, _LINEAR = range(5)
_SQUARE, _LOST, _FORMED, _MISSED, _FITTED, _NORM, _ERROR, _LINES = range(_LINEAR, 12)


class Measures(NamedTuple):
    """Of r = Y - K alpha - ridges alpha (n, c) and its columns r, y, alpha.

    backward : max over columns of |r|_inf / (size |alpha|_inf + |y|_inf), NaN where anything is not finite
    componentwise : the largest |r| / (|K| |alpha| + ridges |alpha| + |y|)
    met : whether |r|_inf is rounding beside |y|_inf in every column
    vanishing : whether alpha^T K alpha or its error is too small for its digits in any column
    uncertain : the largest relative error of alpha^T K alpha
    visible : the largest | |K| |alpha| |_inf beside |y|_inf, of columns that are not 0
    residual : 2^powers |r|_inf of the worst column
    sizes : 2^powers |alpha|_inf of the smallest and of the largest column
    squares, lost : alpha^T K alpha and a bound of its rounding error (c,)
    norms, errors : its root, NaN where no digit of that holds, and a bound of the relative error (c,)
    linear : (4, c), 2^powers times |r|_inf, |y|_inf, |alpha|_inf and | |K| |alpha| |_inf
    """

    backward: float
    componentwise: float
    met: bool
    vanishing: bool
    uncertain: float
    visible: float
    residual: float
    sizes: tuple[float, float]
    squares: Float
    lost: Float
    norms: Float
    errors: Float
    linear: Float


def rounding(n: int) -> float:
    """What a sum of n products loses beside the sum of their absolute values: errors are random, so that sqrt(n) u."""
    return (8.0 + n**0.5) * _ROUNDOFF


def measure(
    targets: Float,
    alpha: Float,
    fitted: Float,
    absolute: Float | None,
    ridges: float | Float,
    size: float,
    powers: Exponents,
) -> Measures:
    """All of alpha (n, c), Y, K alpha and |K| |alpha|; `ridges` is a number or broadcasts to (n, c), `size` |A|_inf.

    Without |K| |alpha| the componentwise error, the norms and the bounds mean nothing.
    """
    each = np.array(ridges, np.float64, ndmin=2)
    known = fitted if absolute is None else absolute
    arrays = map(np.ascontiguousarray, (targets, alpha, fitted, known, each))
    lines = np.zeros((_LINES, alpha.shape[1]))
    unit = rounding(len(alpha))
    (backward, componentwise, residual), (met, vanishing), (uncertain, visible), sizes = _measure(
        *arrays, (unit, size), powers, lines
    )
    return Measures(
        backward,
        componentwise,
        met,
        vanishing,
        uncertain,
        visible,
        residual,
        sizes,
        lines[_SQUARE],
        lines[_LOST],
        lines[_NORM],
        lines[_ERROR],
        lines[:_LINEAR],
    )


def may_miss(measured: Measures) -> bool:
    """Whether a residual is beyond what `missed` takes for rounding."""
    residuals, targets = measured.linear[:2]
    return bool((residuals > UNRESOLVED * SMALL * targets).any())


def missed(residual: Float, targets: Float) -> int:
    """How many targets (n, c) have no digit, as residuals are half of them or more, though rounding beside the largest
    of their column; those below `SMALL` of that are rounding themselves, and 0 among others is as well."""
    sizes = np.abs(targets)
    told = sizes > SMALL * sizes.max(axis=0, initial=0.0)
    return int(np.count_nonzero(told & (np.abs(residual) > UNRESOLVED * sizes)))


@njit(cache=True, nogil=True, error_model="numpy")
def _measure(
    targets: Any,
    alpha: Any,
    fitted: Any,
    absolute: Any,
    ridges: Any,
    bounds: tuple[float, float],
    powers: Any,
    lines: Any,
) -> tuple[Any, Any, Any, Any]:
    unit, size = bounds
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
    backward, met, vanishing, uncertain = 0.0, True, False, 0.0
    visible, residual, smallest, most = 0.0, 0.0, np.inf, 0.0
    for c in range(columns):
        vanishing |= lines[_ALPHA, c] > 0.0 and abs(lines[_SQUARE, c]) < _TINY
        met &= lines[_RESIDUAL, c] <= RESIDUAL * lines[_TARGET, c]
        whole = size * lines[_ALPHA, c] + lines[_TARGET, c]
        if not np.isfinite(whole):
            backward = np.nan
        elif whole > 0.0:
            backward = _larger(backward, lines[_RESIDUAL, c] / whole)
        if least > 0.0:
            # The same change is 2 (A^-1 K alpha)^T (y - A alpha), |A^-1| <= 1 / least: far less of a large ridge.
            moved = 2.0 * np.sqrt(lines[_FITTED, c]) * np.sqrt(lines[_MISSED, c]) / least
            lines[_LOST, c] = min(lines[_LOST, c], lines[_FORMED, c] + moved)
        error = relative(lines[_LOST, c], lines[_SQUARE, c])
        uncertain = max(uncertain, error)
        lines[_NORM, c], lines[_ERROR, c] = resolved(lines[_SQUARE, c], error)
        factor = math.ldexp(1.0, powers[c])
        for k in range(_LINEAR):
            lines[k, c] = times_power(lines[k, c], factor, powers[c])
        if lines[_TARGET, c] > 0.0:
            visible = max(visible, lines[_SPREAD, c] / lines[_TARGET, c])
        residual, most = _larger(residual, lines[_RESIDUAL, c]), _larger(most, lines[_ALPHA, c])
        smallest = lines[_ALPHA, c] if not lines[_ALPHA, c] >= smallest else smallest
    return (backward, componentwise, residual), (met, vanishing), (uncertain, visible), (smallest, most)


@njit(cache=True, nogil=True, error_model="numpy")
def relative(error: float, square: float) -> float:
    """error / square; 0 where both are 0, infinite where the square is not positive or either is no number."""
    ratio = error / square if square > 0.0 else (np.inf if error != 0.0 else 0.0)
    return ratio if ratio < np.inf else np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def resolved(square: float, error: float) -> tuple[float, float]:
    """The root of a square, NaN where no digit holds, and its relative error, from that of the square."""
    # The true square is 1 - e of this one or more, and its root sqrt(1 - e): e / 2 less, where e is small.
    error = error / (1.0 + np.sqrt(max(1.0 - error, 0.0))) if np.isfinite(square) else np.inf
    return (np.sqrt(max(square, 0.0)) if error < UNRESOLVED else np.nan), error


@njit(cache=True, nogil=True, error_model="numpy")
def _larger(a: float, b: float) -> float:
    """The larger of two; NaN where one is."""
    return b if b > a or b != b else a
