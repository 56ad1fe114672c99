"""Where gradient methods go: from w = 0 to the solution of least norm, from elsewhere to the nearest interpolant.

The functions of the RKHS that training and test rows can tell apart are written in orthonormal coordinates: phi(x_i) is
row i of the symmetric square root of K over both, so that f(x_i) = <w, phi(x_i)> and |f| = |w|. Descent on the loss
sum_i |<w, phi_i> - y_i|^2 / 2n adds multiples of training rows phi_i to w: what w has outside their span stays as it
was, and the limit is the projection of the first w on the interpolants (Section 5 of Zhang et al., 2016).

Rates: with step s the error along the eigenvector of K / n with eigenvalue l shrinks by 1 - s l, so that the distance
after t steps from 0 is known exactly, its square sum_i (1 - s l_i)^2t |u_i^T Y|^2 / (n l_i); Nesterov's momentum has
1 - 1/sqrt(c), conjugate gradients 2 ((sqrt(c) - 1) / (sqrt(c) + 1))^t, for the condition number c of K; single rows
with step 1 / |phi_i|^2 (Kaczmarz, Strohmer and Vershynin 2009) shrink the mean square by 1 - l_min n / tr K a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr

from kernelfit.cpu.jit import njit
from kernelfit.cpu.memory import available_memory
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.source import KernelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.metrics import error_rate, one_hot
from kernelfit.progress import Progress, Silent
from kernelfit.study.labelled import KernelRows
from kernelfit.typing import Float

#: steps of the methods that take all rows at a time, and passes over the rows of stochastic descent
STEPS, PASSES = 1000, 100
# What a distance from the limit is called reached below, as a fraction of the limit's norm.
REACHED = 1e-6
# Step sizes beside 1 / l_max in the sweep, and steps of it.
_SWEEP, _SWEEP_STEPS = (0.5, 1.0, 1.9, 2.1), 200


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Training rows Phi (n, N), test rows (m, N) in orthonormal coordinates, N = n + m; Y (n, c) and labels.

    `eigenvalues` (n,) ascending of K = Phi Phi^T, `share` (n,) = |u_i^T Y|^2 of its eigenvectors; `basis` (N, n) is
    orthonormal and spans the rows of Phi. `error` bounds |Phi Phi^T - K| relative to |K|.
    """

    train: Float
    test: Float
    targets: Float
    y_train: NDArray[np.int64]
    y_test: NDArray[np.int64]
    eigenvalues: Float
    share: Float
    basis: Float
    least_norm: Float
    error: float

    @classmethod
    def of(cls, rows: KernelRows, threads: int | None = None, memory: int | None = None) -> Coordinates:
        """From K over training and test rows: an eigendecomposition of order n + m.

        `memory` is the limit in bytes; by default what is available. Raises `InputError` where they do not fit, or K of
        the training rows is singular in float64.
        """
        n, total = rows.n, rows.every.shape[0]
        needed = 5 * 8 * total**2
        limit = available_memory() if memory is None else memory
        if needed > limit:
            raise InputError(
                f"n_train + n_test: got {total:,} rows, whose coordinates take {needed / 1e9:.1f} GB of "
                f"{limit / 1e9:.1f}, expected fewer; take less of them"
            )
        with CpuBackend(threads) as backend:
            gram = submatrix(KernelGram(rows.kernel, rows.every), np.arange(total), backend)
        values, vectors = eigh(gram)
        # Rounding leaves the least ones slightly negative.
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        train = np.ascontiguousarray(root[:n])
        targets = one_hot(rows.y_train, rows.n_classes)
        eigenvalues, eigenvectors = eigh(gram[:n, :n])
        if eigenvalues[0] <= n * np.finfo(float).eps * eigenvalues[-1]:
            raise InputError(
                f"kernel: K of the training rows has eigenvalues from {eigenvalues[0]:.1e} to {eigenvalues[-1]:.1e}, "
                "expected a least one above rounding; take a larger gamma, or rows that are less alike"
            )
        projections = eigenvectors.T @ targets
        alpha = eigenvectors @ (projections / eigenvalues[:, None])
        return cls(
            train=train,
            test=root[n:],
            targets=targets,
            y_train=rows.y_train,
            y_test=rows.y_test,
            eigenvalues=eigenvalues,
            share=np.square(projections).sum(axis=1),
            basis=qr(train.T, mode="economic")[0],
            least_norm=train.T @ alpha,
            error=float(np.abs(root @ root - gram).max() / np.abs(gram).max()),
        )

    @property
    def largest(self) -> float:
        """l_max of the Hessian K / n."""
        return float(self.eigenvalues[-1]) / len(self.targets)

    @property
    def smallest(self) -> float:
        """l_min of the Hessian K / n on the span of the training rows; it is 0 outside."""
        return float(self.eigenvalues[0]) / len(self.targets)

    def outside(self, w: Float) -> Float:
        """The part of w (N, c) that is orthogonal to every training row, projected twice against rounding."""
        rest = w - self.basis @ (self.basis.T @ w)
        return rest - self.basis @ (self.basis.T @ rest)

    def distance_after(self, steps: Any, step: float) -> Float:
        """|w_t - w*| of gradient descent from 0 after `steps` (k,) of size `step`: exact but for rounding."""
        factors = 1.0 - step * self.eigenvalues / len(self.targets)
        with np.errstate(under="ignore"):
            powers = np.abs(factors) ** (2.0 * np.asarray(steps, float)[:, None])
            return np.sqrt((powers * (self.share / self.eigenvalues)).sum(axis=1))

    def steps_to(self, distance: float, step: float) -> int:
        """How many steps of gradient descent from 0 reach |w_t - w*| <= `distance`, by the spectrum."""
        high = 1
        while self.distance_after([high], step)[0] > distance:
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.distance_after([middle], step)[0] > distance else (low, middle)
        return high


