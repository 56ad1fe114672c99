"""`kernelfit resume`: a run that stopped, continued."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kernelfit.cpu import environment
from kernelfit.errors import DataError, InputError
from kernelfit.experiments.streamed import is_streamed
from kernelfit.progress import Progress
from kernelfit.report import json_output, tables
from kernelfit.report.progress import TerminalProgress
from kernelfit.report.run_tables import certified_table
from kernelfit.runs.folder import GRAM, JOURNAL, RUN, SOLUTION
from kernelfit.solver import resume as runs
from kernelfit.solver.solution import Solution
from kernelfit.streaming import gram_file

from .options import command_line, device_memory_option, device_option, json_option
from .solve import Task, recalled, run


@click.command(name="resume")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@device_option
@device_memory_option
@click.option("--threads", type=int, metavar="COUNT", help="Threads to use; else every core.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    folder: Path,
    device: str,
    device_memory: str | None,
    threads: int | None,
    json_target: str | None,
) -> None:
    """Continue the run in DIR (from solve --out) from its first unfinished panel.

    Finished panels are verified first. The answer is, bit for bit, that of a run without a break, on a device of the
    same kind; a run begun on a card goes on on the CPU as well, and the other way round.
    """
    json_output.check_target(json_target)
    started = time.perf_counter()
    progress = TerminalProgress()
    record, task = _resumed(
        folder, (device, device_memory), threads, command_line(context), started, progress
    )
    if json_target is not None:
        json_output.write(record, json_target)
    if json_target != json_output.STDOUT:
        shown = certified_table(record) if not task else tables.solve_table({**record, "out": folder})
        Console(markup=False).print(shown)


def _resumed(
    folder: Path,
    device: tuple[str, str | None],
    threads: int | None,
    line: str,
    started: float,
    progress: Progress,
) -> tuple[dict[str, Any], bool]:
    """The record of the continued run, and whether it could be compared with its data set."""
    folder = folder.absolute()
    if (folder / SOLUTION).exists() and not any((folder / name).exists() for name in (RUN, JOURNAL)):
        raise InputError(
            f"DIR: {folder} holds the solution of a linear kernel, which has no factor; it is finished, use it"
        )
    where: dict[str, Any] = {"device": device[0], "device_memory": device[1]}
    if (folder / GRAM).exists() and not (folder / RUN).exists():
        # It stopped while K was summed up.
        kept = gram_file.read(folder / GRAM).remembered
        return run(
            {**recalled(kept["options"], threads), **where}, f"{kept['command']}; {line}", folder
        ), True
    remembered = runs.remembered(folder)
    values = {**recalled(remembered["options"], threads), **where} if "options" in remembered else None
    line = f"{remembered.get('command', 'kernelfit solve')}; {line}"
    # K that is summed up has to be there before its factor.
    task = _task(values, folder, progress) if values is not None and is_streamed(values) else None
    solution = runs.resume(folder, **where, threads=threads, progress=progress)
    try:
        if values is not None and task is None:
            task = _task(values, folder, progress)
        if task is not None:
            return task.report(solution, line, folder, started, progress), True
        return certified(solution, line), False
    finally:
        solution.close()
        if task is not None:
            task.close()


def _task(values: dict[str, Any], folder: Path, progress: Progress) -> Task | None:
    try:
        return Task.load(values, progress, folder)
    except (DataError, InputError) as error:
        progress.note(f"no test error, as the data set cannot be read again: {error}")
        return None


def certified(solution: Solution, line: str) -> dict[str, Any]:
    """The record of a solution whose data set is not at hand."""
    return {
        "n_train": len(solution.kept),
        "kernel": solution.kernel.describe() if solution.kernel is not None else {"name": "precomputed"},
        "ridge": solution.ridge,
        "precision": solution.precision,
        "device": solution.device,
        "tier": solution.plan.tier,
        "n_rhs": solution.alpha.shape[1],
        **solution.certificate.as_dict(),
        "rkhs_norm_per_class": list(solution.certificate.rkhs_norm_per_column),
        "seconds": solution.seconds,
        "gflops_factor": solution.gflops_factor,
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "plan": solution.plan.as_dict(),
        "notes": solution.notes,
        "versions": environment.versions(),
        "command": line,
    }
