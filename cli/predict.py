"""`kernelfit predict`: a saved solution applied to new rows."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from kernelfit.datasets.new_rows import read_rows
from kernelfit.errors import InputError
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.predictions import (
    Predictions,
    check_target,
    predict,
    predict_test_rows,
    unseen_test_rows,
)
from kernelfit.report import tables
from kernelfit.report.grid import Pairs
from kernelfit.storage import json_output

from . import completion
from .options import COUNT, PATH, command_line, data_dir_option, json_option, threads_option
from .output import GroupedCommand, emit
from .wording import terminal_progress

#: how many predictions the table shows
SHOWN = 10


@click.command(name="predict", cls=GroupedCommand)
@click.argument("run_dir", metavar="DIR", type=PATH)
@click.option(
    "--rows",
    type=PATH,
    metavar="FILE",
    help="Rows, with labels or without: CSV, Parquet, NPZ, HDF5, NPY, folder.",
)
@click.option(
    "--dataset",
    help="Or the test rows of a data set: a name or path, with labels to compare with.",
    shell_complete=completion.datasets,
)
@click.option("--n-test", type=COUNT, metavar="ROWS", help="Take the first ROWS test rows of the data set.")
@data_dir_option
@click.option(
    "--out",
    type=PATH,
    metavar="FILE",
    help="Write scores (NPY), or ids, classes and scores (CSV): a line for each row, empty where values are missing.",
)
@threads_option
@json_option
@click.pass_context
def command(
    context: click.Context, run_dir: Path, out: Path | None, json_target: str | None, **values: Any
) -> None:
    """Apply the solution in DIR (from solve --out) to new rows."""
    json_output.check_target(json_target)
    rows, dataset = values["rows"], values["dataset"]
    if (rows is None) == (dataset is None):
        raise InputError("--rows, --dataset: give one of them, the rows to predict")
    if rows is not None and (values["n_test"] is not None or values["data_dir"] is not None):
        raise InputError("--n-test, --data-dir: of use with --dataset alone; leave them out beside --rows")
    check_target(out)
    started = time.perf_counter()
    progress = terminal_progress()
    result = Experiment.load(run_dir, values["threads"])
    if rows is not None:
        keys = None if result.inputs is None else result.inputs.data.keys
        predictions = predict(result, read_rows(rows, result.table, keys, result.width), progress)
    else:
        data = unseen_test_rows(result, dataset, values["n_test"], values["data_dir"], progress)
        predictions = predict_test_rows(result, data, progress)
    seconds = {
        "predict": result.solution.seconds.get("predict", 0.0),
        "total": time.perf_counter() - started,
    }
    record = predictions.record(run_dir, seconds, command_line(context))
    if out is not None:
        predictions.write(out)
    emit(record, json_target, _table(record, predictions))


def _table(record: dict[str, Any], predictions: Predictions) -> Pairs:
    table = Pairs()
    left_out = record["n_not_predicted"]
    table.add_row("rows", f"{record['n_rows']:,}" + (f", {left_out:,} not predicted" if left_out else ""))
    if record["test_error"] is not None:
        table.add_row("test error", tables.percent(record["test_error"]))
    if record["test_rmse"] is not None:
        table.add_row(
            "test RMSE", f"{tables.number(record['test_rmse'])}   {tables.beside_rmse(record, 'test')}"
        )
    decided = predictions.decided
    if predictions.classes is not None:
        counts = Counter(name for name in decided.tolist() if name is not None)
        table.add_row("classes", ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())))
        first = ", ".join(tables.MISSING if name is None else name for name in decided[:SHOWN].tolist())
    else:
        first = ", ".join(tables.number(float(row[0])) for row in decided[:SHOWN])
    table.add_row("first", first + (", ..." if record["n_rows"] > SHOWN else ""))
    table.add_row("time", tables.seconds(record["seconds"]["predict"]))
    return table
