"""`kernelfit deep`: train one network, sweep over a grid, reproduce the paper's tables and figures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kernelfit.errors import InputError

from .options import command_line

Command = Callable[..., None]

TARGETS = ("table1", "table2", "table4", "fig1", "fig2")

MODEL_NAMES = ("inception", "inception-no-bn", "alexnet", "mlp-3x512", "mlp-1x512", "inception-v3")
CORRUPTION_NAMES = ("true", "random-labels", "corrupt-labels", "shuffled-pixels", "random-pixels", "gaussian")


def _apply(options: list[Any], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def system_options(command: Command) -> Command:
    """Options that decide speed, not numbers."""
    options = [
        click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
        click.option(
            "--precision",
            type=click.Choice(["auto", "float32", "tf32", "bf16"]),
            default="auto",
            show_default=True,
            help="auto: bf16 on CUDA, float32 on the CPU.",
        ),
        click.option("--compile", "compiled", is_flag=True, help="torch.compile (CUDA)."),
        click.option("--cuda-graph", "graph", is_flag=True, help="One CUDA graph per step (CUDA)."),
        click.option(
            "--checkpoint-seconds",
            type=click.FloatRange(min=0),
            default=60.0,
            show_default=True,
            help="Between checkpoints.",
        ),
        click.option("--evaluate-every", default=1, show_default=True, help="Epochs between evaluations."),
        click.option("--tensorboard", is_flag=True, help="Also write TensorBoard scalars."),
        click.option(
            "--workers",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Loader processes for image folders.",
        ),
        click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of torch."),
        click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the data sets."),
        click.option("--json", "target", metavar="FILE|-", help="Write the result as JSON."),
    ]
    return _apply(options, command)


def recipe_options(command: Command) -> Command:
    """Options that belong to the recipe; what is not given keeps the paper's value."""
    options = [
        click.option("--dataset", help="Name or path of the data set  [default: cifar10]"),
        click.option("--n", type=click.IntRange(min=1), help="First n training rows (default: all)."),
        click.option("--n-test", type=click.IntRange(min=1), help="First test rows (default: all)."),
        click.option("--side", type=click.IntRange(min=1), help="Side of the crop  [default: 28]"),
        click.option("--epochs", type=click.IntRange(min=1)),
        click.option("--batch", type=click.IntRange(min=1)),
        click.option("--rate", "rates", help="Learning rate, or a ladder with commas."),
        click.option("--rate-decay", type=float, help="Factor on the rate each epoch  [default: 0.95]"),
        click.option("--dropout", type=float),
        click.option("--crop", is_flag=True, help="Random crops of the full image."),
        click.option(
            "--augment", is_flag=True, help="Flips and rotations (image folders: windows, flips, colour)."
        ),
        click.option(
            "--plateau", type=click.IntRange(min=0), help="Stop after so many epochs without progress."
        ),
        click.option("--stop-when-fitted", is_flag=True, help="Stop at 100 % train accuracy."),
    ]
    return _apply(options, command)


def sweep_options(command: Command) -> Command:
    """Options of commands that train many runs."""
    options = [
        click.option(
            "--stack",
            type=click.IntRange(min=1),
            default=8,
            show_default=True,
            help="MLP runs trained in one batched product.",
        ),
        click.option(
            "--at-once",
            default=1,
            show_default=True,
            help="Runs whose steps take turns (CUDA: side by side).",
        ),
        click.option(
            "--minutes", type=float, help="Save and end after so long; the same command then goes on."
        ),
    ]
    return _apply(options, command)


def make_system(given: dict[str, Any]) -> Any:
    """Take the system options out of `given` and build the `System`."""
    import torch

    from kernelfit.deep.system import System

    threads = given.pop("threads")
    if threads is not None:
        torch.set_num_threads(threads)
    return System(
        device=given.pop("device"),
        precision=given.pop("precision"),
        compile=given.pop("compiled"),
        graph=given.pop("graph"),
        checkpoint_seconds=given.pop("checkpoint_seconds"),
        evaluate_every=given.pop("evaluate_every"),
        tensorboard=given.pop("tensorboard"),
        workers=given.pop("workers"),
    )


def recipe_changes(given: dict[str, Any]) -> dict[str, Any]:
    """The recipe fields that were given."""
    changes = {name: value for name, value in given.items() if value is not None and value is not False}
    if "rates" in changes:
        changes["rates"] = _numbers("--rate", changes["rates"])
    return changes


def weight_decay(text: str) -> float | bool:
    """'off', 'default' (the model's coefficient), or a number."""
    if text in ("off", "default"):
        return text == "default"
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--weight-decay: got {text!r}, expected off, default or a number") from None


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in str(text).split(","))
    except ValueError:
        raise InputError(f"{name}: got {text!r}, expected a number (several with commas)") from None


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--seeds: got {text!r}, expected whole numbers with commas") from None


