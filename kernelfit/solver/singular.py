"""What to say of a K that is not positive definite."""

from __future__ import annotations

import numpy as np

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.precision import precision_of
from kernelfit.solver.inputs import nearest_neighbour
from kernelfit.solver.problem import Problem


def explained(error: NotPositiveDefiniteError, problem: Problem, precision: str) -> NotPositiveDefiniteError:
    """The error of a factorisation in `precision` with the row as X counts it, its nearest row, and remedies."""
    kept, points = problem.kept, problem.points  # equal rows of X may have been left out
    row, neighbour = int(kept[error.row]), -1
    message = f"{error}".replace(f"the pivot of row {error.row} ", f"the pivot of row {row} ", 1)
    if points is not None and points.shape[0] > 1:
        nearest, distance = nearest_neighbour(points, error.row)
        neighbour = int(kept[nearest])
        message += f"; its nearest row is {neighbour} at distance {distance:.3g}"
    diagonal = np.abs(problem.source.diagonal())
    scale = float(np.mean(diagonal))
    shift = 10 * problem.n * precision_of(precision).unit_roundoff * scale
    if problem.n > 1 and not diagonal.any():
        message += "; k(x, x) is 0 for every row: no kernel is, it grows with likeness (a distance does not)"
    elif diagonal[error.row] == 0:
        message += "; k(x, x) is 0 there, as of a row of zeros: leave it out, or give a ridge"
    elif 0 < (rank := _largest_rank(problem)) < problem.n:
        few = f"this kernel has a rank of {rank:,} at most, and there are {problem.n:,} rows"
        message += f"; {few}: give ridge or jitter"
    else:
        message += f"; drop one of such rows, {_narrower(problem)}or give ridge or jitter"
    if shift > 0:
        message += f" (in {precision} from about {shift:.0e})"
    return NotPositiveDefiniteError(message, row, error.pivot, neighbour, scale)


def _largest_rank(problem: Problem) -> int:
    """Of a kernel of finitely many features how many these are, which is the largest rank of K; 0 of any other."""
    kernel = problem.kernel
    return 0 if kernel is None else kernel.feature_count(problem.n_features) or 0


def _narrower(problem: Problem) -> str:
    """That rows are told apart by a kernel that reaches less far; which parameter says so."""
    kernel = problem.kernel
    if kernel is None or not (kernel.stationary or kernel.functions()):
        return ""
    remedies = {"gamma": " (larger gamma)", "length_scale": " (smaller length_scale)"}
    remedy = next((text for name, text in remedies.items() if name in kernel.parameters), "")
    return f"take a kernel that falls off faster{remedy}, "
