"""Predictions of a result for new rows: how well they match labels, and a file of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit import datasets
from kernelfit.arguments import at_home
from kernelfit.cpu import environment
from kernelfit.datasets import REGISTRY, Dataset
from kernelfit.datasets.cells import is_missing, is_number
from kernelfit.datasets.faults import damaged
from kernelfit.datasets.labels import are_one_hot, as_among, classes_of_columns, names_of
from kernelfit.datasets.rows import Rows
from kernelfit.errors import InputError
from kernelfit.experiments.new_row_checks import (
    coloured,
    require_images_alike,
    require_solvers_rows,
    require_units_alike,
)
from kernelfit.experiments.result import Result
from kernelfit.experiments.task import data_digest
from kernelfit.metrics import Errors, compare
from kernelfit.progress import Progress
from kernelfit.storage import atomic
from kernelfit.typing import Array, Float

# Columns that a message lists.
_LISTED = 8
# Rows examined at a time for NaN, so that no second array of the size of X is made.
_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores (m, c) of rows, what they decide, and how far they are from labels where there are some.

    Rows that lack a value have neither: their scores are NaN, and what they decide is None, or NaN too.

    `target` is what the training table calls its label, `ids` what the file calls its rows, `id_name` what
    it calls the column of these.
    """

    scores: Float
    decided: Array
    classes: tuple[str, ...] | None
    target: str | None = None
    ids: tuple[str, ...] | None = None
    id_name: str = ""
    errors: Errors = field(default_factory=Errors)

    @property
    def n_not_predicted(self) -> int:
        """How many rows lack a value."""
        return int(np.isnan(self.scores).all(axis=1).sum())

    def record(self, saved: Path, seconds: dict[str, float], command: str) -> dict[str, Any]:
        """What `kernelfit predict --json` writes."""
        return {
            "solution": str(saved),
            "n_rows": len(self.scores),
            "n_not_predicted": self.n_not_predicted,
            **self.errors.named("test"),
            "predictions": self.decided,
            "seconds": seconds,
            "peak_rss_bytes": environment.peak_rss_bytes(),
            "versions": environment.versions(),
            "command": command,
        }

    def write(self, path: Path) -> None:
        """Scores (m, c) as NPY; or as CSV a header and for each row its id, its class and scores or its values. The
        file appears whole or not at all."""
        with atomic.replacing(path) as draft:
            if path.suffix.lower() == ".npy":
                np.save(draft, self.scores)
                return
            ids = self.ids or tuple(str(row) for row in range(len(self.scores)))
            draft.write(_line(self._header()))
            for row, (name, scores) in enumerate(zip(ids, self.scores.tolist(), strict=True)):
                decided = [] if self.classes is None else [self.decided[row]]
                draft.write(_line([name, *decided, *scores]))

    def _header(self) -> list[str]:
        # Of a table without a header the label is called by its number.
        target = None if self.target is None or self.target.isdigit() else self.target
        if self.classes is not None:
            return [self.id_name or "id", target or "class", *(f"score {name}" for name in self.classes)]
        columns = self.scores.shape[1]
        name = target or "value"
        values = [name] if columns == 1 else [f"{name} {column}" for column in range(columns)]
        return [self.id_name or "id", *values]


def predict(result: Result, rows: Rows, progress: Progress) -> Predictions:
    """Of rows from a file, compared with labels where they have some; of those that lack a value nothing."""
    for note in rows.notes:
        progress.note(note)
    if result.classes is None and rows.class_names is not None:
        progress.note(_of_words(rows, rows.class_names))
        rows = replace(rows, y=np.empty((len(rows.X), 0)), class_names=None)
    every, complete, labelled = rows, _is_complete(rows.X), _is_labelled(rows, result.classes)
    if rows.labelled and not labelled.all():
        progress.note(_of_unlabelled(rows, labelled))
    if not complete.all():
        rows = _complete(rows, complete, progress)
    if not result.record:
        progress.note(_as_they_are(rows.path.name))
    X, shape = coloured(rows.path.name, rows.X, rows.image_shape, result, progress)
    rows = replace(rows, X=X, image_shape=shape)
    require_images_alike("rows", rows.path.name, rows.image_shape, result)
    require_units_alike("rows", rows.path.name, rows.X, rows.X.dtype == np.uint8, result, progress)
    X = result.corrupted(rows.X, rows.path.name, progress)
    labelled = labelled[complete]
    if rows.labelled:
        rows = replace(rows, y=rows.y[labelled])
    predictions = _compared(result, X, _truth(result, rows, progress), progress, labelled)
    if not complete.all():
        predictions = _filled(predictions, complete)
    return replace(predictions, ids=every.ids, id_name=every.id_name)


def _is_complete(X: Array) -> NDArray[np.bool_]:
    """Which rows (m,) lack no value."""
    if X.dtype.kind != "f" or X.ndim != 2:
        return np.ones(len(X), dtype=bool)
    blocks = range(0, len(X), _BLOCK_ROWS)
    return np.concatenate([~np.isnan(X[start : start + _BLOCK_ROWS]).any(axis=1) for start in blocks])


