"""log det A by random probes through the Lanczos process of the preconditioned A, with its standard deviation.

    log det A = log det M + trace log S,   S = M^-1/2 A M^-1/2

log det M is known exactly. For x uniform on the sphere |x|^2 = n, x^T log(S) x has the mean trace log S, and Gauss
quadrature gives it from the Lanczos matrix T of S and x: n e_1^T log(T) e_1 (S. Ubaru, J. Chen and Y. Saad, Fast
estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix Anal. Appl. 38, 2017). Conjugate gradients for
A from M^1/2 x, preconditioned by M, have T in their coefficients (J. R. Gardner et al., GPyTorch, NeurIPS 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.iterative.preconditioner import Preconditioner
from kernelfit.typing import Float

#: steps of the Lanczos process at most
MAX_STEPS = 400
# Steps after which the quadratures are looked at, and their change beside the deviation of the probes that ends it.
_LOOK, _SETTLED = 10, 0.1
# Of r^T M^-1 r beside n: a probe that is solved to rounding has no more to tell.
_NOTHING = 1e-28
# Beside the seed, so that probes have nothing to do with rows that were drawn with the same one.
_STREAM = 1


@dataclass(frozen=True)
class LogDeterminant:
    """An estimate of log det A and its standard deviation, from `probes` random vectors and so many Lanczos steps.

    `exact_part` is log det M; `settled` says whether more steps made no difference.
    """

    value: float
    deviation: float
    exact_part: float
    probes: int
    steps: int
    settled: bool

    def summary(self) -> str:
        return f"{self.value:.6g} +- {self.deviation:.2g} ({self.probes:,} probes, estimated)"

    def remark(self) -> str:
        """One line for the user."""
        more = (
            ""
            if self.settled
            else f"; {self.steps:,} steps did not settle it, so that the error may be larger"
        )
        return f"log det: estimated, {self.summary()}{more}"


def estimate_log_determinant(
    multiply: Callable[[Float], Float],
    preconditioner: Preconditioner,
    probes: int,
    seed: int = 0,
    *,
    width: int = MAX_STEPS,
    roundoff: float = 0.0,
) -> LogDeterminant:
    """Of A: V -> A V (n, c), at most `width` vectors at a time. Raises `NotPositiveDefiniteError` where a direction has
    no positive curvature.

    `roundoff` is the root mean square error of the entries of A in `multiply`. Errors E that are random lower log det
    by trace (A^-1 E)^2 / 2, about (roundoff trace A^-1)^2 / 2, which the deviation holds.
    """
    random, count = np.random.default_rng([seed, _STREAM]), max(probes, 2)
    parts = [
        _quadratures(multiply, preconditioner, preconditioner.sample(random, len(part)), count)
        for part in np.array_split(np.arange(count), -(-count // max(width, 2)))
    ]
    values, changes = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "changes")
    )
    rounding = 0.0
    if roundoff > 0:
        rounding = 0.5 * (roundoff * float(preconditioner.inverse_diagonal().sum())) ** 2
    exact = preconditioner.log_det
    return LogDeterminant(
        exact + float(values.mean()),
        math.hypot(_deviation(values, count), float(changes.mean()), rounding),
        exact,
        count,
        max(part.steps for part in parts),
        all(part.settled for part in parts),
    )


@dataclass(frozen=True)
class _Quadratures:
    """x^T log(S) x of some probes (c,), how the last steps changed them, and whether more would make a difference."""

    values: Float
    changes: Float
    steps: int
    settled: bool


def _quadratures(
    multiply: Callable[[Float], Float], preconditioner: Preconditioner, residual: Float, probes: int
) -> _Quadratures:
    """Of M^1/2 x (n, c), some of all `probes`."""
    n, count = residual.shape
    preconditioned = preconditioner(residual)
    energy = _dots(residual, preconditioned)
    direction = preconditioned
    lengths, ratios = np.empty((2, MAX_STEPS, count))
    values, last, live = np.zeros(count), None, np.arange(count)
    for step in range(1, MAX_STEPS + 1):
        applied = multiply(direction)
        curvature = _dots(direction, applied)
        if not (curvature > 0).all():
            raise _not_positive(step)
        lengths[step - 1, live] = length = energy / curvature
        residual = residual - length * applied
        preconditioned = preconditioner(residual)
        before, energy = energy, _dots(residual, preconditioned)
        ratios[step - 1, live] = ratio = energy / before
        direction = preconditioned + ratio * direction
        open_ = energy > _NOTHING * n
        look = step % _LOOK == 0 or step == MAX_STEPS or not open_.any()
        if look or not open_.all():
            values[live] = n * _quadrature(lengths[:step, live], ratios[:step, live])
            if not np.isfinite(values).all():
                raise _not_positive(step)
        if not open_.all():  # those that are solved stand still, the others go on
            live, energy = live[open_], energy[open_]
            residual, direction = (np.ascontiguousarray(each[:, open_]) for each in (residual, direction))
        if look:
            changes = np.zeros(count) if last is None else values - last
            small = abs(float(changes.mean())) <= _SETTLED * _deviation(values, probes)
            settled = not live.size or (last is not None and small)
            if settled:
                break
            last = values.copy()
    return _Quadratures(values, changes, step, settled)


def _deviation(values: Float, probes: int) -> float:
    """Of the mean of so many as these are some of."""
    return float(values.std(ddof=1)) / math.sqrt(probes)


def _not_positive(step: int) -> NotPositiveDefiniteError:
    return NotPositiveDefiniteError(
        f"log det: a direction p has p^T A p <= 0 to rounding after {step} steps; give a ridge"
    )


def _dots(a: Float, b: Float) -> Float:
    return np.einsum("ij,ij->j", a, b)


def _quadrature(lengths: Float, ratios: Float) -> Float:
    """e_1^T log(T) e_1 for every column of the coefficients (steps, c) of conjugate gradients.

    T_jj = 1 / a_j + b_{j-1} / a_{j-1} and T_{j,j+1} = sqrt(b_j) / a_j; not finite where T is singular to rounding.
    """
    from scipy.linalg import eigh_tridiagonal  # 20 MB that direct solves do without

    values = np.empty(lengths.shape[1])
    for column in range(len(values)):
        a, b = lengths[:, column], ratios[:, column]
        diagonal = 1.0 / a
        diagonal[1:] += b[:-1] / a[:-1]
        nodes, vectors = eigh_tridiagonal(diagonal, np.sqrt(b[:-1]) / a[:-1])
        with np.errstate(invalid="ignore", divide="ignore"):  # of a node that is not positive to rounding
            values[column] = np.square(vectors[0]) @ np.log(nodes)
    return values
