"""`kernelfit solve`: data set -> features -> exact interpolation -> errors, norm and certificate."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from kernelfit import datasets
from kernelfit.evaluation import training_targets
from kernelfit.report import json_output, tables
from kernelfit.report.progress import TerminalProgress
from kernelfit.report.record import solve_record
from kernelfit.solver import solve

from .options import (
    command_line,
    data_options,
    feature_options,
    json_option,
    kernel_arguments,
    kernel_options,
    solver_options,
)
from .output_folder import RESULT, SOLUTION, staged
from .transformed import given_options, transform

#: what `predict` needs to find the training rows again, on which features are fitted
SOURCE = ("dataset", "train", "n_train", "data_dir", "seed")


@click.command(name="solve")
@data_options
@feature_options
@kernel_options
@solver_options
@click.option("--loo", is_flag=True, help="Also leave-one-out errors of the training rows, in closed form.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the solution and this result in a new folder.",
)
@json_option
@click.pass_context
def command(context: click.Context, out: Path | None, json_target: str | None, **values: Any) -> None:
    """Interpolate a data set exactly and certify the answer.

    With no option this solves scikit-learn's handwritten digits, which need no file.
    """
    json_output.check_target(json_target)
    with staged(out) as folder:
        record = run(values, command_line(context), folder)
    if json_target is not None:
        json_output.write(record, json_target)
    if json_target != json_output.STDOUT:
        Console().print(tables.solve_table({**record, "out": out}))


def run(values: dict[str, Any], line: str, folder: Path | None) -> dict[str, Any]:
    """Solve as the options say; `folder` receives solution.h5 and result.json."""
    started = time.perf_counter()
    progress = TerminalProgress()
    kernel = kernel_arguments(values)
    settings = given_options(values["features"], values["feature_settings"], values["filters"])
    dataset = datasets.load(
        values["dataset"],
        n_train=values["n_train"],
        n_test=values["n_test"],
        data_dir=values["data_dir"],
        train=values["train"],
        test=values["test"],
        seed=values["seed"],
        progress=progress,
    )
    loaded = time.perf_counter()
    rows = transform(dataset, values["features"], settings, values["threads"], progress)
    if kernel["gamma_factor"] is None:
        kernel["gamma_factor"] = rows.gamma_factor
    solution = solve(
        rows.X_train,
        training_targets(dataset),
        **kernel,
        ridge=values["ridge"],
        jitter=values["jitter"],
        precision=values["precision"],
        tier=values["tier"],
        memory=values["memory"],
        scratch=values["scratch"],
        device=values["device"],
        threads=values["threads"],
        scale=rows.scale,
        seed=values["seed"],
        progress=progress,
    )
    predictions = solution.predict(rows.X_test, progress)
    left_out = solution.leave_one_out(progress) if values["loo"] else None
    record = solve_record(
        dataset=dataset,
        features=rows.name,
        n_features=rows.n_features,
        solution=solution,
        predictions=_columns(predictions),
        left_out=None if left_out is None else _columns(left_out),
        seconds={"load": loaded - started, "features": rows.seconds, "total": time.perf_counter() - started},
        seed=values["seed"],
        command=line,
    )
    if folder is not None:
        solution.save(folder / SOLUTION)
        source = {name: values[name] for name in SOURCE}
        kept = {**record, "classes": dataset.classes, "feature_options": rows.settings, "source": source}
        json_output.write(kept, folder / RESULT)
    solution.close()
    return record


def _columns(scores: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return scores.reshape(len(scores), -1)