def _complete(rows: Rows, complete: NDArray[np.bool_], progress: Progress) -> Rows:
    """The rows that lack no value, and a note of the others. Raises `DataError` where there are none."""
    lacking = np.flatnonzero(~complete)
    called = rows.columns.names if rows.columns is not None else tuple(map(str, range(rows.X.shape[1])))
    columns = _listed(tuple(repr(called[j]) for j in np.flatnonzero(np.isnan(rows.X[lacking]).any(axis=0))))
    if len(lacking) == len(rows.X):
        raise damaged(
            rows.path, "some row without a missing value", f"one in each, columns {columns}", "fill them"
        )
    are = "is" if len(lacking) == 1 else "are"
    progress.note(
        f"{rows.path.name}: {len(lacking):,} of {len(rows.X):,} rows {are} not predicted, as values are missing in "
        f"columns {columns}: {_where(rows, lacking)}"
    )
    y = rows.y[complete] if rows.labelled else rows.y
    return replace(rows, X=rows.X[complete], y=y)


def _where(rows: Rows, numbers: NDArray[np.int64]) -> str:
    """Where rows of these numbers stand: in a text file their lines."""
    several = "" if len(numbers) == 1 else "s"
    if rows.lines is None:
        return f"row{several} (counted from 0) {_listed(tuple(map(str, numbers)))}"
    return f"line{several} {_listed(tuple(map(str, np.asarray(rows.lines)[numbers])))}"


def _is_labelled(rows: Rows, classes: tuple[str, ...] | None) -> NDArray[np.bool_]:
    """Which rows (m,) have a label: a number, or a word that stands for no missing one unless a class is called so."""
    if not rows.labelled:
        return np.zeros(len(rows.X), dtype=bool)
    if rows.class_names is not None:
        words = [name in (classes or ()) or not is_missing(name) for name in rows.class_names]
        return np.array(words)[rows.y.reshape(-1)]
    return np.asarray(~np.isnan(rows.y.reshape(len(rows.y), -1)).any(axis=1))


def _of_unlabelled(rows: Rows, labelled: NDArray[np.bool_]) -> str:
    """What is said of the rows that have no label."""
    lacking = np.flatnonzero(~labelled)
    if len(lacking) == len(labelled):
        return f"{rows.path.name}: rows are not scored, as all labels are missing"
    are, labels = ("is", "its label is") if len(lacking) == 1 else ("are", "their labels are")
    return (
        f"{rows.path.name}: {len(lacking):,} of {len(labelled):,} rows {are} not scored, as {labels} missing: "
        f"{_where(rows, lacking)}"
    )


def _filled(predictions: Predictions, complete: NDArray[np.bool_]) -> Predictions:
    """With nothing decided for the rows that are not complete."""
    scores = np.full((len(complete), predictions.scores.shape[1]), np.nan)
    scores[complete] = predictions.scores
    if predictions.classes is None:
        return replace(predictions, scores=scores, decided=scores)
    decided = np.full(len(complete), None, dtype=object)
    decided[complete] = predictions.decided
    return replace(predictions, scores=scores, decided=decided)


def _as_they_are(name: str) -> str:
    """What is said of rows for a solution without a record."""
    return (
        f"{name}: taken as the solver's own rows, for a solution file alone knows no columns, features or scaling; a "
        "run's folder does"
    )


def unseen_test_rows(
    result: Result, name: str, n_test: int | None, data_dir: Path | None, progress: Progress
) -> Dataset:
    """The data set of that name or path with the test rows that the solution did not see, corrupted as in its run."""
    inputs = result.inputs
    if n_test == 0:
        raise InputError(
            "n_test: got 0, expected at least 1, as these rows are predicted; leave it out for all"
        )
    if inputs is None:
        return datasets.load(name, n_test=n_test, data_dir=data_dir, progress=progress)
    data, options = inputs.data, dict[str, Any]()
    if name in REGISTRY:
        same = data.train is None and name == data.dataset
    else:
        trained, path = data.to_dict(), at_home(name)
        same = any(_same_file(path, each) for each in (trained["train"], trained["dataset"]) if each)
        options = data.file_options(path)
        if result.record and result.classes is None:
            options["task"] = "regression"  # fewer rows may hold few different integers
    # Of a data set without a test part the solve's seed holds out the rows that it did not train on; a corruption may
    # have the mean of those that it did.
    n_train = data.n_train if same else None
    dataset = datasets.load(
        name,
        n_train=n_train,
        n_test=n_test,
        data_dir=data_dir,
        seed=inputs.seed,
        progress=progress,
        **options,
    )
    if same and (data.n_test == 0 or data.test is not None) and (dataset.held_out or dataset.n_test == 0):
        raise InputError(f"dataset: got {name}, all of whose rows were trained on, expected other rows")
    if inputs.corruption:
        of = "" if same or inputs.corruption.name != "gaussian" else f", of the mean and deviation of {name}"
        progress.note(f"the test rows are corrupted as in the run: {inputs.corruption.name}{of}")
        dataset = inputs.corruption.apply(dataset, inputs.seed)
    if same and name not in REGISTRY and result.data_digest not in (None, data_digest(dataset)):
        progress.note(
            f"{name} has changed since it was trained on: rows held out of it now may have been trained on"
        )
    return dataset


