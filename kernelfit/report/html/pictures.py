"""Images of a data set as they go into a page: PNG in the address itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

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
    address = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")
    height, width = shape[:2]
    times = SIDE / max(height, width)
    return element(
        "img", src=address, alt=description, width=round(times * width), height=round(times * height)
    )


def gallery(items: Sequence[tuple[Markup, str]], label: str) -> Markup:
    """Images with a line below each."""
    entries = [
        element("li", element("figure", image, element("figcaption", caption))) for image, caption in items
    ]
    return element("ul", entries, class_="gallery", aria_label=label)
