"""`kernelfit reproduce`: tables and figures of the paper, computed anew beside the paper's numbers.

Table 3 is kernels; the other tables and the figures are networks, which share runs: a command takes several of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kernelfit import deep
from kernelfit.datasets.corruptions import CORRUPTIONS
from kernelfit.deep.options import TARGETS, Target
from kernelfit.deep.paper import tables
from kernelfit.deep.processes import leads
from kernelfit.errors import InputError
from kernelfit.experiments.finished_rows import FinishedRows
from kernelfit.experiments.paper import ROWS
from kernelfit.experiments.table3 import Means, Settings, parameters, run_row
from kernelfit.gram.placement import TIERS
from kernelfit.report import figures
from kernelfit.report import section5 as section5_report
from kernelfit.report import table3 as report
from kernelfit.storage import atomic, json_output
from kernelfit.study.section5 import ask_section5

from . import network_options as options
from .options import (
    COUNT,
    PATH,
    Count,
    command_line,
    cpu_precision_option,
    data_dir_option,
    json_option,
    memory_option,
    threads_option,
)
from .output import CommandGroup, emit, show
from .wording import terminal_progress

SUMMARY, TEXT, FIGURE = "table3.json", "table3.txt", "table3.png"
# Columns of the table in a file.
_WIDTH = 100
_OUT = "reproduction"
# Options of table 3 on which its figures depend.
_SETTINGS = ("n_train", "n_test", "filters", "quantise", "precision", "seed", "corruption")
# That of the reference figures; the paper gives none.
_MNIST_GAMMA = 0.02

_HELP: dict[Target, str] = {
    "table1": "Table 1: networks fit true and random labels, with and without regularisers.",
    "table2": "Table 2: Inception V3 on ImageNet (--images), true and random labels; also figure 2a.",
    "table4": "Table 4: random labels under regularisers; also the weight decay that the paper leaves open.",
    "fig1": "Figure 1: training loss, time to overfit and test error under corruptions.",
    "fig2": "Figure 2: early stopping and batch normalisation along training, on CIFAR-10.",
}
_MORE = """Further targets may follow: runs that several of them need are trained once. What stands in the folder is not
trained again, an interrupted run resumes, and the first seed comes before the second. Needs the `deep` extra."""


@click.group(name="reproduce", cls=CommandGroup)
def command() -> None:
    """Reproduce the paper's tables and figures: table3 and section5 with kernels, the others with networks."""


