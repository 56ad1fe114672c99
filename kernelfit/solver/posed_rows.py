"""Which rows take part in a solve: those of weight > 0, and where nothing tells equal ones apart the first of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DuplicateRowsError, InputError
from kernelfit.frozen import frozen_of_arrays
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import Kernel
from kernelfit.progress import Notes
from kernelfit.solver.inputs import Duplicates, find_duplicates, listed, refuse_conflicts
from kernelfit.solver.problem import Problem
from kernelfit.solver.request import Request
from kernelfit.typing import Float, Singular

#: of distinct rows
NO_DUPLICATES = Duplicates(())


@frozen_of_arrays
class PosedRows:
    """Rows that take part with their targets, indices and weights, those that repeat an earlier one left out.

    `conflict` says that equal rows carry different targets, and which: then all rows are there.
    """

    points: Points
    targets: Float
    kept: NDArray[np.int64]
    duplicates: Duplicates = NO_DUPLICATES
    weights: Float | None = None
    conflict: str = ""

    def of(self, index: NDArray[np.int64]) -> PosedRows:
        """Some of them."""
        return PosedRows(
            self.points.take(index),
            np.ascontiguousarray(self.targets[index]),
            self.kept[index],
            self.duplicates,
            None if self.weights is None else self.weights[index],
        )


def weighted_rows(
    weights: Float, request: Request, notes: Notes, points: Points | None = None
) -> NDArray[np.int64]:
    """Indices of the rows of weight > 0, with a line about what the weights do."""
    used = np.flatnonzero(weights > 0)
    if len(used) < len(weights):
        notes.add(f"sample_weight: {len(weights) - len(used)} rows of weight 0 were left out")
    met = points is None or not _is_least_squares(request.family, points.shape[1], len(used))
    if met and request.ridge == 0 and not request.choose and len(np.unique(weights[used])) > 1:
        notes.add("sample_weight: without a ridge every target is met, whatever its weight")
    return used


def distinct_rows(rows: PosedRows, request: Request, notes: Notes) -> PosedRows:
    """Rows without those that repeat another, where no ridge lets them stay."""
    kernel, largest = request.kernel, request.ridge if request.ridges is None else max(request.ridges)
    if largest > 0 or (isinstance(kernel, Kernel) and kernel.has_noise(rows.points)):
        return rows
    return _without_repeats(rows, request.family, notes, choose=request.choose, singular=request.singular)


def interpolating(problem: Problem, notes: Notes, singular: Singular = "raise") -> Problem:
    """The same without rows that repeat another, where it has no ridge: of targets with ridges of their own those that
    are met. Raises `DuplicateRowsError`."""
    if problem.ridge > 0 or problem.points is None or problem.kernel is None or problem.has_noise:
        return problem
    every = PosedRows(problem.points, problem.targets, problem.kept, weights=problem.weights)
    rows = _without_repeats(every, problem.kernel, notes, choose=False, singular=singular)
    if rows is every:
        return problem
    return replace(
        problem,
        source=KernelGram(problem.kernel, rows.points),
        targets=rows.targets,
        kept=rows.kept,
        duplicates=rows.duplicates.groups,
        weights=rows.weights,
        conflict=rows.conflict,
    )


def _is_least_squares(kernel: Kernel | type[Kernel], n_features: int, n_distinct: int) -> bool:
    """Whether so many distinct rows are more than a linear kernel meets: then every row counts, copies as well."""
    return kernel.linear and n_features < n_distinct


def _without_repeats(
    rows: PosedRows, kernel: Kernel | type[Kernel], notes: Notes, *, choose: bool, singular: Singular
) -> PosedRows:
    """The first of equal rows each, or all where their targets differ and a ridge will be found."""
    duplicates = find_duplicates(rows.points)
    if not duplicates.groups:
        return rows
    groups = Duplicates(tuple(tuple(int(rows.kept[i]) for i in group) for group in duplicates.groups))
    try:
        refuse_conflicts(duplicates, rows.targets, rows.kept)
    except DuplicateRowsError as error:
        if not choose and singular == "raise":
            raise
        if choose:
            notes.add(f"ridge 0 is not tried: {error}")
        return replace(rows, conflict=f"equal rows carry different targets, rows {listed(error.groups)}")
    n_distinct = len(rows.kept) - len(duplicates.dropped)
    if not choose and _is_least_squares(kernel, rows.points.shape[1], n_distinct):
        return rows
    notes.add(groups.summary())
    weights = rows.weights
    if weights is not None:  # a row counts as often as it occurs
        weights = weights.copy()
        with np.errstate(over="ignore"):
            for group in duplicates.groups:
                weights[group[0]] = weights[list(group)].sum()
        if not np.isfinite(weights).all():
            raise InputError(
                "sample_weight: got weights of equal rows that add up to more than float64 holds, expected smaller "
                "ones; rescale them"
            )
    distinct = replace(rows, duplicates=groups, weights=weights)
    return distinct.of(np.setdiff1d(np.arange(len(rows.kept)), duplicates.dropped))
