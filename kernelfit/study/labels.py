"""How the interpolant changes while its training labels lose their meaning: one factor, many labellings.

A fraction p of the training labels is replaced by classes drawn uniformly (`datasets.corruptions.corrupt_labels`), for
several p and several draws. The rows, and so K and its factor, stay the same: every labelling is c - 1 more right-hand
sides (see `kernelfit.study.labellings`), 2 n^2 (c - 1) flops, where a new factor would take n^3/3. Test labels stay
clean. The kernel's counterpart of Figure 1c in Zhang, Bengio, Hardt, Recht and Vinyals (2016).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import finite, integer
from kernelfit.datasets.corruptions import corrupt_labels
from kernelfit.errors import InputError
from kernelfit.metrics import error_rate, one_hot
from kernelfit.progress import Once, ProgressLike, as_progress
from kernelfit.solver.left_out import of_diagonal
from kernelfit.solver.solution import Solution
from kernelfit.study.labelled import LabelledRows
from kernelfit.study.labellings import fit_each, fit_probed
from kernelfit.typing import Float

#: fractions of labels that are replaced, as in the paper's Figure 1c
LEVELS: tuple[float, ...] = tuple(float(f"{index / 10:g}") for index in range(11))
# Right-hand sides are solved at a time as far as their blocks, six of n numbers a column, take no more than this: K,
# formed again for the certificate and for predictions, is then shared by many.
_BYTES, _BLOCKS = 600_000_000, 6

Labelling = tuple[float, int]


@dataclass(frozen=True)
class LabelTrial:
    """What one labelling gave.

    Attributes
    ----------
    p, seed : the fraction of replaced labels, and the draw
    changed : the fraction of training labels that differ from the true ones; some (1 - 1/c) p
    test_error : on clean test labels
    train_error : on the labels that were fitted; 0 for an interpolant
    rkhs_norm : |f| = sqrt(sum_c alpha_c^T K alpha_c); None where float64 does not resolve it
    margin : mean over training rows of (f_y - max_{c != y} f_c) / |f|, y the label that was fitted; None beside such a
        norm, or one of 0
    backward_error : of the labelling's own solve, see `kernelfit.Certificate`, as random combinations of its columns
        show it (`kernelfit.solver.probed`); the largest over all that were solved together where its factor is of lower
        precision or a norm wants more than that
    loo_error : the fraction of rows that the others, with their fitted labels, do not predict; None where not asked
    notes : what the user should know of the solve it was part of, and of its leave-one-out
    """

    p: float
    seed: int
    changed: float
    test_error: float
    train_error: float
    rkhs_norm: float | None
    margin: float | None
    backward_error: float
    loo_error: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelStudy:
    """The trials in the order of p, then seed, and the seconds of this call.

    `seconds`: solve (with certificates), predict, loo (diag(K^-1), once for all labellings).
    """

    trials: tuple[LabelTrial, ...]
    seconds: dict[str, float] = field(hash=False)

    @property
    def notes(self) -> list[str]:
        """Those of all trials, each once."""
        return list(dict.fromkeys(note for trial in self.trials for note in trial.notes))

    def summary(self) -> list[dict[str, Any]]:
        """For each p: the mean over seeds of every figure, and the standard deviation as NAME_std (0 for one seed)."""
        names = [name for name in LabelTrial.__annotations__ if name not in ("p", "seed", "notes")]
        rows = []
        for p in sorted({trial.p for trial in self.trials}):
            trials = [trial for trial in self.trials if trial.p == p]
            row: dict[str, Any] = {"p": p, "seeds": len(trials)}
            for name in names:
                values = [getattr(trial, name) for trial in trials]
                if None in values:
                    row |= {name: None, f"{name}_std": None}
                    continue
                deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
                row |= {name: float(np.mean(values)), f"{name}_std": deviation}
            rows.append(row)
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the trials, and their summary."""
        return {
            "trials": [asdict(trial) for trial in self.trials],
            "summary": self.summary(),
            "seconds": self.seconds,
            "notes": self.notes,
        }


