"""Solves by inverses of small triangles: as right as substitution, also where triangles are ill-conditioned; the rows
below a diagonal block by them wherever theory bounds what they add."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device import inverses as module
from kernelfit.device.cholesky import device_factor
from kernelfit.device.gram import HostGram, fetch, put
from kernelfit.device.inverses import TriangleInverses, growth
from kernelfit.device.panels import DevicePanels
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("columns", [1, 3])
def test_residuals_are_rounding(rng, make_device, monkeypatch, tolerance, dtype, transposed, columns):
    """T^-1 b alone leaves a residual as large as |T^-1|, here 2^15, times the unit roundoff."""
    monkeypatch.setattr(module, "TRIANGLE", 16)
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


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("off_diagonal", [-0.05, -0.5])  # growth of some 3 and some 2,000
def test_rows_times_an_inverse_have_the_residual_of_theory(
    rng, make_device, monkeypatch, dtype, off_diagonal
):
    monkeypatch.setattr(module, "TRIANGLE", 16)
    monkeypatch.setattr(module, "_STRIP", 9)  # several strips of rows, a ragged one
    layout, device = PanelLayout(60, 20), make_device(1_000_000)
    stream = device.stream("main")
    inverses = TriangleInverses(device, layout, dtype, 1)
    triangle = (np.eye(20) + off_diagonal * np.tril(np.ones((20, 20)), -1)).astype(dtype)
    lower = device.slab.take(20, 20, dtype, 23)
    put(device, stream, triangle, lower)
    inverses.form(stream, 1, lower)
    rows = rng.standard_normal((25, 20)).astype(dtype)
    x = device.slab.take(25, 20, dtype, 21)
    put(device, stream, rows, x)
    for span in inverses.spans(20):
        inverses.multiply_right(stream, 1, span, x.part(columns=span))
    solved = fetch(device, stream, x).astype(np.longdouble)
    for a, b in ((0, 16), (16, 20)):
        small = triangle[a:b, a:b].astype(np.longdouble)
        inverse = fetch(device, stream, inverses.inverse(1, (a, b))).astype(np.longdouble)
        residual = np.abs(rows[:, a:b] - solved[:, a:b] @ small.T)
        unit = np.finfo(dtype).eps / 2
        bound = 2 * (b - a) * unit * np.abs(rows[:, a:b]) @ np.abs(inverse).T @ np.abs(small).T
        assert (residual <= bound).all()


def test_growth_is_that_of_the_formula():
    triangle = np.array([[2.0, 0.0], [-1.0, 1.0]])
    inverse = np.array([[0.5, 0.0], [0.5, 1.0]])
    # t = (2, sqrt 2), |V| t = (1, 1 + sqrt 2), |T| |V| t = (2, 2 + sqrt 2).
    assert growth(triangle, inverse) == pytest.approx(1 + np.sqrt(2))
    assert growth(np.eye(5), np.eye(5)) == 1.0
    assert not growth(np.full((3, 3), np.nan), np.eye(3)) <= 1e300


def gaussian(ridge):
    points = np.linspace(0, 1, 160)
    return np.exp(-50 * (points[:, None] - points) ** 2) + ridge * np.eye(160)


def factored(make_device, matrix, dtype=np.float64, **options):
    """L and how many products with inverses stood for triangular solves below the diagonal blocks."""
    layout, device = PanelLayout(len(matrix), 20), make_device(4_000_000, **options)
    tiles = layout.count * (layout.count + 1) // 2
    store = DevicePanels(device, layout, dtype, slots=tiles, host_slots=0, staged=0)
    inverses, calls = TriangleInverses(device, layout, dtype, 1), []
    multiply = inverses.multiply_right
    inverses.multiply_right = lambda *given: (calls.append(given), multiply(*given))
    with CpuBackend(1) as backend:
        device_factor(HostGram(device, ArrayGram(matrix), backend, 24), 0.0, store, inverses=inverses)
    stream, lower = device.stream("read"), np.zeros_like(matrix)
    for k in range(layout.count):
        for segment in store.segments(k, k, stream):
            columns = slice(layout.start(k), layout.stop(k))
            lower[slice(*segment.rows), columns] = fetch(device, stream, segment.block)
    store.close()
    return lower, len(calls)


def excess(matrix, lower):
    """The error of L L^T at any entry, in units of Cholesky's bound (n + 1) u sqrt(k_ii k_jj)."""
    wide = lower.astype(np.longdouble)
    sizes = np.sqrt(np.diagonal(matrix))
    bound = (len(matrix) + 1) * np.finfo(np.float64).eps / 2 * sizes[:, None] * sizes
    return float((np.abs(wide @ wide.T - matrix) / bound).max())


def test_the_factor_keeps_twice_its_bound_where_inverses_are_tame_and_the_library_serves_elsewhere(
    make_device, monkeypatch
):
    monkeypatch.setattr(module, "TRIANGLE", 16)
    tame, ill = gaussian(10.0), gaussian(1e-12)
    lower, products = factored(make_device, tame)
    assert products == 7 * 2  # all panels but the last, two triangles each
    assert excess(tame, lower) <= 2
    lower, products = factored(make_device, ill)
    assert products == 0
    assert excess(ill, lower) <= 2
    # Without the look at their growth, inverses of ill-conditioned triangles leave the bound behind.
    monkeypatch.setattr(TriangleInverses, "max_growth", lambda self: np.inf)
    lower, products = factored(make_device, ill)
    assert products > 0
    assert excess(ill, lower) > 2


def test_tensor_cores_leave_the_rows_below_to_the_library(make_device, monkeypatch):
    monkeypatch.setattr(module, "TRIANGLE", 8)
    tame = gaussian(10.0)
    assert factored(make_device, tame, np.float32)[1] > 0
    assert factored(make_device, tame, np.float32, compute="tf32")[1] == 0
