"""A solve with every choice made."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.frozen import frozen_of_arrays
from kernelfit.gram.points import Points
from kernelfit.gram.pointwise import PointwiseGram
from kernelfit.gram.precision import Precision, precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import Source
from kernelfit.kernels.base import Kernel
from kernelfit.linalg.product import Product
from kernelfit.solver.method import CHOLESKY, Method
from kernelfit.solver.ridge import RidgeChoice
from kernelfit.solver.search import GammaChoice
from kernelfit.typing import Float, PrecisionName


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@frozen_of_arrays
class Problem:
    """(K + ridge W^-1) alpha = Y with the kernel's parameters known and equal rows left out; W = I without weights.

    Attributes
    ----------
    source : K (n, n)
    targets : (n, c) Y
    ridge, jitter : >= 0
    precision : a name of `kernelfit.gram.precision.PRECISIONS`
    kept : (n,) indices of the rows of X that were kept, out of `rows_given`
    duplicates : groups of equal rows of X, of which the first was kept
    input_scale : the factor that was given for X
    single_target : whether Y was given as (n,)
    condition : whether the condition number is to be estimated
    column_names : of X, where it was a frame
    remembered : JSON that a run carries for whoever resumes it
    ridge_choice, gamma_choice : how ridge="auto", and gamma="auto" or length_scale="auto", were decided, for these
        targets
    conflict : which equal rows carry different targets, where no ridge was given; such rows were kept
    further_ridges : multiples of the mean diagonal of |K| that are tried in turn where K + ridge I has no factor
    ridge_per_target : (c,) where targets have ridges of their own, each solved apart; `ridge` is the largest
    weights : (n,) > 0, the sample weights w_i of the rows that were kept; None where all weigh 1
    method : by what it is solved
    unweighted : rows of X of weight 0, which have no part in the solve, and `unweighted_rows` their indices
    """

    source: GramSource
    targets: Float
    ridge: float
    jitter: float
    precision: PrecisionName
    kept: NDArray[np.int64]
    rows_given: int
    duplicates: tuple[tuple[int, ...], ...] = ()
    input_scale: float | None = None
    single_target: bool = False
    condition: bool = True
    column_names: tuple[str, ...] | None = None
    remembered: dict[str, Any] = field(default_factory=dict)
    ridge_choice: RidgeChoice | None = None
    gamma_choice: GammaChoice | None = None
    conflict: str = ""
    further_ridges: tuple[float, ...] = ()
    ridge_per_target: tuple[float, ...] | None = None
    weights: Float | None = None
    method: Method = CHOLESKY
    unweighted: Points | None = None
    unweighted_rows: NDArray[np.int64] = field(default_factory=_no_rows)

    @property
    def transformed(self) -> str:
        """What an experiment did to the rows and targets of its data before they came here; empty where nothing was."""
        return str(self.remembered.get("transformed", "")) if self.of_experiment else ""

    @property
    def of_experiment(self) -> bool:
        """Whether an experiment asked for it, which knows the data set behind its rows."""
        return "experiment" in self.remembered

    @property
    def n(self) -> int:
        return self.source.n

    @property
    def points(self) -> Points | None:
        """The n rows; None for a precomputed Gram."""
        return self.source.points

    @property
    def kernel(self) -> Kernel | None:
        """k; None for a precomputed Gram."""
        return self.source.kernel

    @property
    def has_noise(self) -> bool:
        """Whether K has noise on its diagonal that predictions do without: at training rows they are not K alpha."""
        kernel, points = self.source.kernel, self.source.points
        return kernel is not None and points is not None and kernel.has_noise(points)

    @property
    def n_features(self) -> int:
        """d; 0 for a precomputed Gram."""
        return 0 if self.points is None else self.points.shape[1]

    @property
    def bytes_points(self) -> int:
        return 0 if self.points is None else self.points.nbytes

    @property
    def ridges(self) -> float | Float:
        """ridge / w_i, what A has on its diagonal beside K: a number, (n, 1) with weights, (1, c) or (n, c) where
        targets have their own."""
        each = self.ridge if self.ridge_per_target is None else np.asarray(self.ridge_per_target)[None, :]
        return each if self.weights is None or self.ridge == 0 else each / self.weights[:, None]

    @property
    def counts(self) -> Float:
        """How often each row that was kept occurs (n,): as its weight says, or the rows that repeat it."""
        if self.weights is not None:
            return self.weights
        counts = np.ones(self.n)
        for group in self.duplicates:
            counts[np.searchsorted(self.kept, group[0])] = len(group)
        return counts

    @property
    def min_ridge(self) -> float:
        """The least of `ridges`: |A^-1| is at most 1 / this."""
        return float(np.min(self.ridges))

    @property
    def shift(self) -> float | Float:
        """What the factor has on its diagonal beside K: a number, or (n,) with weights."""
        ridges = self.ridges
        return (ridges[:, 0] if isinstance(ridges, np.ndarray) else ridges) + self.jitter

    def norm(self, product: Product) -> float:
        """|A|_1 from the sums of |K_ij| that come with a product."""
        if self.weights is None or self.ridge == 0:
            return product.norm + self.ridge
        return float((product.sums + self.shift - self.jitter).max())

    @property
    def numbers(self) -> Precision:
        return precision_of(self.precision)

    def with_targets(self, targets: Float, single_target: bool) -> Problem:
        """The same system with other right-hand sides, which had no part in the choice of its ridge."""
        return replace(
            self, targets=targets, single_target=single_target, ridge_choice=None, gamma_choice=None
        )

    def without_gram(self) -> Problem:
        """The same without a K that is stored: rows and kernel stay, an array, a file or a device is let go."""
        return (
            self if self.kernel is not None else replace(self, source=AbsentGram(self.n, self.source.formula))
        )


def is_primal(problem: Problem) -> bool:
    """Whether K = X X^T has rank d < n, and nothing is added to its diagonal."""
    kernel = problem.source.kernel
    if kernel is None or not kernel.linear or problem.n_features >= problem.n:
        return False
    return not (np.any(problem.ridges) or problem.jitter)


def has_weights(problem: Problem) -> bool:
    """Whether a solution predicts by weights of features: `is_primal`, or some of its targets are."""
    ridges = problem.ridge_per_target
    if ridges is None or min(ridges) > 0:
        return is_primal(problem)
    return is_primal(replace(problem, ridge=0.0, ridge_per_target=None))


def of_products(source: Source, formula: Kernel | None) -> Source:
    """The source of `formula` where that is not None and `source` holds its inner products; else `source`."""
    if formula is None or source.formula == formula:
        return source
    if isinstance(source, AbsentGram):
        return AbsentGram(source.n, formula)
    return PointwiseGram(source, formula)


class AbsentGram(Source):
    """A precomputed K of order n that is not at hand: solutions predict without it, and know the `formula` by which it
    was formed from inner products, where it was."""

    flops_per_entry = 0.0

    def __init__(self, n: int, formula: Kernel | None = None) -> None:
        self.n, self.formula = n, formula

    def diagonal(self) -> NoReturn:
        raise InputError("gram: a precomputed Gram matrix is not stored with a solution; give it again")

    def columns(self, start: int, stop: int, backend: CpuBackend) -> NoReturn:
        self.diagonal()
