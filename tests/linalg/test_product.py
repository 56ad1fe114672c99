"""K V with K formed afresh, and the norm of K."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, KernelGram, PanelGram
from kernelfit.kernels import Gaussian
from kernelfit.linalg.product import symmetric_product


def symmetric(rng, n):
    a = rng.standard_normal((n, n))
    return a + a.T


def source_of(kind, matrix, layout):
    lower = np.tril(matrix)
    if kind == "array":
        return ArrayGram(lower)
    panels = [lower[layout.start(j) :, layout.start(j) : layout.stop(j)].copy() for j in range(layout.count)]
    return PanelGram(layout, panels)


@pytest.mark.parametrize("kind", ["array", "panels"])
@pytest.mark.parametrize(("n", "width"), [(1, 1), (2, 1), (19, 5), (111, 37), (300, 64), (1500, 700)])
@pytest.mark.parametrize("columns", [1, 4, 40])
@pytest.mark.parametrize("positive", [False, True])
def test_equals_the_dense_product_and_norm(rng, backend, tolerance, kind, n, width, columns, positive):
    k, v = symmetric(rng, n), rng.standard_normal((n, columns))
    k = np.abs(k) if positive else k
    layout = PanelLayout(n, width)
    product, sums, absolute = symmetric_product(
        source_of(kind, k, layout), layout, v, backend, with_norm=True
    )
    assert (np.abs(product - k @ v) <= tolerance(float, n, 2.0) * (np.abs(k) @ np.abs(v))).all()
    assert sums.max() == pytest.approx(np.linalg.norm(k, 1), rel=tolerance(float, n))
    assert absolute == pytest.approx(np.abs(k) @ np.abs(v), rel=tolerance(float, n))
    again, *nothing = symmetric_product(source_of(kind, k, layout), layout, v, backend)
    assert np.array_equal(product, again)
    assert nothing == [0.0, None]


def test_does_not_depend_on_threads(rng):
    x, v = rng.standard_normal((1900, 3)), rng.standard_normal((1900, 2))
    found = set()
    for threads in (1, 2, 3):
        with CpuBackend(threads) as backend:
            source = KernelGram(Gaussian(1.0), Points(x))
            product, sums, absolute = symmetric_product(
                source, PanelLayout(1900, 256), v, backend, with_norm=True
            )
        found.add((product.tobytes(), sums.tobytes(), absolute.tobytes()))
    assert len(found) == 1
