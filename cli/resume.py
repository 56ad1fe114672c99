"""`kernelfit resume`: a run that stopped, continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kernelfit.experiments.experiment import Experiment
from kernelfit.report import tables
from kernelfit.report.run_tables import certified_table
from kernelfit.storage import json_output

from .options import (
    PATH,
    command_line,
    device_memory_option,
    device_option,
    engine_option,
    json_option,
    scheduler_option,
    threads_option,
)
from .output import GroupedCommand, emit
from .wording import terminal_progress


@click.command(name="resume", cls=GroupedCommand)
@click.argument("run_dir", metavar="DIR", type=PATH)
@device_option
@device_memory_option
@threads_option
@engine_option
@scheduler_option
@json_option
@click.pass_context
def command(context: click.Context, run_dir: Path, json_target: str | None, **where: Any) -> None:
    """Continue the run in DIR (from solve --out) from its first unfinished panel.

    Finished panels are verified first. The answer is, bit for bit, that of a run without a break, on a device of the
    same kind; a run begun on a GPU or a cluster can be resumed on the CPU, and the other way round.
    """
    json_output.check_target(json_target)
    result = Experiment.resume(run_dir, **where, command=command_line(context), progress=terminal_progress())
    record = result.record
    table = tables.solve_table({**record, "out": run_dir}) if "dataset" in record else certified_table(record)
    emit(record, json_target, table)
