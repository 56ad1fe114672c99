"""Products with a few columns beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu import few_columns


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (47, 5), (96, 200), (131, 33)])
@pytest.mark.parametrize("columns", [1, 3, 4, 10])
def test_products(rng, dtype, shape, columns):
    a = rng.standard_normal(shape).astype(dtype)
    x, b = (rng.standard_normal((size, columns)).astype(dtype) for size in shape[::-1])
    y = rng.standard_normal((shape[0], columns)).astype(dtype)
    before, wide = y.astype(float), a.astype(float)
    few_columns.add_product(-1.0, a, x, y)
    bound = (8 + np.sqrt(shape)) * np.finfo(dtype).eps
    error = np.abs(y - (before - wide @ x))
    assert (error <= bound[1] * (np.abs(before) + np.abs(wide) @ np.abs(x))).all()
    error = np.abs(few_columns.transposed_product(a, b) - (wide.T @ b).T)
    assert (error <= bound[0] * (np.abs(wide.T) @ np.abs(b)).T).all()


def test_a_column_does_not_depend_on_those_beside_it(rng):
    a, x, b = rng.standard_normal((70, 50)), rng.standard_normal((50, 9)), rng.standard_normal((70, 9))
    whole, part = np.zeros((70, 9)), np.zeros((70, 2))
    few_columns.add_product(1.0, a, x, whole)
    few_columns.add_product(1.0, a, x[:, 4:6], part)
    np.testing.assert_array_equal(part, whole[:, 4:6])
    np.testing.assert_array_equal(
        few_columns.transposed_product(a, b[:, 4:6]), few_columns.transposed_product(a, b)[4:6]
    )


def test_only_a_few_columns_of_whole_rows_are_taken(rng):
    a = rng.standard_normal((20, 30))
    assert few_columns.few(a, np.ones((30, 4)))
    assert not few_columns.few(a, np.ones((30, 1)))
    assert not few_columns.few(a, np.ones((30, 40)))
    assert not few_columns.few(a[:, :20], np.ones((20, 4)))
