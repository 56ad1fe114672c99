"""BLAS and LAPACK by address: strided blocks in place, both dtypes, every odd shape."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernelfit.cpu import blas

DTYPES = (np.float64, np.float32)


def strided(rng, rows, columns, dtype):
    """A block with unit column stride that is part of a larger matrix full of NaN."""
    whole = np.full((rows + 2, columns + 5), np.nan, dtype)
    block = whole[1 : rows + 1, 3 : columns + 3]
    block[...] = rng.standard_normal((rows, columns))
    return whole, block


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 3), (5, 1, 2), (4, 6, 1), (19, 111, 65), (130, 1, 257)])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_gemm_works_in_place_on_strided_blocks(rng, tolerance, dtype, shape, transpose_a, transpose_b):
    m, n, k = shape
    _, a = strided(rng, *((k, m) if transpose_a else (m, k)), dtype)
    _, b = strided(rng, *((n, k) if transpose_b else (k, n)), dtype)
    whole, c = strided(rng, m, n, dtype)
    before = c.astype(np.float64)
    first, second = (x.astype(np.float64) for x in (a.T if transpose_a else a, b.T if transpose_b else b))
    blas.gemm(-0.5, a, b, 2.0, c, transpose_a=transpose_a, transpose_b=transpose_b)
    bound = tolerance(dtype, k + 2) * (np.abs(first) @ np.abs(second) + np.abs(before))
    assert (np.abs(c - (-0.5 * first @ second + 2.0 * before)) <= bound).all()
    assert np.isnan(whole).sum() == whole.size - c.size  # nothing beside the block was touched


def test_gemm_beta_zero_overwrites_what_was_not_a_number(rng):
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    c = np.full((3, 2), np.nan)
    blas.gemm(1.0, a, b, 0.0, c)
    np.testing.assert_allclose(c, a @ b, rtol=1e-14)


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2)])
def test_gemm_of_nothing_changes_nothing(shape):
    m, n, k = shape
    c = np.ones((m, n))
    blas.gemm(1.0, np.ones((m, k)), np.ones((k, n)), 0.0, c)
    assert c.shape == (m, n)


def test_gemm_with_an_empty_inner_dimension_scales():
    c = np.ones((2, 3))
    blas.gemm(1.0, np.ones((2, 0)), np.ones((0, 3)), 0.5, c)
    assert (c == 0.5).all()


def test_a_block_without_unit_column_stride_is_refused(rng):
    with pytest.raises(ValueError, match=r"unit column stride"):
        blas.gemm(1.0, rng.standard_normal((4, 4)).T, np.eye(4), 0.0, np.empty((4, 4)))


def lower(rng, width, dtype):
    """A well-conditioned lower triangle with NaN above the diagonal, which no routine may read."""
    l = np.tril(rng.standard_normal((width, width))) / np.sqrt(width)  # noqa: E741
    np.fill_diagonal(l, 1.0 + rng.random(width))
    triangle = l.astype(dtype)
    block = triangle.copy()
    block[np.triu_indices(width, 1)] = np.nan
    return triangle.astype(np.float64), block


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 111, 128, 130, 300])
@pytest.mark.parametrize("rows", [1, 17])
def test_solve_right_by_recursion(rng, tolerance, dtype, width, rows):
    triangle, block = lower(rng, width, dtype)
    _, x = strided(rng, rows, width, dtype)
    right = x.astype(np.float64)
    blas.solve_right_lower_transposed(block, x)
    solved = x.astype(np.float64)
    bound = tolerance(dtype, width) * (np.abs(solved) @ np.abs(triangle.T) + np.abs(right))
    assert (np.abs(solved @ triangle.T - right) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("width", "columns"), [(1, 1), (19, 1), (65, 10), (111, 3), (2, 0)])
def test_solve_left(rng, tolerance, dtype, transposed, width, columns):
    triangle, block = lower(rng, width, dtype)
    _, x = strided(rng, width, columns, dtype)
    right = x.astype(np.float64)
    blas.solve_left_lower(block, x, transposed=transposed)
    a, solved = triangle.T if transposed else triangle, x.astype(np.float64)
    bound = tolerance(dtype, width) * (np.abs(a) @ np.abs(solved) + np.abs(right))
    assert (np.abs(a @ solved - right) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 19, 111, 300])
def test_potrf_reads_and_writes_the_lower_triangle_only(rng, tolerance, dtype, n):
    x = rng.standard_normal((n, n))
    k = (x @ x.T + n * np.eye(n)).astype(dtype)
    whole, a = strided(rng, n, n, dtype)
    a[...] = k
    a[np.triu_indices(n, 1)] = np.nan
    assert blas.potrf(a) == 0
    assert np.isnan(a[np.triu_indices(n, 1)]).all()
    l = np.tril(a).astype(np.float64)  # noqa: E741
    assert np.abs(l @ l.T - k).max() <= tolerance(dtype, n) * np.abs(k).max()
    assert np.isnan(whole[0]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 19, 200])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_potrf_names_the_first_minor_that_is_not_positive(dtype, n, value):
    for row in {0, n // 2, n - 1}:
        a = np.eye(n, dtype=dtype)
        a[row, row] = value
        assert blas.potrf(a) == row + 1


def test_products_run_in_several_threads_at_once(rng):
    a, b = rng.standard_normal((200, 300)), rng.standard_normal((300, 150))
    outs = [np.empty((200, 150)) for _ in range(16)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda out: blas.gemm(1.0, a, b, 0.0, out), outs))
    assert all(np.array_equal(out, outs[0]) for out in outs)
    np.testing.assert_allclose(outs[0], a @ b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_with_one_column(rng, dtype, transposed):
    a = rng.standard_normal((9, 7 + 3)).astype(dtype)[:, 2:9]
    op = a.T if transposed else a
    x, y = (rng.standard_normal((size, 4)).astype(dtype)[:, 1:2] for size in op.shape[::-1])
    expected = -2.0 * op @ x + 0.5 * y
    blas.gemm(-2.0, a, x, 0.5, y, transpose_a=transposed)
    np.testing.assert_allclose(y, expected, atol=30 * np.finfo(dtype).eps)
    blank = np.full_like(y, np.nan)
    blas.gemm(1.0, a, x, 0.0, blank, transpose_a=transposed)
    np.testing.assert_allclose(blank, op @ x, atol=30 * np.finfo(dtype).eps)
