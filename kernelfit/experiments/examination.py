"""A stored run looked at row by row: what it says of each test row, and of each training row by the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.datasets import Dataset
from kernelfit.errors import DataError, InputError, Interrupted, KernelfitError
from kernelfit.experiments.experiment import Experiment, way_to_result
from kernelfit.experiments.result import Result
from kernelfit.experiments.task import data_digest, require_same_rows, test_digest
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.runs.folder import RESULT
from kernelfit.solver.problem import is_primal
from kernelfit.solver.solution import Solution
from kernelfit.storage.json_output import plain
from kernelfit.typing import Array, Float

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import ImageFeatures


@dataclass(frozen=True, eq=False)
class Examination:
    """A run and its answers.

    Attributes
    ----------
    record : what `kernelfit solve --json` wrote
    dataset : its rows, corrupted as they were; None where they could not be read again
    scores : f at the test rows (m, c)
    left_out : f_{-i}(x_i) at the training rows (n, c), where the run reported leave-one-out errors
    isolation : (n,) share of k(x_i, x_i) that is left once the other training rows are taken off: 1 / (A^-1)_ii over
        A_ii, A = K + ridge I; known with `left_out`, from a factor of A itself
    filters : names and pixels of what the feature map looks for, where there is one that can be drawn
    filter_count : how many filters the map has; `filters` may be some of them
    notes : what could not be looked at, and why
    """

    record: dict[str, Any]
    dataset: Dataset | None = None
    scores: Float | None = None
    left_out: Float | None = None
    isolation: Float | None = None
    filters: tuple[tuple[str, Array], ...] = ()
    filter_count: int = 0
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

    def confused(self, count: int) -> list[tuple[int, int, int]]:
        """At most `count` pairs of a class and one that it is taken for, and the number of such test rows, the most
        frequent first. No (c, c) matrix is made: of thousands of classes it would want gigabytes."""
        assert self.dataset is not None
        assert self.scores is not None
        truth, taken = self.dataset.y_test, self.scores.argmax(axis=1)
        wrong = np.flatnonzero(truth != taken)
        pairs, rows = np.unique(np.stack([truth[wrong], taken[wrong]]), axis=1, return_counts=True)
        order = np.argsort(-rows, kind="stable")[:count]
        return [(int(pairs[0, k]), int(pairs[1, k]), int(rows[k])) for k in order]

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

    def nearly_dependent(self, count: int) -> list[tuple[int, int, float | None]]:
        """At most `count` training rows that are most nearly a combination of the others: row, the row nearest to it,
        and its `isolation`. Without that the row of the smallest pivot alone."""
        assert self.dataset is not None
        if self.isolation is None:
            row = self.record.get("min_pivot_row")
            return [] if row is None or row >= self.dataset.n_train else [(row, self.nearest_to(row), None)]
        pairs: list[tuple[int, int, float | None]] = []
        for row in np.argsort(self.isolation, kind="stable")[: 4 * count].tolist():
            near = self.nearest_to(row)
            if not any(near == other and row == beside for other, beside, _ in pairs):
                pairs.append((row, near, float(self.isolation[row])))
        return pairs[:count]

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

    Where that cannot be done, a note says why, to `progress` too. Raises InputError where there is no run, DataError
    where it is damaged.
    """
    progress = as_progress(progress)
    run_dir = Path(run_dir)
    if not (run_dir / RESULT).exists():
        raise InputError(
            f"run_dir: got {run_dir}, expected a finished run with its {RESULT}; {way_to_result(run_dir)}"
        )
    result = Experiment.load(run_dir)
    record = dict(result.record)
    wants_left_out = any(record.get(key) is not None for key in ("loo_error", "loo_rmse"))
    if not wants_left_out:
        return examine_result(result, progress)
    try:
        with Experiment.opened(run_dir, progress=progress) as (_, solved):
            _require_same_rows(result, solved.dataset)
            solution, prepared = solved.solution, solved.prepared
            left_out = solution.leave_one_out(progress).reshape(solution.rows_given, -1)
            whole = len(left_out) == solved.dataset.n_train
            return Examination(
                record,
                solved.dataset,
                _scores(result, solved.dataset),
                prepared.restored(left_out) if whole else None,
                _isolation(solution, left_out) if whole else None,
                *_filters(prepared.feature),
            )
    except Interrupted:
        raise
    except KernelfitError as error:
        examined = examine_result(result, progress)
        if examined.dataset is None:
            return examined
        note = f"the training rows by the others could not be looked at: {error}"
        progress.note(note)
        return replace(examined, notes=(*examined.notes, note))


