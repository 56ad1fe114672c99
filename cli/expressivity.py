"""`kernelfit expressivity`: fit any labels exactly with the paper's explicit networks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from kernelfit.datasets import load
from kernelfit.datasets.corruptions import random_labels
from kernelfit.deep.data.images import centre_crop
from kernelfit.errors import InputError
from kernelfit.expressivity import fit
from kernelfit.report.grid import Grid
from kernelfit.storage import json_output
from kernelfit.typing import Variant

from . import completion
from .options import Count, Numbers, command_line, data_dir_option, json_option
from .output import GroupedCommand, show
from .wording import terminal_progress

LABELS = ("true", "random")


@click.command(name="expressivity", cls=GroupedCommand)
@click.option(
    "--dataset",
    default="cifar10",
    show_default=True,
    help="Name or path of the data set.",
    shell_complete=completion.datasets,
)
@click.option(
    "--labels", type=click.Choice(LABELS), default="random", show_default=True, help="What is fitted."
)
@click.option(
    "--depth",
    "depths",
    type=Numbers(int),
    default="2,3,5,17",
    show_default=True,
    help="Weight layers, with commas.",
)
@click.option(
    "--variant",
    type=click.Choice(get_args(Variant)),
    default="plain",
    show_default=True,
    help="How the blocks of deep networks are told apart (docs/expressivity.md).",
)
@click.option("--n", type=Count(2), metavar="ROWS", help="Take the first ROWS training rows.  [default: all]")
@data_dir_option
@click.option(
    "--crop",
    type=click.IntRange(min=0),
    default=28,
    show_default=True,
    help="Side of the centre crop of images; 0 for none.",
)
@click.option(
    "--theta", default=0.25, show_default=True, help="Position of a bias in its gap; stable below 0.5."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the projection and of the random labels.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    dataset: str,
    labels: str,
    depths: list[int],
    variant: Variant,
    n: int | None,
    data_dir: Path | None,
    crop: int,
    theta: float,
    seed: int,
    json_target: str | None,
) -> None:
    """Fit any labels exactly with the paper's explicit networks (Theorem 1 and Corollary 1).

    The default fits random labels on the centre crops of all CIFAR-10 training images.
    """
    json_output.check_target(json_target)
    progress = terminal_progress()
    data = load(dataset, n_train=n, data_dir=data_dir, progress=progress)
    if crop and data.image_shape is not None:
        data = centre_crop(data, crop)
    X = data.X_train.astype(np.float64) if data.X_train.dtype == np.float32 else data.X_train
    y = data.y_train
    if labels == "random":
        if data.classes is None:
            raise InputError(
                f"--labels: random labels need classes, {data.name} has numeric targets; use --labels true"
            )
        y = random_labels(y, len(data.classes), seed)
    records = []
    for depth in depths:
        start = time.perf_counter()
        network = fit(X, y, depth=depth, variant=variant, theta=theta, seed=seed)
        predicted = network.predict(X)
        error = np.abs(predicted - y)
        records.append(
            {
                "depth": network.depth,
                "width": network.width,
                "weights": network.n_weights,
                # Numbers have no half by which one is told from the next.
                "accuracy": None if data.classes is None else float((error < 0.5).mean()),
                "max_error": float(error.max()),
                "seconds": time.perf_counter() - start,
            }
        )
    if json_target is not None:
        about = {"dataset": data.name, "n": len(X), "d": X.shape[1], "labels": labels, "crop": crop}
        about |= {"variant": variant, "theta": theta, "seed": seed, "command": command_line(context)}
        json_output.write({"depths": records, **about}, json_target)
    if json_target != json_output.STDOUT:
        _print(
            f"{data.name}: {labels} labels on {len(X):,} rows of {X.shape[1]:,} values, {variant} networks",
            records,
        )


def _print(title: str, records: list[dict[str, Any]]) -> None:
    classes = records[0]["accuracy"] is not None
    headings = ("depth", "width", "weights", *(["accuracy"] if classes else []), "largest error", "seconds")
    table = Grid(headings, right=range(len(headings)), title=title)
    for row in records:
        table.add_row(
            f"{row['depth']}",
            f"{row['width']:,}",
            f"{row['weights']:,}",
            *([f"{row['accuracy']:.2%}"] if classes else []),
            f"{row['max_error']:.1e}",
            f"{row['seconds']:.2f}",
        )
    show(table)
