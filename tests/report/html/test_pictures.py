"""Images as they go into a page: visible whatever their shape, in the channels that can be shown."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from kernelfit.report.channels import unseen
from kernelfit.report.html.pictures import picture, signed


def shown(markup: str) -> tuple[np.ndarray, tuple[int, int]]:
    """The pixels, and the width and height that they take."""
    found = re.search(r'base64,([^"]*)".* width="(\d+)" height="(\d+)"', markup)
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1])))), (int(found[2]), int(found[3]))


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 200, 1), (56, 1)), ((200, 1, 1), (1, 56)), ((8, 4, 1), (28, 56))]
)
def test_a_series_is_an_image_of_one_line(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    row = np.arange(np.prod(shape), dtype=float)
    for markup in (picture(row, shape, "a series"), signed(row.reshape(shape), "a filter")):
        assert shown(markup)[1] == size


@pytest.mark.parametrize(
    ("channels", "words"), [(1, ""), (2, "the first is shown"), (3, ""), (4, "the first three are shown")]
)
def test_channels_that_can_be_shown(channels: int, words: str, rng: np.random.Generator) -> None:
    """Of images with transparency red alone was shown, as grey."""
    image = rng.integers(0, 256, (5, 6, channels), dtype=np.uint8)
    pixels, _ = shown(picture(image.reshape(-1), image.shape, "an image"))
    assert np.array_equal(pixels, image[:, :, :3] if channels > 2 else image[:, :, 0])
    assert words in unseen(channels)
    assert bool(words) == bool(unseen(channels))