@dataclass(frozen=True)
class Path:
    """A method's way: w seen after some of its steps.

    Attributes
    ----------
    method, start : which method, and where it began: `0`, or `elsewhere`
    step : its step size, where it has one
    steps : (k,) steps that were looked at; of stochastic descent passes over the rows
    to_limit : (k,) |w - P w_0| / |P w_0|, P w_0 the projection of the first w on the interpolants
    to_least_norm : (k,) |w - w*| / |w*|, w* the interpolant of least norm
    norms : (k,) |w|
    outside : (k,) |part of w - w_0 outside the span of the training rows| / |w|: 0 but for rounding
    train_errors, test_errors : (k,) fractions of rows
    predicted : (k,) what theory says of `to_limit`: exactly for gradient descent, a bound for the others
    """

    method: str
    start: str
    step: float | None
    steps: tuple[int, ...]
    to_limit: tuple[float, ...]
    to_least_norm: tuple[float, ...]
    norms: tuple[float, ...]
    outside: tuple[float, ...]
    train_errors: tuple[float, ...]
    test_errors: tuple[float, ...]
    predicted: tuple[float, ...] | None = None

    @property
    def reached(self) -> int | None:
        """The first step looked at whose distance from the limit is below `REACHED`; None for none."""
        return next((t for t, d in zip(self.steps, self.to_limit, strict=True) if d < REACHED), None)

    @property
    def best(self) -> tuple[int, float]:
        """The step of least test error and that error: what early stopping would have got."""
        index = int(np.argmin(self.test_errors))
        return self.steps[index], self.test_errors[index]


