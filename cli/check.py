"""`kernelfit check`: a run, finished or not, verified end to end."""

from __future__ import annotations

from pathlib import Path

import click

from kernelfit.errors import StorageError
from kernelfit.report.run_tables import check_table
from kernelfit.solver.check import check
from kernelfit.storage import json_output

from .options import PATH, command_line, json_option, threads_option
from .output import GroupedCommand, emit
from .wording import terminal_progress


@click.command(name="check", cls=GroupedCommand)
@click.argument("folder", metavar="DIR", type=PATH)
@threads_option
@json_option
@click.pass_context
def command(context: click.Context, folder: Path, threads: int | None, json_target: str | None) -> None:
    """Verify the run in DIR (from solve --out): what it began with, its journal, every panel, its solution.

    Nothing is changed, and a run may be checked while it is under way. The exit code is 2 where something is damaged.
    """
    json_output.check_target(json_target)
    report = check(folder, threads=threads, progress=terminal_progress())
    record = {**report.to_dict(), "command": command_line(context)}
    emit(record, json_target, check_table(record))
    if not report.ok:
        more = f" and {len(report.problems) - 1} more" if len(report.problems) > 1 else ""
        raise StorageError(f"{report.problems[0]}{more}")
