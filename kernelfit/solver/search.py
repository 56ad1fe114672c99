"""The width and the ridge of a kernel together, by leave-one-out on training rows; no test row is ever seen.

Apart they go wrong: the gamma that interpolates best is no good start for a ridge. So every width that is tried is
tried with all ridges, which one eigendecomposition of K serves (`kernelfit.linalg.spectrum`), and the pair of least
leave-one-out error is taken: of squared residuals, or for one-hot targets of misclassified rows, the squared residuals
deciding among equals. Widths that differ by less than a thousandth of the error are equals, of which the nearest to the
median rule's is taken; and no ridge is tried that leaves alpha fewer than some four digits.

1. On at most 700 rows: widths 2^-8, 2^-6, ..., 2^6 from the median rule's, further while the best lies at an end.
2. On a fifth of the n rows, but 1,500 to 4,000: the best width, an octave to either side, further while the best lies
   at an end, and the vertex of the parabola through three.
3. For each width: no ridge, and half decades from 1e-10 to 1e3 of the mean diagonal of K, further while the best lies
   at an end; then eighths of a decade about the best.

An end is passed while the last step to it lowered the error by a thousandth. Distances are formed once for all widths.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError, PlanError
from kernelfit.frozen import frozen
from kernelfit.gram.points import Points
from kernelfit.kernels import Kernel
from kernelfit.linalg.ridge_path import EIGENVALUES
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.solver.gamma import Widths
from kernelfit.solver.inputs import find_duplicates
from kernelfit.solver.ridge import RidgeChoice, is_one_hot
from kernelfit.solver.scaling import common_exponent, scaled
from kernelfit.solver.trials import Asked, Trials, best_of, has_width
from kernelfit.typing import Float

#: rows on which widths are told apart at first: 0.04 s a width on one core
COARSE_ROWS = 700
#: rows on which the best are compared: all of so many, a fifth of more; at n = 8,000 less time than the solve
MIN_ROWS, MAX_ROWS = 1_500, 4_000
_COARSE = tuple(range(-8, 7, 2))
#: widths beyond 2^24 from the median rule's are not tried
_FURTHEST = 24
# A parabola's vertex so near to what was tried is that.
_NEAR = 0.1


@dataclass(frozen=True)
class GammaTrial:
    """What leave-one-out on `rows` rows says of one width, with the ridge that suits it best.

    `loo_error` and `loo_rmse` as for `kernelfit.solver.ridge.RidgeTrial`; None where K + ridge I is singular to
    rounding for every ridge that was tried.
    """

    value: float
    rows: int
    ridge: float | None
    loo_error: float | None
    loo_rmse: float | None


@dataclass(frozen=True)
class GammaChoice:
    """How a kernel's `parameter`, gamma or length_scale, came to its `value`, and every value tried.

    Decided on `rows` of the `of` training rows. `at_edge`: on one side of the value no other was tried, as the last
    step to it lowered the error by less than a thousandth or no further one may be taken.
    """

    parameter: str
    value: float
    trials: tuple[GammaTrial, ...]
    rows: int
    of: int
    at_edge: bool
    seconds: float

    def summary(self) -> str:
        """One line for the notes of a solution."""
        rows = f"{self.rows:,} training rows" + (f" drawn from {self.of:,}" if self.rows < self.of else "")
        edge = ", an end of the range tried" if self.at_edge else ""
        values = len({trial.value for trial in self.trials})
        return f"{self.parameter} {self.value:.6g} by leave-one-out on {rows}, {values} values tried{edge}"


@frozen
class Found:
    """A kernel with every parameter a number, and how its width and its ridge were decided, where they were."""

    kernel: Kernel
    gamma_choice: GammaChoice | None = None
    ridge_choice: RidgeChoice | None = None


def search(
    asked: Asked,
    points: Points,
    targets: Float,
    backend: CpuBackend,
    memory_limit: int,
    *,
    progress: ProgressLike = None,
) -> Found:
    """The width and, where it is asked for, the ridge of least leave-one-out error of targets (n, c).

    Rows are drawn by the seed; those that repeat another with the same targets are left out, where there is no ridge
    with any, and fewer are drawn where `memory_limit` bytes ask for it. A kernel without a width has its ridge chosen.
    Raises `InputError` where K + ridge I is singular to rounding for all that is tried, or two rows are not distinct.
    """
    started = time.perf_counter()
    n = points.shape[0]
    widths = Widths(points, asked.kernel) if has_width(asked.kernel) else None
    what = "ridge" if widths is None else widths.parameter
    wanted = min(n, max(MIN_ROWS, min(n // 5, MAX_ROWS)))
    count, at_once = _affordable(wanted, targets.shape[1], backend.threads, memory_limit)
    drawn = np.random.default_rng(asked.seed).permutation(n)
    one_hot, power = is_one_hot(targets), common_exponent(targets)
    total = 1 if widths is None else len(_COARSE) + 3
    with as_progress(progress).phase(f"choose {what.replace('_', ' ')}", total, "candidates") as advance:

        def on(rows: NDArray[np.int64]) -> Trials:
            rows = _distinct(points, np.sort(rows), None if asked.ridge == 0 else targets)
            if len(rows) < 2:
                raise InputError(f"{what}: 'auto' needs at least 2 distinct rows; give a number")
            sample = points.take(rows)
            y = scaled(targets[rows], -power)
            weighted = replace(asked, weights=None if asked.weights is None else asked.weights[rows])
            return Trials(weighted, widths, sample, y, one_hot, backend, at_once, advance)

        coarse = trials = on(drawn[: count if widths is None else min(count, COARSE_ROWS)])
        if widths is None:
            trials.run((0,))
            chosen = 0.0
        else:
            chosen = _coarse(coarse)
            if count > COARSE_ROWS:
                trials = on(drawn[:count])
            chosen = _refined(trials, chosen, what)
    seconds = time.perf_counter() - started
    gamma_choice = None
    if widths is not None:
        sets = (coarse,) if trials is coarse else (coarse, trials)
        gamma_choice = GammaChoice(
            parameter=what,
            value=widths.at(chosen),
            trials=tuple(trial for tried in sets for trial in _record(tried, widths, power)),
            rows=trials.rows,
            of=n,
            at_edge=chosen in (min(trials.paths), max(trials.paths)),
            seconds=seconds,
        )
    ridge_choice = None
    if asked.ridge is None:
        ridge_choice = _ridge_choice(trials, chosen, n, power, seconds)
    return Found(asked.with_width(widths, chosen), gamma_choice, ridge_choice)


def _affordable(rows: int, n_rhs: int, threads: int, memory: int) -> tuple[int, int]:
    """As many rows as memory holds, and how many widths at once: each has K, Q and LAPACK's work."""

    def needed(m: int, at_once: int) -> int:
        return 8 * (m * m + at_once * (5 * m * m + 6 * m * n_rhs))

    while needed(rows, 1) > memory and rows > 2:
        rows = max(2, int(0.9 * rows))
    if needed(rows, 1) > memory:
        raise PlanError(
            f"memory: {needed(rows, 1):,} bytes needed to compare widths of a kernel on {rows} rows, got "
            f"{max(memory, 0):,} beside what is held; give the width and the ridge as numbers"
        )
    return rows, max(count for count in range(1, threads + 1) if count == 1 or needed(rows, count) <= memory)


