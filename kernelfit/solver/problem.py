"""A solve with every choice made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.precision import Precision, precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import Source
from kernelfit.kernels.base import Kernel
from kernelfit.solver.ridge import RidgeChoice
from kernelfit.solver.search import GammaChoice
from kernelfit.typing import Float, PrecisionName


@dataclass(frozen=True)
class Problem:
    """(K + ridge I) alpha = Y with the kernel's parameters known and equal rows left out.

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
    remembered : JSON that a run carries for whoever resumes it
    ridge_choice, gamma_choice : how ridge="auto", and gamma="auto" or length_scale="auto", were decided, for these
        targets; files store only their lines in the notes
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
    remembered: dict[str, Any] = field(default_factory=dict)
    ridge_choice: RidgeChoice | None = None
    gamma_choice: GammaChoice | None = None

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
    def n_features(self) -> int:
        """d; 0 for a precomputed Gram."""
        return 0 if self.points is None else self.points.shape[1]

    @property
    def bytes_points(self) -> int:
        return 0 if self.points is None else self.points.nbytes

    @property
    def shift(self) -> float:
        """What the factor has on its diagonal beside K."""
        return self.ridge + self.jitter

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
        return self if self.kernel is not None else replace(self, source=AbsentGram(self.n))


def is_primal(problem: Problem) -> bool:
    """Whether K = X X^T has rank d < n, and nothing is added to its diagonal."""
    kernel = problem.kernel
    return kernel is not None and kernel.linear and problem.n_features < problem.n and problem.shift == 0


class AbsentGram(Source):
    """A precomputed K of order n that is not at hand: solutions predict without it."""

    flops_per_entry = 0.0

    def __init__(self, n: int) -> None:
        self.n = n

    def diagonal(self) -> NoReturn:
        raise InputError("gram: a precomputed Gram matrix is not stored with a solution; give it again")

    def columns(self, start: int, stop: int, backend: CpuBackend) -> NoReturn:
        self.diagonal()
