"""Predictions of a result for new rows: how well they match labels, and a file of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.cpu import environment
from kernelfit.datasets import Dataset
from kernelfit.errors import InputError
from kernelfit.experiments.result import Result
from kernelfit.metrics import compare
from kernelfit.progress import Progress
from kernelfit.storage import atomic
from kernelfit.typing import Array, Float


@dataclass(frozen=True)
class Predictions:
    """Scores (m, c) of rows, what they decide, and for labelled rows the error (classes) or root mean square."""

    scores: Float
    decided: Array
    classes: tuple[str, ...] | None
    test_error: float | None = None
    test_rmse: float | None = None

    def record(self, saved: Path, seconds: dict[str, float], command: str) -> dict[str, Any]:
        """What `kernelfit predict --json` writes."""
        return {
            "solution": str(saved),
            "n_rows": len(self.scores),
            "test_error": self.test_error,
            "test_rmse": self.test_rmse,
            "predictions": self.decided,
            "seconds": seconds,
            "peak_rss_bytes": environment.peak_rss_bytes(),
            "versions": environment.versions(),
            "command": command,
        }

    def write(self, path: Path) -> None:
        """Scores as NPY, or what they decide as CSV; the file appears whole or not at all."""
        with atomic.replacing(path) as draft:
            if path.suffix.lower() == ".npy":
                np.save(draft, self.scores)
                return
            for row in self.decided.reshape(len(self.decided), -1).tolist():
                draft.write((",".join(map(_cell, row)) + "\n").encode())


def predict(result: Result, rows: Array, progress: Progress) -> Predictions:
    """Of rows without labels."""
    scores = result.scores(rows, progress)
    return Predictions(scores, result.decided(scores), result.classes)


def predict_test_rows(result: Result, dataset: Dataset, progress: Progress) -> Predictions:
    """Of the test rows of a data set, compared with their labels. A solution without a record takes its classes."""
    if not result.record:
        result.classes = dataset.classes
    if result.classes != dataset.classes:
        raise InputError(
            f"dataset: {dataset.name} has classes {dataset.classes}, the solution {result.classes}; give its own data"
        )
    scores = result.scores(dataset.X_test, progress)
    columns = dataset.y_test.size // dataset.n_test if result.classes is None else len(result.classes)
    if scores.shape[1] != columns:
        raise InputError(
            f"run_dir: the solution has {scores.shape[1]} outputs, the data {columns}; give its own data"
        )
    error, rmse = compare(scores, dataset.y_test, result.classes is not None)
    return Predictions(scores, result.decided(scores), result.classes, error, rmse)


def check_target(path: Path | None) -> None:
    """Raise `InputError` now where predictions could not be written later."""
    if path is None:
        return
    if path.suffix.lower() not in (".npy", ".csv"):
        raise InputError(f"out: got {path}, expected a name ending in .npy or .csv")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"out: {path} cannot be written; name a file in a folder that you may write to")


def _cell(value: Any) -> str:
    text = repr(value) if isinstance(value, float) else str(value)
    return f'"{text}"' if any(mark in text for mark in ',"\n') else text