def _same_file(path: Path, stored: str) -> bool:
    """Whether both name one file or folder, by whatever links; of one that is not there the words decide."""
    try:
        return path.samefile(stored)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(stored)


def predict_test_rows(result: Result, dataset: Dataset, progress: Progress) -> Predictions:
    """Of the test rows of a data set, compared with their labels. A solution without a record takes its classes."""
    if not result.record:
        require_solvers_rows(dataset, result)
        progress.note(_as_they_are(dataset.name))
        result.classes = dataset.classes
    if result.classes != dataset.classes:
        raise InputError(
            f"dataset: {dataset.name} has classes {dataset.classes}, the solution {result.classes}; give its own data"
        )
    X, shape = coloured(dataset.name, dataset.X_test, dataset.image_shape, result, progress)
    require_images_alike("dataset", dataset.name, shape, result)
    require_units_alike("dataset", dataset.name, X, dataset.scale != 1, result, progress)
    if result.table is not None and dataset.table is not None:
        columns, expected = dataset.table.names, result.table.names
        if columns != expected:
            raise InputError(
                f"dataset: got columns {_listed(columns)}, expected {_listed(expected)} as trained on; give the file "
                "as rows, whose columns are found by their names"
            )
    return _compared(result, X, dataset.y_test, progress)


def _compared(
    result: Result,
    X: Array,
    truth: Array | None,
    progress: Progress,
    labelled: NDArray[np.bool_] | slice = slice(None),
) -> Predictions:
    """Predictions for X (m, d), of which the `labelled` are compared with `truth`."""
    scores = result.scores_alike(X, progress)
    decided = result.decided(scores)
    target = None if result.table is None else result.table.target
    predictions = Predictions(scores, decided, result.classes, target)
    if truth is None:
        return predictions
    columns = truth.size // len(truth) if result.classes is None else len(result.classes)
    if scores.shape[1] != columns:
        raise InputError(
            f"run_dir: the solution has {scores.shape[1]} outputs, the data {columns}; give its own data"
        )
    return replace(predictions, errors=compare(scores[labelled], truth, result.classes is not None))


def _truth(result: Result, rows: Rows, progress: Progress) -> Array | None:
    """Class codes or targets of labelled rows; a class that the solution does not know is never right."""
    if not rows.labelled:
        return None
    if result.classes is None:
        return rows.y
    labels = rows.y.reshape(-1)
    if are_one_hot(rows.y) and result.classes == classes_of_columns(rows.y.shape[1]):
        progress.note(f"{rows.path.name}: each row of labels is a single 1 among zeros, taken as its class")
        labels = rows.y.argmax(axis=1)
    if len(labels) != len(rows.y):
        raise InputError(f"rows: got labels of shape {rows.y.shape} in {rows.path}, expected one class a row")
    if rows.class_names is not None:
        called = as_among(rows.class_names, result.classes)
        names = [called[int(code)] for code in labels]
    else:
        names, notes = names_of(labels, result.classes, rows.path.name)
        for note in notes:
            progress.note(note)
    known = {name: code for code, name in enumerate(result.classes)}
    strange = sorted({name for name in names if name not in known})
    if strange:
        progress.note(
            f"{rows.path.name}: classes that were not trained on count as errors: {_listed(tuple(strange))}"
        )
    return np.array([known.get(name, -1) for name in names], dtype=np.int64)


def _of_words(rows: Rows, names: tuple[str, ...]) -> str:
    """What is said of labels (m,) that are text beside a regression: how many are no numbers, and the first of them."""
    codes = rows.y.reshape(-1)
    words = np.array([not (is_number(name) or is_missing(name)) for name in names])
    strange = np.flatnonzero(words[codes])
    if not len(strange):
        return f"{rows.path.name}: rows are not scored, as their labels are text and the solution's numbers"
    are = "is a word" if len(strange) == 1 else "are words"
    return (
        f"{rows.path.name}: rows are not scored, as {len(strange):,} of {len(codes):,} labels {are} and the solution's "
        f"are numbers: {names[int(codes[strange[0]])][:40]!r} in {_where(rows, strange[:1])}"
    )


def check_target(path: Path | None) -> None:
    """Raise `InputError` now where predictions could not be written later."""
    if path is None:
        return
    if path.suffix.lower() not in (".npy", ".csv"):
        raise InputError(f"out: got {path}, expected a name ending in .npy or .csv")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"out: {path} cannot be written; name a file in a folder that you may write to")


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _line(cells: list[Any]) -> bytes:
    # Names of files may hold bytes that are no text.
    return (",".join(map(_cell, cells)) + "\n").encode("utf-8", "surrogateescape")


def _cell(value: Any) -> str:
    if value is None or value != value:  # of a row that lacks a value
        return ""
    text = repr(value) if isinstance(value, float) else str(value)
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(mark in text for mark in ',"\r\n') else text
