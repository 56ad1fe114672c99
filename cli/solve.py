"""`kernelfit solve`: data set -> features -> exact interpolation -> errors, norm and certificate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from kernelfit import datasets
from kernelfit.errors import DuplicateRowsError, NotPositiveDefiniteError
from kernelfit.evaluation import training_targets
from kernelfit.progress import Progress
from kernelfit.report import json_output, tables
from kernelfit.report.progress import TerminalProgress
from kernelfit.report.record import ridge_record, solve_record
from kernelfit.solution import Solution
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
from .output_folder import RESULT, claim
from .transformed import Transformed, given_options, transform

#: what `predict` needs to find the training rows again, on which features are fitted
SOURCE = ("dataset", "train", "n_train", "data_dir", "seed")
#: what else a continued run needs to report on
_REPORTED = ("test", "n_test", "features", "feature_settings", "filters", "loo")
_PATHS = ("train", "test", "data_dir")


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
    help="Keep the run in a new folder: factor, solution, this result. kernelfit resume goes on with it.",
)
@json_option
@click.pass_context
def command(context: click.Context, out: Path | None, json_target: str | None, **values: Any) -> None:
    """Interpolate a data set exactly and certify the answer.

    With no option this solves scikit-learn's handwritten digits, which need no file.
    """
    json_output.check_target(json_target)
    record = run(values, command_line(context), out, resume=claim(out))
    if json_target is not None:
        json_output.write(record, json_target)
    if json_target != json_output.STDOUT:
        Console().print(tables.solve_table({**record, "out": out}))


def run(
    values: dict[str, Any], line: str, out: Path | None = None, *, resume: bool = False
) -> dict[str, Any]:
    """Solve as the options say; the run is kept in `out`, or with `resume` continued there."""
    started = time.perf_counter()
    progress = TerminalProgress()
    kernel = kernel_arguments(values)
    task = Task.load(values, progress)
    if kernel["gamma_factor"] is None:
        # The factor belongs to the median rule.
        kernel["gamma_factor"] = task.rows.gamma_factor if kernel["gamma"] in (None, "median") else 1.0
    solution = solve(
        task.rows.X_train,
        training_targets(task.dataset),
        **kernel,
        ridge=values["ridge"],
        jitter=values["jitter"],
        precision=values["precision"],
        tier=values["tier"],
        memory=values["memory"],
        directory=out,
        resume=resume,
        remember={"options": task.remembered(), "command": line},
        scratch=values["scratch"],
        device=values["device"],
        threads=values["threads"],
        scale=task.rows.scale,
        seed=values["seed"],
        progress=progress,
    )
    try:
        return task.report(solution, line, out, started, progress)
    finally:
        solution.close()


@dataclass(frozen=True)
class Task:
    """What `solve` is about besides the equations: the data set, the rows the kernel sees, what is to be reported."""

    dataset: datasets.Dataset
    rows: Transformed
    values: dict[str, Any]
    seconds_load: float

    @classmethod
    def load(cls, values: dict[str, Any], progress: Progress) -> Task:
        """Read the data set and compute its features."""
        began = time.perf_counter()
        settings = given_options(values["features"], tuple(values["feature_settings"]), values["filters"])
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
        loaded = time.perf_counter() - began
        rows = transform(dataset, values["features"], settings, values["threads"], progress)
        return cls(dataset, rows, values, loaded)

    def remembered(self) -> dict[str, Any]:
        """The options that `load` and `report` need, as JSON; paths hold from any folder."""
        values = {name: self.values[name] for name in (*SOURCE, *_REPORTED)}
        for name in _PATHS:
            values[name] = None if values[name] is None else str(Path(values[name]).absolute())
        if Path(values["dataset"]).exists():
            values["dataset"] = str(Path(values["dataset"]).absolute())
        return values

    @classmethod
    def recall(cls, remembered: dict[str, Any], threads: int | None, progress: Progress) -> Task:
        """The task whose options were `remembered`."""
        paths = {name: remembered[name] and Path(remembered[name]) for name in _PATHS}
        return cls.load({**remembered, **paths, "threads": threads}, progress)

    def report(
        self, solution: Solution, line: str, out: Path | None, started: float, progress: Progress
    ) -> dict[str, Any]:
        """Errors, norms and times since `started`; with `out` the record is kept there for `predict`."""
        predictions = solution.predict(self.rows.X_test, progress)
        left_out = solution.leave_one_out(progress) if self.values["loo"] else None
        record = solve_record(
            dataset=self.dataset,
            features=self.rows.name,
            n_features=self.rows.n_features,
            solution=solution,
            predictions=_columns(predictions),
            left_out=None if left_out is None else _columns(left_out),
            seconds={
                "load": self.seconds_load,
                "features": self.rows.seconds,
                "total": time.perf_counter() - started,
            },
            seed=self.values["seed"],
            command=line,
        )
        if solution.ridge_choice is not None:
            solution.close()  # the memory of its factor is wanted
            without = record if solution.ridge == 0 else self._interpolate(solution, line, progress)
            record |= ridge_record(solution.ridge_choice, without)
            record["seconds"]["total"] = time.perf_counter() - started
        if out is not None:
            source = {name: self.values[name] for name in SOURCE}
            kept = {
                **record,
                "classes": self.dataset.classes,
                "feature_options": self.rows.settings,
                "source": source,
            }
            json_output.write(kept, out / RESULT)
        return record

    def _interpolate(self, chosen: Solution, line: str, progress: Progress) -> dict[str, Any] | None:
        """The record of the same solve without a ridge; None where no function interpolates."""
        values = self.values
        try:
            solution = solve(
                self.rows.X_train,
                training_targets(self.dataset),
                kernel=chosen.kernel or "precomputed",
                **{name: values[name] for name in ("jitter", "precision", "tier", "memory", "scratch")},
                threads=values["threads"],
                scale=self.rows.scale,
                progress=progress,
            )
        except (DuplicateRowsError, NotPositiveDefiniteError) as error:
            progress.note(f"no solution without a ridge: {error}")
            return None
        try:
            return self.report(solution, line, None, time.perf_counter(), progress)
        finally:
            solution.close()


def _columns(scores: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return scores.reshape(len(scores), -1)
