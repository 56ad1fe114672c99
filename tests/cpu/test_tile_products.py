"""A V and A^T U of one float32 tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit.cpu.tile_products import COLUMNS, ROWS, WIDTH, add_products, group_of


@pytest.mark.parametrize("height", [4, 64, 132, 512])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sides", [ROWS, COLUMNS, ROWS | COLUMNS])
def test_both_products_of_a_tile(rng: np.random.Generator, height: int, dtype: Any, sides: int) -> None:
    groups, group = 2, group_of(dtype)
    tile = rng.standard_normal((height, WIDTH)).astype(np.float32)
    rows = rng.standard_normal((groups, height, group)).astype(dtype)
    columns = rng.standard_normal((groups, group, WIDTH)).astype(dtype)
    by_row, by_column = (
        rng.standard_normal((groups, height, group)),
        rng.standard_normal((groups, group, WIDTH)),
    )
    expected_row = by_row + (sides & ROWS > 0) * np.einsum(
        "hw,gvw->ghv", tile.astype(float), columns.astype(float)
    )
    expected_column = by_column + (sides & COLUMNS > 0) * np.einsum(
        "hw,ghv->gvw", tile.astype(float), rows.astype(float)
    )
    add_products(tile, rows, columns, by_row, by_column, sides, dtype(1))
    bound = 40 * np.finfo(dtype).eps * np.sqrt(WIDTH)
    np.testing.assert_allclose(by_row, expected_row, atol=bound, rtol=0)
    np.testing.assert_allclose(by_column, expected_column, atol=bound, rtol=0)


def test_parts_of_larger_arrays(rng: np.random.Generator) -> None:
    group = group_of(np.float64)
    whole = rng.standard_normal((3, 8, WIDTH)).astype(np.float32)
    rows, columns = rng.standard_normal((1, 40, group)), rng.standard_normal((1, group, WIDTH))
    by_row, by_column = np.zeros((1, 40, group)), np.zeros((1, group, WIDTH))
    add_products(whole[1], rows[:, 16:24], columns, by_row[:, 16:24], by_column, ROWS | COLUMNS, 1.0)
    np.testing.assert_allclose(by_row[0, 16:24], whole[1] @ columns[0].T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(by_column[0], rows[0, 16:24].T @ whole[1], rtol=1e-12, atol=1e-12)
    assert not by_row[:, :16].any()
    assert not by_row[:, 24:].any()
