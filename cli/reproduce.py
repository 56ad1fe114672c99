"""`kernelfit reproduce`: the paper's kernel tables, computed anew beside the paper's figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kernelfit.experiments.paper import ROWS
from kernelfit.gram.placement import TIERS
from kernelfit.gram.precision import CPU_PRECISIONS
from kernelfit.report import json_output

from .options import command_line, data_dir_option, json_option

SUMMARY, TEXT, FIGURE = "table3.json", "table3.txt", "table3.png"
# Columns of the table in a file.
_WIDTH = 100


@click.group(name="reproduce")
def command() -> None:
    """Reproduce the paper's kernel tables."""


@command.command(name="table3")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help=f"Folder for {SUMMARY}, {TEXT}, {FIGURE} and every finished row; rows found there are not repeated.",
)
@click.option(
    "--row",
    "chosen",
    multiple=True,
    type=click.Choice([row.name for row in ROWS]),
    help="Only this row; repeatable.  [default: all four]",
)
@click.option(
    "--n",
    "n_train",
    type=click.IntRange(2),
    metavar="ROWS",
    help="Take the first ROWS training rows of each data set; else all.",
)
@click.option("--n-test", type=click.IntRange(1), metavar="ROWS", help="Take the first ROWS test rows.")
@click.option(
    "--filters",
    type=click.IntRange(1),
    default=32_000,
    show_default=True,
    metavar="COUNT",
    help="Filters of the random convolution net.",
)
@click.option(
    "--quantise",
    is_flag=True,
    help="Round their features to bytes: products are then exact, and faster on CPUs with AVX-512 VNNI.",
)
@data_dir_option
@click.option("--precision", type=click.Choice(CPU_PRECISIONS), default="float64", show_default=True)
@click.option("--tier", type=click.Choice(TIERS), default="auto", show_default=True)
@click.option("--memory", metavar="SIZE", help="Memory to stay within, such as 8GB; else what is available.")
@click.option(
    "--scratch", type=click.Path(path_type=Path), metavar="DIR", help="Folder for panels of the disk tier."
)
@click.option("--threads", type=int, metavar="COUNT", help="Threads to use; else every core.")
@click.option("--seed", type=int, default=0, show_default=True, help="For every choice drawn at random.")
@json_option
@click.pass_context
def table3(
    context: click.Context, out: Path, chosen: tuple[str, ...], json_target: str | None, **values: Any
) -> None:
    """Put the paper's Table 3, its norms and its figure with a ridge beside what is measured here.

    MNIST without features and with Gabor filters, CIFAR-10 without features and behind a random convolution net.
    Smaller sizes say so. An interrupted run goes on with the first row that is not finished, within the random
    convolution net from the last block of filters that was kept.
    """
    from kernelfit.experiments.finished_rows import FinishedRows
    from kernelfit.experiments.table3 import Means, Settings, parameters, run_row
    from kernelfit.report import figures
    from kernelfit.report import table3 as report
    from kernelfit.report.progress import TerminalProgress

    json_output.check_target(json_target)
    settings = Settings(
        **{key: values[key] for key in ("n_train", "n_test", "filters", "quantise", "precision", "seed")}
    )
    means = Means(**{key: values[key] for key in ("data_dir", "memory", "tier", "scratch", "threads")})
    line = command_line(context)
    progress = TerminalProgress()
    finished = FinishedRows(out)
    # Rows of other parameters are found before anything is computed.
    records = {}
    for row in ROWS:
        found = finished.read(row.name, parameters(row, settings))
        if found is not None:
            progress.note(f"{row.name}: finished before, taken from {finished.folder}")
            records[row.name] = found
    for row in ROWS:
        if row.name not in records and (not chosen or row.name in chosen):
            progress.note(f"{row.name}: begun")
            means = replace(means, checkpoint=finished.checkpoint(row.name))
            record: dict[str, Any] = json_output.plain(run_row(row, settings, means, line, progress))
            finished.write(row.name, record)
            records[row.name] = record
    content = {**report.summary(records), "command": line}
    json_output.write(content, out / SUMMARY)
    with (out / TEXT).open("w", encoding="utf-8") as file:
        Console(file=file, width=_WIDTH, markup=False).print(report.table(content))
    figures.save(report.figure(content), out / FIGURE)
    if json_target is not None:
        json_output.write(content, json_target)
    if json_target != json_output.STDOUT:
        console = Console(markup=False)
        console.print(report.table(content))
        console.print(f"written: {out / SUMMARY}, {out / TEXT}, {out / FIGURE}", highlight=False)
