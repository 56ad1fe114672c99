"""One tile between two sets of rows: any corner, exact or not, in both dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from kernelfit.cpu import bytes_product
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, KernelTile, evaluate
from kernelfit.kernels import Gaussian, Laplacian, Linear, NeuralTangent, Polynomial


def exact_rows(rng, n, d):
    return rng.integers(0, 256, (n, d), dtype=np.uint8), 1 / 255


def float_rows(rng, n, d):
    return rng.standard_normal((n, d)), None


@pytest.mark.parametrize("make", [exact_rows, float_rows])
@pytest.mark.parametrize("d", [3, 1500])
def test_the_invariants_that_kernels_rely_on(rng, backend, make, d):
    x, scale = make(rng, 30, d)
    y, _ = make(rng, 21, d)
    columns = Points(x, scale)
    rows = Points(y, scale, like=columns)
    tile = KernelTile(rows, 4, 20, ColumnBlock(columns, 7, 30, rows.exact and columns.exact), backend)
    a, b = y[4:20] * (scale or 1.0), x[7:30] * (scale or 1.0)
    assert tile.shape == (16, 23)
    assert tile.dot() is tile.dot()
    inner, distance = np.empty(tile.shape), np.empty(tile.shape)
    tile.inner_products(inner)
    assert tile.sq_distances(distance) == 1.0
    np.testing.assert_allclose(inner, a @ b.T, rtol=1e-12, atol=1e-12 * d)
    np.testing.assert_allclose(distance, cdist(a, b, "sqeuclidean"), rtol=1e-12, atol=1e-12 * d)
    for got, expected in zip(tile.lengths(), (a, b), strict=True):
        np.testing.assert_allclose(got, np.linalg.norm(expected, axis=1), rtol=1e-13)
    for got, expected in zip(tile.coordinates(), (a, b), strict=True):
        assert np.array_equal(got, expected)


@pytest.mark.parametrize(
    "kernel", [Gaussian(0.01), Laplacian(0.01), Polynomial(), NeuralTangent(2)], ids=repr
)
def test_a_float32_tile_is_the_rounded_float64_tile(rng, backend, kernel):
    x, scale = exact_rows(rng, 40, 50)
    points = Points(x, scale)
    block = ColumnBlock(points, 3, 31, points.exact)
    wide, narrow = np.empty((22, 28)), np.empty((22, 28), np.float32)
    evaluate(kernel, points, 11, 33, block, wide, backend)
    evaluate(kernel, points, 11, 33, block, narrow, backend)
    assert np.array_equal(narrow, wide.astype(np.float32))


@pytest.mark.parametrize("d", [784, 3072])
def test_both_exact_ways_give_the_same_bits(rng, backend, monkeypatch, d):
    """Inner products of bytes by the CPU's own instruction, and of centred integers in float32."""
    x, scale = exact_rows(rng, 90, d)
    kernel, tiles = Gaussian(0.02), []
    for available in (True, False):
        if not available:
            monkeypatch.setattr(bytes_product, "available", lambda: False)
        elif not bytes_product.available():
            pytest.skip("this CPU has one of the two ways")
        points = Points(x, scale)
        assert points.arithmetic == ("exact bytes in int32" if available else "exact integers in float32")
        tiles.append(np.empty((60, 47)))
        evaluate(kernel, points, 30, 90, ColumnBlock(points, 1, 48, points.exact), tiles[-1], backend)
    assert np.array_equal(*tiles)


def test_exact_distances_are_rounded_once(rng, backend):
    """The gaussian of bytes equals exp of the exactly known distance to the last digits, with no cancellation."""
    x = rng.integers(100, 103, (50, 2000)).astype(np.uint8)
    points = Points(x, 1 / 255)
    out = np.empty((50, 50))
    evaluate(Gaussian(1.0), points, 0, 50, ColumnBlock(points, 0, 50, True), out, backend)
    integers = cdist(x.astype(np.int64), x.astype(np.int64), "sqeuclidean")
    np.testing.assert_allclose(out, np.exp(-integers / 255**2), rtol=1e-15)


