"""Pictures of a feature map: its filters, and what it makes of a few images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.report.channels import is_colour, visible
from kernelfit.report.style import own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kernelfit.features.images import ImageFeatures

Picture = tuple[str, NDArray[Any]]

#: more pictures than this on one sheet, or in one of its lines, are too small to see
MAX_PICTURES = 64
ACROSS = 12
#: what the title of a data set's own image begins with
IMAGE = "image"


def filters(feature: ImageFeatures) -> Figure:
    """One picture a filter, each in units of its own largest weight: one channel on a scale around zero, colours
    around grey.
    """
    pictures = [
        (title, picture / (np.abs(picture).max() or 1.0))
        for title, picture in feature.filter_pictures()[:MAX_PICTURES]
    ]
    title = f"Filters of {type(feature).__name__}"
    if len(pictures) < feature.filter_count:
        title += f", {len(pictures)} of {feature.filter_count:,}"
    if any(is_colour(picture) for _, picture in pictures):
        title += ": colours around grey, which is zero"
    return _sheet(pictures, title, "weight of a pixel / the filter's largest", signed=True)


def maps(feature: ImageFeatures, rows: NDArray[Any], images: int) -> Figure:
    """For each of the first rows: the image, then its feature maps, all on one scale.

    Every image begins a line of the sheet.
    """
    pictures: list[Picture | None] = []
    columns = 1
    for index in range(images):
        row = rows[index : index + 1]
        image = visible(row[0].reshape(feature.image_shape_))
        own = [(f"{IMAGE} {index}", image), *feature.map_pictures(row)[: MAX_PICTURES // images]]
        columns = min(len(own), ACROSS)
        pictures += own
        pictures += [None] * (-len(own) % columns)
    title = f"Feature maps of {type(feature).__name__} for {images} image{'' if images == 1 else 's'}"
    return _sheet(pictures, title, "value of a feature", columns=columns)


@own_style()
def _sheet(
    pictures: Sequence[Picture | None], title: str, unit: str, columns: int = 8, signed: bool = False
) -> Figure:
    from matplotlib.figure import Figure

    entries = [None if entry is None else (entry[0], _values(entry[1])) for entry in pictures]
    scalars = [value for name, value in filter(None, entries) if value.ndim == 2 and not _is_image(name)]
    colours = _scale(scalars, signed)
    rows = -(-len(entries) // columns)
    # Fixed margins: the layout engines measure every axes many times, which takes minutes on a sheet this full.
    height, width = 1.35 * rows + 0.5, max(4.0, 1.15 * columns + (0.9 if scalars else 0.0))
    bar = 0.85 / width if scalars else 0.0
    figure = Figure(figsize=(width, height))
    margins = {
        "left": 0.01,
        "right": 0.99 - bar,
        "bottom": 0.02,
        "top": 1 - 0.6 / height,
        "wspace": 0.08,
        "hspace": 0.3,
    }
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, entry in zip(grid.flat, entries, strict=False):
        if entry is None:
            continue
        name, value = entry
        if value.ndim == 2 and not _is_image(name):
            axes.imshow(value, interpolation="nearest", **colours)
        else:
            axes.imshow(
                0.5 + value / 2 if signed else _stretched(value), interpolation="nearest", cmap="gray"
            )
        axes.set_title(name, fontsize=6)
    if scalars:
        place = (1 - bar, margins["bottom"], 0.12 / width, margins["top"] - margins["bottom"])
        _draw_bar(figure, place, colours, unit)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw_bar(
    figure: Figure, place: tuple[float, float, float, float], colours: dict[str, Any], unit: str
) -> None:
    from matplotlib.cm import ScalarMappable

    axes = figure.add_axes(place)
    figure.colorbar(ScalarMappable(colours["norm"], colours["cmap"]), cax=axes).set_label(unit, fontsize=7)
    axes.tick_params(labelsize=6)


def _is_image(title: str) -> bool:
    return title.startswith(IMAGE)


def _values(picture: NDArray[Any]) -> NDArray[Any]:
    """(height, width), or (height, width, 3) for colours; other channels are averaged."""
    values = np.asarray(picture, float)
    return values.mean(axis=2) if values.ndim == 3 and not is_colour(values) else values


def _stretched(values: NDArray[Any]) -> NDArray[Any]:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low or 1.0)


def _scale(pictures: Sequence[NDArray[Any]], signed: bool) -> dict[str, Any]:
    """One scale for all pictures: from the least to the largest value, or as far below zero as above."""
    from matplotlib.colors import Normalize

    if not pictures:
        return {}
    low = min(float(picture.min()) for picture in pictures)
    high = max(float(picture.max()) for picture in pictures)
    if signed or low < 0:
        high = max(abs(low), abs(high)) or 1.0
        return {"cmap": "RdBu_r", "norm": Normalize(-high, high)}
    return {"cmap": "viridis", "norm": Normalize(low, high if high > low else low + 1)}