@dataclass
class _Watch:
    """Sees w at steps that grow by some tenth, and notes what a `Path` tells."""

    coordinates: Coordinates
    start: Float
    limit: Float
    steps: list[int] = field(default_factory=list)
    columns: list[tuple[float, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, coordinates: Coordinates, start: Float) -> _Watch:
        outside = coordinates.outside(start)
        return cls(coordinates, start, coordinates.least_norm + outside)

    def see(self, step: int, w: Float) -> None:
        of, norm = self.coordinates, float(np.linalg.norm(w))
        self.steps.append(step)
        self.columns.append(
            (
                float(np.linalg.norm(w - self.limit) / np.linalg.norm(self.limit)),
                float(np.linalg.norm(w - of.least_norm) / np.linalg.norm(of.least_norm)),
                norm,
                float(np.linalg.norm(of.outside(w - self.start)) / max(norm, np.finfo(float).tiny)),
                error_rate(of.train @ w, of.y_train),
                error_rate(of.test @ w, of.y_test),
            )
        )

    def path(self, method: str, step: float | None, predicted: Float | None = None) -> Path:
        to_limit, to_least_norm, norms, outside, train, test = zip(*self.columns, strict=True)
        return Path(
            method=method,
            start="0" if not self.start.any() else "elsewhere",
            step=step,
            steps=tuple(self.steps),
            to_limit=to_limit,
            to_least_norm=to_least_norm,
            norms=norms,
            outside=outside,
            train_errors=train,
            test_errors=test,
            predicted=None if predicted is None else tuple(float(value) for value in predicted),
        )


def descend(
    coordinates: Coordinates,
    *,
    steps: int = STEPS,
    passes: int = PASSES,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Path]:
    """Gradient descent, Nesterov's, conjugate gradients and stochastic descent, from 0 and from elsewhere.

    The other start has normal components, |w_0| = |w*|. Steps are 1 / l_max, of stochastic descent 1 / |phi_i|^2.
    """
    rng, shape = np.random.default_rng([seed, 60]), coordinates.least_norm.shape
    elsewhere = rng.standard_normal(shape)
    elsewhere *= np.linalg.norm(coordinates.least_norm) / np.linalg.norm(elsewhere)
    paths = []
    wanted = [
        (method, start)
        for start in (np.zeros(shape), elsewhere)
        for method in (_gradient, _nesterov, _conjugate, _stochastic)
    ]
    with (progress or Silent()).phase("descent", float(len(wanted)), "methods") as advance:
        for method, start in wanted:
            paths.append(method(coordinates, start, passes if method is _stochastic else steps, seed))
            advance(1.0)
    return paths


def step_sizes(coordinates: Coordinates) -> list[dict[str, float]]:
    """Gradient descent from 0 with steps around 2 / l_max, where theory has it diverge: loss beside the first one."""
    rows = []
    for factor in _SWEEP:
        w = np.zeros_like(coordinates.least_norm)
        step = factor / coordinates.largest
        for _ in range(_SWEEP_STEPS):
            w = w - step * _slope(coordinates, w)
        loss = np.square(coordinates.train @ w - coordinates.targets).sum()
        rows.append(
            {
                "step_times_l_max": factor,
                "steps": _SWEEP_STEPS,
                "loss_ratio": float(loss / np.square(coordinates.targets).sum()),
                "largest_factor": float(
                    np.abs(1 - step * coordinates.eigenvalues / len(coordinates.targets)).max()
                ),
            }
        )
    return rows


def looked_at(last: int) -> list[int]:
    """0 and steps that grow by a tenth, up to the last."""
    grid = np.unique(np.rint(np.geomspace(1, last, int(25 * np.log10(last)) + 2)).astype(int))
    return [0, *(int(step) for step in grid)]


def _slope(of: Coordinates, w: Float) -> Float:
    residual = of.train @ w - of.targets
    slope: Float = of.train.T @ residual / len(residual)
    return slope


def _watched(of: Coordinates, start: Float, steps: int, iterates: Iterator[Float]) -> _Watch:
    watch, wanted = _Watch.of(of, start), set(looked_at(steps))
    for step, w in enumerate(iterates):
        if step in wanted:
            watch.see(step, w)
        if step == steps:
            break
    return watch


def _gradient(of: Coordinates, start: Float, steps: int, seed: int) -> Path:
    step = 1.0 / of.largest

    def iterates() -> Iterator[Float]:
        w = start
        while True:
            yield w
            w = w - step * _slope(of, w)

    watch = _watched(of, start, steps, iterates())
    predicted = None
    if not start.any():
        predicted = of.distance_after(watch.steps, step) / np.linalg.norm(of.least_norm)
    return watch.path("gradient descent", step, predicted)


def _nesterov(of: Coordinates, start: Float, steps: int, seed: int) -> Path:
    """Constant momentum (sqrt(c) - 1) / (sqrt(c) + 1); |w_t - limit|^2 <= (1 + c) (1 - 1/sqrt(c))^t |w_0 - limit|^2."""
    step, condition = 1.0 / of.largest, of.largest / of.smallest
    momentum = (np.sqrt(condition) - 1) / (np.sqrt(condition) + 1)

    def iterates() -> Iterator[Float]:
        w = ahead = start
        while True:
            yield w
            following = ahead - step * _slope(of, ahead)
            w, ahead = following, following + momentum * (following - w)

    watch = _watched(of, start, steps, iterates())
    rate = 1.0 - 1.0 / np.sqrt(condition)
    predicted = np.sqrt(1 + condition) * rate ** (np.array(watch.steps) / 2) * watch.columns[0][0]
    return watch.path("Nesterov", step, predicted)


def _conjugate(of: Coordinates, start: Float, steps: int, seed: int) -> Path:
    """Craig's method, for each column: conjugate gradients on Phi Phi^T a = y - Phi w_0, with w = w_0 + Phi^T a."""

    def iterates() -> Iterator[Float]:
        w = start
        residual = of.targets - of.train @ w
        direction = of.train.T @ residual
        square = np.square(residual).sum(axis=0)
        while True:
            yield w
            length = np.square(direction).sum(axis=0)
            along = np.divide(square, length, out=np.zeros_like(square), where=length > 0)
            w = w + along * direction
            residual = residual - along * (of.train @ direction)
            before, square = square, np.square(residual).sum(axis=0)
            ratio = np.divide(square, before, out=np.zeros_like(square), where=before > 0)
            direction = of.train.T @ residual + ratio * direction

    watch = _watched(of, start, steps, iterates())
    root = np.sqrt(of.largest / of.smallest)
    predicted = 2 * ((root - 1) / (root + 1)) ** np.array(watch.steps) * watch.columns[0][0]
    return watch.path("conjugate gradients", None, predicted)


def _stochastic(of: Coordinates, start: Float, passes: int, seed: int) -> Path:
    """One row drawn at random a step, in proportion to |phi_i|^2, with step 1 / |phi_i|^2; n steps are a pass."""
    rng, n = np.random.default_rng([seed, 61]), len(of.targets)
    squares = np.square(of.train).sum(axis=1)

    def iterates() -> Iterator[Float]:
        w = start.copy()
        while True:
            yield w
            order = rng.choice(n, n, p=squares / squares.sum())
            _pass(of.train, of.targets, squares, order, w)

    watch = _watched(of, start, passes, iterates())
    rate = 1.0 - of.smallest * n / squares.sum()
    predicted = rate ** (n * np.array(watch.steps, float) / 2) * watch.columns[0][0]
    return watch.path("stochastic descent", None, predicted)


@njit(nogil=True, cache=True)
def _pass(train: Any, targets: Any, squares: Any, order: Any, w: Any) -> None:
    scores = np.empty(w.shape[1])
    for i in order:
        scores[:] = 0.0
        for j in range(w.shape[0]):
            for k in range(w.shape[1]):
                scores[k] += train[i, j] * w[j, k]
        for k in range(w.shape[1]):
            scores[k] = (targets[i, k] - scores[k]) / squares[i]
        for j in range(w.shape[0]):
            for k in range(w.shape[1]):
                w[j, k] += scores[k] * train[i, j]
