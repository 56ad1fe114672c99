"""Other functions that fit every training label: how many there are, and how the one of least norm stands among them.

All of them have training error 0. In order: the interpolant of least norm; f + g with g orthogonal to all sections at
training rows, hence zero there; a sum of bumps k(z, .) at random centres; the interpolant of least norm of the training
rows and of random labels at the test rows. A squared loss has the same Hessian at each of them, of rank n whatever the
number of parameters, so that flatness does not tell them apart. Section 5 of Zhang, Bengio, Hardt, Recht and Vinyals
(2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.datasets.corruptions import random_labels
from kernelfit.errors import KernelfitError
from kernelfit.gram.points import Points
from kernelfit.gram.rectangle import rectangle
from kernelfit.metrics import error_rate, one_hot
from kernelfit.progress import Progress, Silent
from kernelfit.solver.inputs import find_duplicates
from kernelfit.solver.predict import predict
from kernelfit.solver.solution import Solution
from kernelfit.solver.solve import solve
from kernelfit.study.labelled import KernelRows
from kernelfit.typing import Float

#: |g| / |f| of the components that are added
SCALES = (1.0, 3.0, 10.0)
# Sections that make up g and the direction along which curvatures are measured.
_SECTIONS = 200
# The step by which curvatures are measured: the loss is a parabola, so that any will do.
_STEP = 0.5
_UNRESOLVED = "float64 does not resolve the norms that they are scaled by"


@dataclass(frozen=True)
class Interpolant:
    """A function that fits the training labels.

    Attributes
    ----------
    name : which it is
    rkhs_norm, norm_ratio : |f|, and beside that of the interpolant of least norm; NaN where float64 does not resolve it
    train_error, test_error : fractions of rows; test rows have their true labels
    misfit : max |f(x_i) - y_i| over training rows and classes
    curvature : second derivative of the loss sum_i |f(x_i) - y_i|^2 / 2n along one direction, the same for all
    """

    name: str
    rkhs_norm: float
    norm_ratio: float
    train_error: float
    test_error: float
    misfit: float
    curvature: float


def interpolants(
    solution: Solution,
    rows: KernelRows,
    *,
    seed: int = 0,
    scales: tuple[float, ...] = SCALES,
    notes: list[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Interpolant]:
    """The interpolant of least norm, and others of the same training labels.

    Parameters
    ----------
    solution : ridge 0, one-hot targets of `rows.y_train`, with its factor
    rows : training and test rows with their labels
    seed : for centres, directions and random labels
    scales : |g| / |f| of what is added and vanishes on the training rows
    notes : gets a line for each that could not be made
    options : of `kernelfit.solve`, for systems of other rows: threads (those of the solution), precision, memory, ...

    Raises
    ------
    InputError : no factor
    """
    notes = [] if notes is None else notes
    with CpuBackend(solution.threads) as backend:
        options = {"threads": solution.threads, **options}
        family = _Family(solution, rows, backend, seed, progress or Silent(), options)
        made = list(family.made(scales, notes))
        along = family.direction()
    targets = one_hot(rows.y_train, rows.n_classes)
    return [
        Interpolant(
            name=each.name,
            rkhs_norm=each.norm,
            norm_ratio=each.norm / made[0].norm,
            train_error=error_rate(each.train, rows.y_train),
            test_error=error_rate(each.test, rows.y_test),
            misfit=float(np.abs(each.train - targets).max()),
            curvature=_curvature(each.train - targets, along),
        )
        for each in made
    ]


@dataclass(frozen=True)
class _Function:
    """A function by its values, (n, c) on training rows and (m, c) on test rows, and its norm."""

    name: str
    train: Float
    test: Float
    norm: float


@dataclass
class _Family:
    """What the interpolants are made from."""

    solution: Solution
    rows: KernelRows
    backend: CpuBackend
    seed: int
    progress: Progress
    options: dict[str, Any]
    train: Points = field(init=False)
    test: Points = field(init=False)

    def __post_init__(self) -> None:
        self.train, self.test = self.rows.rows(slice(self.rows.n)), self.rows.rows(slice(self.rows.n, None))

    def made(self, scales: tuple[float, ...], notes: list[str]) -> Iterator[_Function]:
        least = self.least_norm()
        yield least
        vanishing = self.vanishing()
        if not (np.isfinite(least.norm) and vanishing.norm > 0):  # NaN is not > 0 either
            notes.append(f"functions that vanish on the training rows: not made: {_UNRESOLVED}")
            scales = ()
        for scale in scales:
            factor = scale * least.norm / vanishing.norm
            yield _Function(
                f"plus {scale:g} |f| that vanishes on the training rows",
                least.train + factor * vanishing.train,
                least.test + factor * vanishing.test,
                float(np.hypot(least.norm, factor * vanishing.norm)),
            )
        for name, make in (
            ("bumps at random centres", self.bumps),
            ("random labels fitted at the test rows too", self.test_labels_too),
        ):
            try:
                yield make(name)
            except KernelfitError as error:
                notes.append(f"{name}: not made: {error}")

    def least_norm(self) -> _Function:
        solution = self.solution
        test = self._sum(self.train, solution.alpha, self.test)
        return _Function("least norm", solution.fitted, test, solution.rkhs_norm)

    def vanishing(self) -> _Function:
        """g = h - P h for a random sum h of sections at test rows, P the projection on those at training rows.

        P h is the interpolant of least norm of h's values on the training rows; |g|^2 = |h|^2 - |P h|^2.
        """
        rng = self._generator(0)
        centres = self.rows.n + np.sort(
            rng.choice(len(self.rows.y_test), min(_SECTIONS, len(self.rows.y_test)), replace=False)
        )
        points = self.rows.rows(centres)
        weights = rng.standard_normal((len(centres), self.rows.n_classes))
        on_train = self._sum(points, weights, self.train)
        square = float(np.sum(weights * self._sum(points, weights, points)))
        projected = self.solution.solve(on_train)
        test = self._sum(points, weights, self.test) - self._sum(self.train, projected.alpha, self.test)
        norm = np.sqrt(max(square - projected.rkhs_norm**2, 0.0))
        return _Function("", on_train - projected.fitted, test, float(norm))

    def bumps(self, name: str) -> _Function:
        """sum_j c_j k(z_j, .) with least |c|, at 2 n random centres between two training rows each.

        c = B^T (B B^T)^-1 Y for B = k(training rows, centres): the linear kernel's interpolant of the rows of B.
        """
        rng, values = self._generator(1), self.train.values
        first, second = rng.integers(self.rows.n, size=(2, 2 * self.rows.n))
        share = rng.random((2 * self.rows.n, 1))
        between = share * values[first].astype(np.float64) + (1 - share) * values[second].astype(np.float64)
        centres = Points(between, self.train.scale, like=self.rows.every)
        design = rectangle(self.rows.kernel, self.train, centres, self.backend)
        solved = solve(design, self.solution.targets, kernel="linear", scale=1.0, **self.options)
        solved.close()
        weights = design.T @ solved.alpha
        square = float(np.sum(weights * self._sum(centres, weights, centres)))
        norm = math.sqrt(square) if square >= 0 else math.nan
        return _Function(name, design @ weights, self._sum(centres, weights, self.test), norm)

    def test_labels_too(self, name: str) -> _Function:
        """The interpolant of least norm of the training rows and of random labels at the test rows.

        A test row that equals another row keeps out: it has its label already.
        """
        rows, n = self.rows, self.rows.n
        drawn = random_labels(rows.y_test, rows.n_classes, self.seed)
        codes = np.concatenate([rows.y_train, drawn])
        distinct = np.setdiff1d(np.arange(len(codes)), find_duplicates(rows.every).dropped)
        points = rows.rows(distinct)
        solved = solve(
            points.values,
            one_hot(codes[distinct], rows.n_classes),
            kernel=rows.kernel,
            scale=points.scale,
            progress=self.progress,
            **self.options,
        )
        solved.close()
        return _Function(
            name, solved.fitted[:n], self._sum(points, solved.alpha, self.test), solved.rkhs_norm
        )

    def direction(self) -> Float:
        """Values on the training rows (n, c) of a random function of norm 1 in the span of sections there."""
        rng = self._generator(2)
        chosen = np.sort(rng.choice(self.rows.n, min(_SECTIONS, self.rows.n), replace=False))
        points = self.rows.rows(chosen)
        weights = rng.standard_normal((len(chosen), self.rows.n_classes))
        norm = np.sqrt(np.sum(weights * self._sum(points, weights, points)))
        return self._sum(points, weights / norm, self.train)

    def _sum(self, centres: Points, weights: Float, at: Points) -> Float:
        """sum_j w_j k(z_j, .) at some rows: (m, c)."""
        return predict(self.rows.kernel, centres, at, weights, self.backend, Silent())

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])


def _curvature(residual: Float, along: Float) -> float:
    """(L(f + s v) - 2 L(f) + L(f - s v)) / s^2 for L(f) = sum_i |f(x_i) - y_i|^2 / 2n."""

    def loss(difference: Float) -> float:
        return float(np.sum(np.square(difference))) / (2 * len(difference))

    return (loss(residual + _STEP * along) - 2 * loss(residual) + loss(residual - _STEP * along)) / _STEP**2
