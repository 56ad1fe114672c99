"""Images of a data set as they go into a page: PNG in the address itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from kernelfit.report.exhibit import Picture
from kernelfit.report.feature_pictures import is_colour
from kernelfit.report.html.markup import Markup, element
from kernelfit.typing import Array

#: pixels that the longer side of an image takes on the page at least
SIDE = 56


def picture(row: Array, shape: tuple[int, int, int], description: str) -> Markup:
    """The image of a row, enlarged without smoothing by the page."""
    from PIL import Image

    values = np.asarray(row, dtype=np.float64).reshape(shape)
    if row.dtype != np.uint8 or values.max(initial=0) <= 16:  # such as digits' 0 to 16
        low, high = float(values.min()), float(values.max())
        values = 255 * (values - low) / (high - low or 1.0)
    pixels = values.round().astype(np.uint8)
    image = Image.fromarray(pixels if shape[2] == 3 else pixels[:, :, 0])
    content = io.BytesIO()
    image.save(content, format="PNG", optimize=True)
    address = _address(content.getvalue())
    height, width = shape[:2]
    times = SIDE / max(height, width)
    return element(
        "img", src=address, alt=description, width=round(times * width), height=round(times * height)
    )


def signed(values: Array, description: str) -> Markup:
    """Weights around zero: blue below, red above; colours as they are, around grey."""
    from PIL import Image

    weights = np.asarray(values, dtype=np.float64)
    weights = weights / (np.abs(weights).max() or 1.0)
    if is_colour(weights):
        colours = 0.5 + weights / 2
    else:
        weights = weights.reshape(weights.shape[0], weights.shape[1], -1).mean(axis=2)
        fade = np.abs(weights)[:, :, None]
        ends = np.where(weights[:, :, None] < 0, np.array([0.13, 0.40, 0.67]), np.array([0.70, 0.09, 0.17]))
        colours = 1 - fade + fade * ends
    content = io.BytesIO()
    Image.fromarray((255 * colours).round().astype(np.uint8)).save(content, format="PNG", optimize=True)
    height, width = colours.shape[:2]
    times = SIDE / max(height, width)
    return element(
        "img",
        src=_address(content.getvalue()),
        alt=description,
        width=round(times * width),
        height=round(times * height),
    )


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


def gallery(items: Sequence[tuple[Markup, str]], label: str) -> Markup:
    """Images with a line below each."""
    entries = [
        element("li", element("figure", image, element("figcaption", caption))) for image, caption in items
    ]
    return element("ul", entries, class_="gallery", aria_label=label)
