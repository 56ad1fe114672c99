"""What is checked of the entries of K before n^3/3 flops are spent: their range, and that K is symmetric."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.source import KernelGram
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels.base import Needs
from kernelfit.progress import Notes
from kernelfit.solver.problem import Problem, is_primal
from kernelfit.typing import Array

# float32 holds 1e-38 to 3e38; alpha is of the order of 1 / K, and the factor is to have all its digits.
_RANGE = (1e-30, 1e30)
# Rows whose pairs are evaluated both ways, and the difference that is no rounding beside the largest of their values.
_PAIRS, _ROUNDING = 64, 1e-9
# A smaller one that is more than what sums in another order lose.
_REORDERED = 1e-12
# Rows of a precomputed Gram compared at a time.
_BLOCK = 1_024


def within_range(problem: Problem, notes: Notes) -> Problem:
    """The problem, in float64 where float32 cannot hold K; raises `InputError` where float32 alone was asked for, and
    where float64 itself has not all digits of K, which no certificate would see."""
    _require_digits(problem)
    if problem.numbers.factor == np.float64:
        return problem
    largest = float(np.abs(problem.source.diagonal()).max() + np.max(problem.shift))
    if _RANGE[0] <= largest <= _RANGE[1]:
        return problem
    what = f"K has entries of the order of {largest:.3g}, which float32 holds from {_RANGE[0]:g} to {_RANGE[1]:g} only"
    if not problem.numbers.refined:
        raise InputError(f"precision: got {problem.precision}, but {what}; rescale X, or take float64")
    notes.add(f"{problem.precision} precision fell back to float64: {what}")
    return replace(problem, precision="float64")


def _require_digits(problem: Problem) -> None:
    kernel = problem.kernel
    if (kernel is not None and kernel.stationary) or is_primal(problem):
        return
    largest = float(np.abs(problem.source.diagonal()).max())
    if largest < sys.float_info.min and (largest > 0 or _vanishes(problem)):
        raise InputError(
            f"K: has entries of up to {largest:.3g}, expected {sys.float_info.min:.3g} or more, below which float64 "
            "loses digits; rescale X, or the parameters of the kernel"
        )


def _vanishes(problem: Problem) -> bool:
    """Whether a diagonal of zeros is that of rows which are none, whose k(x, x) has no number in float64."""
    kernel, points = problem.kernel, problem.points
    of_formula = kernel is not None and Needs.FUNCTION not in kernel.needs
    return of_formula and points is not None and bool(points.lengths.any())


def require_symmetric(source: KernelGram, backend: CpuBackend, notes: Notes) -> None:
    """Raise `InputError` where the user's own function gives k(x, y) and k(y, x) that differ, on a sample of pairs;
    a line where they differ by little."""
    if Needs.FUNCTION not in source.kernel.needs:
        return
    points, n = source.points, source.n
    spread = np.linspace(0, n - 1, min(n, _PAIRS)).astype(np.int64)
    # A function's branches may depend on sizes; and a device checks no bounds.
    rows = np.unique([*spread, points.lengths.argmin(), points.lengths.argmax()])
    sample = points.take(rows)
    values = np.empty((len(rows), len(rows)))
    block = ColumnBlock(sample, 0, len(rows), sample.exact)
    evaluate(source.kernel, sample, 0, len(rows), block, values, backend)
    if not (finite := np.isfinite(values)).all():
        i, j = np.argwhere(~finite)[0]
        raise InputError(
            f"kernel: k(x, y) is {values[i, j]:g} for the rows {rows[i]} and {rows[j]}, expected a finite number of "
            "every pair of rows"
        )
    apart = np.abs(values - values.T)
    i, j = np.unravel_index(int(np.argmax(apart)), apart.shape)
    largest = np.abs(values).max()
    if not apart[i, j] <= _ROUNDING * largest:
        raise InputError(
            f"kernel: got k(x, y) = {values[i, j]:.6g} but k(y, x) = {values[j, i]:.6g} for the rows {rows[i]} and "
            f"{rows[j]}, expected a symmetric function; symmetrise it, as by (k(x, y) + k(y, x)) / 2"
        )
    if apart[i, j] > _REORDERED * largest:
        notes.add(
            f"kernel: k(x, y) and k(y, x) differ by {apart[i, j]:.1e} for the rows {rows[i]} and {rows[j]}, which no "
            "certificate sees: K has one of them for both, and predictions are off by as much times |alpha|; "
            "symmetrise it, as by (k(x, y) + k(y, x)) / 2"
        )


def asymmetry(gram: Array) -> Iterator[str]:
    """A line where the two triangles of a Gram matrix (n, n) differ; one of zeros above the diagonal is no triangle."""
    worst, place, filled = 0.0, (0, 0), False
    for start in range(0, len(gram), _BLOCK):
        stop = start + _BLOCK
        lower, upper = gram[start:stop, :stop], gram[:stop, start:stop].T
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(np.tril(lower - upper, start))
        filled = filled or bool(np.triu(gram[start:stop, start:], 1).any())
        row, column = np.unravel_index(int(np.argmax(apart)), apart.shape)
        if apart[row, column] > worst:
            worst, place = float(apart[row, column]), (start + int(row), int(column))
    largest = float(np.abs(np.diagonal(gram)).max(initial=0.0))
    if filled and worst > max(_ROUNDING, 100.0 * np.finfo(gram.dtype).eps) * largest:
        i, j = place
        yield (
            f"gram: not symmetric, it has {gram[i, j]:.6g} at ({i}, {j}) and {gram[j, i]:.6g} at ({j}, {i}); "
            "only the lower triangle is read"
        )