def study_labels(
    solution: Solution,
    rows: LabelledRows,
    *,
    levels: Sequence[float] = LEVELS,
    seeds: Sequence[int] = (0,),
    loo: bool = False,
    finished: Iterable[LabelTrial] = (),
    after_group: Callable[[Sequence[LabelTrial]], None] | None = None,
    progress: ProgressLike = None,
) -> LabelStudy:
    """Fit every labelling by the factor of `solution`, and say what became of error, norm and margin.

    Parameters
    ----------
    solution : with its factor, of the training rows; its own targets play no part
    rows : labels and test rows
    levels : fractions p in [0, 1]; at p = 0 the seeds agree, so that the first alone is solved
    seeds : draws of the corrupted labels
    loo : also leave-one-out errors; diag(K^-1) takes n^3/3 flops, once. Those of a factor with a jitter are of
        K + jitter I, with a note
    finished : trials of an earlier call that are taken over
    after_group : gets every trial there is, after each group of right-hand sides; to store them

    Raises
    ------
    InputError : no factor, labels that are no class codes, levels or seeds out of range
    """
    progress = Once(as_progress(progress))
    wanted = labellings(levels, seeds)
    rows = rows.checked()
    if len(rows.y_train) != solution.rows_given:
        raise InputError(
            f"y_train: got {len(rows.y_train)} labels, expected {solution.rows_given} as the solution has rows"
        )
    done = {(trial.p, trial.seed): trial for trial in finished}
    missing = [labelling for labelling in wanted if labelling not in done]
    seconds = dict.fromkeys(("solve", "predict", "loo"), 0.0)
    inverse = None
    if loo and any(done.get(labelling) is None or done[labelling].loo_error is None for labelling in wanted):
        missing = [
            labelling for labelling in wanted if labelling not in done or done[labelling].loo_error is None
        ]
        started = time.perf_counter()
        inverse = solution.inverse_diagonal(progress)
        seconds["loo"] = time.perf_counter() - started
    group = max(1, _BYTES // (8 * _BLOCKS * len(rows.y_train) * rows.n_classes))
    with progress.phase("labellings", len(wanted), "labellings") as advance:
        advance(len(wanted) - len(missing))
        for start in range(0, len(missing), group):
            part = missing[start : start + group]
            for trial in _fit(solution, rows, part, inverse, seconds):
                done[trial.p, trial.seed] = trial
                for note in trial.notes:
                    if note not in solution.notes:
                        progress.note(note)
                advance(1)
            if after_group is not None:
                after_group([done[labelling] for labelling in wanted if labelling in done])
    return LabelStudy(tuple(done[labelling] for labelling in wanted), seconds)


def labellings(levels: Sequence[float], seeds: Sequence[int]) -> list[Labelling]:
    """Every (p, seed), ascending in p; p = 0 leaves nothing to draw, so that one seed stands for all.

    Raises `InputError` for levels or seeds out of range.
    """
    fractions = sorted({finite("levels", p) for p in levels})
    if not fractions or fractions[0] < 0 or fractions[-1] > 1:
        raise InputError(f"levels: got {list(levels)}, expected fractions of labels from 0 to 1")
    draws = [integer("seeds", seed, 0) for seed in seeds]
    if not draws or len(set(draws)) < len(draws):
        raise InputError(f"seeds: got {list(seeds)}, expected one or more integers >= 0, each once")
    return [(p, seed) for p in fractions for seed in (draws if p > 0 else draws[:1])]


def _fit(
    solution: Solution,
    rows: LabelledRows,
    asked: Sequence[Labelling],
    inverse: Float | None,
    seconds: dict[str, float],
) -> Iterable[LabelTrial]:
    """The trials of some labellings, whose right-hand sides are solved together."""
    c, true = rows.n_classes, rows.y_train[solution.kept]
    codes = [corrupt_labels(rows.y_train, p, c, seed)[solution.kept] for p, seed in asked]
    started = time.perf_counter()
    fits = fit_probed(solution, codes, c) or fit_each(solution, codes, c)
    seconds["solve"] += time.perf_counter() - started
    started = time.perf_counter()
    scores = fits.predict(rows.X_test)
    seconds["predict"] += time.perf_counter() - started
    for index, ((p, seed), labels) in enumerate(zip(asked, codes, strict=True)):
        fit = fits.fit(index)
        resolved = bool(np.isfinite(fit.rkhs_norm))
        left_out, notes = None, list(fits.solution.remarks)
        if inverse is not None:
            assert solution.factor is not None
            certificate = fits.solution.certificate
            left_out = of_diagonal(
                solution.factor, inverse, one_hot(labels, c), fit.alpha, fit.fitted, certificate, notes.append
            )
        yield LabelTrial(
            p=p,
            seed=seed,
            changed=float(np.mean(labels != true)),
            test_error=error_rate(fits.columns.of(scores, index), rows.y_test),
            train_error=error_rate(fit.fitted, labels),
            rkhs_norm=fit.rkhs_norm if resolved else None,
            margin=_mean_margin(fit.fitted, labels) / fit.rkhs_norm
            if resolved and fit.rkhs_norm > 0
            else None,
            backward_error=fit.backward_error,
            loo_error=None if left_out is None else error_rate(left_out, labels),
            notes=tuple(notes),
        )


def _mean_margin(scores: Float, labels: NDArray[np.int64]) -> float:
    """The mean of f_y - max_{c != y} f_c over rows (n, c) with labels (n,)."""
    index = np.arange(len(labels))
    others = scores.copy()
    others[index, labels] = -np.inf
    return float(np.mean(scores[index, labels] - others.max(axis=1)))
