"""Many labellings of the same rows fitted by one factor, at little more than the flops of their right-hand sides.

The c columns of a labelling's one-hot targets add up to ones, and so do their solutions to that of the vector of ones:
c - 1 columns of each labelling and one for all of them are solved, and predicted from. K alpha, as much work again, is
not formed: random combinations certify Y - A alpha (`kernelfit.solver.probed`), up to which K alpha = Y - ridge alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.gram.precision import precision_of
from kernelfit.metrics import one_hot
from kernelfit.progress import Silent
from kernelfit.solver.norms import WANTED, function_norms
from kernelfit.solver.probed import Probed, probe
from kernelfit.solver.solution import Solution
from kernelfit.typing import Float

# A residual up to which Y - ridge alpha is K alpha: norms and margins keep ten digits.
_RESIDUAL = 1e-9


@dataclass(frozen=True)
class Fit:
    """One labelling's alpha (n, c), K alpha (n, c), norm (NaN where it is not resolved) and backward error."""

    alpha: Float
    fitted: Float
    rkhs_norm: float
    backward_error: float


@dataclass(frozen=True)
class Columns:
    """Where labellings with class codes (n,) lie among right-hand sides: ones, then c - 1 columns for each; or, where
    `complete`, c columns for each."""

    codes: Sequence[NDArray[np.int64]]
    n_classes: int
    complete: bool = False

    def targets(self) -> Float:
        """(n, 1 + (c - 1) count), or (n, c count)."""
        if self.complete:
            return np.hstack([one_hot(labels, self.n_classes) for labels in self.codes])
        width = self.n_classes - 1
        targets = np.zeros((len(self.codes[0]), 1 + width * len(self.codes)))
        targets[:, 0] = 1.0
        for index, labels in enumerate(self.codes):
            rows = np.flatnonzero(labels < width)
            targets[rows, 1 + index * width + labels[rows]] = 1.0
        return targets

    def of(self, values: Float, index: int) -> Float:
        """The c columns of one labelling, of values (m, ...) that are linear in the targets."""
        if self.complete:
            return values[:, index * self.n_classes : (index + 1) * self.n_classes]
        width = self.n_classes - 1
        block = np.empty((len(values), self.n_classes))
        block[:, :width] = values[:, 1 + index * width : 1 + (index + 1) * width]
        np.subtract(values[:, 0], block[:, :width].sum(axis=1), out=block[:, width])
        return block


@dataclass(frozen=True)
class ProbedFits:
    """Labellings that random combinations certify: `solution` has the alpha of `columns`."""

    columns: Columns
    solution: Solution
    errors: Sequence[Probed]
    norms: Sequence[float]

    def fit(self, index: int) -> Fit:
        alpha, fitted = _values(self.solution, self.columns, index)
        return Fit(alpha, fitted, self.norms[index], self.errors[index].backward_error)

    def predict(self, X: ArrayLike) -> Float:
        values: Float = self.solution.predict_prepared(X)
        return values


@dataclass(frozen=True)
class SolvedFits:
    """Labellings whose every column has been certified, by a product with K of its own."""

    columns: Columns
    solution: Solution

    def fit(self, index: int) -> Fit:
        solved = self.solution
        norms = self.columns.of(solved.rkhs_norm_per_column[None, :], index)
        return Fit(
            self.columns.of(solved.alpha, index),
            self.columns.of(solved.fitted, index),
            math.hypot(*norms[0]),
            solved.certificate.backward_error,
        )

    def predict(self, X: ArrayLike) -> Float:
        values: Float = self.solution.predict_prepared(X)
        return values


def fit_each(solution: Solution, codes: Sequence[NDArray[np.int64]], n_classes: int) -> SolvedFits:
    """All columns of all labellings, solved and certified as `Solution.solve` does."""
    columns = Columns(codes, n_classes, complete=True)
    return SolvedFits(columns, solution.solve(columns.targets(), componentwise=False))


def fit_probed(solution: Solution, codes: Sequence[NDArray[np.int64]], n_classes: int) -> ProbedFits | None:
    """The labellings by their independent columns; None where random combinations do not tell enough: the factor is
    refined or of float32, rows are weighted, a residual or a norm's error is larger than rounding."""
    problem, system = solution.problem, solution.factor
    if (
        system is None
        or not solution.plan.has_factor
        or precision_of(solution.plan.precision).factor != np.float64
        or problem.jitter > 0
        or problem.weights is not None
        or problem.ridge_per_target is not None
    ):
        return None
    columns = Columns(codes, n_classes)
    targets = columns.targets()
    norm, progress = solution.certificate.norm, Silent()
    with system.backend:
        alpha = system.apply_inverse(targets)
    fitting = replace(
        solution,
        problem=problem.with_targets(targets, single_target=False),
        alpha=alpha,
        seconds={},
        notes=[],
        remarks=(),
    )

    def group(index: int) -> tuple[Float, Float]:
        return columns.of(alpha, index), one_hot(codes[index], n_classes)

    errors = probe(system, group, len(codes), norm, progress)
    if not all(error.residual <= _RESIDUAL for error in errors):
        return None
    norms = []
    for index, error in enumerate(errors):
        each, fitted = _values(fitting, columns, index)
        squares, uncertain = function_norms(
            system, fitted + problem.ridge * each, each, fitted, norm, residual=error.residual
        )
        if not (uncertain <= WANTED).all():
            return None
        norms.append(math.hypot(*squares))
    return ProbedFits(columns, fitting, errors, norms)


def _values(solution: Solution, columns: Columns, index: int) -> tuple[Float, Float]:
    """alpha and K alpha (n, c) of one labelling."""
    alpha, targets = columns.of(solution.alpha, index), one_hot(columns.codes[index], columns.n_classes)
    return alpha, targets - solution.problem.ridge * alpha if solution.problem.ridge else targets
