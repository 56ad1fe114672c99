"""What models are compared on, and what is said of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import column_names, in_order
from kernelfit.datasets import Dataset
from kernelfit.datasets.labels import are_classes
from kernelfit.errors import InputError
from kernelfit.experiments.standardisation import Standardisation
from kernelfit.gram.arrays import (
    as_array,
    as_numbers,
    refuse_dates,
    refuse_rounding,
    refuse_unclear_labels,
)
from kernelfit.metrics import Errors, compare, one_hot, root_mean_square
from kernelfit.typing import Array, Float, TaskName


@dataclass(frozen=True, eq=False)
class Compared:
    """Rows with class codes or targets, those of the test part, and the factor that brings rows to their range.

    Attributes
    ----------
    X, X_test : (n, d), (m, d)
    y, y_test : (n,), (m,) class codes, or (n, c), (m, c) targets; m = 0 where there is no test part
    classes : names of the classes; None for regression
    scale : multiply X by it
    indicators : which columns (d,) stand for words; None: none
    words : of a table, the columns of words
    """

    X: Array
    y: Array
    X_test: Array
    y_test: Array
    classes: tuple[str, ...] | None = None
    scale: float = 1.0
    indicators: NDArray[np.bool_] | None = None
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> Compared:
        """Those of a data set."""
        table = dataset.table
        shape = (-1,) if dataset.classes is not None else (-1, dataset.y_train.size // dataset.n_train)
        return cls(
            dataset.X_train,
            dataset.y_train.reshape(shape),
            dataset.X_test,
            dataset.y_test.reshape(shape),
            dataset.classes,
            dataset.scale,
            dataset.indicators,
            () if table is None else tuple(table.features[index] for index in table.of_words),
        )

    @property
    def mean(self) -> Float:
        """Of the targets, (c,); it is subtracted from them."""
        zeros = np.zeros(len(self.classes or ()))
        return zeros if self.classes is not None else np.asarray(self.y.mean(axis=0), dtype=np.float64)

    @property
    def targets(self) -> Float:
        """One-hot classes (n, c), or targets less their mean."""
        if self.classes is not None:
            return one_hot(self.y, len(self.classes))
        return np.asarray(self.y - self.mean, dtype=np.float64)

    def drawn(self, rows: int, seed: int) -> Compared:
        """At most so many of the rows, with the whole test part; every class that there is stays one of them."""
        n = len(self.X)
        if n <= rows:
            return self
        order = np.random.default_rng(seed).permutation(n)
        if self.classes is not None:  # a row of each class first
            _, first = np.unique(self.y[order], return_index=True)
            order = np.concatenate([order[first], np.delete(order, first)])
        index = np.sort(order[:rows])
        return replace(self, X=self.X[index], y=self.y[index])

    def standardised(self) -> Compared:
        """With columns of mean 0 and standard deviation 1 over the training rows."""
        standardisation = Standardisation.of(self.X, self.indicators)
        return replace(
            self, X=standardisation.apply(self.X), X_test=standardisation.apply(self.X_test), scale=1.0
        )


@dataclass(frozen=True)
class Entry:
    """One model: its errors on rows left out, which `by` says how, and on test rows.

    `loo_error` is the fraction of misclassified rows, `loo_rmse` the root mean square of the residuals, of one-hot
    targets for classes. `failed` is why there are none. `grid` says how many settings were tried.
    """

    name: str
    library: str
    by: str
    kernel: dict[str, Any] | None = None
    ridge: float | None = None
    loo_error: float | None = None
    loo_rmse: float | None = None
    test_error: float | None = None
    test_rmse: float | None = None
    test_r2: float | None = None
    rkhs_norm: float | None = None
    at_edge: bool = False
    settings: str = ""
    seconds: float = 0.0
    failed: str | None = None

    @property
    def ranked(self) -> tuple[float, float]:
        """What decides, the least first: misclassified rows, of equals the squared residual; or that alone."""
        rmse = np.inf if self.loo_rmse is None else self.loo_rmse
        return (rmse, rmse) if self.loo_error is None else (self.loo_error, rmse)

    def measured(self, data: Compared, left_out: Float, rows: NDArray[np.int64] | None = None) -> Entry:
        """With errors of predictions (n, c) of the centred targets of those rows, each made without its own row."""
        rows = np.arange(len(data.X)) if rows is None else rows
        residuals = left_out - data.targets[rows]
        error = None
        if data.classes is not None:
            error = compare(left_out, data.y[rows], classification=True).error
        return replace(self, loo_error=error, loo_rmse=root_mean_square(residuals))

    def tested(self, data: Compared, predict: Callable[[Array], Float]) -> Entry:
        """With errors on the test part, where there is one."""
        if not len(data.X_test):
            return self
        scores = predict(data.X_test).reshape(len(data.X_test), -1)
        errors = Errors()
        if data.classes is not None:
            errors = compare(scores, data.y_test, classification=True)
        else:
            errors = compare(scores + data.mean, data.y_test, classification=False)
        return replace(self, test_error=errors.error, test_rmse=errors.rmse, test_r2=errors.r2)


def encoded(
    X: ArrayLike, y: ArrayLike, X_test: ArrayLike | None, y_test: ArrayLike | None, task: TaskName | None
) -> tuple[Compared, list[str]]:
    """Arrays as they come, with labels as class codes or targets as float64; and notes about what was guessed."""
    if (X_test is None) != (y_test is None):
        raise InputError("X_test, y_test: got one of them, expected both or none")
    notes: list[str] = []
    X_test = in_order("X_test", X_test, column_names(X), notes.append)
    if len(column_names(y) or ()) > 1:
        y_test = in_order("y_test", y_test, column_names(y), notes.append)
    rows, labels = _rows(X, "X"), _labels(y, "y")
    test = rows[:0] if X_test is None else _rows(X_test, "X_test")
    test_labels = labels[:0] if y_test is None else _labels(y_test, "y_test")
    for name, part, values in (("y", rows, labels), ("y_test", test, test_labels)):
        if part.ndim != 2 or len(part) != len(values) or values.ndim not in (1, 2):
            raise InputError(
                f"{name}: got shape {values.shape} beside rows of shape {part.shape}, expected (n,) or (n, c) beside "
                "(n, d)"
            )
    if test.shape[1] != rows.shape[1]:
        raise InputError(f"X_test: got {test.shape[1]} features, expected {rows.shape[1]} as in X")
    if test_labels.shape[1:] != labels.shape[1:]:
        raise InputError(f"y_test: got shape {test_labels.shape}, expected columns as in y {labels.shape}")
    task, guesses = _task(labels, task)
    if task == "regression":
        targets, test_targets = _targets(labels, "y"), _targets(test_labels, "y_test")
        return Compared(rows, targets, test, test_targets), notes + guesses
    classes = _classes(labels, test_labels)
    codes = [np.searchsorted(classes, values) for values in (labels, test_labels)]
    return Compared(rows, codes[0], test, codes[1], tuple(map(str, classes))), notes + guesses


def _rows(values: ArrayLike, name: str) -> Array:
    """Numbers that float64 holds: what standardises them, and scikit-learn's models, would round others in silence."""
    refuse_rounding(values, name)
    return as_numbers(values, name)


