"""Images of a data set as they go into a page: PNG in the address itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kernelfit.report.channels import is_colour, visible
from kernelfit.report.exhibit import Picture
from kernelfit.report.html.markup import Child, Markup, element
from kernelfit.typing import Array

if TYPE_CHECKING:
    from PIL.Image import Image

#: pixels that the longer side of an image takes on the page at least
SIDE = 56


def picture(row: Array, shape: tuple[int, int, int], description: str) -> Markup:
    """The image of a row, enlarged without smoothing by the page."""
    from PIL.Image import fromarray

    values = visible(np.asarray(row, dtype=np.float64).reshape(shape))
    if row.dtype != np.uint8 or values.max(initial=0) <= 16:  # such as digits' 0 to 16
        low, high = float(values.min()), float(values.max())
        values = 255 * (values - low) / (high - low or 1.0)
    return _image(fromarray(values.round().astype(np.uint8)), description)


def signed(values: Array, description: str) -> Markup:
    """Weights around zero: blue below, red above; colours as they are, around grey."""
    from PIL.Image import fromarray

    weights = np.asarray(values, dtype=np.float64)
    weights = weights / (np.abs(weights).max() or 1.0)
    if is_colour(weights):
        colours = 0.5 + weights / 2
    else:
        weights = weights.reshape(weights.shape[0], weights.shape[1], -1).mean(axis=2)
        fade = np.abs(weights)[:, :, None]
        ends = np.where(weights[:, :, None] < 0, np.array([0.13, 0.40, 0.67]), np.array([0.70, 0.09, 0.17]))
        colours = 1 - fade + fade * ends
    return _image(fromarray((255 * colours).round().astype(np.uint8)), description)


def _image(pixels: Image, description: str) -> Markup:
    content = io.BytesIO()
    pixels.save(content, format="PNG", optimize=True)
    times = SIDE / max(pixels.size)
    width, height = (max(1, round(times * side)) for side in pixels.size)  # a series is an image of one line
    return element("img", src=_address(content.getvalue()), alt=description, width=width, height=height)


def shown(image: Picture) -> Markup:
    """An image given by its pixels."""
    assert image.row is not None
    return picture(image.row, image.shape, image.description)


def sheet(image: Picture) -> Markup:
    """A PNG file, as wide as there is room, below it what it is."""
    return element(
        "figure",
        element("img", src=_address(image.png), alt=image.description, class_="sheet"),
        element("figcaption", image.caption),
    )


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def gallery(items: Sequence[tuple[Markup, Child]], label: str) -> Markup:
    """Images with a line below each."""
    entries = [
        element("li", element("figure", image, element("figcaption", caption))) for image, caption in items
    ]
    return element("ul", entries, class_="gallery", aria_label=label)
