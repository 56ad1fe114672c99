"""`kernelfit plan`: tiles, bytes, flops and time of a solve, before anything is allocated."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import click

from kernelfit.arguments import bytes_of, integer
from kernelfit.errors import InputError
from kernelfit.experiments.planning import plan_cluster, plan_solve, shape_of, shape_of_numbers
from kernelfit.experiments.specs import DataSpec, SolverSettings
from kernelfit.report import tables
from kernelfit.storage import json_output

from .options import COUNT, command_line, data_options, json_option, solver_options
from .output import GroupedCommand, emit
from .wording import terminal_progress


@click.command(name="plan", cls=GroupedCommand)
@data_options
@click.option(
    "--d", "n_features", type=COUNT, metavar="COUNT", help="Features a row, in place of a data set."
)
@click.option("--bytes", "of_bytes", is_flag=True, help="Beside --d: rows are bytes, as pixels are.")
@click.option(
    "--rhs", "n_rhs", type=COUNT, metavar="COUNT", help="Right-hand sides; else one for each class."
)
@solver_options
@click.option("--gemm/--no-gemm", default=True, show_default=True, help="Measure rates to predict the time.")
@click.option("--workers", type=COUNT, metavar="COUNT", help="Plan for a cluster of so many workers.")
@click.option(
    "--bandwidth", metavar="RATE", help="Of each worker's link: 1Gbit, 1.25GB, ...  [default: 10Gbit]"
)
@click.option("--rate", type=float, metavar="FLOPS", help="Of each worker, float64; else measured here.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    gemm: bool,
    workers: int | None,
    bandwidth: str | None,
    rate: float | None,
    n_features: int | None,
    of_bytes: bool,
    n_rhs: int | None,
    json_target: str | None,
    **values: Any,
) -> None:
    """Print tiles, bytes, flops and predicted time before anything is allocated.

    Data sets known by name are not read: their shapes are known. With --n and --d nothing is looked up at all.
    A plan that does not fit is refused with the bytes that are missing and what would fit. With --workers: what a
    cluster of such workers and links would take, by a simulation of its steps.
    """
    json_output.check_target(json_target)
    solver = SolverSettings(**{key.name: values[key.name] for key in fields(SolverSettings)})
    data = DataSpec(**{key.name: values[key.name] for key in fields(DataSpec)})
    bytes_of(solver.device_memory, "device_memory")
    if of_bytes and n_features is None:
        raise InputError(
            "of_bytes: got True for a data set, whose rows are what they are; leave it out, or give --d"
        )
    if solver.device.startswith("cuda") or solver.device_memory is not None:
        terminal_progress().note("a plan is of the CPU: --device and --device-memory change nothing in it")
    for name, value in (("bandwidth", bandwidth), ("rate", rate)):
        if value is not None and workers is None:
            raise InputError(
                f"{name}: got {value} for a plan of one process; give --workers, or leave it out"
            )
    if workers is not None and rate is None and not gemm:
        raise InputError(
            "rate: got none beside --no-gemm, expected flop/s of a worker; give --rate, or leave --no-gemm out"
        )
    if workers is not None and (solver.memory is not None or solver.tier != "auto"):
        terminal_progress().note(
            "a plan of workers says what they need: --memory and --tier change nothing in it"
        )
    if solver.engine == "dask" and workers is None:
        terminal_progress().note("a plan is of one process: --engine changes nothing in it; give --workers")
    shape = (
        shape_of(data, values["seed"]) if n_features is None else shape_of_numbers(data, n_features, of_bytes)
    )
    if n_rhs is not None:
        shape = replace(shape, n_rhs=integer("n_rhs", n_rhs, 1))
    if workers is not None:
        cluster = plan_cluster(shape, solver, workers, bandwidth, rate).to_dict()
        record = {**cluster, "command": command_line(context)}
        emit(record, json_target, tables.cluster_plan_table(record))
        return
    plan = plan_solve(shape, solver, predict_time=gemm, note=lambda line: terminal_progress().note(line))
    record = {**plan.to_dict(), "command": command_line(context)}
    emit(record, json_target, tables.plan_table(record))
