"""When an iteration ends: what is to be reached, how far it is, and that it gets no further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kernelfit.linalg.conjugate_gradients import backward_error
from kernelfit.typing import Float

#: what is measured: the normwise backward error, or the largest |r_c| / |y_c| of the columns in the Euclidean norm
Measure = Literal["backward error", "relative residual"]
#: why it ended
Reason = Literal["converged", "stagnated", "diverged", "iteration limit"]

#: backward error of the default: ten units of roundoff, as good as a float64 factor's
BACKWARD_ERROR = 10.0 * 0.5 * float(np.finfo(np.float64).eps)
#: how the detail of an end begins, of a matrix that has a direction of negative curvature
INDEFINITE = "K + ridge is indefinite"
#: iterations at most
MAX_ITERATIONS = 4_000
#: iterations without a residual that is smaller by a tenth after which the true one is formed
PATIENCE = 200
# A true residual that is not below this part of the one before says that there is no more to gain.
_GAIN = 0.5


@dataclass(frozen=True)
class Goal:
    """A measure and the value that it is to come down to."""

    measure: Measure
    value: float

    @classmethod
    def of(cls, tolerance: float | None) -> Goal:
        """The relative residual `tolerance`, or without one the backward error of a float64 factor."""
        if tolerance is None:
            return cls("backward error", BACKWARD_ERROR)
        return cls("relative residual", tolerance)

    def of_residual(self, residual: Float, solution: Float, targets: Float, norm: float) -> float:
        """What is measured, of residual and solution (n, c) for targets (n, c) and |A|_inf."""
        if self.measure == "relative residual":
            return relative_residual(residual, targets)
        return backward_error(residual, norm, solution, targets)


def relative_residual(residual: Float, targets: Float) -> float:
    """max over columns of |r_c|_2 / |y_c|_2; a column of zeros has 0."""
    sizes = np.linalg.norm(targets, axis=0)
    lengths = np.linalg.norm(residual, axis=0)
    return float(np.divide(lengths, sizes, out=np.zeros_like(sizes), where=sizes > 0).max(initial=0.0))


@dataclass(frozen=True)
class Verified:
    """A true residual: formed after so many iterations, its largest relative size, its backward error, the goal's
    measure."""

    iteration: int
    relative_residual: float
    backward_error: float
    measured: float


def stagnates(verified: list[Verified]) -> bool:
    """Whether the last true residual is hardly smaller than the best of those before."""
    if len(verified) < 2:
        return False
    before = min(each.measured for each in verified[:-1])
    return not verified[-1].measured <= _GAIN * before
