"""`kernelfit solve`: data set -> features -> exact interpolation -> errors, norm and certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kernelfit.errors import InputError
from kernelfit.experiments.examination import examine_result
from kernelfit.experiments.experiment import Experiment
from kernelfit.features.options import options, pairs
from kernelfit.report import tables
from kernelfit.storage import json_output

from .options import (
    PATH,
    command_line,
    corruption_options,
    data_options,
    feature_options,
    json_option,
    kernel_options,
    kernel_parameters,
    solver_options,
)
from .output import GroupedCommand, emit
from .output_folder import offer_to_resume
from .report import check_target, write_page
from .wording import terminal_progress


@click.command(name="solve", cls=GroupedCommand)
@data_options
@corruption_options
@feature_options
@kernel_options
@solver_options
@click.option("--loo", is_flag=True, help="Also leave-one-out errors of the training rows, in closed form.")
@click.option(
    "--out",
    "run_dir",
    type=PATH,
    metavar="DIR",
    help="Store the run in a new folder: factor, solution, this result. kernelfit resume continues it.",
)
@click.option(
    "--sums",
    "checkpoint",
    type=PATH,
    metavar="FILE",
    help="Store the inner products of features that stream in FILE, or take them from there: of the same rows and "
    "features another kernel then costs no pass over the features.",
)
@click.option(
    "--report",
    type=PATH,
    metavar="FILE",
    help="Also write an HTML page: the certificate in words, what is misclassified, as kernelfit report does.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    run_dir: Path | None,
    checkpoint: Path | None,
    report: Path | None,
    json_target: str | None,
    **values: Any,
) -> None:
    """Interpolate a data set exactly and certify the answer.

    With no option this solves scikit-learn's handwritten digits, which need no file.
    """
    json_output.check_target(json_target)
    if report is not None:
        check_target(report, "report")
    experiment = Experiment(**experiment_arguments(values))
    progress = terminal_progress()
    result = experiment.run(
        run_dir,
        resume=offer_to_resume(run_dir),
        checkpoint=checkpoint,
        command=command_line(context),
        progress=progress,
    )
    # Before the page, which may take long or fail: the result is not lost with it.
    emit(result.record, json_target, tables.solve_table({**result.record, "out": run_dir}))
    if report is not None:
        examined = examine_result(result, progress)
        write_page([examined], report, examined.record["dataset"])


def experiment_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """What the options of a solve say, as `kernelfit.Experiment` takes it."""
    arguments = dict(values)
    parameters = {name: arguments.pop(name) for name in kernel_parameters()}
    arguments["kernel_params"] = {name: value for name, value in parameters.items() if value is not None}
    texts, filters = arguments.pop("feature_options"), arguments.pop("n_filters")
    arguments["feature_options"] = _given_options(values["features"], texts, filters)
    return arguments


def _given_options(features: str, texts: tuple[str, ...], filters: int | None) -> dict[str, Any]:
    """`--option NAME=VALUE` and `--filters COUNT` as one mapping."""
    given: dict[str, Any] = dict(pairs(texts))
    if filters is None:
        return given
    if "n_filters" not in (options(features) if features != "none" else {}):
        raise InputError(
            f"--filters: the features {features!r} do not count filters; take some that do, such as random-conv"
        )
    if "n_filters" in given:
        raise InputError(
            f"--filters: got {filters} beside --option n_filters={given['n_filters']}; give one of them"
        )
    return {**given, "n_filters": filters}
