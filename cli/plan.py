"""`kernelfit plan`: tiles, bytes, flops and time of a solve, before anything is allocated."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kernelfit import datasets
from kernelfit.arguments import bytes_of, parse_bytes
from kernelfit.cpu.memory import available_memory, free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.datasets import REGISTRY
from kernelfit.device.choose import check_device
from kernelfit.errors import InputError
from kernelfit.experiments import gemm_rate
from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits, place
from kernelfit.gram.points import speed_of_bytes
from kernelfit.report import json_output, tables
from kernelfit.report.progress import TerminalProgress
from kernelfit.solver.inputs import as_shift

from .options import command_line, data_options, json_option, solver_options


@click.command(name="plan")
@data_options
@click.option("--d", "n_features", type=int, metavar="COUNT", help="Features a row, in place of a data set.")
@click.option("--rhs", "n_rhs", type=int, metavar="COUNT", help="Right-hand sides; else one for each class.")
@solver_options
@click.option(
    "--gemm/--no-gemm", default=True, show_default=True, help="Measure the GEMM rate to predict the time."
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    gemm: bool,
    n_features: int | None,
    n_rhs: int | None,
    json_target: str | None,
    **values: Any,
) -> None:
    """Print tiles, bytes, flops and predicted time before anything is allocated.

    Data sets known by name are not read: their shapes are known. With --n and --d nothing is looked up at all.
    A plan that does not fit is refused with the bytes that are missing and what would fit.
    """
    json_output.check_target(json_target)
    check_device(values["device"])
    bytes_of(values["device_memory"], "device_memory")
    if values["precision"] == "tf32":
        raise InputError("--precision: got tf32, which GPUs alone have, and a plan is of the CPU; take mixed")
    if values["device"].startswith("cuda") or values["device_memory"] is not None:
        TerminalProgress().note("a plan is of the CPU: --device and --device-memory change nothing in it")
    for name in ("ridge", "jitter"):
        if values[name] != "auto":
            as_shift(name, values[name])
    if n_rhs is not None and n_rhs < 1:
        raise InputError(f"--rhs: got {n_rhs}, expected right-hand sides >= 1")
    n, d, width, exact = shape(values, n_features)
    threads = CpuBackend(values["threads"]).threads
    memory = available_memory() if values["memory"] is None else parse_bytes(values["memory"])
    costs = Costs.of(
        n=n,
        d=d,
        n_rhs=n_rhs if n_rhs is not None else width,
        threads=threads,
        precision=values["precision"],
        bytes_points=n * d * (1 if exact else 8),
    )
    disk_free = free_disk(values["scratch"] or Path(tempfile.gettempdir()))
    plan = place(costs, Limits(memory, disk_free), tier=values["tier"])
    if gemm:
        plan = plan.timed(gemm_rate.measure(threads=threads), speed_of_bytes() if exact else 1.0)
    record = {**plan.as_dict(), "command": command_line(context)}
    if json_target is not None:
        json_output.write(record, json_target)
    if json_target != json_output.STDOUT:
        Console(markup=False).print(tables.plan_table(record))


def shape(values: dict[str, Any], n_features: int | None) -> tuple[int, int, int, bool]:
    """Rows, features, right-hand sides, and whether the rows are bytes."""
    name, n = values["dataset"], values["n_train"]
    if n_features is not None:
        if values["train"] is not None:
            raise InputError(
                f"--d: got {n_features} beside --train, whose rows have their own; leave one out"
            )
        if n is None or n < 1 or n_features < 1:
            raise InputError(f"--n, --d: got {n} and {n_features}, expected both >= 1")
        return n, n_features, 1, False
    spec = REGISTRY.get(name) if values["train"] is None else None
    if spec is not None:
        if n is not None and not 1 <= n <= spec.n_train:
            raise InputError(
                f"--n: {name} has {spec.n_train} training rows, got {n}; give --d for rows of your own"
            )
        height, columns, channels = spec.image_shape
        return n or spec.n_train, height * columns * channels, len(spec.classes), True
    data = datasets.load(
        name,
        n_train=n,
        data_dir=values["data_dir"],
        train=values["train"],
        test=values["test"],
        seed=values["seed"],
    )
    if data.classes is not None:
        right_hand_sides = len(data.classes)
    else:
        right_hand_sides = 1 if data.y_train.ndim == 1 else int(data.y_train.shape[1])
    return data.n_train, data.n_features, right_hand_sides, data.X_train.dtype.kind in "ui"
