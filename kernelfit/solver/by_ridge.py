"""A ridge for each target: (K + r_c W^-1) alpha_c = y_c. Targets of equal ridges share a factor; all of them one K."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import flag
from kernelfit.cpu.memory import INTERPRETER
from kernelfit.errors import InputError
from kernelfit.gram.arrays import as_array
from kernelfit.progress import Notes, Progress, ProgressLike, as_progress
from kernelfit.solver.certificate import Certificate
from kernelfit.solver.inputs import as_targets
from kernelfit.solver.interpolant import new_rows
from kernelfit.solver.posed_rows import interpolating
from kernelfit.solver.predict import strips_of
from kernelfit.solver.problem import Problem
from kernelfit.solver.solution import Solution
from kernelfit.typing import Float, Singular

# The precision of several factors is that of the coarsest, whatever has none beside them.
_PRECISIONS = ("float32", "float64", "none")


@dataclass(repr=False, eq=False)
class RidgesSolution(Solution):
    """The solution for targets of several ridges; `parts` are those of one ridge each, with their columns of Y.

    What there is one of for each ridge is theirs: `convergence`, `inverse` and `determinant` are None here. How each
    was iterated is in the certificate's `by_ridge` as well, which copies and files have.

    Of rows that repeat another the first alone takes part beside targets without a ridge, as in a solve of such
    targets: there alpha of the others is 0, and f meets their targets.
    """

    parts: tuple[tuple[NDArray[np.int64], Solution], ...] = ()

    def solve(self, Y: ArrayLike, progress: ProgressLike = None, *, componentwise: bool = True) -> Solution:
        """The solution for other right-hand sides, as many as before, each with the ridge of its column."""
        given = as_array(Y, "Y")
        if given.ndim != 2 or given.shape[1] != self.alpha.shape[1]:
            raise InputError(
                f"Y: got shape {given.shape}, expected (n, {self.alpha.shape[1]}), as every target has a ridge"
            )
        if len(given) == len(self.kept) < self.rows_given:
            every = np.zeros((self.rows_given, given.shape[1]), given.dtype)
            every[self.kept] = given
            for group in self.duplicates:
                every[list(group)] = every[group[0]]
            given = every
        parts = [
            (columns, part.solve(given[:, columns], progress, componentwise=componentwise))
            for columns, part in self._parts("solve")
        ]
        targets = as_targets(given, self.rows_given)[self.kept]
        return merged(self.problem.with_targets(targets, single_target=False), parts, Notes(progress))

    def inverse_diagonal(
        self, progress: ProgressLike = None, *, probes: int | None = None, error: float | None = None
    ) -> Float:
        """diag((K + r_c W^-1)^-1) (n, c), n^3/3 flops for each ridge; NaN of rows that had no part.

        Where it is estimated each of `parts` has the deviations in its `inverse`.
        """
        values = np.full(self.alpha.shape, np.nan)
        for columns, part in self._parts("inverse_diagonal"):
            inverse = part.inverse_diagonal(progress, probes=probes, error=error)
            values[np.ix_(np.searchsorted(self.kept, part.kept), columns)] = inverse[:, None]
        return values

    def leave_one_out(self, progress: ProgressLike = None, *, distinct: bool = False) -> Float:
        """As `Solution.leave_one_out`, n^3/3 flops for each ridge."""
        distinct, parts = flag("distinct", distinct), self._parts("leave_one_out")
        left = [(columns, part.leave_one_out(progress, distinct=distinct)) for columns, part in parts]
        for _, part in parts:
            self.notes += [line for line in part.notes if line not in self.notes]
        if not distinct:
            return _gathered(left)
        return _gathered(
            (columns, _of_all(self.problem, part, values))
            for (columns, values), (_, part) in zip(left, parts, strict=True)
        )

    def likely_left_out(self, progress: ProgressLike = None) -> list[Float]:
        """As `Solution.likely_left_out`."""
        parts = [
            (columns, [_of_all(self.problem, part, values) for values in likely])
            for columns, part in self._parts("leave_one_out")
            for likely in [part.likely_left_out(progress)]
        ]
        count = min(len(likely) for _, likely in parts)
        return [_gathered((columns, likely[index]) for columns, likely in parts) for index in range(count)]

    @property
    def probes(self) -> int:
        return min((part.probes for _, part in self.parts), default=0)

    def log_marginal_likelihood(self) -> float:
        """As `Solution.log_marginal_likelihood`."""
        if not self.parts or all(part.convergence is None for _, part in self.parts):
            return super().log_marginal_likelihood()
        return sum(part.log_marginal_likelihood() for _, part in self.parts)

    def close(self) -> None:
        for _, part in self.parts:
            part.close()
        self.parts = ()
        super().close()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "parts": ()}

    def _spread(self, X: ArrayLike, what: str, progress: Progress) -> Float:
        if self.kernel is None:
            return super()._spread(X, what, progress)
        parts = self._parts(what)
        shape = new_rows(self.problem, X).shape[:1] * (2 if what == "return_cov" else 1)
        values = np.empty((*shape, self.alpha.shape[1]))
        for columns, part in parts:
            values[..., columns] = part._spread(X, what, as_progress(progress))
        return values

    @property
    def lacks_factor(self) -> bool:
        """Whether one of the factors was given back, or they are not in a copy or a file."""
        return not self.parts or any(part.lacks_factor for _, part in self.parts)

    def _parts(self, method: str) -> list[tuple[NDArray[np.int64], Solution]]:
        if self.lacks_factor:
            self._factor_or_raise(method)
        return list(self.parts)


def solve_by_ridge(
    problem: Problem,
    ridges: tuple[float, ...],
    answered: Callable[[Problem, Notes], Solution],
    notes: Notes,
    singular: Singular = "raise",
) -> Solution:
    """`answered` for the targets of each ridge in turn, in one solution.

    Factors stay while memory is planned to hold all of them, and are given back one by one otherwise.
    """
    different = np.unique(ridges)
    parts: list[tuple[NDArray[np.int64], Solution]] = []
    for columns, part in _each_ridge(problem, ridges, answered, notes, singular):
        parts.append((columns, part))
        if part.device != "cpu" or len(different) * bytes_kept(part) > part.plan.memory_limit // 2:
            part.close()
    if any(part.lacks_factor for _, part in parts):
        notes.add(
            f"ridge: {len(different)} different ones, whose factors were given back one after the other; "
            "leave-one-out and more right-hand sides need a solve of one ridge"
        )
    ridges = tuple(float(_ridge_of(parts, c)) for c in range(len(ridges)))
    return merged(replace(problem, ridge=max(ridges), ridge_per_target=ridges), parts, notes)


def left_out_by_ridge(
    problem: Problem,
    ridges: tuple[float, ...],
    answered: Callable[[Problem, Notes], Solution],
    notes: Notes,
) -> Float:
    """Leave-one-out predictions (n, c) of the rows that were kept, by factors of which one is there at a time."""
    left: list[tuple[NDArray[np.int64], Float]] = []
    for columns, part in _each_ridge(problem, ridges, answered, notes, "raise"):
        with closing(part):
            left_out = part.leave_one_out(notes.progress, distinct=True)
            left.append((columns, _of_all(problem, part, left_out)))
    return _gathered(left)


def _each_ridge(
    problem: Problem,
    ridges: tuple[float, ...],
    answered: Callable[[Problem, Notes], Solution],
    notes: Notes,
    singular: Singular,
) -> Iterator[tuple[NDArray[np.int64], Solution]]:
    """The targets of each different ridge, from the least, and `answered` for these."""
    of = np.asarray(ridges)
    for ridge in np.unique(of):
        columns = np.flatnonzero(of == ridge)
        targets = np.ascontiguousarray(problem.targets[:, columns])
        of_ridge = replace(problem, ridge=float(ridge), targets=targets, single_target=False)
        lines = Notes(notes.progress, notes.lines)
        yield columns, answered(interpolating(of_ridge, lines, singular), lines)


def bytes_kept(part: Solution) -> int:
    """What a solution that is not closed holds beside its rows: the factor, on the disk tier too, and K where mixed
    precision keeps it; of an iteration its preconditioner and K as it ended with it."""
    plan, convergence = part.plan, part.convergence
    if convergence is not None:
        return convergence.bytes_gram + convergence.bytes_preconditioner
    held = plan.bytes_memory - plan.bytes_workspace - plan.bytes_points - INTERPRETER
    return max(plan.bytes_factor, held)


def _ridge_of(parts: list[tuple[NDArray[np.int64], Solution]], column: int) -> float:
    """What a target was solved with: singular="ridge" may have added one."""
    return next(part.problem.ridge for columns, part in parts if column in columns)


def merged(problem: Problem, parts: list[tuple[NDArray[np.int64], Solution]], notes: Notes) -> RidgesSolution:
    """One solution of several, each for some of the targets of `problem`."""
    lines = list(notes.lines)
    for _, part in parts:
        lines += [line for line in part.notes if line not in lines]
    first = parts[0][1]
    seconds = {
        name: sum(part.seconds.get(name, 0.0) for _, part in parts)
        for name in dict.fromkeys(name for _, part in parts for name in part.seconds)
    }
    traffic = {
        name: sum(part.traffic.get(name, 0) for _, part in parts)
        for name in dict.fromkeys(name for _, part in parts for name in part.traffic)
    }
    return RidgesSolution(
        problem=problem,
        alpha=_gathered(
            (columns, _of_all(problem, part, part.alpha, copied=False)) for columns, part in parts
        ),
        fitted=_gathered((columns, _of_all(problem, part, part.fitted)) for columns, part in parts),
        certificate=_certificate(parts),
        plan=first.plan,
        seconds=seconds,
        traffic=traffic,
        notes=lines,
        remarks=tuple(line for _, part in parts for line in part.remarks),
        weights=_weights(parts),
        gflops_factor=first.gflops_factor,
        threads=first.threads,
        device=first.device,
        parts=tuple(parts),
    )


def _gathered(parts: Iterable[tuple[NDArray[np.int64], Float]]) -> Float:
    """Columns (n, c) of all parts, each in its place."""
    made = list(parts)
    result = np.empty((len(made[0][1]), sum(len(columns) for columns, _ in made)))
    for columns, values in made:
        result[:, columns] = values
    return result


def _of_all(problem: Problem, part: Solution, values: Float, *, copied: bool = True) -> Float:
    """Values (n', c) of the rows that took part in one solve, for all n rows of `problem`: those that repeat another
    have what the first of them has, or 0."""
    if len(part.kept) == len(problem.kept):
        return values
    every = np.zeros((len(problem.kept), values.shape[1]))
    every[np.searchsorted(problem.kept, part.kept)] = values
    for group in part.duplicates if copied else ():
        rows = np.searchsorted(problem.kept, group)
        every[rows] = every[rows[0]]
    return every


def _weights(parts: list[tuple[NDArray[np.int64], Solution]]) -> Float | None:
    """Weights of features (d, c) of all targets, where some come from the primal path: K alpha has not their digits."""
    if all(part.weights is None for _, part in parts):
        return None
    return _gathered(
        (columns, _features_times(part) if part.weights is None else part.weights) for columns, part in parts
    )


def _features_times(part: Solution) -> Float:
    """X^T alpha (d, c)."""
    assert part.points is not None
    rows = part.points
    products = [rows.scaled(a, b).T @ part.alpha[a:b] for a, b in strips_of(len(part.alpha))]
    return np.asarray(sum(products))


def _certificate(parts: list[tuple[NDArray[np.int64], Solution]]) -> Certificate:
    """The worst of all parts in each field, and `by_ridge` the certificate of each."""
    each = [part.certificate for _, part in parts]
    first = each[0]

    def worst(name: str) -> float:
        return float(np.max([getattr(one, name) for one in each]))

    norms = _gathered((columns, part.rkhs_norm_per_column[None, :]) for columns, part in parts)[0]
    weakest = min(each, key=lambda one: math.inf if one.min_pivot is None else one.min_pivot)
    errors = [one.componentwise_backward_error for one in each]
    known = [error for error in errors if error is not None]
    return replace(
        first,
        backward_error=worst("backward_error"),
        componentwise_backward_error=max(known) if len(known) == len(errors) else None,
        forward_error=worst("forward_error"),
        residual=worst("residual"),
        norm=worst("norm"),
        condition_estimate=worst("condition_estimate"),
        min_pivot=weakest.min_pivot,
        min_pivot_row=weakest.min_pivot_row,
        weak_pivots=sum(one.weak_pivots for one in each),
        log_det=None,
        interpolates=all(one.interpolates for one in each),
        refinements=max(one.refinements for one in each),
        factor_precision=min((one.factor_precision for one in each), key=_PRECISIONS.index),
        rank=min(one.rank for one in each),
        consistent=all(one.consistent for one in each),
        rkhs_norm=math.hypot(*norms),
        rkhs_norm_per_column=tuple(float(norm) for norm in norms),
        rkhs_norm_error=worst("rkhs_norm_error"),
        by_ridge=tuple(
            {
                "ridge": part.problem.ridge,
                "targets": columns.tolist(),
                **part.certificate.to_dict(),
                **({} if part.convergence is None else {"convergence": part.convergence.to_dict()}),
            }
            for columns, part in parts
        ),
    )