def examine_result(result: Result, progress: ProgressLike = None) -> Examination:
    """The same of a result that was just made; the training rows by the others where it has them."""
    progress = as_progress(progress)
    record = plain(result.record)  # as it is read from a file: what is no number is None
    try:
        assert result.inputs is not None
        dataset = result.inputs.load(progress)
        _require_same_rows(result, dataset)
        scores = _scores(result, dataset)
        filters, count = _filters(None if result.fitted is None else result.fitted[0])
        left_out = result.left_out
        if left_out is None or len(left_out) != dataset.n_train:
            return Examination(record, dataset, scores, filters=filters, filter_count=count)
        missed = left_out if result.target_mean is None else left_out - result.target_mean
        isolation = _isolation(result.solution, missed)
        return Examination(record, dataset, scores, left_out, isolation, filters, count)
    except (DataError, InputError) as error:
        return _without_rows(record, error, progress)


def _require_same_rows(result: Result, dataset: Dataset) -> None:
    """Raise `DataError` where the data set has changed since the run was stored."""
    assert result.inputs is not None
    if result.run_dir is None:  # just made, and not stored
        return
    for part, stored, digest in (
        ("training", result.data_digest, data_digest(dataset)),
        ("test", result.test_digest, test_digest(dataset)),
    ):
        require_same_rows(result.run_dir, result.inputs.data.called, part, stored, digest)


def _without_rows(record: dict[str, Any], error: Exception, progress: Progress) -> Examination:
    note = f"the rows could not be looked at: {error}"
    progress.note(note)
    return Examination(record, notes=(note,))


def _isolation(solution: Solution, left_out: Float) -> Float | None:
    """1 / (A^-1)_ii over A_ii, A = K + ridge I: alpha_i / (A^-1)_ii is what leave-one-out misses by, and the target of
    the largest alpha_i tells it best.

    None where rows were left out of the solve, K_ii is not known, A has no inverse (the primal path), or alpha is not
    that of the matrix which leave-one-out is of (A + jitter I).
    """
    if len(solution.kept) != len(left_out) or solution.kernel is None or solution.points is None:
        return None
    if is_primal(solution.problem) or solution.certificate.jitter > 0:
        return None
    targets, alpha = solution.targets, solution.alpha
    column = np.abs(alpha).argmax(axis=1)[:, None]
    missed = np.take_along_axis(targets - left_out, column, axis=1)
    divisor = np.take_along_axis(alpha, column, axis=1)
    if (divisor == 0).any():
        return None
    with np.errstate(all="ignore"):
        share = (missed / divisor)[:, 0] / (solution.kernel.diagonal(solution.points) + solution.ridge)
    return share if np.isfinite(share).all() else None


def _filters(feature: ImageFeatures | None) -> tuple[tuple[tuple[str, Array], ...], int]:
    """Filters that can be drawn, and how many there are."""
    try:
        return ((), 0) if feature is None else (tuple(feature.filter_pictures()), feature.filter_count)
    except InputError:  # a map that has none
        return (), 0


def _scores(result: Result, dataset: Dataset) -> Float | None:
    return result.scores_alike(dataset.X_test) if dataset.n_test else None
