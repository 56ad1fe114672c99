"""`kernelfit predict`: a saved solution applied to new rows."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections import Counter
from pathlib import Path
from tokenize import TokenError
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from kernelfit import datasets
from kernelfit.cpu import environment
from kernelfit.datasets import csv
from kernelfit.errors import DataError, InputError, KernelfitError, StorageError
from kernelfit.experiments.transformed import NONE, fitted
from kernelfit.features.images import ImageFeatures
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.points import Points
from kernelfit.metrics import compare
from kernelfit.progress import Progress
from kernelfit.report import json_output, tables
from kernelfit.report.progress import TerminalProgress
from kernelfit.solver.inputs import find_duplicates
from kernelfit.solver.solution import Solution
from kernelfit.storage import atomic, hdf5
from kernelfit.streaming import weights as feature_weights
from kernelfit.typing import Array

from .options import command_line, data_dir_option, json_option
from .output_folder import RESULT, SOLUTION
from .solve import SOURCE

#: of streamed features, beside the solution
WEIGHTS = "weights.h5"
#: how many predictions the table shows
SHOWN = 10


@click.command(name="predict")
@click.argument("saved", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--rows", type=click.Path(path_type=Path), metavar="FILE", help="Rows without labels: NPY or CSV."
)
@click.option(
    "--dataset", help="Or the test rows of a data set: a name or path, with labels to compare with."
)
@click.option("--n-test", type=int, metavar="ROWS", help="Take the first ROWS test rows of the data set.")
@data_dir_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write scores (NPY), or classes or values (CSV).",
)
@click.option("--threads", type=int, metavar="COUNT", help="Threads to use; else every core.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    saved: Path,
    rows: Path | None,
    dataset: str | None,
    n_test: int | None,
    data_dir: Path | None,
    out: Path | None,
    threads: int | None,
    json_target: str | None,
) -> None:
    """Apply the solution in DIR (from solve --out) to new rows."""
    json_output.check_target(json_target)
    if (rows is None) == (dataset is None):
        raise InputError("--rows, --dataset: give one of them, the rows to predict")
    if rows is not None and (n_test is not None or data_dir is not None):
        raise InputError("--n-test, --data-dir: of use with --dataset alone; leave them out beside --rows")
    _check_out(out)
    progress = TerminalProgress()
    started = time.perf_counter()
    solution, meta = read_saved(saved)
    solution.threads = threads
    truth: Array | None = None
    classes: tuple[str, ...] | None = tuple(meta["classes"]) if meta.get("classes") else None
    if rows is not None:
        X = read_rows(rows)
    else:
        # Of a data set without a test part the solve's seed holds out the rows that it did not train on.
        data = datasets.load(
            str(dataset), n_test=n_test, data_dir=data_dir, seed=meta.get("seed", 0), progress=progress
        )
        X, truth = data.X_test, data.y_test
        if not meta:
            classes = data.classes
        if classes != data.classes:
            raise InputError(
                f"--dataset: {dataset} has classes {data.classes}, the solution {classes}; give its own data"
            )
    if meta.get("streamed"):
        scores = predict_streamed(saved, solution, X, meta, threads, progress)
    else:
        scores = solution.predict(features_of(X, meta, threads, progress), progress)
    scores = scores.reshape(len(scores), -1)
    columns = scores.shape[1]
    if classes is not None:
        columns = len(classes)
    elif truth is not None:
        columns = truth.size // len(truth)
    if scores.shape[1] != columns:
        raise InputError(
            f"DIR: the solution in {saved} has {scores.shape[1]} outputs, the data {columns}; give its own"
        )
    predictions = scores if classes is None else np.array(classes)[scores.argmax(axis=1)]
    error, rmse = (None, None) if truth is None else compare(scores, truth, classes is not None)
    record = {
        "solution": str(saved),
        "n_rows": len(scores),
        "test_error": error,
        "test_rmse": rmse,
        "predictions": predictions,
        "seconds": {"predict": solution.seconds.get("predict", 0.0), "total": time.perf_counter() - started},
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "versions": environment.versions(),
        "command": command_line(context),
    }
    if out is not None:
        write_predictions(out, scores, predictions)
    if json_target is not None:
        json_output.write(record, json_target)
    if json_target != json_output.STDOUT:
        Console(markup=False).print(_table(record, predictions, classes is not None))


def read_saved(saved: Path) -> tuple[Solution, dict[str, Any]]:
    """The solution in a folder made by `solve --out`, with its result; or a solution file alone."""
    if saved.is_file():
        return Solution.load(saved), {}
    if not (saved / SOLUTION).is_file():
        raise InputError(f"DIR: {saved} holds no {SOLUTION}; make one with kernelfit solve --out {saved}")
    try:
        meta: Any = json.loads((saved / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{saved / RESULT}: cannot be read ({error}); solve again with --out") from None
    if not isinstance(meta, dict):
        raise DataError(
            f"{saved / RESULT}: got {type(meta).__name__}, expected the record that solve --out writes"
        )
    if not _is_record(meta):
        raise DataError(
            f"{saved / RESULT}: is not the record that solve --out writes, it is damaged; solve again with --out"
        )
    return Solution.load(saved / SOLUTION), meta


def _is_record(meta: dict[str, Any]) -> bool:
    """Whether what `predict` takes from the record is of the types that `solve` wrote."""
    classes, features = meta.get("classes"), meta.get("features", NONE)
    if classes is not None and not (
        isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    ):
        return False
    if not isinstance(features, str):
        return False
    if features == NONE:
        return True
    source, options = meta.get("source"), meta.get("feature_options")
    kinds = {"dataset": str, "train": str | None, "data_dir": str | None, "n_train": int | None, "seed": int}
    return (
        isinstance(options, dict)
        and isinstance(source, dict)
        and all(isinstance(source.get(name, ...), kinds[name]) for name in SOURCE)
    )


def features_of(X: Array, meta: dict[str, Any], threads: int | None, progress: Progress) -> Array:
    """The rows as the solution saw its training rows: features are fitted again, on the same rows."""
    if meta.get("features", NONE) == NONE:
        return X
    feature, _ = features_again(meta, threads, progress)
    transformed: Array = feature.transform(X, progress=progress)
    return transformed


def predict_streamed(
    saved: Path, solution: Solution, X: Array, meta: dict[str, Any], threads: int | None, progress: Progress
) -> Array:
    """f at the rows X by weights of the features, which the first call computes and keeps beside the solution."""
    feature, rows = features_again(meta, threads, progress)
    assert isinstance(feature, RandomConv)
    digest, path = hdf5.file_digest(saved / SOLUTION), saved / WEIGHTS
    w = feature_weights.read(path, digest, feature.n_features_out_)
    if w is None:
        if len(rows) != len(solution.alpha):  # equal rows were left out
            rows = np.delete(rows, find_duplicates(Points(rows)).dropped, axis=0)
        progress.note(f"the features' weights are computed from the training rows, once: {path}")
        w = feature_weights.weights(feature, rows, solution.alpha, progress)
        try:
            feature_weights.write(path, w, digest)
        except StorageError as error:
            progress.note(f"the features' weights are not kept: {error}")
    started = time.perf_counter()
    scores = feature_weights.predict(feature, X, w, progress)
    solution.seconds["predict"] = time.perf_counter() - started
    return scores


def features_again(
    meta: dict[str, Any], threads: int | None, progress: Progress
) -> tuple[ImageFeatures, Array]:
    """The features fitted on the training rows, and these."""
    source = {key: meta["source"][key] for key in SOURCE}
    training = datasets.load(
        source["dataset"],
        n_train=source["n_train"],
        n_test=1,
        data_dir=_path(source["data_dir"]),
        train=_path(source["train"]),
        seed=source["seed"],
    )
    settings = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in meta["feature_options"].items()
    }
    return fitted(training, meta["features"], settings, threads, progress), training.X_train


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def read_rows(path: Path) -> Array:
    """Rows (m, d) from an NPY file or from a CSV file of numbers, with or without one header line."""
    if not path.is_file():
        raise InputError(f"--rows: {path} is no file; give an NPY or CSV file of rows")
    kind = path.suffix.lower()
    try:
        if kind == ".npy":
            # Mapped, so that a header that claims more than the file holds is refused before memory is taken.
            values: Array = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        elif kind in (".csv", ".tsv", ".txt"):
            values = _read_numbers(path)
        else:
            raise InputError(f"--rows: got {path}, expected a name ending in .npy or .csv")
    except KernelfitError:
        raise
    except (OSError, ValueError, TypeError, EOFError, ArithmeticError, SyntaxError, TokenError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: cannot be read as rows of numbers ({reason}); expected one row a line"
        ) from None
    if values.ndim and not len(values):
        raise DataError(f"{path}: has no rows, shape {values.shape}; expected one or more")
    return values.reshape(len(values), -1) if values.ndim > 2 else values


def _read_numbers(path: Path) -> Array:
    delimiter, before = csv.layout(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there are no rows is said below
        values = np.loadtxt(
            path, delimiter=delimiter, quotechar='"', skiprows=before, ndmin=2, encoding="utf-8-sig"
        )
    if not values.size:
        raise ValueError("it has no rows")
    return values


def write_predictions(out: Path, scores: Array, predictions: Array) -> None:
    """Scores as NPY, predictions as CSV; the file appears whole or not at all."""
    with atomic.replacing(out) as draft:
        if out.suffix.lower() == ".npy":
            np.save(draft, scores)
            return
        for row in predictions.reshape(len(predictions), -1).tolist():
            draft.write((",".join(map(_cell, row)) + "\n").encode())


def _cell(value: Any) -> str:
    text = repr(value) if isinstance(value, float) else str(value)
    return f'"{text}"' if any(mark in text for mark in ',"\n') else text


def _check_out(out: Path | None) -> None:
    if out is None:
        return
    if out.suffix.lower() not in (".npy", ".csv"):
        raise InputError(f"--out: got {out}, expected a name ending in .npy or .csv")
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"--out: {out} cannot be written; name a file in a folder that you may write to")


def _table(record: dict[str, Any], predictions: Array, classification: bool) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("rows", f"{record['n_rows']:,}")
    if record["test_error"] is not None:
        table.add_row("test error", tables.percent(record["test_error"]))
    if record["test_rmse"] is not None:
        table.add_row("test RMSE", tables.number(record["test_rmse"]))
    if classification:
        counts = Counter(predictions.tolist())
        table.add_row("classes", ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())))
        first = ", ".join(predictions[:SHOWN].tolist())
    else:
        first = ", ".join(tables.number(float(row[0])) for row in predictions[:SHOWN])
    table.add_row("first", first + (", ..." if record["n_rows"] > SHOWN else ""))
    table.add_row("time", tables.seconds(record["seconds"]["predict"]))
    return table
