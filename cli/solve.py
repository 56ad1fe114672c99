"""`kernelfit solve`: data set -> features -> exact interpolation -> errors, norm and certificate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kernelfit import datasets
from kernelfit.arguments import parse_bytes
from kernelfit.datasets import training_targets
from kernelfit.device.panel_gram import DevicePanelGram
from kernelfit.device.protocol import Device
from kernelfit.errors import DuplicateRowsError, InputError, NotPositiveDefiniteError
from kernelfit.experiments.record import ridge_record, solve_record, streamed_record
from kernelfit.experiments.streamed import FEATURES, is_streamed, relative_ridge, stream
from kernelfit.experiments.transformed import Transformed, given_options, transform
from kernelfit.progress import Progress
from kernelfit.report import json_output, tables
from kernelfit.report.progress import TerminalProgress
from kernelfit.runs.folder import GRAM
from kernelfit.solver.solution import Solution
from kernelfit.solver.solve import solve
from kernelfit.typing import Float

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

#: what `predict` needs to find the training rows again, on which features are fitted
SOURCE = ("dataset", "train", "n_train", "data_dir", "seed")
_PATHS = ("train", "test", "data_dir", "scratch")


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
        Console(markup=False).print(tables.solve_table({**record, "out": out}))


def run(
    values: dict[str, Any], line: str, out: Path | None = None, *, resume: bool = False
) -> dict[str, Any]:
    """Solve as the options say; the run is kept in `out`, or with `resume` continued there."""
    started = time.perf_counter()
    progress = TerminalProgress()
    kernel = kernel_arguments(values)
    if out is not None and (out / GRAM).exists() and not is_streamed(values):
        raise InputError(f"--out: {out} holds {GRAM} of --features {FEATURES}; name a new folder")
    task = Task.load(values, progress, out, line)
    if kernel["gamma_factor"] is None:
        # The factor belongs to the median rule.
        kernel["gamma_factor"] = task.rows.gamma_factor if kernel["gamma"] in (None, "median") else 1.0
    solution = solve(
        task.rows.X_train,
        task.targets(),
        **(kernel if task.rows.streamed is None else {"kernel": "precomputed"}),
        ridge=task.ridge(),
        jitter=values["jitter"],
        precision=values["precision"],
        tier=values["tier"],
        memory=task.memory(),
        run_dir=out,
        resume=resume,
        remember={"options": remembered(values), "command": line},
        scratch=values["scratch"],
        device=task.device(),
        device_memory=task.device_memory(),
        threads=values["threads"],
        scale=task.rows.scale,
        seed=values["seed"],
        progress=progress,
    )
    try:
        return task.report(solution, line, out, started, progress)
    finally:
        solution.close()
        task.close()


def remembered(values: dict[str, Any]) -> dict[str, Any]:
    """Every option as JSON, for whoever goes on with the run; paths hold from any folder."""
    kept = dict(values)
    for name in _PATHS:
        kept[name] = None if values[name] is None else str(Path(values[name]).absolute())
    if Path(values["dataset"]).exists():
        kept["dataset"] = str(Path(values["dataset"]).absolute())
    return kept


def recalled(kept: dict[str, Any], threads: int | None) -> dict[str, Any]:
    """The options that were `remembered`."""
    paths = {name: kept.get(name) and Path(kept[name]) for name in _PATHS}
    return {**kept, **paths, "threads": threads}


@dataclass(frozen=True)
class Task:
    """What `solve` is about besides the equations: the data set, the rows the kernel sees, what is to be reported."""

    dataset: datasets.Dataset
    rows: Transformed
    values: dict[str, Any]
    seconds_load: float

    @classmethod
    def load(
        cls, values: dict[str, Any], progress: Progress, out: Path | None = None, line: str = ""
    ) -> Task:
        """Read the data set and compute its features; those that stream keep their Gram in `out`."""
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
        rows = None
        if is_streamed(values):
            kept = {"options": remembered(values), "command": line}
            rows = stream(dataset, settings, values, out, kept, progress)
        if rows is None:
            rows = transform(dataset, values["features"], settings, values["threads"], progress)
        return cls(dataset, rows, values, loaded)

    def targets(self) -> Float:
        """Y (n, c) of the rows that the kernel sees."""
        targets = training_targets(self.dataset)
        return targets if self.rows.kept is None else targets[self.rows.kept]

    def ridge(self) -> float | str:
        """What the solver adds to the diagonal; for streamed features it is given in units of their mean diagonal."""
        given: str = self.values["ridge"]
        if self.rows.streamed is None:
            return given
        relative = relative_ridge(given)
        return "auto" if relative is None else relative * self.rows.streamed.mean_diagonal

    def device(self) -> str | Device:
        """The one that was asked for; a Gram that lies on one is solved there."""
        gram = self.rows.X_train
        asked: str = self.values["device"]
        return gram.device if isinstance(gram, DevicePanelGram) else asked

    def device_memory(self) -> str | None:
        """Of a device that the solve is to open."""
        asked: str | None = self.values.get("device_memory")
        return asked if isinstance(self.device(), str) else None

    def memory(self) -> str | int | None:
        """What the solve may take beside Grams that are in memory."""
        given: str | None = self.values["memory"]
        if given is None or self.rows.streamed is None:
            return given
        return max(1, parse_bytes(given) - self.rows.streamed.plan.held)

    def close(self) -> None:
        """Give back a device or a file that holds a Gram."""
        if self.rows.streamed is not None:
            self.rows.streamed.close()

    def report(
        self, solution: Solution, line: str, out: Path | None, started: float, progress: Progress
    ) -> dict[str, Any]:
        """Errors, norms and times since `started`; with `out` the record is kept there for `predict`."""
        if self.rows.kept is not None:
            # The Gram's rows, counted as those of the data set.
            solution.kept, solution.rows_given = self.rows.kept, self.dataset.n_train
        solution.notes[:0] = [text for text in self.rows.notes if text not in solution.notes]
        predictions = self.rows.predict(solution, progress)
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
        if self.rows.streamed is not None:
            record = streamed_record(record, self.rows.streamed)
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
                "streamed": self.rows.streamed is not None,
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
                self.targets(),
                kernel=chosen.kernel or "precomputed",
                **{name: values[name] for name in ("jitter", "precision", "tier", "scratch")},
                memory=self.memory(),
                device=self.device(),
                device_memory=self.device_memory(),
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


def _columns(scores: Float) -> Float:
    return scores.reshape(len(scores), -1)
