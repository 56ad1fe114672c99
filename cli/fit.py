"""`kernelfit fit`: kernels compared on a data set, the best fitted, and the code that does it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.fit import fit
from kernelfit.experiments.leaderboard import ROWS, Choices
from kernelfit.report import leaderboard as report
from kernelfit.storage import json_output

from .options import COUNT, PATH, command_line, comparison_options, file_options, json_option, machine_options
from .output import GroupedCommand, emit
from .wording import terminal_progress


@click.command(name="fit", cls=GroupedCommand)
@click.argument("dataset", metavar="FILE|NAME")
@file_options
@comparison_options
@click.option(
    "--rows",
    type=COUNT,
    default=ROWS,
    show_default=True,
    metavar="ROWS",
    help="Rows, drawn by the seed, on which kernels are compared; the best is fitted to all.",
)
@machine_options
@click.option(
    "--out",
    "run_dir",
    type=PATH,
    metavar="DIR",
    help="Store the winner's run, for kernelfit predict; a call that stopped continues there.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    run_dir: Path | None,
    json_target: str | None,
    kernels: list[str] | None,
    standardise: bool | None,
    rows: int,
    baselines: bool,
    **values: Any,
) -> None:
    """Find the kernel for your rows.

    Each kernel gets the width and the ridge of least leave-one-out error, and stands beside scikit-learn's models. The
    best is fitted to all rows; test rows decide nothing. The last lines printed do the same in Python.
    """
    json_output.check_target(json_target)
    line = command_line(context)
    fitted = fit(
        Experiment(**values),
        Choices(kernels, standardise, rows, baselines),
        run_dir=run_dir,
        command=line,
        progress=terminal_progress(),
    )
    record = fitted.record(line)
    emit(record, json_target, report.table({**record, "out": run_dir}))
