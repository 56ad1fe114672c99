"""`kernelfit study`: questions about interpolation, asked of one data set and kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.fit import compare_experiment
from kernelfit.experiments.leaderboard import ROWS, Choices
from kernelfit.kernels import KERNELS
from kernelfit.report import figures, studies, study_figures
from kernelfit.report import labels as report
from kernelfit.report import leaderboard as leaderboard_report
from kernelfit.storage import json_output
from kernelfit.study import settings
from kernelfit.study.asked import ask_labels
from kernelfit.study.descent import PASSES, STEPS
from kernelfit.study.labels import LEVELS
from kernelfit.study.questions import (
    Study,
    StudyName,
    ask_complexity,
    ask_curve,
    ask_double_descent,
    ask_inputs,
    ask_interpolants,
    ask_norms,
    ask_sgd,
)

from .options import (
    PATH,
    FeatureName,
    KernelName,
    Names,
    Numbers,
    command_line,
    comparison_machine_options,
    comparison_options,
    data_options,
    drawn_data_options,
    feature_options,
    json_option,
    kernel_options,
    solver_options,
)
from .output import CommandGroup, emit
from .solve import experiment_arguments
from .wording import terminal_progress


@click.group(name="study", cls=CommandGroup)
def command() -> None:
    """Why do functions that fit everything generalise? Questions to the interpolant, and to others beside it."""


@command.command(name="kernels")
@drawn_data_options
@comparison_options
@comparison_machine_options
@json_option
@click.pass_context
def compare_kernels(
    context: click.Context,
    json_target: str | None,
    kernels: list[str] | None,
    standardise: bool | None,
    baselines: bool,
    n_train: int | None,
    **values: Any,
) -> None:
    """Which kernel predicts best: all on the same rows, each at its best width and ridge, by leave-one-out.

    At most --n rows (2,000 unless it is given) are drawn by the seed. kernelfit fit then solves all rows with the best.
    """
    json_output.check_target(json_target)
    choices = Choices(kernels, standardise, ROWS if n_train is None else n_train, baselines)
    board = compare_experiment(Experiment(**values), choices, progress=terminal_progress())
    record = {**board.to_dict(), "command": command_line(context)}
    emit(record, json_target, leaderboard_report.table(record))


@command.command(name="labels")
@data_options
@feature_options
@kernel_options
@solver_options
@click.option(
    "--levels",
    type=Numbers(float),
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
    help="Draws of each level, the first by --seed.",
)
@click.option("--loo", is_flag=True, help="Also leave-one-out errors: n^3/3 flops, once for all labellings.")
@click.option(
    "--out",
    "run_dir",
    type=PATH,
    metavar="DIR",
    help="Store the run and its labellings; where DIR holds them already, what is missing is added.",
)
@click.option("--figure", type=PATH, metavar="FILE", help="Draw them: PNG, SVG or PDF.")
@json_option
@click.pass_context
def labels(
    context: click.Context,
    levels: list[float],
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
        levels=levels,
        seeds=range(seeds),
        loo=loo,
        run_dir=run_dir,
        command=command_line(context),
        progress=terminal_progress(),
    )
    emit(record, json_target, report.table(record))
    if figure is not None:
        figures.save(report.figure(record["summary"], record["n_classes"]), figure)


def _question(name: StudyName, *more: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], click.Command]:
    """The command of one study: options of data, features, kernel and solver, its own, and where its record goes."""

    def decorate(ask: Callable[..., dict[str, Any]]) -> click.Command:
        def run(
            context: click.Context,
            out: Path | None,
            figure: Path | None,
            json_target: str | None,
            **values: Any,
        ) -> None:
            json_output.check_target(json_target)
            if figure is not None:
                figures.check_target(figure)
            asked = {option: values.pop(option) for option in own}
            study = Study(
                name,
                Experiment(**experiment_arguments(values)),
                out,
                command=command_line(context),
                progress=terminal_progress(),
                **asked,
            )
            record = ask(study, **{option: value for option, value in asked.items() if value is not None})
            emit(record, json_target, studies.table(record))
            if figure is not None:
                figures.save(study_figures.figure(record), figure)

        run.__doc__ = ask.__doc__
        wrapped: Any = click.pass_context(run)
        for option in (*_RECORD, *more):
            wrapped = option(wrapped)
        own = [parameter.name for parameter in wrapped.__click_params__[len(_RECORD) :]]
        for group in (solver_options, kernel_options, feature_options, data_options):
            wrapped = group(wrapped)
        return command.command(name=name)(wrapped)

    return decorate


class Draws(click.ParamType):
    """A number of draws 0, 1, ..., to each of which the experiment's seed is added."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        return list(range(click.IntRange(min=1).convert(value, param, ctx)))

    def written(self, value: list[int]) -> str:
        return str(len(value))


