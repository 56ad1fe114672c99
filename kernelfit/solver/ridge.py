"""Choosing the ridge from training rows by closed-form leave-one-out; no test row is ever seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.ridge_path import leave_one_out_path, plan_path
from kernelfit.metrics import error_rate, root_mean_square
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.solver.scaling import common_exponent, scaled
from kernelfit.typing import Float

#: multiples of the mean diagonal of K that are tried: none, and half decades from 1e-6 to 1
CANDIDATES: tuple[float, ...] = (0.0, *(float(f"{10.0 ** (k / 2):.3g}") for k in range(-12, 1)))


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
        """Whether the largest ridge tried was chosen, so that a still larger one might be better."""
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
    held: int = 0,
    candidates: Sequence[float] = CANDIDATES,
    seed: int = 0,
    progress: ProgressLike = None,
) -> RidgeChoice:
    """The candidate, times the mean diagonal of K, with the least leave-one-out error of targets (n, c).

    That is the mean squared residual. One-hot targets are classes, whose misclassified rows count: but where ridges
    differ by less than the standard error of the least count, sqrt(p (1 - p) / n), chance would move the ridge by
    decades, and among those the squared residual decides.

    Up to 6,000 rows all are used; beyond, as many rows (drawn by `seed`) as keep the path no longer than one
    factorisation of K; fewer where `memory_limit` bytes, of which others hold `held`, ask for it. Raises `InputError`
    where every K + ridge I is singular to rounding.
    """
    started = time.perf_counter()
    plan = plan_path(source.n, len(candidates), targets.shape[1], backend.threads, memory_limit, held)
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
    trials = []
    ridges = [relative * mean for relative in candidates]
    paths = leave_one_out_path(source, targets, ridges, plan.method, backend, as_progress(progress))
    for relative, ridge, predictions in zip(candidates, ridges, paths, strict=True):
        error = rmse = None
        if predictions is not None:
            error = error_rate(predictions, classes) if one_hot else None
            rmse = float(scaled(root_mean_square(targets - predictions), power))
        trials.append(RidgeTrial(relative, ridge, error, rmse))
    usable = [trial for trial in trials if trial.loo_rmse is not None]
    if not usable:
        raise InputError(
            f"ridge: 'auto' found K + ridge I singular for every ridge up to {max(ridges):.3g}; give a larger number"
        )
    # Of ridges that differ in a millionth of the error only, the smallest is taken: it stands first.
    best = min(_min_misclassified(usable, plan.rows), key=lambda trial: float(f"{trial.loo_rmse:.6g}"))
    return RidgeChoice(
        ridge=best.ridge,
        relative=best.relative,
        trials=tuple(trials),
        rows=plan.rows,
        of=plan.of,
        method=plan.method,
        seconds=time.perf_counter() - started,
    )


def _min_misclassified(trials: Sequence[RidgeTrial], rows: int) -> Sequence[RidgeTrial]:
    """Those within one standard error of the least count; all where nothing is counted."""
    counted = [trial.loo_error for trial in trials if trial.loo_error is not None]
    if not counted:
        return trials
    least = min(counted)
    most = least + np.sqrt(least * (1.0 - least) / rows)
    return [trial for trial in trials if trial.loo_error is not None and trial.loo_error <= most]