def _require_corrupt_labels(given: bool, corruptions: tuple[str, ...]) -> None:
    """Raise where --p was given and no run takes it."""
    if given and "corrupt-labels" not in corruptions:
        raise InputError("--p: of use with --corruption corrupt-labels alone; leave it out or corrupt labels")


def _typed() -> str:
    return command_line(click.get_current_context())


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise InputError("deep: torch is missing; pip install 'kernelfit[deep]'") from None


@click.group("deep")
def command() -> None:
    """The deep-net randomization tests (needs the `deep` extra)."""


@command.command("train")
@click.option("--model", type=click.Choice(MODEL_NAMES), default="mlp-1x512", show_default=True)
@click.option("--corruption", type=click.Choice(CORRUPTION_NAMES), default="true", show_default=True)
@click.option(
    "--p", type=float, default=1.0, show_default=True, help="Share of corrupted labels, for corrupt-labels."
)
@click.option("--weight-decay", "decay", default="off", show_default=True, help="off, default, or a number.")
@click.option("--seed", default=0, show_default=True)
@recipe_options
@click.option(
    "--images",
    type=click.Path(path_type=Path),
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
    "draws",
    type=click.IntRange(min=0),
    default=0,
    help="Empirical Rademacher complexity with so many draws.",
)
@click.option("--out", default="deep-runs", show_default=True, type=click.Path(path_type=Path))
@system_options
def train_command(**given: Any) -> None:
    """Train one network; an interrupted run goes on from its checkpoint. Works under torchrun."""
    _need_torch()
    from kernelfit.deep.analysis import analyse
    from kernelfit.deep.recipe import default
    from kernelfit.deep.sweep import finished, record, train
    from kernelfit.report import json_output
    from kernelfit.report.progress import TerminalProgress

    system = make_system(given)
    out, target, data_dir = given.pop("out"), given.pop("target"), given.pop("data_dir")
    images = given.pop("images")
    asked = {name: given.pop(name) for name in ("with_norms", "kernel_rows")}
    asked["rademacher_draws"] = given.pop("draws")
    decay = weight_decay(given.pop("decay"))
    _require_corrupt_labels(given["p"] != 1, (given["corruption"],))
    json_output.check_target(target)
    if images is not None:
        if given["dataset"] is not None or data_dir is not None:
            raise InputError("--images: names the data set itself; leave --dataset and --data-dir out")
        given["dataset"] = "imagenet"
    recipe = default(given.pop("model"), weight_decay=decay, **recipe_changes(given))
    progress = TerminalProgress()
    result = finished(recipe, out)
    if result is None or any(asked.values()):
        outcomes, models = train([recipe], out, system=system, data_dir=images or data_dir, progress=progress)
        result = record(outcomes[0], system)
        if any(asked.values()):
            result["analysis"] = analyse(
                recipe, models[0], **asked, system=system, data_dir=data_dir, progress=progress
            )
            json_output.write(result["analysis"], out / recipe.key / "analysis.json")
    else:
        progress.note(f"this run is finished in {out / recipe.key}")
    if _leads():
        if target is not None:
            json_output.write({**result, "command": _typed()}, target)
        if target != json_output.STDOUT:
            _print_run(result, str(out / recipe.key))


@command.command("sweep")
@click.option("--model", "models", type=click.Choice(MODEL_NAMES), multiple=True, default=("mlp-1x512",))
@click.option(
    "--corruption", "corruptions", type=click.Choice(CORRUPTION_NAMES), multiple=True, default=("true",)
)
@click.option("--p", "shares", default="1", show_default=True, help="Shares for corrupt-labels, with commas.")
@click.option(
    "--weight-decay",
    "decays",
    multiple=True,
    default=("off",),
    help="off, default or numbers, with commas or given again.",
)
@click.option("--seeds", default="0", show_default=True, help="With commas.")
@recipe_options
@sweep_options
@click.option("--out", default="deep-runs", show_default=True, type=click.Path(path_type=Path))
@system_options
def sweep_command(**given: Any) -> None:
    """Train every combination of the options; finished runs are read, interrupted ones resumed."""
    _need_torch()
    from kernelfit.deep.recipe import default
    from kernelfit.deep.sweep import run
    from kernelfit.report import json_output
    from kernelfit.report.progress import TerminalProgress

    system = make_system(given)
    out, target, data_dir = given.pop("out"), given.pop("target"), given.pop("data_dir")
    json_output.check_target(target)
    how = {name: given.pop(name) for name in ("stack", "at_once", "minutes")}
    models, corruptions = given.pop("models"), given.pop("corruptions")
    shares = _numbers("--p", given.pop("shares"))
    _require_corrupt_labels(shares != (1.0,), corruptions)
    decays = [weight_decay(part) for text in given.pop("decays") for part in text.split(",")]
    seeds = _seeds(given.pop("seeds"))
    changes = recipe_changes(given)
    recipes = [
        default(model, corruption=corruption, p=p, weight_decay=decay, seed=seed, **changes)
        for model, corruption, decay, seed in itertools.product(models, corruptions, decays, seeds)
        for p in (shares if corruption == "corrupt-labels" else (1.0,))
    ]
    results = run(recipes, out, system=system, data_dir=data_dir, **how, progress=TerminalProgress())
    wanted = list(dict.fromkeys(recipes))
    found = [results[recipe.key] for recipe in wanted if recipe.key in results]
    if not _leads():
        return
    if target is not None:
        unfinished = [recipe.key for recipe in wanted if recipe.key not in results]
        json_output.write({"runs": found, "unfinished": unfinished, "command": _typed()}, target)
    if target != json_output.STDOUT:
        _print_runs(found, len(wanted))


