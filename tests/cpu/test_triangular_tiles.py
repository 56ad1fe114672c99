"""Triangular solves in tiles, beside the same in higher precision."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu import blas, matrix_product, triangular_tiles

pytestmark = pytest.mark.skipif(not matrix_product.available(), reason="the CPU has no such tiles")


def triangle(rng, width, dtype):
    return (np.tril(rng.standard_normal((width, width))) / width + 2.0 * np.eye(width)).astype(dtype)


def test_the_widest_triangle_has_room_where_products_pack_their_rows():
    rows, columns, _ = matrix_product.packed_block()
    assert columns - rows >= triangular_tiles.MAX_ORDER**2 * 8


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (3, 8), (23, 7), (48, 96), (77, 97), (50, 256)])
def test_rows_are_solved_and_nothing_else_is_touched(rng, dtype, rows, width):
    l, x = triangle(rng, width + 3, dtype)[:width, :width], rng.standard_normal((rows, width)).astype(dtype)  # noqa: E741
    above = l + np.triu(np.full_like(l, np.nan), 1)
    whole = np.full((rows + 2, width + 11), 7.0, dtype)
    block = whole[1:-1, 4 : width + 4]
    block[...] = x
    triangular_tiles.solve(blas.rows_of(above), blas.rows_of(block), block.shape, block.dtype)
    back = block.astype(float) @ l.astype(float).T
    scale = np.abs(block).astype(float) @ np.abs(l).astype(float).T + np.abs(x)
    assert (np.abs(back - x) <= (8 + np.sqrt(width)) * np.finfo(dtype).eps * scale).all()
    block[...] = 7.0
    assert (whole == 7.0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_bits_of_a_row_do_not_depend_on_the_rows_beside_it(rng, dtype):
    l, x = triangle(rng, 100, dtype), rng.standard_normal((120, 100)).astype(dtype)  # noqa: E741

    def solved(part):
        part = part.copy()
        triangular_tiles.solve(blas.rows_of(l), blas.rows_of(part), part.shape, part.dtype)
        return part

    whole = solved(x)
    for start, stop in ((0, 1), (13, 64), (90, 120)):
        np.testing.assert_array_equal(solved(x[start:stop]), whole[start:stop])


@pytest.mark.parametrize("order", [1, 8, 30, 97])
def test_what_is_not_a_number_above_the_diagonal_is_not_read(rng, order):
    root = triangle(rng, order, np.float64)
    a = root @ root.T
    given = np.tril(a) + np.triu(np.full_like(a, np.nan), 1)
    packed = matrix_product.packed_block()
    info = triangular_tiles.factor_square(blas.rows_of(given), order, packed, np.float64(1.0))
    assert info == 0
    np.testing.assert_allclose(np.tril(given), np.linalg.cholesky(a), rtol=1e-12, atol=1e-14)
