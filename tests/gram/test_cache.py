"""What is kept between products has the bits of what is formed afresh."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.gram.cache import cache
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import Gaussian, Polynomial
from kernelfit.progress import Silent


@pytest.mark.parametrize("kernel", [Gaussian(0.1), Polynomial(2, 0.1, 1.0)], ids=repr)
@pytest.mark.parametrize("what", ["gram", "inner products"])
@pytest.mark.parametrize(("n", "width"), [(150, 64), (700, 256), (700, 777)])
def test_a_kept_gram_has_the_bits_of_a_fresh_one(rng, backend, kernel, what, n, width):
    rows = rng.standard_normal((n, 37)) if what == "gram" else rng.integers(0, 256, (n, 37), np.uint8)
    fresh = KernelGram(kernel, Points(rows, None if what == "gram" else 1 / 255))
    layout = PanelLayout(n, min(width, n))
    kept = cache(fresh, layout, what, backend, Silent())
    for j in range(layout.count):
        first, last = layout.start(j), layout.stop(j)
        sources = [source.columns(first, last, backend) for source in (fresh, kept)]
        for start, stop in layout.panel_strips(j):
            tiles = [np.empty((stop - start, min(last, stop) - first)) for _ in sources]
            for columns, tile in zip(sources, tiles, strict=True):
                columns.fill(start, stop, tile)
            assert np.array_equal(*tiles)
