"""f at new rows: k(new, training) alpha, with k formed from the rows or given, or rows times weights of features."""

from __future__ import annotations

import sys
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.frozen import frozen_of_arrays
from kernelfit.gram.arrays import as_array, exact_floats, refuse_non_finite
from kernelfit.gram.points import Points
from kernelfit.gram.rectangle import rectangle
from kernelfit.gram.sparse import points_of
from kernelfit.gram.tile import PairTile
from kernelfit.kernels.base import Kernel, Needs
from kernelfit.progress import Progress, Silent
from kernelfit.solver.predict import Prepared, predict, strips_of
from kernelfit.solver.problem import Problem
from kernelfit.solver.scaling import exponents, scaled
from kernelfit.solver.system import System
from kernelfit.typing import Float

# New rows beside whose products, by two threads, a pass over all training rows takes a fourteenth of the time; beside
# those of 64 it took a third.
_MANY = 512


def new_rows(problem: Problem, X: ArrayLike) -> Points:
    """New rows, like those of training. Raises `InputError` for rows whose distances from tiny ones overflow."""
    assert problem.points is not None
    rows = points_of(X, problem.input_scale, problem.points)
    if rows.length != 1.0 and problem.kernel is not None:
        _require_near(rows, problem.kernel)
    return rows


def _require_near(rows: Points, kernel: Kernel) -> None:
    """Raise `InputError` where |x - x'|^2, in units of tiny training rows, overflows before k of it is 0."""
    with np.errstate(over="ignore"):
        far = np.flatnonzero(~(4.0 * rows.vectors.sq_norms < np.inf))
    if not far.size:
        return
    for term in chain.from_iterable(kernel.products()):
        if term.needs is Needs.DISTANCES:
            value = np.empty((1, 1))
            term.evaluate(_Farthest(rows.length), value)
            if not value[0, 0] < np.finfo(float).eps:
                raise InputError(
                    f"X: got row {far[0]} more than 1e150 times as large as the training rows, expected nearer ones "
                    f"where {term!r} is not 0 yet; leave it out, or take a narrower kernel"
                )


class _Farthest(PairTile):
    """One pair, at the largest distance that has a square in the units of a tile."""

    def __init__(self, length: float) -> None:
        self.length = length

    def sq_distances(self, out: Float) -> float:
        out[...] = sys.float_info.max / 4.0
        return self.length

    def scratch(self, name: str) -> Float:
        return np.empty((1, 1))


@frozen_of_arrays
class Interpolant:
    """f(x) = sum_i k(x, x_i) alpha_i for alpha (n, c), or x W where there are `weights` W (d, c) of features.

    `factor` is the system of the solution, which evaluates f where it is on a device; else `threads` of the CPU do,
    with training rows as `prepared` keeps them.
    """

    problem: Problem
    alpha: Float
    weights: Float | None
    factor: System | None
    threads: int | None
    prepared: Prepared

    def at(self, X: ArrayLike, progress: Progress) -> Float:
        """f (m, c) at rows X (m, d), or from X = k(new, training) (m, n) where the Gram matrix was given."""
        rows = None if self.problem.kernel is None else new_rows(self.problem, X)
        values = self._of_gram(as_array(X, "X")) if rows is None else self.at_rows(rows, progress)
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            if rows is not None:
                self._require_numbers(rows, row)
            raise InputError(
                f"X: predictions of row {row} overflow in float64; rescale X, or Y of the solution"
            )
        return values

    def _require_numbers(self, rows: Points, row: int) -> None:
        """Raise `InputError` where the user's own kernel is no number for a row and one of training."""
        kernel, points = self.problem.kernel, self.problem.points
        assert kernel is not None
        assert points is not None
        if Needs.FUNCTION not in kernel.needs:
            return
        with CpuBackend(self.threads) as backend:
            values = rectangle(kernel, rows.take(np.array([row]), like=points), points, backend)[0]
        if not (finite := np.isfinite(values)).all():
            other = int(np.argmin(finite))
            raise InputError(
                f"kernel: k(x, y) is {values[other]:g} for row {row} of X and the training row "
                f"{self.problem.kept[other]}, expected a finite number of every pair of rows"
            )

    def at_rows(self, rows: Points, progress: Progress | None = None) -> Float:
        """f (m, c) at rows that are in the kernel's domain."""
        # Sums over a large alpha that cancel must not overflow on their way.
        coefficients = self.alpha if self.weights is None else self.weights
        powers = exponents(coefficients)
        return scaled(self._sums(rows, scaled(coefficients, -powers), progress or Silent()), powers)

    def _sums(self, rows: Points, coefficients: Float, progress: Progress) -> Float:
        """k(rows, training rows) alpha, or rows W, for alpha (n, c) or W (d, c)."""
        kernel, points = self.problem.kernel, self.problem.points
        assert kernel is not None
        assert points is not None
        if self.weights is not None:
            values = np.zeros((rows.shape[0], coefficients.shape[1]))
            for a, b in strips_of(rows.shape[0]):
                values[a:b] = rows.scaled(a, b) @ coefficients
            return values
        if self.factor is not None and not self.factor.closed and self.factor.name != "cpu":
            return self.factor.predict(rows, coefficients, progress)  # a device has the training rows there
        # Few rows meet training rows that are kept from when all of them were looked at.
        whole = rows.shape[0] >= _MANY or not self.prepared.holds(kernel, points, rows)
        self.problem.source.require_unchanged(self.threads, whole=whole)
        with CpuBackend(self.threads) as backend:
            values = predict(kernel, points, rows, coefficients, backend, progress, self.prepared)
        if self.prepared.read_rows() and not whole:
            self.problem.source.require_unchanged(self.threads)
        return values

    def _of_gram(self, gram: NDArray[Any]) -> Float:
        """k(new, training) alpha, of the columns of rows that took part."""
        problem, n = self.problem, len(self.problem.kept)
        if gram.dtype.kind not in "buif":
            raise InputError(f"X: got dtype {gram.dtype}, expected numbers k(test, training)")
        if gram.ndim == 2 and gram.shape[1] == problem.rows_given and problem.unweighted_rows.size:
            gram = gram[:, problem.kept]
        if gram.ndim != 2 or gram.shape[1] != n:
            raise InputError(f"X: got shape {gram.shape}, expected (m, {n}) values k(test, training)")
        refuse_non_finite(gram, "X")
        powers = exponents(self.alpha)
        return scaled(exact_floats(gram, "X") @ scaled(self.alpha, -powers), powers)
