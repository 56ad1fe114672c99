"""diag(A^-1) by random probes through conjugate gradients, with the standard deviation of every entry.

For z of random signs z * A^-1 z has the mean diag(A^-1), and the variance of its entry i is sum_{j != i} (A^-1)_ij^2
(C. Bekas, E. Kokiopoulou and Y. Saad, An estimator for the diagonal of a matrix, Appl. Numer. Math. 57, 2007). With
signs that are multiplied by s_j beforehand and divided by s_i afterwards it is sum (A^-1)_ij^2 s_j^2 / s_i^2: with s_i
the root of 1 / (M^-1)_ii large entries do not drown small ones. The preconditioner's diag(M^-1) is known exactly, so
that

    (A^-1)_ii  =  mean of  z_i (A^-1 s z)_i / s_i - c (z_i (M^-1 s z)_i / s_i - (M^-1)_ii)

leaves only what A^-1 and c M^-1 differ by to the probes; c is the regression of the one on the other over all rows.
A^-1 z is solved for until a residual ten times smaller changes the mean by less than the probes leave uncertain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.iterative.block_cg import Operators, State, solve
from kernelfit.iterative.preconditioner import Preconditioner
from kernelfit.iterative.stopping import Goal
from kernelfit.typing import Float

#: probes where nobody names an error: entries to a few % (MNIST, gaussian, gamma 0.02), errors of thousands of rows to
#: a few in a hundred of themselves
PROBES = 32
#: probes at most, whatever error is named
MAX_PROBES = 1_024
# Relative residuals to which probes are solved, one after the other.
_TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
# A change of the mean beside the deviation of the probes that is not worth another ten times smaller residual.
_SETTLED = 0.25


@dataclass(frozen=True, eq=False)
class InverseDiagonal:
    """An estimate of diag(A^-1) (n,) and the standard deviation of its entries (n,), from `probes` random vectors.

    `iterations` are products with K of all batches; `relative_residual` is how far the probes were solved, and
    `settled` says whether further made no difference.
    """

    values: Float
    deviation: Float
    probes: int
    iterations: int
    relative_residual: float
    settled: bool

    @property
    def relative_deviation(self) -> float:
        """Root mean square over the entries of deviation / (value^2 + deviation^2)^(1/2): 1 for one of which nothing is
        known."""
        return _size(self.deviation / np.hypot(self.values, self.deviation))

    def summary(self) -> str:
        return f"diag of the inverse to {100.0 * self.relative_deviation:.2g} % ({self.probes:,} probes, estimated)"

    def remark(self, error: float | None) -> str:
        """One line for a user who named an error that so many probes did not come down to; else empty."""
        if error is None or self.relative_deviation <= error:
            return ""
        return (
            f"error: got {error:g}, reached {self.relative_deviation:.2g} with {self.probes:,} probes, and no more are "
            "drawn; give a larger one, or take solver='cholesky'"
        )


class _Moments:
    """Sums over probes of u = z A^-1 s z / s, w = z M^-1 s z / s - diag(M^-1), their squares and product."""

    def __init__(self, exact: Float) -> None:
        n = len(exact)
        self.exact, self.count = exact, 0
        self.u, self.w, self.uu, self.ww, self.uw, self.change = np.zeros((6, n))

    def add(self, u: Float, w: Float, change: Float) -> None:
        self.count += u.shape[1]
        self.u += u.sum(axis=1)
        self.w += w.sum(axis=1)
        self.uu += np.square(u).sum(axis=1)
        self.ww += np.square(w).sum(axis=1)
        self.uw += (u * w).sum(axis=1)
        self.change += change.sum(axis=1)

    def estimate(self) -> tuple[Float, Float, Float]:
        """Means (n,), their standard deviations by the spread of the probes, and how the last solves changed them."""
        m = self.count
        u, w = self.u / m, self.w / m
        uu, ww, uw = self.uu / m - u * u, self.ww / m - w * w, self.uw / m - u * w
        weights = 1.0 / np.square(self.exact)
        shared = float(weights @ ww)
        c = float(weights @ uw) / shared if shared > 0 else 0.0
        variance = np.maximum(uu - 2.0 * c * uw + c * c * ww, 0.0) / max(m - 1, 1)
        return u - c * w, np.sqrt(variance), self.change / m


def estimate_inverse_diagonal(
    operators: Operators,
    preconditioner: Preconditioner,
    diagonal: Float,
    *,
    probes: int = PROBES,
    error: float | None = None,
    width: int = PROBES,
    seed: int = 0,
    advance: Callable[[int], Any] = lambda probes: None,
) -> InverseDiagonal:
    """Of A = K + ridge with that diagonal (n,), with at least `probes`, `width` at a time.

    With `error` as many more, `MAX_PROBES` at most, as the relative deviation takes to come down to that. Raises
    `NotPositiveDefiniteError` where probes are hardly solved.
    """
    moments = _Moments(np.maximum(preconditioner.inverse_diagonal(), np.finfo(np.float64).tiny))
    iterations, worst, settled = 0, 0.0, True
    wanted, batch = max(probes, 2), 0
    while moments.count < wanted:
        size = max(min(width, wanted - moments.count), 2)
        random = np.random.default_rng([seed, batch])
        signs = random.choice(np.array([-1.0, 1.0]), (len(diagonal), size))
        state, settles = _add(operators, preconditioner, signs, moments, wanted)
        iterations += state.iteration
        worst = max(worst, state.verified[-1].relative_residual)
        settled, batch = settled and settles, batch + 1
        advance(size)
        if error is not None:
            reached = _made(moments, diagonal, iterations, worst, settled).relative_deviation
            enough = int(np.ceil(moments.count * min((reached / error) ** 2, float(MAX_PROBES))))
            wanted = max(wanted, min(enough, MAX_PROBES))
    return _made(moments, diagonal, iterations, worst, settled)


def _made(
    moments: _Moments, diagonal: Float, iterations: int, residual: float, settled: bool
) -> InverseDiagonal:
    values, deviation, change = moments.estimate()
    # (A^-1)_ii is never below 1 / A_ii.
    return InverseDiagonal(
        np.maximum(values, 1.0 / diagonal),
        np.hypot(deviation, change),
        moments.count,
        iterations,
        residual,
        settled,
    )


def _add(
    operators: Operators, preconditioner: Preconditioner, signs: Float, moments: _Moments, wanted: int
) -> tuple[State, bool]:
    """One batch of probes (n, m) to the moments; where the solves ended, and whether further makes no difference."""
    scales = 1.0 / np.sqrt(moments.exact)[:, None]
    scaled, signs = signs * scales, signs / scales
    w = signs * preconditioner(scaled) - moments.exact[:, None]
    state = None
    u = np.zeros_like(signs)
    for tolerance in _TOLERANCES:
        outcome = solve(operators, scaled, Goal("relative residual", tolerance), state=state)
        state = outcome.state
        before, u = u, signs * outcome.solution
        batch = _Moments(moments.exact)
        batch.add(u, w, u - before)
        _, deviation, change = batch.estimate()
        deviation *= np.sqrt(signs.shape[1] / max(wanted, signs.shape[1]))
        # Where an iteration stagnates the mean changes no more, however far off it is.
        converged = outcome.reason == "converged"
        settled = converged and _size(change / moments.exact) <= _SETTLED * _size(deviation / moments.exact)
        if settled or not converged:
            break
    assert state is not None
    if not converged and tolerance == _TOLERANCES[0]:
        raise NotPositiveDefiniteError(
            f"K: too ill-conditioned for random probes, which were solved to a relative residual of "
            f"{state.best_measure:.1e}, expected at most {tolerance:g}; give a larger ridge, or take solver='cholesky'"
        )
    moments.add(u, w, u - before)
    return state, settled


def _size(values: Float) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
