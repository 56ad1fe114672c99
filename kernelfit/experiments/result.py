"""What an experiment gives: its record, and a function of new rows."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from kernelfit.arguments import column_names, flag, in_order
from kernelfit.datasets.categories import listed
from kernelfit.datasets.table_columns import TableColumns
from kernelfit.errors import DataError, InputError, StorageError
from kernelfit.experiments.new_row_checks import require_units_alike
from kernelfit.experiments.specs import Inputs
from kernelfit.experiments.standardisation import Standardisation
from kernelfit.gram.arrays import (
    as_array,
    as_numbers,
    is_sparse,
    refuse_dates,
    refuse_foreign,
    refuse_non_finite,
    refuse_rounding,
)
from kernelfit.gram.points import Points
from kernelfit.progress import Progress, ProgressLike, Recorded, Silent, as_progress
from kernelfit.runs.folder import SOLUTION, WEIGHTS
from kernelfit.solver.inputs import find_duplicates
from kernelfit.solver.measures import UNRESOLVED
from kernelfit.solver.resume import open_run
from kernelfit.solver.solution import Solution
from kernelfit.storage import hdf5, json_output
from kernelfit.streaming import new_rows
from kernelfit.streaming import weights as feature_weights
from kernelfit.streaming.protocol import streaming
from kernelfit.summary import as_html
from kernelfit.typing import Array, Float

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import ImageFeatures


@dataclass(repr=False, eq=False)
class Result:
    """A finished experiment.

    Attributes
    ----------
    record : what `kernelfit solve --json` writes
    solution : f of the rows that the solver saw, without its factor; `kernelfit.open(run_dir)` has that of a run that
        was stored. `predict` and `scores` take rows of the data
    classes : names of the classes in the order of the scores' columns; None for regression
    table : what the columns of a table are
    inputs : data set, corruption and features; None where a solution file stands alone
    streamed : whether the solution's kernel is of features that stream and were not held
    standardisation : of the rows or features, where that was asked for
    target_mean : (c,) that is added to f, where the targets were centred
    run_dir : the folder of the run, where it was stored
    without_ridge : the record of the interpolating solution, where the ridge was chosen and one exists
    remarks : why there is none, and what was done to the features
    """

    record: dict[str, Any]
    solution: Solution
    classes: tuple[str, ...] | None = None
    table: TableColumns | None = None
    inputs: Inputs | None = None
    streamed: bool = False
    standardisation: Standardisation | None = None
    target_mean: Float | None = None
    run_dir: Path | None = None
    without_ridge: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()
    #: leave-one-out predictions of the training rows that were kept (n, c), where they were asked for; not stored
    left_out: Float | None = None
    #: the fitted features and the training rows that K is of; fitted again where a run is read from its folder
    fitted: tuple[ImageFeatures, Array] | None = None
    #: of the training rows and labels, where the run is stored
    data_digest: str | None = None
    #: of the test rows and labels, likewise
    test_digest: str | None = None
    #: of the training rows that features were fitted on, where the run is read from its folder
    rows_digest: str | None = None
    _weights: Float | None = None

    def summary(self) -> str:
        """The errors, and the solution, a line for each."""
        record = self.record
        lines = [f"Result of {record.get('dataset', self.run_dir or 'a solution file')}"]
        for key in (
            "train_error",
            "test_error",
            "loo_error",
            "train_rmse",
            "test_rmse",
            "loo_rmse",
            "train_r2",
            "test_r2",
            "loo_r2",
            "train_mae",
            "test_mae",
            "loo_mae",
        ):
            if record.get(key) is not None:
                lines.append(f"  {key.replace('_', ' '):<16}{record[key]:.6g}")
        return "\n".join([*lines, *self.solution.summary().splitlines()[1:]])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self.summary())

    def to_dict(self) -> dict[str, Any]:
        """The record, in JSON's types."""
        plain: dict[str, Any] = json_output.plain(self.record)
        return plain

    def scores(self, rows: Array, progress: ProgressLike = None) -> Float:
        """f at the rows (m, d), which are as those of the data set before any corruption and features: (m, c).

        Of a run of shuffled pixels theirs are moved by the same permutation. What is said of the rows, as of words that
        were not trained on, is also recorded in `solution.notes`.
        Raises `InputError` for rows in another unit: bytes beside other numbers, or shares of 1 beside bytes.
        """
        progress = Recorded(as_progress(progress), self.solution.notes)
        # The columns of a table are never scaled, and found by their names.
        if self.table is None or column_names(rows) is None:
            if self.table is not None:
                _require_names(rows, self.table, progress)
            values = _entries(rows)
            require_units_alike("rows", "", values, values.dtype == np.uint8, self, progress)
        rows = self.corrupted(self._encoded(rows, progress), "rows", progress)
        return self.scores_alike(rows, progress)

    def corrupted(self, rows: Array, name: str, progress: Progress) -> Array:
        """Rows (m, d) of numbers, not corrupted yet, as those of the run are; `name` is what holds them."""
        if self.inputs is None:
            return rows
        shape, inputs = self.record.get("image_shape"), self.inputs
        channels = shape[2] if shape else 1
        return inputs.corruption.apply_to_rows(rows, inputs.seed, channels, progress.note, name)

    def scores_alike(self, rows: Array, progress: ProgressLike = None) -> Float:
        """As `scores`, of rows that are corrupted as those that were trained on, and known to be in their unit."""
        progress = as_progress(progress)
        rows = self._encoded(rows, progress)
        if self.streamed:
            scores = self._streamed_scores(rows, progress)
        else:
            scores = self.solution.predict_prepared(self._prepared(rows, progress), progress)
        scores = scores[:, None] if scores.ndim == 1 else scores
        return scores if self.target_mean is None else scores + self.target_mean

    @property
    def width(self) -> int | None:
        """Values in a row of the data, before any features; None where that is not stored."""
        if shape := self.record.get("image_shape"):
            return math.prod(shape)
        if self.inputs is not None and self.inputs.features:
            return None
        return self.solution.problem.n_features or None

    def _prepared(self, rows: Array, progress: Progress) -> Array:
        """Encoded rows as the kernel saw those of training."""
        if self.inputs is not None and self.inputs.features:
            feature, _ = self._features(progress)
            rows = feature.transform(_as_wide(rows, feature.n_features_in_), progress=progress)
        else:
            rows = _as_wide(rows, self.width)
        return rows if self.standardisation is None else self.standardisation.apply(np.asarray(rows))

    def _encoded(self, rows: Any, progress: Progress) -> Array:
        """Numbers: of a frame the columns that were trained on, in their order, and its words as those of training."""
        refuse_foreign(rows, "rows")
        if self.table is not None:
            rows = in_order("rows", rows, self.table.features, progress.note)
            if column_names(rows) is not None:
                self.table.note_percents((), progress.note, "rows")
            if self.table.of_words and column_names(rows) is not None:
                numeric = tuple(self.table.features[index] for index in self.table.numeric)
                numbers = in_order("rows", rows, numeric, lambda _: None)
                refuse_dates(numbers, "rows")
                refuse_rounding(numbers, "rows")
                return self.table.encoded_frame(rows, progress.note, "rows")
        if not is_sparse(rows):
            return as_numbers(rows, "rows")
        # A mean is subtracted from zeros too, and images have no rows of few entries.
        transformed = self.standardisation is not None or (self.inputs is not None and self.inputs.features)
        encoded: Array = rows.toarray() if transformed else rows.tocsr()
        return encoded

    @overload
    def predict(self, rows: Array, progress: ProgressLike = None) -> Array: ...

    @overload
    def predict(self, rows: Array, progress: ProgressLike = None, *, return_std: bool) -> Any: ...

    def predict(self, rows: Array, progress: ProgressLike = None, *, return_std: bool = False) -> Any:
        """The class of each row (m,) by name, or its targets (m, c); notes as those of `scores`.

        With `return_std` also the standard deviation (m, c) of the Gaussian process whose mean the targets are, noise
        not counted (see `Solution.predict`), by the factor of a run that is stored. Its prior variance is k(x, x),
        1 for a Gaussian kernel, whatever the targets' units, which are not scaled: from 0 at a training row to
        sqrt(k(x, x)) far from all, it ranks rows by how far the data reach and is no error bar of the targets.
        """
        progress = as_progress(progress)
        if flag("return_std", return_std):
            self._require_deviations()
        values = self.decided(self.scores(rows, progress))
        return (values, self._deviations(rows, progress)) if return_std else values

    def _require_deviations(self) -> None:
        if self.classes is not None:
            raise InputError(
                "return_std: got True for classes, expected a regression; KernelClassifier.predict_proba gives the "
                "probabilities of classes"
            )
        if self.streamed:
            raise InputError("return_std: got True for features that stream, expected rows or features held")
        if self.run_dir is None:
            raise InputError(
                "return_std: got a result whose factor was given back, expected one of run(run_dir), which stores it"
            )

    def _deviations(self, rows: Array, progress: Progress) -> Float:
        """Of encoded rows and features of them, by the factor that lies in the run's folder, (m, c)."""
        assert self.run_dir is not None
        silent = Silent()  # the notes were told
        prepared = self._prepared(self.corrupted(self._encoded(rows, silent), "rows", silent), silent)
        with closing(open_run(self.run_dir, threads=self.solution.threads)) as solution:
            _, deviations = solution.predict_prepared(prepared, progress, return_std=True)
        return np.asarray(deviations).reshape(len(deviations), -1)

    def decided(self, scores: Float) -> Array:
        """The class of the largest score in each row by name, (m,); for regression the scores as they are.

        Raises `InputError` for scores of another number of classes.
        """
        if self.classes is None:
            return scores
        if scores.shape[1] != len(self.classes):
            raise InputError(
                f"scores: got {scores.shape[1]} columns, expected {len(self.classes)}, one for each class"
            )
        return np.array(self.classes)[scores.argmax(axis=1)]

    def _features(self, progress: Progress) -> tuple[ImageFeatures, Array]:
        if self.fitted is None:
            assert self.inputs is not None
            fitted = self.inputs.fit_again(self.solution.threads, progress)
            if self.rows_digest not in (None, hdf5.array_digest(fitted[1])):
                raise DataError(
                    f"{self.run_dir}: the training rows of {self.inputs.data.called} are not those its features "
                    "were fitted on; restore the data, or solve again into another folder"
                )
            self.fitted = fitted
        return self.fitted

    def _streamed_scores(self, rows: Array, progress: Progress) -> Float:
        """By weights of the features, which the first call computes and stores beside the solution; where the kernel is
        not linear, by products of the features of these rows with those of all training rows."""
        feature, training = self._features(progress)
        formula = self.solution.problem.source.formula
        w = self._weights_of(feature, training, progress) if formula is None else None
        rows = _as_wide(rows, feature.n_features_in_)
        started = time.perf_counter()
        if w is not None:
            scores = feature_weights.predict(streaming(feature), rows, w, progress)
        else:
            assert formula is not None
            progress.note("the features of the training rows are computed again: this kernel has no weights")
            training = self._solved(training)
            scores = new_rows.predict(streaming(feature), formula, training, rows, self.solution, progress)
        self.solution.seconds["predict"] = time.perf_counter() - started
        return scores

    def _solved(self, training: Array) -> Array:
        """The training rows that K is of: without equal rows that were left out."""
        if len(training) == len(self.solution.alpha):
            return training
        return np.delete(training, find_duplicates(Points(training)).dropped, axis=0)

    def _note_norm(self, w: Float, progress: Progress) -> None:
        """The RKHS norm by the weights, where K alpha did not resolve it."""
        if not np.isnan(self.solution.rkhs_norm) or "mean_diagonal" not in self.record:
            return
        lengths, errors = feature_weights.norms(w, self.solution.alpha, self.record["mean_diagonal"])
        if errors.max() < UNRESOLVED:
            progress.note(
                f"the RKHS norm is {math.hypot(*lengths):.6g} by the features' weights, to {errors.max():.1g} of itself"
            )

    def _weights_of(self, feature: Any, training: Array, progress: Progress) -> Float:
        if self._weights is not None:
            return self._weights
        path, digest = None, ""
        if self.run_dir is not None:
            path, digest = self.run_dir / WEIGHTS, hdf5.file_digest(self.run_dir / SOLUTION)
            self._weights = feature_weights.read(path, digest, feature.n_features_out_)
        if self._weights is None:
            training = self._solved(training)
            where = "" if path is None else f": {path}"
            progress.note(f"the features' weights are computed from the training rows, once{where}")
            self._weights = feature_weights.weights(feature, training, self.solution.alpha, progress)
            self._note_norm(self._weights, progress)
            try:
                if path is not None:
                    feature_weights.write(path, self._weights, digest)
            except StorageError as error:
                progress.note(f"the features' weights are not stored: {error}")
        return self._weights


