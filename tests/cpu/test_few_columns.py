"""Products and solves with a few columns beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu import few_columns

SHAPES = [(1, 1), (47, 5), (96, 200), (131, 333)]
COLUMNS = [1, 3, 8, 10, 21, 30]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("columns", COLUMNS)
def test_products(rng, dtype, shape, columns):
    a = rng.standard_normal(shape).astype(dtype)
    wide = a.astype(float)
    for matrix, product in ((wide, few_columns.add_product), (wide.T, few_columns.add_transposed)):
        x, y = (rng.standard_normal((size, columns)).astype(dtype) for size in matrix.shape[::-1])
        before = y.astype(float)
        product(-1.0, a, x, y)
        bound = (8 + np.sqrt(matrix.shape[1])) * np.finfo(dtype).eps
        error = np.abs(y - (before - matrix @ x))
        assert (error <= bound * (np.abs(before) + np.abs(matrix) @ np.abs(x))).all()


def test_only_what_is_asked_for_is_touched(rng):
    """Views: rows apart from each other on every side."""
    a, x, y, z = (rng.standard_normal((40, 60)) for _ in range(4))
    left, right = y.copy(), z.copy()
    few_columns.add_product(1.0, a[3:30, 5:40], x[:35, 7:20], left[2:29, 11:24])
    few_columns.add_transposed(1.0, a[3:30, 5:40], x[:27, 7:20], right[2:37, 11:24])
    y[2:29, 11:24] += a[3:30, 5:40] @ x[:35, 7:20]
    z[2:37, 11:24] += a[3:30, 5:40].T @ x[:27, 7:20]
    np.testing.assert_allclose(left, y, atol=1e-12)
    np.testing.assert_allclose(right, z, atol=1e-12)


def test_both_products_at_once_have_the_bits_of_either(rng):
    a, x, b = (rng.standard_normal(shape) for shape in ((150, 333), (333, 21), (150, 21)))
    y, z, left, right = np.zeros((150, 21)), np.zeros((333, 21)), np.zeros((150, 21)), np.zeros((333, 21))
    few_columns.add_both(a, (x, y), (b, z))
    few_columns.add_product(1.0, a, x, left)
    few_columns.add_transposed(1.0, a, b, right)
    np.testing.assert_array_equal(y, left)
    np.testing.assert_array_equal(z, right)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 31, 33, 150])
@pytest.mark.parametrize("columns", [1, 9, 26])
@pytest.mark.parametrize("transposed", [False, True])
def test_triangles(rng, dtype, n, columns, transposed):
    lower = np.tril(rng.standard_normal((n, n)) / n + 2 * np.eye(n)).astype(dtype)
    given = lower + np.triu(np.full((n, n), np.nan, dtype), 1)  # nobody reads above the diagonal
    b = rng.standard_normal((n, columns)).astype(dtype)
    x = b.copy()
    few_columns.solve(given, x, transposed=transposed)
    matrix = (lower.T if transposed else lower).astype(float)
    error = np.abs(matrix @ x - b)
    assert (error <= (8 + np.sqrt(n)) * np.finfo(dtype).eps * (np.abs(matrix) @ np.abs(x))).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_column_does_not_depend_on_those_beside_it(rng, dtype):
    a, x, b = (rng.standard_normal(shape).astype(dtype) for shape in ((70, 300), (300, 55), (70, 55)))
    lower = np.tril(rng.standard_normal((70, 70)) / 70 + np.eye(70)).astype(dtype)

    def results(columns):
        product, transposed = np.zeros((70, 55), dtype)[:, columns], np.zeros((300, 55), dtype)[:, columns]
        solved, turned = b[:, columns].copy(), b[:, columns].copy()
        few_columns.add_product(1.0, a, x[:, columns], product)
        few_columns.add_transposed(1.0, a, b[:, columns], transposed)
        few_columns.solve(lower, solved)
        few_columns.solve(lower, turned, transposed=True)
        return np.vstack([product, transposed, solved, turned])

    whole = results(slice(0, 55))
    for columns in (slice(4, 5), slice(7, 27), slice(13, 55)):
        np.testing.assert_array_equal(results(columns), whole[:, columns])


def test_only_a_few_columns_of_whole_rows_are_taken(rng):
    a = rng.standard_normal((20, 30))
    assert few_columns.few(a, np.ones((30, 4)))
    assert few_columns.few(a[:, :20], np.ones((20, 1)))
    assert not few_columns.few(a, np.ones((30, few_columns.MAX_COLUMNS + 1)))
    assert not few_columns.few(a, np.ones((30, 0)))
    assert not few_columns.few(a[:0], np.ones((30, 4)))
    assert not few_columns.few(a.T, np.ones((20, 4)))
