"""`kernelfit bench`: solve time against n on this machine, beside the rate of its own matrix products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource
from rich.console import Console

from kernelfit import datasets
from kernelfit.arguments import parse_bytes
from kernelfit.cpu import environment
from kernelfit.cpu.memory import available_memory
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.experiments import gemm_rate, scaling
from kernelfit.gram.points import Points
from kernelfit.gram.precision import CPU_PRECISIONS
from kernelfit.kernels import build
from kernelfit.report import figures, json_output, tables
from kernelfit.report.progress import TerminalProgress
from kernelfit.solver.gamma import median_gamma

from .options import command_line, data_dir_option, json_option

SYNTHETIC = "synthetic"


@click.command(name="bench")
@click.option(
    "--sizes", default="1000,2000,4000,8000", show_default=True, help="Rows to solve, from 1000 upward."
)
@click.option("--n", "n_asked", type=int, metavar="ROWS", help="Also predict this size.")
@click.option(
    "--dataset", default=SYNTHETIC, show_default=True, help="Rows: normal ones, or a data set by name."
)
@click.option(
    "--d", "n_features", type=int, default=784, show_default=True, help="Features of synthetic rows."
)
@click.option("--gamma", type=float, help="Of the gaussian kernel; else 1 / median squared distance.")
@click.option("--rhs", "n_rhs", type=int, default=10, show_default=True, help="Right-hand sides.")
@click.option("--precision", type=click.Choice(CPU_PRECISIONS), default="float64", show_default=True)
@click.option("--repeats", type=int, default=3, show_default=True, help="Solves a size; the median counts.")
@click.option("--memory", metavar="SIZE", help="Memory to stay within, such as 8GB; else what is available.")
@click.option("--threads", type=int, metavar="COUNT", help="Threads to use; else every core.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--figure", type=click.Path(path_type=Path), metavar="FILE", help="Draw the curves: .png, .svg or .pdf."
)
@data_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    figure: Path | None,
    json_target: str | None,
    sizes: str,
    n_asked: int | None,
    **values: Any,
) -> None:
    """Measure solve time against n: Gram, factor, solve and certificate apart.

    The factor's rate stands beside the GEMM rate of the same process, and larger sizes are predicted from the
    largest one measured. Every solution is checked.
    """
    json_output.check_target(json_target)
    if figure is not None:
        figures.check_target(figure)
    if (
        values["dataset"] != SYNTHETIC
        and context.get_parameter_source("n_features") is ParameterSource.COMMANDLINE
    ):
        raise InputError(
            f"--d: of synthetic rows, {values['dataset']} has features of its own; leave one out"
        )
    orders = parse_sizes(sizes)
    if n_asked is not None and n_asked < 1:
        raise InputError(f"--n: got {n_asked}, expected a number of rows >= 1")
    if values["repeats"] < 1 or values["n_rhs"] < 1:
        raise InputError(
            f"--repeats, --rhs: got {values['repeats']} and {values['n_rhs']}, expected both >= 1"
        )
    record = run(orders, n_asked, values)
    record["command"] = command_line(context)
    if figure is not None:
        figures.save(figures.bench(record), figure)
    if json_target is not None:
        json_output.write(record, json_target)
    if json_target != json_output.STDOUT:
        Console(markup=False).print(tables.bench_table(record))


def run(orders: list[int], n_asked: int | None, values: dict[str, Any]) -> dict[str, Any]:
    """Measure every size and predict the next ones."""
    progress = TerminalProgress()
    threads = CpuBackend(values["threads"]).threads
    limit = available_memory() if values["memory"] is None else parse_bytes(values["memory"])
    work = workload(orders[-1], values, limit, progress)
    single = values["precision"] != "float64"
    rate = gemm_rate.measure(np.float32 if single else np.float64, threads)
    rows = []
    for n in orders:
        row = scaling.measure(work, n, values["repeats"], progress)
        row["share_of_gemm"] = row["factor_flops_per_second"] / rate
        rows.append(row)
    ahead = [2 * orders[-1]] + ([n_asked] if n_asked is not None and n_asked != 2 * orders[-1] else [])
    return {
        "benchmark": "solve time against n",
        "dataset": values["dataset"],
        "n_features": int(work.X.shape[1]),
        "kernel": work.kernel.describe() if not isinstance(work.kernel, str) else {"name": work.kernel},
        "n_rhs": work.n_rhs,
        "precision": work.precision,
        "threads": threads,
        "gemm_flops_per_second": rate,
        "gemm_dtype": "float32" if single else "float64",
        "rows": rows,
        "fit": scaling.fit_power(rows),
        "predictions": [scaling.predict(rows, n, work, limit, threads) for n in ahead],
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "environment": environment.describe(),
    }


def workload(
    largest: int, values: dict[str, Any], memory: int, progress: TerminalProgress
) -> scaling.Workload:
    """Rows and kernel, the same for every size, so that sizes differ in n alone."""
    if values["dataset"] == SYNTHETIC:
        if values["n_features"] < 1:
            raise InputError(f"--d: got {values['n_features']}, expected features >= 1")
        X: Any = scaling.synthetic_rows(largest, values["n_features"], values["seed"])
        scale = 1.0
    else:
        data = datasets.load(
            values["dataset"], n_train=largest, data_dir=values["data_dir"], progress=progress
        )
        X, scale = data.X_train, data.scale
    gamma = values["gamma"]
    if gamma is None:
        gamma = median_gamma(Points(X[: min(1000, largest)], scale))
    return scaling.Workload(
        X=X,
        scale=scale,
        kernel=build("gaussian", gamma=gamma),
        n_rhs=values["n_rhs"],
        precision=values["precision"],
        threads=values["threads"],
        memory=memory,
        seed=values["seed"],
    )


def parse_sizes(text: str) -> list[int]:
    """`1000,2000` as ascending whole numbers, or an error that names the option."""
    try:
        orders = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"--sizes: got {text!r}, expected whole numbers separated by commas") from None
    if orders[0] < 2:
        raise InputError(f"--sizes: got {orders[0]}, expected sizes >= 2")
    return orders
