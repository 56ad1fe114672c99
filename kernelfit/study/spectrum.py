"""The ends of the spectrum of K: what the rates of descent and the curvature of a loss come from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from kernelfit.errors import InputError
from kernelfit.gram.precision import precision_of
from kernelfit.progress import Silent
from kernelfit.solver.solution import Solution
from kernelfit.solver.system import System
from kernelfit.typing import Float

# Beyond this order eigenvalues come from products and solves.
_DENSE = 64
# How far off the least eigenvalue of the factored matrix may be, relative to itself, and how many times its error the
# least one of K is to have.
_LANCZOS, _RESOLVED = 1e-6, 100.0
# Of Lanczos: a least eigenvalue that stands out takes a few of them.
_RESTARTS = 100


@dataclass(frozen=True)
class Ends:
    """The largest and the least eigenvalue of K, NaN where that is not resolved, and how many products and solves they
    took."""

    largest: float
    smallest: float
    products: int

    @property
    def condition(self) -> float:
        """Their ratio, the condition number in the 2-norm."""
        return self.largest / self.smallest


def ends(solution: Solution) -> Ends:
    """Both ends of K's spectrum by Lanczos, to six digits: products with K, and solves by the factor.

    Of the least one of the factored matrix, K + ridge I + jitter I, what was added is taken off: it is NaN where no two
    digits are left then, or in a factor of lower precision. Raises `InputError` without the factor, and for rows with
    ridges of their own.
    """
    system = solution.factor
    if system is None or system.closed:
        raise InputError(
            "solution: has no one factor (closed, loaded from a file, or of several ridges); solve again"
        )
    if np.ndim(system.problem.shift) > 0:
        raise InputError(
            "solution: got rows with ridges of their own by their weights, expected one ridge; leave sample_weight out"
        )
    with system.backend:
        return _ends(system)


def _ends(system: System) -> Ends:
    n, count = system.problem.n, 0
    if n <= _DENSE:
        whole = system.product(np.eye(n), Silent(), "spectrum").values
        values = eigvalsh(0.5 * (whole + whole.T))
        return Ends(float(values[-1]), float(values[0]), 1)

    def multiply(vector: Float) -> Float:
        nonlocal count
        count += 1
        return system.product(vector.reshape(n, 1), Silent(), "spectrum").values[:, 0]

    def invert(vector: Float) -> Float:
        nonlocal count
        count += 1
        return system.apply_inverse(vector.reshape(n, 1))[:, 0]

    # Given, since Lanczos would draw it from NumPy's global state.
    start = np.random.default_rng(0).standard_normal(n)
    largest = eigsh(LinearOperator((n, n), multiply, dtype=float), 1, which="LA", v0=start, tol=1e-7)[0]
    try:
        inverse = eigsh(
            LinearOperator((n, n), invert, dtype=float), 1, which="LA", v0=start, tol=1e-7, maxiter=_RESTARTS
        )[0]
    except ArpackNoConvergence:  # so many eigenvalues of K are far below the shift that none stands out
        return Ends(float(largest[0]), math.nan, count)
    shifted = 1.0 / float(inverse[0])
    smallest = shifted - float(system.problem.shift)
    unit = float(np.finfo(precision_of(system.plan.precision).factor).eps) / 2.0
    error = _LANCZOS * shifted + unit * float(largest[0])
    return Ends(float(largest[0]), smallest if smallest >= _RESOLVED * error else math.nan, count)
