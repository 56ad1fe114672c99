"""A stored run looked at row by row: what it says of each test row, and of each training row by the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.datasets import Dataset
from kernelfit.errors import DataError, InputError
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.result import Result
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.runs.folder import RESULT
from kernelfit.typing import Array, Float


@dataclass(frozen=True)
class Examination:
    """A run and its answers.

    Attributes
    ----------
    record : what `kernelfit solve --json` wrote
    dataset : its rows, corrupted as they were; None where they could not be read again
    scores : f at the test rows (m, c)
    left_out : f_{-i}(x_i) at the training rows (n, c), where the run reported leave-one-out errors
    notes : what could not be looked at, and why
    """

    record: dict[str, Any]
    dataset: Dataset | None = None
    scores: Float | None = None
    left_out: Float | None = None
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names, or None for regression."""
        return None if self.dataset is None else self.dataset.classes

    def confusion(self) -> NDArray[np.int64]:
        """Test rows of class i that were taken for class j, (c, c)."""
        assert self.dataset is not None
        assert self.scores is not None
        c = len(self.dataset.classes or ())
        pairs = c * self.dataset.y_test + self.scores.argmax(axis=1)
        return np.bincount(pairs, minlength=c * c).reshape(c, c)

    def mistakes(self) -> NDArray[np.int64]:
        """Test rows whose class is not that of the largest score, by how much larger it is than that of their own."""
        assert self.dataset is not None
        assert self.scores is not None
        return _by_margin(self.scores, self.dataset.y_test)

    def memorised(self) -> NDArray[np.int64]:
        """Training rows that the others would take for another class, the clearest first: they are fitted by heart."""
        assert self.dataset is not None
        assert self.left_out is not None
        return _by_margin(self.left_out, self.dataset.y_train)

    def nearest_to(self, row: int) -> int:
        """The training row nearest to a training row, by squared differences."""
        assert self.dataset is not None
        rows: Array = self.dataset.X_train
        differences = rows.astype(np.float32) - rows[row].astype(np.float32)
        distances = np.einsum("ij,ij->i", differences, differences)
        distances[row] = np.inf
        return int(distances.argmin())


def _by_margin(scores: Float, codes: Array) -> NDArray[np.int64]:
    rows = np.flatnonzero(scores.argmax(axis=1) != codes)
    own = scores[rows, codes[rows]]
    order = np.argsort(own - scores[rows].max(axis=1), kind="stable")
    return rows[order]


def examine(run_dir: Path, progress: ProgressLike = None) -> Examination:
    """Read a run that `Experiment.run` or `kernelfit solve --out` stored, predict its test rows and, where it reported
    leave-one-out errors, the training rows without themselves (from the factor that is stored, n^3/3 flops).

    Raises InputError where there is no run, DataError where it is damaged.
    """
    progress = as_progress(progress)
    run_dir = Path(run_dir)
    if not (run_dir / RESULT).exists():
        raise InputError(f"run_dir: got {run_dir}, expected a finished run with its {RESULT}; resume it")
    result = Experiment.load(run_dir)
    record = dict(result.record)
    wants_left_out = any(record.get(key) is not None for key in ("loo_error", "loo_rmse"))
    if not wants_left_out:
        return examine_result(result, progress)
    try:
        with Experiment.opened(run_dir, progress=progress) as (_, solved):
            solution, prepared = solved.solution, solved.prepared
            left_out = solution.leave_one_out(progress)
            left_out = prepared.restored(left_out.reshape(len(left_out), -1))
            whole = len(left_out) == solved.dataset.n_train
            return Examination(
                record, solved.dataset, _scores(result, solved.dataset), left_out if whole else None
            )
    except (DataError, InputError) as error:
        return _without_rows(record, error)


def examine_result(result: Result, progress: ProgressLike = None) -> Examination:
    """The same of a result that has no factor, without the training rows by the others."""
    record = dict(result.record)
    try:
        assert result.inputs is not None
        dataset = result.inputs.load(as_progress(progress))
        return Examination(record, dataset, _scores(result, dataset))
    except (DataError, InputError) as error:
        return _without_rows(record, error)


def _without_rows(record: dict[str, Any], error: Exception) -> Examination:
    return Examination(record, notes=(f"the rows could not be looked at: {error}",))


def _scores(result: Result, dataset: Dataset) -> Float | None:
    return result.scores(dataset.X_test) if dataset.n_test else None
