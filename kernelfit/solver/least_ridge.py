"""singular="ridge": the least of a few ridges that lets a factor exist and the norm have digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.progress import Notes
from kernelfit.solver.problem import Problem
from kernelfit.solver.solution import Solution

#: what is tried, times the mean diagonal of |K|: from a little above rounding to where it would be seen
RIDGES = (1e-12, 1e-10, 1e-8, 1e-6)
# Up to this a ridge beside which the norm has no digit is passed over.
_FOR_THE_NORM = 1e-8
#: how the line begins that says which ridge was added
SINGULAR = "singular: "


def with_least_ridge(
    problem: Problem,
    complete: Callable[[Problem, Notes], Solution],
    notes: Notes,
    *,
    stored: bool = False,
    once: bool = False,
    begun: float | None = None,
) -> Solution:
    """The solution without a ridge, or with the least of `RIDGES`; a `conflict` of targets rules none out.

    A ridge beside which the norm has no digit is passed over for a larger one, unless the solution is `stored` by now.
    Only `once` can be tried where an open device is given back with what fails. A run that is taken up has `begun`
    with a ridge, below which nothing helped. Raises `NotPositiveDefiniteError`.
    """
    tried: tuple[float, ...] = RIDGES if problem.conflict else (0.0, *RIDGES)
    if problem.conflict and (stored or once):
        tried = tuple(relative for relative in RIDGES if relative >= _FOR_THE_NORM)
    scale = _scale(problem)
    at = [relative * scale for relative in tried]
    tried = tried[at.index(begun) if begun in at else 0 :]
    return _first_that_helps(problem, tried[:1] if once else tried, complete, notes, stored or once)


def with_further_ridges(
    problem: Problem, complete: Callable[[Problem, Notes], Solution], notes: Notes
) -> Solution:
    """The solution with the first of `problem.further_ridges` that helps, of a stored run that came to nothing with its
    own. Raises `NotPositiveDefiniteError`."""
    notes = Notes(notes.progress, (line for line in notes.lines if not line.startswith(SINGULAR)))
    return _first_that_helps(problem, problem.further_ridges, complete, notes, True)


def _scale(problem: Problem) -> float:
    return float(np.mean(np.abs(problem.source.diagonal())))


def _first_that_helps(
    problem: Problem,
    tried: tuple[float, ...],
    complete: Callable[[Problem, Notes], Solution],
    notes: Notes,
    stored: bool,
) -> Solution:
    """With one of `tried`, multiples of the mean diagonal of |K|; a run that is stored knows those that follow."""
    scale = _scale(problem)
    # An iteration may give up where a factor does not.
    why = problem.conflict or (
        f"K is too ill-conditioned for solver {problem.method.solver!r}"
        if problem.method.iterates
        else "K is not positive definite in floating point"
    )
    for index, relative in enumerate(tried):
        attempt = Notes(notes.progress, notes.lines)
        if relative:
            attempt.lines.append(
                f"{SINGULAR}{why}; ridge = {relative * scale:.0e}, {relative:g} of the mean diagonal of K, was added "
                "and targets are met approximately"
            )
        further = tried[index + 1 :]
        try:
            solution = complete(replace(problem, ridge=relative * scale, further_ridges=further), attempt)
        except NotPositiveDefiniteError:
            if not further:
                raise
            continue
        if 0 < relative < _FOR_THE_NORM and not stored and np.isnan(solution.rkhs_norm):
            solution.close()
            continue
        if relative:
            notes.progress.note(attempt.lines[len(notes.lines)])
        return solution
    raise AssertionError("the last ridge returns or raises")
