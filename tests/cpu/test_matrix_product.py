"""Our own C + alpha A B^T: right for ragged sizes and strides, nothing else written, the same bits however it is cut.

On a CPU that BLAS serves better it is compiled all the same.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kernelfit.cpu import blas, matrix_product
from kernelfit.cpu.matrix_product import add_product


def operand(matrix):
    return matrix.ctypes.data, matrix.strides[0] // matrix.itemsize


def product(alpha, a, b, beta, c, down=(False, False)):
    """alpha A B^T; an operand whose sums run `down` its columns is given transposed."""
    shape = (*c.shape, a.shape[1])
    stored = [
        np.ascontiguousarray(each.T) if turned else each for each, turned in zip((a, b), down, strict=True)
    ]
    left, right = ((*operand(each), turned) for each, turned in zip(stored, down, strict=True))
    add_product(alpha, left, right, beta, operand(c), shape, c.dtype)


SHAPES = ((1, 1, 1), (8, 24, 8), (9, 49, 7), (33, 65, 17), (131, 97, 401), (385, 1_057, 193), (40, 40, 0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factors", [(-1.0, 1.0), (1.0, 0.0), (2.5, 0.5)])
@pytest.mark.parametrize("down", [(False, False), (True, True)])
def test_it_is_the_product(rng, dtype, shape, factors, down):
    m, n, k = shape
    alpha, beta = factors
    whole = rng.standard_normal((m + 2, n + 7)).astype(dtype)
    a = rng.standard_normal((m, k + 3)).astype(dtype)[:, 1 : k + 1]
    b = rng.standard_normal((n, k + 5)).astype(dtype)[:, 2 : k + 2]
    before = whole.copy()
    c = whole[1:-1, 3 : n + 3]
    if beta == 0.0:
        c[...] = np.nan  # is not read
    expected = alpha * a.astype(float) @ b.T.astype(float) + beta * before[1:-1, 3 : n + 3].astype(float)
    sizes = abs(alpha) * abs(a).astype(float) @ abs(b).T.astype(float) + abs(beta * before[1:-1, 3 : n + 3])
    product(alpha, a, b, beta, c, down)
    assert (abs(c - expected) <= 4 * (8 + np.sqrt(k)) * np.finfo(dtype).eps * sizes).all()
    whole[1:-1, 3 : n + 3] = before[1:-1, 3 : n + 3]
    assert np.array_equal(whole, before)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bits_do_not_depend_on_how_it_is_cut(rng, dtype):
    a, b = rng.standard_normal((150, 210)).astype(dtype), rng.standard_normal((130, 210)).astype(dtype)
    c = rng.standard_normal((150, 130)).astype(dtype)
    expected, cut = c.copy(), c.copy()
    product(-1.0, a, b, 1.0, expected)
    for (top, bottom), (left, right) in itertools.product([(0, 37), (37, 150)], [(0, 71), (71, 130)]):
        product(-1.0, a[top:bottom], b[left:right], 1.0, cut[top:bottom, left:right])
    assert np.array_equal(cut, expected)


def test_infinities_and_nans_stay_in_their_rows_and_columns(rng):
    a, b, c = rng.standard_normal((12, 9)), rng.standard_normal((30, 9)), np.zeros((12, 30))
    a[3, 2], b[25, 1] = np.inf, np.nan
    product(1.0, a, b, 0.0, c)
    bad = ~np.isfinite(c)
    assert bad[3].all()
    assert bad[:, 25].all()
    assert bad.sum() == 30 + 12 - 1


def test_blas_calls_it_where_it_is_faster(rng, monkeypatch):
    a, b, c = rng.standard_normal((70, 70)), rng.standard_normal((80, 70)), np.zeros((70, 80))
    expected = a @ b.T
    for available, turned in itertools.product((True, False), repeat=2):
        monkeypatch.setattr(matrix_product, "available", lambda answer=available: answer)
        blas.gemm(1.0, a, b, 0.0, c, transpose_b=True)
        assert np.allclose(c, expected, rtol=0, atol=1e-12)
        left = np.ascontiguousarray(a.T) if turned else a
        blas.gemm(1.0, left, np.ascontiguousarray(b.T), 0.0, c, transpose_a=turned)
        assert np.allclose(c, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_operands_that_are_turned_give_the_same_bits(rng, dtype):
    a, b = rng.standard_normal((150, 210)).astype(dtype), rng.standard_normal((130, 210)).astype(dtype)
    expected = np.zeros((150, 130), dtype)
    product(1.0, a, b, 0.0, expected)
    for down in ((True, False), (False, True), (True, True)):
        c = np.zeros_like(expected)
        product(1.0, a, b, 0.0, c, down)
        assert np.array_equal(c, expected)
