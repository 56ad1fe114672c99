"""Pictures of a feature map: its filters, and what it makes of a few images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kernelfit.features.images import ImageFeatures

Picture = tuple[str, NDArray[Any]]

#: more pictures than this on one sheet, or in one of its lines, are too small to see
MAX_PICTURES = 64
ACROSS = 12


def filters(feature: ImageFeatures) -> Figure:
    """One picture a filter; grey around zero, or colour stretched to the filter's own range."""
    return _sheet(feature.filter_pictures()[:MAX_PICTURES], f"{type(feature).__name__}: filters", signed=True)


def maps(feature: ImageFeatures, rows: NDArray[Any], images: int) -> Figure:
    """For each of the first rows: the image, then its feature maps, bright where the feature is large.

    Every image begins a line of the sheet.
    """
    pictures: list[Picture | None] = []
    columns = 1
    for index in range(images):
        row = rows[index : index + 1]
        image = row[0].reshape(feature.image_shape_)
        own = [(f"image {index}", image), *feature.map_pictures(row)[: MAX_PICTURES // images]]
        columns = min(len(own), ACROSS)
        pictures += own
        pictures += [None] * (-len(own) % columns)
    return _sheet(pictures, f"{type(feature).__name__}: feature maps", columns=columns)


def _sheet(pictures: Sequence[Picture | None], title: str, columns: int = 8, signed: bool = False) -> Figure:
    from matplotlib.figure import Figure

    rows = -(-len(pictures) // columns)
    # Fixed margins: the layout engines measure every axes many times, which takes minutes on a sheet this full.
    height = 1.3 * rows + 0.4
    figure = Figure(figsize=(1.15 * columns, height))
    margins = {
        "left": 0.01,
        "right": 0.99,
        "bottom": 0.02,
        "top": 1 - 0.5 / height,
        "wspace": 0.08,
        "hspace": 0.25,
    }
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, entry in zip(grid.flat, pictures, strict=False):
        if entry is None:
            continue
        label, picture = entry
        _draw(axes, picture, signed)
        axes.set_title(label, fontsize=6)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw(axes: Any, picture: NDArray[Any], signed: bool) -> None:
    values = np.asarray(picture, float)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    low, high = float(values.min()), float(values.max())
    if values.ndim == 3 and values.shape[2] == 3:
        axes.imshow((values - low) / (high - low or 1.0), interpolation="nearest")
        return
    if values.ndim == 3:
        values = values.mean(axis=2)
    if signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    axes.imshow(values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