_RECORD = (
    json_option,
    click.option("--figure", type=PATH, metavar="FILE", help="Draw it: PNG, SVG or PDF."),
    click.option(
        "--out",
        type=PATH,
        metavar="DIR",
        help="Store every finished row and the record; what is there is not computed again.",
    ),
)
_MAPS = click.option(
    "--maps",
    type=Names(FeatureName()),
    metavar="NAME,NAME,...",
    help="Feature maps.  [default: none, and gabor for images]",
)
_SEEDS = click.option(
    "--seeds", type=Draws(), metavar="COUNT", default=1, show_default=True, help="Draws, the first by --seed."
)


@_question("interpolants", _SEEDS)
def _interpolants(study: Study, seeds: list[int]) -> dict[str, Any]:
    """Other functions that fit every training label, beside the one of least norm.

    Components that vanish on the training rows, bumps at random centres, random labels fitted at the test rows too: all
    have training error 0 and the same Hessian. Their norms and test errors differ.
    """
    return ask_interpolants(study, seeds=seeds)


@_question(
    "sgd",
    click.option(
        "--steps", type=click.IntRange(2), default=STEPS, show_default=True, help="Steps of each method."
    ),
    click.option(
        "--passes",
        type=click.IntRange(2),
        default=PASSES,
        show_default=True,
        help="Of stochastic descent.",
    ),
)
def _sgd(study: Study, **options: int) -> dict[str, Any]:
    """Where gradient descent, momentum, conjugate gradients and stochastic descent go.

    From 0 they stay in the span of the training rows and go to the interpolant of least norm; from elsewhere to the
    nearest one. Distances against steps, beside what theory says.
    """
    return ask_sgd(study, **options)


@_question("complexity")
def _complexity(study: Study) -> dict[str, Any]:
    """What Rademacher complexity, margin bounds and stability say, for true and random labels; what is memorised."""
    return ask_complexity(study)


@_question(
    "curve",
    click.option(
        "--sizes", type=Numbers(int), metavar="N,N,...", help="Numbers of rows.  [default: eight up to --n]"
    ),
    _SEEDS,
)
def _curve(study: Study, **options: Any) -> dict[str, Any]:
    """Test error, norm and time against the number of training rows, and where they lead."""
    return ask_curve(study, **options)


@_question(
    "double-descent",
    click.option(
        "--shares",
        type=Numbers(float),
        metavar="S,S,...",
        help="Numbers of random features, in units of n.  [default: 15 from 0.05 to 16]",
    ),
    _SEEDS,
)
def _double_descent(study: Study, **options: Any) -> dict[str, Any]:
    """Test error against the number of random features, up to the interpolation threshold and past it."""
    return ask_double_descent(study, **options)


@_question(
    "inputs",
    _MAPS,
    _SEEDS,
)
def _inputs(study: Study, seeds: list[int], maps: list[str] | None = None) -> dict[str, Any]:
    """Random labels, shuffled and random pixels, Gaussian noise, under feature maps: what an inductive bias loses."""
    return ask_inputs(study, maps, seeds)


@_question(
    "norms",
    click.option(
        "--kernels",
        type=Names(KernelName(list(KERNELS))),
        default=",".join(settings.KERNELS),
        show_default=True,
        help="Kernels.",
    ),
    _MAPS,
    click.option(
        "--ridges",
        type=Numbers(float),
        default=",".join(f"{ridge:g}" for ridge in settings.RIDGES),
        show_default=True,
        help="Ridges; of --features that stream, multiples of the mean diagonal of K.",
    ),
    click.option("--loo", is_flag=True, help="Also leave-one-out errors, and which setting has the least."),
    click.option(
        "--sums",
        type=PATH,
        metavar="FILE",
        help="Of --features that stream: one file of their inner products for all kernels.",
    ),
)
def _norms(
    study: Study,
    kernels: list[str],
    ridges: list[float],
    maps: list[str] | None = None,
    loo: bool = False,
    sums: Path | None = None,
) -> dict[str, Any]:
    """The norm against test error over kernels, features and ridges: does it predict generalisation?

    Features that stream, such as random-conv, are given by --features with their options. Their inner products are
    summed once, and serve every kernel and ridge.
    """
    return ask_norms(study, kernels, maps, ridges, loo, sums)
