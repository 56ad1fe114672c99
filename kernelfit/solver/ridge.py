"""Choosing the ridge from training rows by closed-form leave-one-out; no test row is ever seen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.ridge_path import ROUNDOFF, leave_one_out_path, plan_path
from kernelfit.metrics import error_rate, root_mean_square
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.solver.scaling import common_exponent, scaled
from kernelfit.typing import Float


def half_decades(first: int, last: int) -> tuple[float, ...]:
    """10^(k/2) for k = first ... last."""
    return tuple(float(f"{10.0 ** (k / 2):.3g}") for k in range(first, last + 1))


#: multiples of the mean diagonal of K that are tried: none, and half decades from 1e-6 to 1
CANDIDATES: tuple[float, ...] = (0.0, *half_decades(-12, 0))
#: where the best lies at an end, further ones are, while the last step lowered the error by this fraction
GAIN = 1e-3
_LEAST, _LARGEST = 1e-14, 1e9
#: rows on which candidates are told apart at first, where K is generated for twice as many
FIRST_ROWS = 1_500
# Candidates to either side of the best of these that are tried on all rows: a decade.
_NEIGHBOURS = 2


@dataclass(frozen=True)
class RidgeTrial:
    """What leave-one-out says of one ridge.

    `ridge` = `relative` times the mean diagonal of K. `loo_error` is the fraction of rows misclassified when they are
    left out (None unless targets are one-hot), `loo_rmse` the root mean square of the residuals; both are None where
    K + ridge I is singular to rounding.
    """

    relative: float
    ridge: float
    loo_error: float | None
    loo_rmse: float | None


@dataclass(frozen=True)
class RidgeChoice:
    """The ridge with the least leave-one-out error (see `choose_ridge`), and the whole path.

    `rows` of the `of` training rows were used, by `method` (see `kernelfit.linalg.ridge_path`).
    """

    ridge: float
    relative: float
    trials: tuple[RidgeTrial, ...]
    rows: int
    of: int
    method: str
    seconds: float

    @property
    def at_edge(self) -> bool:
        """Whether the largest ridge tried was chosen: one half a decade below it is worse by less than a thousandth, or
        no larger one may be tried."""
        return self.relative == max(trial.relative for trial in self.trials)

    def summary(self) -> str:
        """One line for the notes of a solution."""
        rows = f"{self.rows:,} training rows" + (f" drawn from {self.of:,}" if self.rows < self.of else "")
        edge = ", the largest tried" if self.at_edge else ""
        size = f"{self.relative:g} of the mean diagonal{edge}" if self.ridge else "interpolation"
        return (
            f"ridge {self.ridge:.4g} ({size}) by leave-one-out on {rows}, "
            f"{len(self.trials)} values tried by {self.method}"
        )


def is_one_hot(targets: Float) -> bool:
    """Whether every row is one of the c >= 2 rows of the identity."""
    return (
        targets.shape[1] >= 2
        and bool(((targets == 0) | (targets == 1)).all())
        and bool((targets.sum(axis=1) == 1).all())
    )


def choose_ridge(
    source: GramSource,
    targets: Float,
    backend: CpuBackend,
    memory_limit: int,
    *,
    candidates: Sequence[float] = CANDIDATES,
    seed: int = 0,
    roundoff: float = ROUNDOFF,
    progress: ProgressLike = None,
) -> RidgeChoice:
    """The candidate, times the mean diagonal of K, with the least leave-one-out error of targets (n, c).

    Where the best lies at an end of the candidates, half decades beyond are tried until it does not.

    The error is the mean squared residual. One-hot targets are classes, whose misclassified rows count: but where
    ridges differ by less than the standard error of the least count, sqrt(p (1 - p) / n), chance would move the ridge
    by decades, and among those the squared residual decides. Where K has `weights` (n,) residuals and rows count w_i
    times, and candidates are multiples of the mean of w_i K_ii.

    From 3,000 rows up only candidates within a decade of the best on 1,500 of them are tried on more, and further ones
    while the best lies at an end. Up to 6,000 rows all are used; beyond, as many rows (drawn by `seed`) as keep the
    path no longer than one factorisation of K; fewer where `memory_limit` bytes ask for it. Ridges beside which a
    factor of that `roundoff` has hardly a digit count as singular. Raises `InputError` where every K + ridge I is.
    """
    started = time.perf_counter()
    if source.kernel is not None and source.n >= 2 * FIRST_ROWS:
        candidates = _promising(source, targets, backend, memory_limit, candidates, seed, roundoff)
    plan = plan_path(source.n, len(candidates), targets.shape[1], backend.threads, memory_limit)
    mean = float(np.mean(source.diagonal()))
    if not mean > 0:
        raise InputError(f"ridge: 'auto' needs a K of positive mean diagonal, got {mean}; give a number")
    if plan.rows < source.n:
        rows = np.sort(np.random.default_rng(seed).choice(source.n, plan.rows, replace=False))
        source, targets = source.subset(rows, backend), np.ascontiguousarray(targets[rows])
    one_hot = is_one_hot(targets)
    classes = targets.argmax(axis=1)
    power = common_exponent(targets)
    targets = scaled(targets, -power)
    total, weights = 1.0, source.weights
    if weights is not None:
        targets, total = np.sqrt(weights)[:, None] * targets, float(np.sqrt(weights.mean()))

    def judge(relatives: Sequence[float]) -> list[RidgeTrial]:
        trials = []
        ridges = [relative * mean for relative in relatives]
        shown = as_progress(progress)
        paths = leave_one_out_path(source, targets, ridges, plan.method, backend, shown, roundoff)
        for relative, ridge, predictions in zip(relatives, ridges, paths, strict=True):
            error = rmse = None
            if predictions is not None:
                error = error_rate(predictions, classes, weights) if one_hot else None
                rmse = float(scaled(root_mean_square(targets - predictions), power)) / total
            trials.append(RidgeTrial(relative, ridge, error, rmse))
        return trials

    def best_of(trials: Sequence[RidgeTrial]) -> RidgeTrial | None:
        usable = [trial for trial in trials if trial.loo_rmse is not None]
        # Of ridges that differ in a millionth of the error only, the smallest is taken: it stands first.
        return min(
            min_misclassified(usable, plan.rows),
            key=lambda trial: float(f"{trial.loo_rmse:.6g}"),
            default=None,
        )

    trials = extended(judge(candidates), judge, best_of)
    best = best_of(trials)
    if best is None:
        raise InputError(
            f"ridge: 'auto' found K + ridge I singular for every ridge up to {max(t.ridge for t in trials):.3g}; "
            "give a larger number"
        )
    return RidgeChoice(
        ridge=best.ridge,
        relative=best.relative,
        trials=tuple(trials),
        rows=plan.rows,
        of=plan.of,
        method=plan.method,
        seconds=time.perf_counter() - started,
    )


def _promising(
    source: GramSource,
    targets: Float,
    backend: CpuBackend,
    memory_limit: int,
    candidates: Sequence[float],
    seed: int,
    roundoff: float,
) -> Sequence[float]:
    """Those about the best on a few rows; all where there is none."""
    rows = np.sort(np.random.default_rng(seed).choice(source.n, FIRST_ROWS, replace=False))
    part, few = source.subset(rows, backend), np.ascontiguousarray(targets[rows])
    try:
        first = choose_ridge(
            part, few, backend, memory_limit, candidates=candidates, seed=seed, roundoff=roundoff
        )
    except InputError:
        return candidates
    tried = sorted({*candidates, *(trial.relative for trial in first.trials)})
    best = tried.index(first.relative)
    return tried[max(0, best - _NEIGHBOURS) : best + _NEIGHBOURS + 1]


def extended(
    trials: list[RidgeTrial],
    judge: Callable[[Sequence[float]], list[RidgeTrial]],
    best_of: Callable[[Sequence[RidgeTrial]], RidgeTrial | None],
) -> list[RidgeTrial]:
    """The trials, and further half decades while the best is the largest ridge or the smallest above 0; ascending."""
    while True:
        trials = sorted(trials, key=lambda trial: trial.relative)
        positive = [trial for trial in trials if trial.relative > 0]
        best = best_of(trials)
        if best is None or len(positive) < 2:
            return trials
        first, last = positive[0], positive[-1]
        if best is last and improves(last, positive[-2]) and last.relative < _LARGEST:
            k = round(2 * math.log10(last.relative))
            trials = trials + judge(half_decades(k + 1, k + 2))
        elif best is first and improves(first, positive[1]) and first.relative > _LEAST:
            k = round(2 * math.log10(first.relative))
            trials = trials + judge(half_decades(k - 2, k - 1))
        else:
            return trials


def improves(after: RidgeTrial, before: RidgeTrial) -> bool:
    """Whether the error falls by more than a thousandth, or a row less is misclassified."""
    if after.loo_rmse is None or before.loo_rmse is None:
        return after.loo_rmse is not None
    if after.loo_error is not None and before.loo_error is not None and after.loo_error < before.loo_error:
        return True
    return after.loo_rmse < (1.0 - GAIN) * before.loo_rmse


def min_misclassified(trials: Sequence[RidgeTrial], rows: int) -> Sequence[RidgeTrial]:
    """Those within one standard error of the least count; all where nothing is counted."""
    counted = [trial.loo_error for trial in trials if trial.loo_error is not None]
    if not counted:
        return trials
    least = min(counted)
    most = least + np.sqrt(least * (1.0 - least) / rows)
    return [trial for trial in trials if trial.loo_error is not None and trial.loo_error <= most]