@command.command(name="table3")
@click.option(
    "--out",
    type=PATH,
    default=_OUT,
    show_default=True,
    metavar="DIR",
    help=f"Folder for {SUMMARY}, {TEXT}, {FIGURE} and every finished row; finished rows are not repeated.",
)
@click.option(
    "--row",
    "chosen",
    multiple=True,
    type=click.Choice([row.name for row in ROWS]),
    help="Only this row; repeatable.  [default: all]",
)
@click.option(
    "--n",
    "n_train",
    type=Count(2),
    metavar="ROWS",
    help="Take the first ROWS training rows of each data set; else all.",
)
@click.option("--n-test", type=Count(1), metavar="ROWS", help="Take the first ROWS test rows.")
@click.option(
    "--filters",
    type=Count(1),
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
@click.option(
    "--corruption",
    type=click.Choice(list(CORRUPTIONS)),
    default="true",
    show_default=True,
    help="Of training labels, or of the pixels of both parts: the randomisation tests.",
)
@click.option("--corruption-p", type=float, metavar="SHARE", help="Of the labels, for corrupt-labels.")
@data_dir_option
@cpu_precision_option
@click.option(
    "--tier", type=click.Choice(TIERS), default="auto", show_default=True, help="Where the factor lives."
)
@memory_option
@click.option("--scratch", type=PATH, metavar="DIR", help="Folder for panels of the disk tier.")
@threads_option
@click.option("--seed", type=int, default=0, show_default=True, help="For every choice drawn at random.")
@json_option
@click.pass_context
def table3(
    context: click.Context, out: Path, chosen: tuple[str, ...], json_target: str | None, **values: Any
) -> None:
    """Table 3: kernels that fit every label, with its norms and its figure with a ridge.

    MNIST without features and with Gabor filters, CIFAR-10 without features and behind a random convolution net: the
    paper's with its linear kernel, and the net and kernel that leave-one-out chose.
    Smaller sizes and a corruption say so. An interrupted call resumes with the first row that is not finished, within
    the random convolution net from the last block of filters that was stored.
    """
    json_output.check_target(json_target)
    share = values.pop("corruption_p")
    settings = Settings(
        corruption_p=1.0 if share is None else share,
        **{key: values[key] for key in _SETTINGS},
    )
    means = Means(**{key: values[key] for key in ("data_dir", "memory", "tier", "scratch", "threads")})
    line = command_line(context)
    progress = terminal_progress()
    finished = FinishedRows(out)
    # Rows of other parameters are refused before anything is computed.
    records = {}
    for row in ROWS:
        stored = finished.read(row.name, parameters(row, settings))
        if stored is not None:
            progress.note(f"{row.name}: finished before, taken from {finished.folder}")
            records[row.name] = stored
    for row in ROWS:
        if row.name not in records and (not chosen or row.name in chosen):
            progress.note(f"{row.name}: begun")
            means = replace(means, checkpoint=finished.checkpoint(row.name))
            record: dict[str, Any] = json_output.plain(run_row(row, settings, means, line, progress))
            finished.write(row.name, record)
            records[row.name] = record
    content = {**report.summary(records), "command": line}
    _write_table3(content, out)
    if json_target is not None:
        json_output.write(content, json_target)
    if json_target != json_output.STDOUT:
        show(report.table(content))
        show(f"written: {out / SUMMARY}, {out / TEXT}, {out / FIGURE}", highlight=False)


@command.command(name="section5")
@click.option("--dataset", default="mnist", show_default=True, help="Images with classes: mnist, digits, ...")
@click.option(
    "--n", "n_train", type=COUNT, default=2000, show_default=True, metavar="ROWS", help="Training rows."
)
@click.option("--n-test", type=COUNT, metavar="ROWS", help="Take the first ROWS test rows; else all.")
@click.option(
    "--gamma", type=float, help="Of the Gaussian kernel.  [default: 0.02 for mnist, else the median rule]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="For every choice drawn at random.")
@threads_option
@click.option(
    "--out",
    type=PATH,
    default=f"{_OUT}/section5",
    show_default=True,
    metavar="DIR",
    help="Folder for every finished part, which is not repeated, and its record.",
)
@data_dir_option
@json_option
@click.pass_context
def section5(context: click.Context, out: Path, json_target: str | None, **values: Any) -> None:
    """Section 5, claim by claim: spans, least norms, other interpolants, flat Hessians, norms; stability.

    Each claim stands beside its number. Gradient methods and complexities take the first 1,000 rows.
    """
    json_output.check_target(json_target)
    if values["gamma"] is None and values["dataset"] == "mnist":
        values["gamma"] = _MNIST_GAMMA
    record = ask_section5(values, out, command_line(context), terminal_progress())
    json_output.write(record, out / "section5.json")
    emit(record, json_target, section5_report.table(record))


def _write_table3(content: dict[str, Any], out: Path) -> None:
    json_output.write(content, out / SUMMARY)
    text = io.StringIO()
    Console(file=text, width=_WIDTH, markup=False).print(report.table(content))
    atomic.write_bytes(out / TEXT, text.getvalue().encode("utf-8", "surrogateescape"))
    figures.save(report.figure(content), out / FIGURE)


def _of_networks(target: Target) -> Callable[..., None]:
    """The command of one target of networks."""

    @command.command(name=target, help=f"{_HELP[target]}\n\n{_MORE}", short_help=_HELP[target])
    @click.argument("more", nargs=-1, type=click.Choice(TARGETS), metavar=f"[{'|'.join(TARGETS)}]...")
    @options.size_options
    @options.schedule_options
    @click.option("--plan", "only_plan", is_flag=True, help="Only show the runs and their arithmetic.")
    @click.option("--images", type=PATH, help="table2: folder with train/ and val/.")
    @click.option(
        "--out",
        type=PATH,
        default=_OUT,
        show_default=True,
        metavar="DIR",
        help="Folder for tables, figures and runs; finished runs are not repeated.",
    )
    @options.hardware_options
    @click.pass_context
    def reproduce(context: click.Context, more: tuple[Target, ...], **values: Any) -> None:
        _reproduce(context, (target, *more), **values)

    return reproduce


for _target in TARGETS:
    _of_networks(_target)


def _reproduce(
    context: click.Context,
    targets: tuple[Target, ...],
    out: Path,
    json_target: str | None,
    data_dir: Path | None,
    images: Path | None,
    only_plan: bool,
    **values: Any,
) -> None:
    json_output.check_target(json_target)
    hardware = options.hardware(values)
    schedule = {name: values.pop(name) for name in ("stack", "at_once", "minutes")}
    seeds = tuple(values.pop("seeds"))
    line = command_line(context)
    request = deep.Request(tuple(dict.fromkeys(targets)), seeds, options.recipe_changes(values), line)
    data_dir = _image_folder(request.targets, images, data_dir)
    if only_plan:
        record = _plan(request, hardware, schedule["stack"])
        parts = tables.plan(record)
    else:
        records = deep.reproduce(
            request, out, hardware=hardware, data_dir=data_dir, **schedule, progress=terminal_progress()
        )
        record = records[request.targets[0]] if len(records) == 1 else {"reproductions": records}
        parts = tables.reproductions(list(records.values()))
    if not leads():
        return
    if json_target is not None:
        json_output.write({**record, "command": line}, json_target)
    if json_target != json_output.STDOUT:
        for part in parts:
            show(part)


def _image_folder(targets: tuple[Target, ...], images: Path | None, data_dir: Path | None) -> Path | None:
    """Where the data lies: --images for Table 2, --data-dir for the others."""
    if "table2" not in targets:
        if images is not None:
            raise InputError("--images: got a folder without table2, which alone takes it; leave it out")
        return data_dir
    if data_dir is not None:
        raise InputError("--data-dir: table2 takes its images from --images; leave it out")
    if images is None:
        raise InputError(
            "--images: table2 needs ImageNet's image folders train/ and val/; name their parent folder"
        )
    return images


def _plan(request: deep.Request, hardware: deep.Hardware, stack: int) -> dict[str, Any]:
    if "table2" in request.targets:
        raise InputError("--plan: table2's arithmetic is not counted; leave it out")
    if request.scale.get("dataset", "cifar10") != "cifar10":
        raise InputError("--plan: arithmetic is counted for cifar10 alone; leave --dataset out")
    recipes = request.in_order()
    return deep.plan(recipes, hardware, stack=stack) | {"keys": [recipe.key for recipe in recipes]}
