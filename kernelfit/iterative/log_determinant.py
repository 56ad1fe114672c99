"""log det A by random probes through the Lanczos process of the preconditioned A, with its standard deviation.

    log det A = log det M + trace log S,   S = M^-1/2 A M^-1/2

log det M is known exactly. For x uniform on the sphere |x|^2 = n, x^T log(S) x has the mean trace log S, and Gauss
quadrature gives it from the Lanczos matrix T of S and x: n e_1^T log(T) e_1 (S. Ubaru, J. Chen and Y. Saad, Fast
estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix Anal. Appl. 38, 2017). Conjugate gradients for
A from M^1/2 x, preconditioned by M, have T in their coefficients (J. R. Gardner et al., GPyTorch, NeurIPS 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.iterative.preconditioner import Preconditioner
from kernelfit.typing import Float

#: steps of the Lanczos process at most
MAX_STEPS = 400
# Steps after which the quadratures are looked at, and their change beside the deviation of the probes that ends it.
_LOOK, _SETTLED = 10, 0.1
# Of r^T M^-1 r beside n: a probe that is solved to rounding has no more to tell.
_NOTHING = 1e-28


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
    observe: Callable[[int], Any] = lambda step: None,
) -> LogDeterminant:
    """Of A: V -> A V (n, c). Raises `NotPositiveDefiniteError` where a direction has no positive curvature."""
    n, random = preconditioner.n, np.random.default_rng(seed)
    residual = preconditioner.sample(random, max(probes, 2))
    preconditioned = preconditioner(residual)
    energy = _dots(residual, preconditioned)
    direction, last, change = preconditioned, None, np.inf
    lengths: list[Float] = []
    ratios: list[Float] = []
    settled = False
    for step in range(1, min(MAX_STEPS, n) + 1):
        applied = multiply(direction)
        curvature = _dots(direction, applied)
        if not (curvature > 0).all():
            raise NotPositiveDefiniteError(
                f"log det: a direction p has p^T A p <= 0 to rounding after {step} steps; give a ridge"
            )
        lengths.append(energy / curvature)
        residual = residual - lengths[-1] * applied
        preconditioned = preconditioner(residual)
        before, energy = energy, _dots(residual, preconditioned)
        ratios.append(energy / before)
        direction = preconditioned + ratios[-1] * direction
        observe(step)
        whole = step == n or not (energy > _NOTHING * n).all()
        done = whole or step == MAX_STEPS
        if step % _LOOK == 0 or done:
            values = n * _quadrature(np.array(lengths), np.array(ratios))
            deviation = float(values.std(ddof=1)) / np.sqrt(len(values))
            change = np.inf if last is None else float(abs(np.mean(values - last)))
            last, settled = values, change <= _SETTLED * deviation or whole
            if settled or done:
                break
    assert last is not None
    exact = preconditioner.log_det
    error = deviation if not np.isfinite(change) else float(np.hypot(deviation, change))
    return LogDeterminant(exact + float(last.mean()), error, exact, len(last), step, settled)


def _dots(a: Float, b: Float) -> Float:
    return np.einsum("ij,ij->j", a, b)


def _quadrature(lengths: Float, ratios: Float) -> Float:
    """e_1^T log(T) e_1 for every column of the coefficients (steps, c) of conjugate gradients.

    T_jj = 1 / a_j + b_{j-1} / a_{j-1} and T_{j,j+1} = sqrt(b_j) / a_j.
    """
    values = np.empty(lengths.shape[1])
    for column in range(len(values)):
        a, b = lengths[:, column], ratios[:, column]
        diagonal = 1.0 / a
        diagonal[1:] += b[:-1] / a[:-1]
        nodes, vectors = scipy.linalg.eigh_tridiagonal(diagonal, np.sqrt(b[:-1]) / a[:-1])
        values[column] = np.square(vectors[0]) @ np.log(nodes)
    return values