@command.command("reproduce")
@click.argument(
    "targets",
    nargs=-1,
    required=True,
    type=click.Choice(TARGETS),
    metavar=f"[{'|'.join(TARGETS)}]...",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Scale down: epochs of every run.")
@click.option("--n", type=click.IntRange(min=1), help="Scale down: first n training rows.")
@click.option("--n-test", type=click.IntRange(min=1), help="Scale down: first test rows.")
@click.option("--dataset", help="Another data set than the paper's CIFAR-10.")
@click.option("--seeds", default="0", show_default=True, help="With commas; the paper's gate is five.")
@sweep_options
@click.option("--plan", "only_plan", is_flag=True, help="Only show the runs and their arithmetic.")
@click.option("--images", type=click.Path(path_type=Path), help="table2: folder with train/ and val/.")
@click.option("--out", default="deep-reproduction", show_default=True, type=click.Path(path_type=Path))
@system_options
def reproduce_command(**given: Any) -> None:
    """Run or resume tables and figures of the paper and set them beside the paper's numbers.

    Runs that several of them need are trained once, and a run that was interrupted goes on. The first seed comes
    before the second.
    """
    _need_torch()
    from kernelfit.deep import flops
    from kernelfit.deep.reproduce import check, in_order, reproduce
    from kernelfit.report import json_output
    from kernelfit.report.progress import TerminalProgress

    system = make_system(given)
    out, target, data_dir = given.pop("out"), given.pop("target"), given.pop("data_dir")
    json_output.check_target(target)
    targets = tuple(dict.fromkeys(given.pop("targets")))
    how = {name: given.pop(name) for name in ("stack", "at_once", "minutes")}
    images, only_plan = given.pop("images"), given.pop("only_plan")
    seeds = _seeds(given.pop("seeds"))
    scale = recipe_changes(given)
    if images is not None and "table2" not in targets:
        raise InputError("--images: of use with table2 alone; leave it out")
    if "table2" in targets:
        if data_dir is not None:
            raise InputError("--data-dir: table2 takes its images from --images; leave it out")
        data_dir = images
    if only_plan:
        check(targets, seeds, data_dir)
        if "table2" in targets:
            raise InputError("--plan: table2's arithmetic is not counted; leave it out")
        if scale.get("dataset", "cifar10") != "cifar10":
            raise InputError("--plan: arithmetic is counted for cifar10 alone; leave --dataset out")
        wanted = in_order(targets, seeds, scale)
        record: dict[str, Any] = flops.plan(wanted) | {"keys": [recipe.key for recipe in wanted]}
    else:
        records = reproduce(
            targets,
            out,
            seeds=seeds,
            scale=scale,
            system=system,
            data_dir=data_dir,
            **how,
            progress=TerminalProgress(),
        )
        record = records[targets[0]] if len(targets) == 1 else {"reproductions": records}
    if not _leads():
        return
    if target is not None:
        json_output.write({**record, "command": _typed()}, target)
    if target != json_output.STDOUT:
        from rich.console import Console

        from kernelfit.deep.tables import plan, reproductions

        console = Console(markup=False)
        parts = plan(record) if only_plan else reproductions(list(records.values()))
        for part in parts:
            console.print(part)


def _leads() -> bool:
    """Whether this process reports: the first one under torchrun."""
    import os

    return os.environ.get("RANK", "0") == "0"


def _print_run(result: dict[str, Any], folder: str) -> None:
    from rich.console import Console

    from kernelfit.deep.tables import analysis, memorisation, run

    console = Console(markup=False)
    console.print(run(result, folder))
    for part in (memorisation([result]), *analysis(result.get("analysis", {}))):
        if part is not None:
            console.print()
            console.print(part)


def _print_runs(results: list[dict[str, Any]], wanted: int) -> None:
    from rich.console import Console

    from kernelfit.deep.tables import memorisation, runs

    console = Console(markup=False)
    console.print(runs(results))
    learned = memorisation(results)
    if learned is not None:
        console.print(learned)
    if len(results) < wanted:
        console.print(
            f"{wanted - len(results)} of {wanted} runs are not finished: the same command goes on with them"
        )
