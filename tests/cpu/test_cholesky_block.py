"""A small block factored in one compiled call."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu import cholesky_block


def positive(rng, n, dtype):
    x = rng.standard_normal((n, n))
    return (x @ x.T / n + np.eye(n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 5, 95, 96, 97, 230])
def test_it_is_the_cholesky_factor(rng, n, dtype):
    a = positive(rng, n, dtype)
    whole = np.full((n + 1, n + 9), 7.0, dtype)
    block = whole[:n, 3 : n + 3]
    block[...] = a
    info, _ = cholesky_block.factor(block)
    assert info == 0
    assert not np.triu(block, 1).any()
    lower = block.astype(float)
    assert abs(lower @ lower.T - a).max() <= 8 * (8 + np.sqrt(n)) * np.finfo(dtype).eps * abs(a).max()
    block[...] = 7.0
    assert (whole == 7.0).all()


@pytest.mark.parametrize("pivot", [-1.0, 0.0, np.nan])
@pytest.mark.parametrize("row", [0, 40, 96, 150, 199])
def test_it_says_where_it_stopped_and_what_was_there(rng, pivot, row):
    a = positive(rng, 200, np.float64)
    a[row, row] = pivot
    info, saved = cholesky_block.factor(a.copy())
    assert info == row + 1
    first = row // cholesky_block.STEP * cholesky_block.STEP
    before = np.linalg.cholesky(a[:first, :first]) if first else np.zeros((0, 0))
    left = np.linalg.solve(before, a[first:200, :first].T).T
    expected = a[first:, first:] - left @ left.T
    order = min(cholesky_block.STEP, 200 - first)
    np.testing.assert_allclose(
        np.tril(saved[:order, :order]), np.tril(expected[:order, :order]), atol=1e-12, equal_nan=True
    )
