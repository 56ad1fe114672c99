"""`kernelfit deep`: train one network, or sweep over a grid of them."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import click

from kernelfit import deep
from kernelfit.arguments import path_of
from kernelfit.datasets.corruptions import CORRUPTIONS
from kernelfit.deep.analysis.tables import tables as analysis_tables
from kernelfit.deep.data.reading import reader
from kernelfit.deep.options import MODELS
from kernelfit.deep.processes import leads
from kernelfit.deep.recipe import Recipe, default
from kernelfit.deep.training import tables
from kernelfit.deep.training.results import (
    add_analysis,
    analyses_so_far,
    check_data,
    finished,
    history_so_far,
    note_other_precision,
    record,
)
from kernelfit.errors import InputError
from kernelfit.storage import json_output

from . import network_options as options
from .options import PATH, Numbers, command_line
from .output import CommandGroup, show
from .wording import terminal_progress

_MODEL_HELP = f"{', '.join(MODELS)}, or package.module:function for a network of your own."
ANALYSES = ("with_norms", "kernel_rows", "rademacher_draws")


@click.group(name="deep", cls=CommandGroup)
def command() -> None:
    """The deep-net randomization tests (needs the `deep` extra)."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # --model finds a module in the current folder, as `python -m` does


@command.command("train")
@click.option("--model", default="mlp-1x512", show_default=True, metavar="NAME", help=_MODEL_HELP)
@click.option(
    "--corruption",
    type=click.Choice(list(CORRUPTIONS)),
    default="true",
    show_default=True,
    help="Of training labels, or of the pixels of both parts.",
)
@click.option(
    "--p", type=float, default=1.0, show_default=True, help="Share of corrupted labels, for corrupt-labels."
)
@click.option("--weight-decay", default="off", show_default=True, help="off, default, or a number.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the weights, the order of rows and corrupted labels.",
)
@options.recipe_options
@click.option(
    "--images",
    type=PATH,
    help="Folder with train/ and val/ image folders (inception-v3).",
)
@click.option("--norms", "with_norms", is_flag=True, help="Norms and margins of the trained network.")
@click.option(
    "--kernels",
    "kernel_rows",
    type=click.IntRange(min=0),
    default=0,
    help="Solve the network's kernels on so many rows.",
)
@click.option(
    "--rademacher",
    "rademacher_draws",
    type=click.IntRange(min=0),
    default=0,
    help="Empirical Rademacher complexity with so many draws.",
)
@click.option("--out", default="deep-runs", show_default=True, type=PATH, help="Folder for runs.")
@options.hardware_options
@click.pass_context
def train_command(
    context: click.Context, out: Path, json_target: str | None, data_dir: Path | None, **values: Any
) -> None:
    """Train one network; an interrupted run resumes from its checkpoint. Works under torchrun."""
    path_of("out", out)
    json_output.check_target(json_target)
    hardware = options.hardware(values)
    analyses = {name: values.pop(name) for name in ANALYSES}
    images = values.pop("images")
    if images is not None:
        if values["dataset"] is not None or data_dir is not None:
            raise InputError("--images: names the data set itself; leave --dataset and --data-dir out")
        values["dataset"], data_dir = "imagenet", images
    recipe = _recipe(values)
    if any(analyses.values()):
        deep.check_analyses(recipe, **analyses, data_dir=data_dir)
        analyses_so_far(recipe, out)  # what cannot be added to is refused before hours of work
    progress = terminal_progress()
    result = finished(recipe, out)
    means: dict[str, Any] = {"hardware": hardware, "data_dir": data_dir, "progress": progress}
    if any(analyses.values()):
        outcome, network = deep.network(recipe, out, **means)
        result = result or record(outcome, hardware)
        if leads():
            result["analysis"] = add_analysis(
                recipe, out, deep.analyse(outcome, network, **analyses, **means)
            )
    elif result is None:
        outcomes, _ = deep.train([recipe], out, **means)
        result = record(outcomes[0], hardware)
    else:
        check_data(recipe, result, reader(data_dir, None))
        progress.note(f"this run is finished in {out / recipe.key}")
        note_other_precision([result], hardware, progress)
    if not leads():
        return
    if json_target is not None:
        json_output.write({**result, "command": command_line(context)}, json_target)
    if json_target != json_output.STDOUT:
        _print_run(result, str(out / recipe.key))


