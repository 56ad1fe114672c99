"""The RKHS norm |f_c| of f = sum_i alpha_i k(x_i, .), with a bound of its rounding error.

|f|^2 = alpha^T K alpha is formed from K alpha, which is known to about u |K| |alpha|. Where K has no rank to speak of
and the ridge is small, alpha is of the order |y| / ridge in directions that K does not see, and u |alpha|^T |K| |alpha|
is larger than |f|^2. The same norm from quantities that those directions do not reach: with the shift s that the factor
has, A = K + s I and g = K alpha,

    |f|^2 = g^T K^+ g = g^T A^-1 g + s |A^-1 g|^2 + s^2 g^T A^-3 g + ...

in which the third and all later terms together are at most the second where the eigenvalues of K that f uses are above
2 s. g is taken as y - ridge alpha, whose part that K does not see is only rounding, and rid of that part by
g <- g - s A^-1 g = K A^-1 g, again and again until the second term is small beside the first.
"""

from __future__ import annotations

import numpy as np

from kernelfit.solver.system import System
from kernelfit.typing import Float

_ROUNDOFF = 0.5 * float(np.finfo(np.float64).eps)
#: a norm whose relative error may be larger is formed in the other way as well
_WANTED = 1e-6
#: a norm whose relative error may be larger has no digit
UNRESOLVED = 0.5
#: solves with the factor that the other way may take
_SOLVES = 10


def function_norms(
    system: System, targets: Float, alpha: Float, fitted: Float, absolute: Float | None, norm: float
) -> tuple[Float, Float]:
    """|f_c| (c,), NaN where no digit of it holds, and a bound of its relative error (c,).

    `fitted` is K alpha (n, c), `absolute` |K| |alpha| (n, c) or None where it is not known, `norm` |K + ridge I|_1.
    """
    ridge = system.problem.ridge
    sizes = np.abs(alpha)
    spread = norm * sizes if absolute is None else absolute + ridge * sizes
    unit = rounding(len(alpha))
    squares = np.einsum("ij,ij->j", alpha, fitted)
    errors = _relative(unit * np.einsum("ij,ij->j", sizes, spread), squares)
    if system.problem.shift > 0 and (errors > _WANTED).any():
        others, their_errors = _filtered(system, targets - ridge * alpha, norm)
        better = their_errors < errors
        squares, errors = np.where(better, others, squares), np.where(better, their_errors, errors)
    # A relative error e of the square is one of e / 2 of the norm, where e is small.
    errors = 0.5 * errors
    norms = np.where(errors < UNRESOLVED, np.sqrt(np.maximum(squares, 0.0)), np.nan)
    return norms, errors


def rounding(n: int) -> float:
    """What a sum of n products loses beside the sum of their absolute values: errors are random, so that sqrt(n) u."""
    return (8.0 + np.sqrt(n)) * _ROUNDOFF


def _filtered(system: System, values: Float, norm: float) -> tuple[Float, Float]:
    """|f_c|^2 (c,) by the series of the module, from g (n, c), and a bound of its relative error."""
    shift = system.problem.shift
    best = np.zeros(values.shape[1])
    errors = np.full(values.shape[1], np.inf)
    before = errors
    for solves in range(1, _SOLVES + 1):
        solved = system.apply_inverse(values)
        with np.errstate(over="ignore", invalid="ignore"):
            first = np.einsum("ij,ij->j", values, solved)
            squared = np.einsum("ij,ij->j", solved, solved)
            lost = 2.0 * (solves + 1) * shift * squared + rounding(len(values)) * norm * squared
            now = _relative(lost, first)
        better = now < errors
        best = np.where(better, first + shift * squared, best)
        errors = np.where(better, now, errors)
        # Each step takes away most of what K does not see, or else it does nothing.
        if (errors <= _WANTED).all() or not (squared < 0.5 * before)[errors > _WANTED].any():
            break
        before = squared
        values = values - shift * solved
    return best, errors


def _relative(errors: Float, squares: Float) -> Float:
    """errors / squares; 0 where both are 0, infinite where the square is not positive."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.where(squares > 0, errors / squares, np.where(errors > 0, np.inf, 0.0))
    return np.nan_to_num(ratios, nan=np.inf, posinf=np.inf)
