"""`kernelfit features`: which feature maps there are, their options, and pictures of what they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kernelfit import datasets
from kernelfit.errors import InputError
from kernelfit.features import names, summary
from kernelfit.features.options import format_value, make, options, pairs
from kernelfit.report import feature_pictures, figures
from kernelfit.report.grid import Grid
from kernelfit.storage import json_output

from . import completion
from .options import PATH, Count, KnownName, command_line, data_dir_option, json_option
from .output import CommandGroup, emit
from .output import show as show_text
from .output_folder import staged
from .wording import terminal_progress

FILTERS, MAPS, FEATURES = "filters.png", "maps.png", "features.json"


@click.group(name="features", cls=CommandGroup)
def command() -> None:
    """List and show the feature maps."""


@command.command(name="list")
@json_option
def list_(json_target: str | None) -> None:
    """Show every feature map and its options with their defaults."""
    json_output.check_target(json_target)
    records = [
        {
            "name": name,
            "description": summary(name),
            "options": {option.name: option.default for option in options(name).values()},
        }
        for name in names()
    ]
    table = Grid(("Name", "What", "Options"), words=(1, 2))
    for record in records:
        settings = record["options"]
        text = " ".join(f"{key}={format_value(value)}" for key, value in settings.items())  # type: ignore[attr-defined]
        table.add_row(str(record["name"]), str(record["description"]), text)
    emit(records, json_target, table)


@command.command(name="show")
@click.argument("name", type=KnownName(names()), metavar="NAME")
@click.option(
    "--option",
    "-o",
    "texts",
    multiple=True,
    metavar="NAME=VALUE",
    help="One of its options; repeatable.",
    shell_complete=completion.options_of_features,
)
@click.option(
    "--dataset",
    default="digits",
    show_default=True,
    help="Images to fit and draw: a name or a path.",
    shell_complete=completion.datasets,
)
@data_dir_option
@click.option(
    "--n", type=Count(2), metavar="ROWS", default=1000, show_default=True, help="Training images to fit on."
)
@click.option(
    "--images",
    type=click.IntRange(1, 16),
    default=3,
    show_default=True,
    help="Images to draw maps of, with --out.",
)
@click.option(
    "--out",
    type=PATH,
    help=f"New folder for {FILTERS}, {MAPS} and {FEATURES}, which kernelfit report shows.",
)
@json_option
def show(
    name: str,
    texts: tuple[str, ...],
    dataset: str,
    data_dir: Path | None,
    n: int,
    images: int,
    out: Path | None,
    json_target: str | None,
) -> None:
    """Show a feature map: its options, the number of its features on a data set, and pictures of both."""
    json_output.check_target(json_target)
    data = datasets.load(dataset, data_dir=data_dir, progress=terminal_progress())
    if data.image_shape is None:
        raise InputError(f"--dataset: {dataset} holds no images; name one that does, such as digits or mnist")
    feature = make(name, image_shape=data.image_shape, scale=data.scale, given=pairs(texts))
    known = options(name)
    with staged(out) as folder:
        rows = data.X_train[:n]
        feature.fit(rows)
        record: dict[str, Any] = {
            "name": name,
            "dataset": data.name,
            "n_train": len(rows),
            "image_shape": list(data.image_shape),
            "n_features": feature.n_features_out_,
            "default_gamma_factor": feature.default_gamma_factor,
            "options": {key: getattr(feature, key) for key in known},
            "pictures": [],
            "command": command_line(click.get_current_context()),
        }
        if folder is not None:
            figures.save(feature_pictures.filters(feature), folder / FILTERS)
            figures.save(feature_pictures.maps(feature, rows, min(images, len(rows))), folder / MAPS)
            assert out is not None
            record["pictures"] = [str(out / FILTERS), str(out / MAPS)]
            json_output.write(record, folder / FEATURES)
    headings = ("Option", "Value", "Default", "Meaning")
    table = Grid(headings, words=(3,), title=f"{name}: {summary(name)}")
    for key, option in known.items():
        table.add_row(key, format_value(getattr(feature, key)), format_value(option.default), option.help)
    emit(record, json_target, table)
    if json_target != json_output.STDOUT:
        height, width, channels = data.image_shape
        show_text(
            f"{feature.n_features_out_:,} features of {height} x {width} x {channels} images ({data.name}); "
            f"recommended gamma: {feature.default_gamma_factor:g} / median squared distance",
            highlight=False,
        )
        for picture in record["pictures"]:
            click.echo(f"picture: {picture}")
