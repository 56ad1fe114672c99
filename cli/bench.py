"""`kernelfit bench`: solve time against n on this machine, beside the rate of its own matrix products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kernelfit.errors import InputError
from kernelfit.experiments.peers import PEERS
from kernelfit.experiments.scaling import SYNTHETIC, Scaling
from kernelfit.report import figures, tables
from kernelfit.storage import json_output

from . import completion
from .options import (
    COUNT,
    PATH,
    Count,
    Names,
    command_line,
    cpu_precision_option,
    data_dir_option,
    json_option,
    memory_option,
    threads_option,
)
from .output import GroupedCommand, emit
from .wording import terminal_progress


class _Size(Count):
    """A count without commas: `300,600` may be meant as two sizes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, str) and "," in value:
            self.fail(
                f"got {value!r}, expected one integer without commas; several go to --sizes", param, ctx
            )
        return super().convert(value, param, ctx)


@click.command(name="bench", cls=GroupedCommand)
@click.option(
    "--sizes",
    default="1000,2000,4000,8000",
    show_default=True,
    metavar="ROWS,ROWS,...",
    help="How many rows to solve, one after the other.",
)
@click.option("--n", "ahead", type=_Size(), metavar="ROWS", help="Also predict this size.")
@click.option(
    "--dataset",
    default=SYNTHETIC,
    show_default=True,
    help="Rows: normal ones, or a data set by name.",
    shell_complete=completion.datasets,
)
@click.option(
    "--d",
    "n_features",
    type=COUNT,
    metavar="COUNT",
    default=784,
    show_default=True,
    help="Features of synthetic rows.",
)
@click.option("--gamma", type=float, help="Of the gaussian kernel; else 1 / median squared distance.")
@click.option(
    "--rhs", "n_rhs", type=COUNT, metavar="COUNT", default=10, show_default=True, help="Right-hand sides."
)
@cpu_precision_option
@click.option("--repeats", type=int, default=3, show_default=True, help="Solves a size; the median counts.")
@memory_option
@threads_option
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of synthetic rows and of targets.",
)
@click.option(
    "--beside",
    type=Names(),
    metavar="NAMES",
    help=f"Also the same systems by other libraries, separated by commas: {', '.join(PEERS)}.",
)
@click.option("--figure", type=PATH, metavar="FILE", help="Draw the curves: .png, .svg or .pdf.")
@data_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    figure: Path | None,
    json_target: str | None,
    sizes: str,
    beside: list[str] | None,
    **values: Any,
) -> None:
    """Measure solve time against n on the CPU: Gram, factor, solve and certificate apart.

    The factor's rate stands beside the GEMM rate of the same process, and larger sizes are predicted from the
    largest one measured. Every solution is checked. Other libraries solve in turn with this one.
    """
    json_output.check_target(json_target)
    if figure is not None:
        figures.check_target(figure)
    named = values["dataset"] != SYNTHETIC
    if named and context.get_parameter_source("n_features") is ParameterSource.COMMANDLINE:
        raise InputError(
            f"--d: of synthetic rows, {values['dataset']} has features of its own; give one of them"
        )
    record = Scaling(parse_sizes(sizes), beside=tuple(beside or ()), **values).run(terminal_progress())
    record["command"] = command_line(context)
    emit(record, json_target, tables.bench_table(record))
    if figure is not None:
        figures.save(figures.bench(record), figure)


def parse_sizes(text: str) -> tuple[int, ...]:
    """`1000,2k` as integers."""
    try:
        return tuple(COUNT.convert(part, None, None) for part in text.split(","))
    except click.BadParameter:
        raise InputError(f"--sizes: got {text!r}, expected integers separated by commas") from None
