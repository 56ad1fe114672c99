"""`kernelfit study`: questions that are asked of one factor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kernelfit.errors import InputError
from kernelfit.experiments.experiment import Experiment
from kernelfit.progress import TerminalProgress
from kernelfit.report import figures
from kernelfit.report import labels as report
from kernelfit.storage import json_output
from kernelfit.study.asked import ask_labels
from kernelfit.study.labels import LEVELS

from .options import command_line, data_options, feature_options, json_option, kernel_options, solver_options
from .output import CommandGroup, emit
from .solve import experiment_arguments


@click.group(name="study", cls=CommandGroup)
def command() -> None:
    """Questions that are asked of one factor: the rows are factored once, each answer costs O(n^2)."""


@command.command(name="labels")
@data_options
@feature_options
@kernel_options
@solver_options
@click.option(
    "--levels",
    metavar="P,P,...",
    default=",".join(f"{p:g}" for p in LEVELS),
    show_default=True,
    help="Fractions of the training labels that are drawn anew.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="COUNT",
    default=1,
    show_default=True,
    help="Draws of each level.",
)
@click.option("--loo", is_flag=True, help="Also leave-one-out errors: n^3/3 flops, once for all labellings.")
@click.option(
    "--out",
    "run_dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Store the run and its labellings; where DIR holds them already, what is missing is added.",
)
@click.option("--figure", type=click.Path(path_type=Path), metavar="FILE", help="Draw them: PNG, SVG or PDF.")
@json_option
@click.pass_context
def labels(
    context: click.Context,
    levels: str,
    seeds: int,
    run_dir: Path | None,
    figure: Path | None,
    json_target: str | None,
    **values: Any,
) -> None:
    """Test error, norm and margin while the training labels lose their meaning.

    From 0 (the true labels) to 1 (all drawn at random) every labelling is fitted by the same factor. Test labels stay
    clean.
    """
    json_output.check_target(json_target)
    if figure is not None:
        figures.check_target(figure)
    loo = values.pop("loo")
    record = ask_labels(
        Experiment(**experiment_arguments(values)),
        levels=_fractions(levels),
        seeds=range(seeds),
        loo=loo,
        run_dir=run_dir,
        command=command_line(context),
        progress=TerminalProgress(),
    )
    if figure is not None:
        figures.save(report.figure(record["summary"], record["n_classes"]), figure)
    emit(record, json_target, report.table(record))


def _fractions(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--levels: got {text!r}, expected fractions with commas, such as 0,0.5,1") from None