def _require_names(rows: Any, table: TableColumns, progress: Progress) -> None:
    """Raise `InputError` for words and records whose columns have no names; note the order of numbers beside words."""
    array = np.empty((0, 0)) if is_sparse(rows) else as_array(rows, "rows")
    if array.dtype.kind in "OUS" and (table.of_words or array.ndim == 1):
        raise InputError(
            f"rows: got {'records' if array.ndim == 1 else 'words'} without names of columns, expected a frame with "
            f"the columns {listed(table.features)}; use pandas.DataFrame(rows, columns=[...]) with these names"
        )
    if table.of_words:
        progress.note(f"rows: without names, taken as encoded columns in the order {listed(table.names)}")


def _entries(rows: Any) -> Array:
    """Numbers of rows, of sparse ones those that are stored."""
    entries: Array = rows.tocoo().data if is_sparse(rows) else as_numbers(rows, "rows")
    return entries


def _as_wide(rows: Array, width: int | None) -> Array:
    """The rows, or an `InputError` where they are not finite, or not as wide as those that were trained on."""
    if width is not None and np.ndim(rows) == 2 and np.shape(rows)[1] != width:
        raise InputError(f"rows: got {np.shape(rows)[1]:,} values a row, expected {width:,} as trained on")
    if np.ndim(rows) == 2 and np.asarray(rows).dtype.kind == "f":
        refuse_non_finite(np.asarray(rows), "rows")
    return rows