def _labels(values: ArrayLike, name: str) -> NDArray[Any]:
    """Labels as an array, a column (n, 1) as (n,); of objects that are all numbers, or all booleans, these."""
    array = as_array(values, name)
    refuse_dates(array, name)
    if array.dtype.kind == "i":
        objects = np.asarray(values)
        if objects.dtype == object and all(isinstance(label, (bool, np.bool_)) for label in objects.flat):
            array = array.astype(bool)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _targets(values: NDArray[Any], name: str) -> Float:
    """Targets (n, c) of a regression."""
    refuse_rounding(values, name)
    try:
        if values.dtype.kind == "c":
            raise TypeError
        targets: Float = values.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: got dtype {values.dtype}, expected numbers for a regression") from None
    if not np.isfinite(targets).all():
        raise InputError(
            f"{name}: got a number that is not finite, expected finite ones; drop or fill such rows"
        )
    return targets if targets.ndim == 2 else targets[:, None]


def _classes(labels: NDArray[Any], test_labels: NDArray[Any]) -> NDArray[Any]:
    """The different labels of both parts, in order."""
    if labels.ndim != 1:
        raise InputError(f"y: got classes of shape {labels.shape}, expected (n,), one label a row")
    for name, values in (("y", labels), ("y_test", test_labels)):
        refuse_unclear_labels(values, name)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise InputError(
                f"{name}: got a label of {values[row]} at row {row}, expected finite ones; drop such rows"
            )
    if len(np.unique(labels)) < 2:
        raise InputError(f"y: got {len(np.unique(labels))} classes, expected at least 2, one label a row")
    if _are_words(test_labels) != _are_words(labels):
        raise InputError(
            f"y_test: got dtype {test_labels.dtype} beside y of {labels.dtype}, expected both as text or both as "
            "numbers"
        )
    return np.unique(np.concatenate([labels, test_labels]))


def _are_words(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "OUS"


def _task(labels: NDArray[Any], task: TaskName | None) -> tuple[TaskName, list[str]]:
    if task is not None:
        if task not in ("classification", "regression"):
            raise InputError(f"task: got {task!r}, expected 'classification' or 'regression'")
        return task, []
    if _are_words(labels) or labels.dtype.kind == "b":
        return "classification", []
    if labels.ndim == 2 or (labels.dtype.kind == "f" and not bool((labels == np.floor(labels)).all())):
        return "regression", []
    values, counts = np.unique(labels, return_counts=True)
    said = f"y: {len(values):,} different integers in {len(labels):,} rows, taken as"
    if are_classes(values, counts):
        return "classification", [f"{said} classes; task='regression' takes them as numbers"]
    return "regression", [f"{said} numbers (regression); task='classification' takes them as classes"]