@pytest.mark.parametrize("shape", [(1, 1), (1, 19), (19, 1)])
def test_tiles_of_one_row_or_column(rng, backend, shape):
    h, w = shape
    x = rng.standard_normal((20, 4))
    points = Points(x)
    out = np.empty((h, w))
    evaluate(Linear(), points, 20 - h, 20, ColumnBlock(points, 0, w, False), out, backend)
    np.testing.assert_allclose(out, x[20 - h :] @ x[:w].T, rtol=1e-13, atol=1e-14)


def test_a_strided_target_is_filled_in_place(rng, backend):
    x = rng.standard_normal((20, 4))
    points = Points(x)
    whole = np.full((12, 15), np.nan)
    evaluate(Gaussian(0.5), points, 0, 10, ColumnBlock(points, 5, 17, False), whole[1:11, 2:14], backend)
    np.testing.assert_allclose(
        whole[1:11, 2:14], np.exp(-0.5 * cdist(x[:10], x[5:17], "sqeuclidean")), rtol=1e-12
    )
    assert np.isnan(whole).sum() == whole.size - 120


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5, -1e6])
def test_a_common_offset_costs_distances_nothing(rng, backend, tolerance, dtype, offset):
    """Rows far from the origin have the distances of the same rows around it."""
    x = (rng.standard_normal((40, 30)) + offset * rng.random(30)).astype(dtype)
    y = (rng.standard_normal((20, 30)) + offset * x[0] / (1 + abs(offset))).astype(dtype)
    columns = Points(x)
    rows = Points(y, like=columns)
    tile = KernelTile(columns, 0, 40, ColumnBlock(columns, 0, 40, False), backend)
    distance = np.empty((40, 40))
    tile.sq_distances(distance)
    exact = cdist(x.astype(np.float64), x.astype(np.float64), "sqeuclidean")
    # What subtracting the median rounds away is relative to the offset, once; not to its square.
    bound = tolerance(np.float64, 30) * (np.abs(x).max() + exact.max())
    assert np.abs(distance - exact).max() <= bound
    tile = KernelTile(rows, 0, 20, ColumnBlock(columns, 0, 40, False), backend)
    inner = np.empty((20, 40))
    tile.inner_products(inner)
    expected = y.astype(np.float64) @ x.astype(np.float64).T
    size = np.linalg.norm(y, axis=1)[:, None] * np.linalg.norm(x, axis=1)
    assert (np.abs(inner - expected) <= tolerance(np.float64, 30) * size).all()


def test_a_row_far_out_costs_the_distances_of_others_nothing(rng, backend, tolerance):
    x = rng.standard_normal((40, 30))
    x[7] = 1e8
    points = Points(x)
    tile = KernelTile(points, 0, 40, ColumnBlock(points, 0, 40, False), backend)
    distance = np.empty((40, 40))
    tile.sq_distances(distance)
    others = np.ix_(np.arange(40) != 7, np.arange(40) != 7)
    exact = cdist(x, x, "sqeuclidean")[others]
    assert np.abs(distance[others] - exact).max() <= tolerance(np.float64, 30) * exact.max()


def test_a_row_that_is_no_number_has_no_number_in_any_kernel(rng, any_kernel, backend):
    """Of a NaN the cosine was -1, and the angle that of parallel rows."""
    x = rng.standard_normal((6, 3))
    columns = Points(x)
    rows = Points(x[:3], like=columns)
    columns.values[4] = np.nan
    out = np.empty((3, 6))
    evaluate(any_kernel, rows, 0, 3, ColumnBlock(columns, 0, 6, False), out, backend)
    assert np.isnan(out[:, 4]).all()
    assert np.isfinite(out[:, [0, 1, 2, 3, 5]]).all()