def _distinct(points: Points, rows: NDArray[np.int64], targets: Float | None) -> NDArray[np.int64]:
    """Those of the rows that repeat no earlier one with the same targets: a twin would predict them. Without targets
    those that repeat none: no K of equal rows has a factor without a ridge, whatever these are."""
    repeats: list[int] = []
    for group in find_duplicates(points.take(rows)).groups:
        seen: set[bytes] = set()
        for index in group:
            target = b"" if targets is None else (targets[rows[index]] + 0.0).tobytes()
            if target in seen:
                repeats.append(index)
            seen.add(target)
    return np.delete(rows, repeats)


def _coarse(trials: Trials) -> float:
    """The best of widths a factor of 4 apart; the widest way up where K is singular for all."""
    step = _COARSE[1] - _COARSE[0]
    trials.run(_COARSE)
    while True:
        best, first, last = trials.best_but_for_chance(), min(trials.paths), max(trials.paths)
        if (best is None or (best == last and trials.gains(last, step))) and last < _FURTHEST:
            trials.run((last + step, last + 2 * step))
        elif best == first and trials.gains(first, -step) and first > -_FURTHEST:
            trials.run((first - step, first - 2 * step))
        else:
            return last if best is None else best


def _refined(trials: Trials, start: float, what: str) -> float:
    """The best width about `start`: octaves, then the vertex of the parabola through the best and its neighbours."""
    trials.run((start - 1, start, start + 1))
    while True:
        best, first, last = trials.best(), min(trials.paths), max(trials.paths)
        if (best is None or (best == last and trials.gains(last, 1))) and last < _FURTHEST:
            trials.run((last + 1,))
        elif best == first and trials.gains(first, -1) and first > -_FURTHEST:
            trials.run((first - 1,))
        else:
            break
    if best is None:
        raise InputError(
            f"{what}: 'auto' found no {what} whose K is positive definite; give a number and a ridge > 0"
        )
    trials.run((best - 1, best + 1))
    left, middle, right = (trials.usable.get(best + step) for step in (-1, 0, 1))
    if left is not None and middle is not None and right is not None:
        a, b, c = (float(trial.loo_rmse or 0.0) for trial in (left, middle, right))
        curvature = a - 2.0 * b + c
        vertex = 0.5 * (a - c) / curvature if curvature > 0 else 0.0
        if _NEAR < abs(vertex) < 1.0:
            trials.run((best + round(vertex, 2),))
    refined = trials.best()
    return best if refined is None else refined


def _record(trials: Trials, widths: Widths, power: int) -> list[GammaTrial]:
    record = []
    for exponent, path in sorted(trials.paths.items()):
        value, best = widths.at(exponent), best_of(path)
        if best is None or best.loo_rmse is None:
            record.append(GammaTrial(value, trials.rows, None, None, None))
        else:
            rmse = float(scaled(best.loo_rmse, power))
            record.append(GammaTrial(value, trials.rows, best.ridge, best.loo_error, rmse))
    return record


def _ridge_choice(trials: Trials, exponent: float, of: int, power: int, seconds: float) -> RidgeChoice:
    path = [
        trial if trial.loo_rmse is None else replace(trial, loo_rmse=float(scaled(trial.loo_rmse, power)))
        for trial in trials.paths[exponent]
    ]
    best = best_of(trials.paths[exponent])
    if best is None:
        largest = max((trial.ridge for trial in path), default=0.0)
        raise InputError(
            f"ridge: 'auto' found K + ridge I singular for every ridge up to {largest:.3g}; give a larger number"
        )
    return RidgeChoice(best.ridge, best.relative, tuple(path), trials.rows, of, EIGENVALUES, seconds)