def _recipe(values: dict[str, Any]) -> Recipe:
    options.require_corrupt_labels(values["p"] != 1, (values["corruption"],))
    decay = options.weight_decay(values.pop("weight_decay"))
    return default(values.pop("model"), weight_decay=decay, **options.recipe_changes(values))


@command.command("sweep")
@click.option("--model", "models", multiple=True, default=("mlp-1x512",), metavar="NAME", help=_MODEL_HELP)
@click.option(
    "--corruption",
    "corruptions",
    type=click.Choice(list(CORRUPTIONS)),
    multiple=True,
    default=("true",),
    help="Of training labels, or of the pixels of both parts; repeatable.",
)
@click.option(
    "--p",
    "shares",
    type=Numbers(float),
    default="1",
    show_default=True,
    help="Shares for corrupt-labels, with commas.",
)
@click.option(
    "--weight-decay",
    "weight_decay",
    multiple=True,
    default=("off",),
    help="off, default or numbers, with commas or given again.",
)
@options.recipe_options
@options.schedule_options
@click.option("--out", default="deep-runs", show_default=True, type=PATH, help="Folder for runs.")
@options.hardware_options
@click.pass_context
def sweep_command(
    context: click.Context, out: Path, json_target: str | None, data_dir: Path | None, **values: Any
) -> None:
    """Train every combination of the options; finished runs are read, interrupted ones resumed."""
    path_of("out", out)
    json_output.check_target(json_target)
    hardware = options.hardware(values)
    schedule = {name: values.pop(name) for name in ("stack", "at_once", "minutes")}
    recipes = _recipes(values)
    results = deep.sweep(
        recipes, out, hardware=hardware, data_dir=data_dir, **schedule, progress=terminal_progress()
    )
    if not leads():
        return
    runs = [results[recipe.key] for recipe in recipes if recipe.key in results]
    if json_target is not None:
        left = [recipe for recipe in recipes if recipe.key not in results]
        content = {
            "runs": runs,
            "unfinished": [recipe.key for recipe in left],
            "unfinished_recipes": [recipe.to_json() for recipe in left],
            "command": command_line(context),
        }
        json_output.write(content, json_target)
    if json_target != json_output.STDOUT:
        _print_runs(runs, recipes, out)


def _recipes(values: dict[str, Any]) -> list[Recipe]:
    """Every combination, each once."""
    models, corruptions = values.pop("models"), values.pop("corruptions")
    shares = values.pop("shares")
    options.require_corrupt_labels(shares != [1.0], corruptions)
    decays = [options.weight_decay(part) for text in values.pop("weight_decay") for part in text.split(",")]
    seeds = values.pop("seeds")
    changes = options.recipe_changes(values)
    recipes = (
        default(model, corruption=corruption, p=p, weight_decay=decay, seed=seed, **changes)
        for model, corruption, decay, seed in itertools.product(models, corruptions, decays, seeds)
        for p in (shares if corruption == "corrupt-labels" else (1.0,))
    )
    return list(dict.fromkeys(recipes))


def _print_run(result: dict[str, Any], folder: str) -> None:
    show(tables.run(result, folder))
    for part in (tables.memorisation([result]), *analysis_tables(result.get("analysis", {}))):
        if part is not None:
            show("")
            show(part)


def _print_runs(results: list[dict[str, Any]], recipes: list[Recipe], folder: Path) -> None:
    left = recipes if len(results) < len(recipes) else []
    table = tables.runs(results, recipes, {recipe: history_so_far(recipe, folder) for recipe in left})
    if table.rows:
        show(table)
    learned = tables.memorisation(results, recipes)
    if learned is not None:
        show(learned)
    if len(results) < len(recipes):
        show(
            f"{len(recipes) - len(results)} of {len(recipes)} runs are not finished: the same command resumes them"
        )
