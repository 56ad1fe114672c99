"""Options that the commands about networks share, and how they become arguments of `kernelfit.deep`.

Options of a command stay out of its result where the name says how the machine is used (`hardware_options`,
`schedule_options`); those of a recipe decide its numbers (`recipe_options`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from kernelfit import deep
from kernelfit.deep.options import OPTIMIZERS, PRECISIONS
from kernelfit.errors import InputError

from . import completion
from .options import Count, Numbers, data_dir_option, json_option

Command = TypeVar("Command", bound=Callable[..., Any])


class Seeds(Numbers):
    """Distinct integers from 0 to 2^63 - 1 with commas between them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        seeds = super().convert(value, param, ctx)
        if "_" in str(value) or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**63:
            self.fail(f"got {value!r}, expected distinct integers >= 0 and below 2^63", param, ctx)
        return seeds


_HARDWARE = (
    click.option(
        "--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:i]", help="Where to train."
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
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
    click.option(
        "--evaluate-every",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Epochs between evaluations.",
    ),
    click.option("--tensorboard", is_flag=True, help="Also write TensorBoard scalars."),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Loader processes for image folders.",
    ),
    click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of torch."),
    data_dir_option,
    json_option,
)

_SIZE = (
    click.option(
        "--dataset",
        help="Name or path of the data set.  [default: cifar10]",
        shell_complete=completion.datasets,
    ),
    click.option(
        "--n", type=Count(1), metavar="ROWS", help="Take the first ROWS training rows.  [default: all]"
    ),
    click.option(
        "--n-test", type=Count(1), metavar="ROWS", help="Take the first ROWS test rows.  [default: all]"
    ),
    click.option("--epochs", type=click.IntRange(min=1), help="Epochs of every run."),
    click.option(
        "--side", type=click.IntRange(min=1), help="Side of the crop.  [default: 28; inception-v3: 299]"
    ),
)

_RECIPE = (
    *_SIZE,
    click.option("--batch", type=click.IntRange(min=1), help="Rows of a step.  [default: 128]"),
    click.option("--rate", "rates", type=Numbers(float), help="Learning rate, or a ladder with commas."),
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="rmsprop: TensorFlow's.  [default: sgd]"),
    click.option(
        "--label-smoothing", type=float, help="Share of a label spread over all classes.  [default: 0]"
    ),
    click.option("--rate-decay", type=float, help="Factor on the rate each epoch.  [default: 0.95]"),
    click.option("--dropout", type=float, help="Share of units left out.  [default: 0]"),
    click.option("--crop", is_flag=True, help="Random crops of the full image."),
    click.option(
        "--augment", is_flag=True, help="Flips and rotations (image folders: windows, flips, colour)."
    ),
    click.option("--plateau", type=click.IntRange(min=0), help="Stop after so many epochs without progress."),
    click.option("--stop-when-fitted", is_flag=True, help="Stop at 100 % train accuracy."),
)

_SCHEDULE = (
    click.option(
        "--seeds",
        type=Seeds(int),
        default="0",
        show_default=True,
        help="With commas; the comparison with the paper asks for five.",
    ),
    click.option(
        "--stack",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="MLP runs trained in one batched product.",
    ),
    click.option(
        "--at-once",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Runs whose steps take turns (CUDA: side by side).",
    ),
    click.option("--minutes", type=float, help="Save and end after so long; the same command resumes."),
)


def hardware_options(command: Command) -> Command:
    """Options that decide speed and rounding, --data-dir and --json."""
    return _apply(_HARDWARE, command)


def size_options(command: Command) -> Command:
    """--dataset, --n, --n-test, --epochs, --side; what is left out keeps the paper's value."""
    return _apply(_SIZE, command)


def recipe_options(command: Command) -> Command:
    """`size_options` and the other fields of a recipe; what is left out keeps the paper's value."""
    return _apply(_RECIPE, command)


def schedule_options(command: Command) -> Command:
    """--seeds, --stack, --at-once, --minutes of commands that train many runs."""
    return _apply(_SCHEDULE, command)


def _apply(options: Sequence[Callable[[Any], Any]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def hardware(values: dict[str, Any]) -> deep.Hardware:
    """Take the options of `hardware_options` out of `values`, all but --data-dir and --json."""
    made = deep.Hardware(
        device=values.pop("device"),
        precision=values.pop("precision"),
        compile=values.pop("compiled"),
        graph=values.pop("graph"),
        checkpoint_seconds=values.pop("checkpoint_seconds"),
        evaluate_every=values.pop("evaluate_every"),
        tensorboard=values.pop("tensorboard"),
        workers=values.pop("workers"),
    )
    made.use_threads(values.pop("threads"))
    return made


def recipe_changes(values: dict[str, Any]) -> dict[str, Any]:
    """The recipe's fields among `values` that were set."""
    changes = {name: value for name, value in values.items() if value is not None and value is not False}
    if "rates" in changes:
        changes["rates"] = tuple(changes["rates"])
    return changes


def weight_decay(text: str) -> float | bool:
    """'off', 'default' (the model's coefficient), or a number."""
    if text.strip() in ("off", "default"):
        return text.strip() == "default"
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--weight-decay: got {text!r}, expected off, default or a number") from None


def require_corrupt_labels(has_share: bool, corruptions: Sequence[str]) -> None:
    """Raise where --p has a value and no run takes it."""
    if has_share and "corrupt-labels" not in corruptions:
        raise InputError(
            "--p: got a share without --corruption corrupt-labels; leave it out or corrupt labels"
        )
