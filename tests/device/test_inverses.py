"""Solves by inverses of small triangles: as right as substitution, also where triangles are ill-conditioned."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.device import inverses as module
from kernelfit.device.gram import fetch, put
from kernelfit.device.inverses import TriangleInverses
from kernelfit.gram.layout import PanelLayout


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("columns", [1, 3])
def test_residuals_are_rounding(rng, make_device, monkeypatch, tolerance, dtype, transposed, columns):
    """T^-1 b alone leaves a residual as large as |T^-1|, here 2^15, times the unit roundoff."""
    monkeypatch.setattr(module, "ORDER", 16)
    layout = PanelLayout(90, 41)  # ragged triangles and a ragged panel
    device = make_device(1_000_000)
    stream = device.stream("main")
    inverses = TriangleInverses(device, layout, dtype, columns)
    for k in range(layout.count):
        width = layout.stop(k) - layout.start(k)
        lower = (np.eye(width) - np.tril(np.ones((width, width)), -1)).astype(dtype)
        # Of a moderate solution, beside which |T^-1| |b| is large.
        b = ((lower.T if transposed else lower) @ rng.standard_normal((width, columns))).astype(dtype)
        block, x = (device.slab.take(*array.shape, dtype, array.shape[1] + 3) for array in (lower, b))
        put(device, stream, lower, block)
        for _ in range(2):  # formed, and found
            put(device, stream, b, x)
            inverses.solve(stream, k, block, x, transposed=transposed)
        solved = fetch(device, stream, x).astype(np.longdouble)
        matrix = (lower.T if transposed else lower).astype(np.longdouble)
        residual = np.abs(matrix @ solved - b).max(axis=0)
        assert (residual <= tolerance(dtype, width) * (np.abs(matrix) @ np.abs(solved)).max(axis=0)).all()


def test_many_right_hand_sides_are_left_to_the_library(make_device):
    device, layout = make_device(4_000_000), PanelLayout(90, 41)
    before = device.slab.used
    inverses = TriangleInverses(device, layout, np.float64, 100)
    assert device.slab.used - before == TriangleInverses.nbytes(layout, np.float64, 100)
    assert inverses.serve(module.FEW)
    assert not inverses.serve(module.FEW + 1)
