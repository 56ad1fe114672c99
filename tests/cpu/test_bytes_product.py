"""Products of bytes against int64, at the edges of the micro-tile, of a step, and of int32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.cpu import bytes_product

pytestmark = pytest.mark.skipif(
    not bytes_product.available(), reason="this CPU, or Numba's target, has no AVX-512 VNNI"
)


def product(x: np.ndarray, y: np.ndarray, centre: int, dtype=np.float64) -> np.ndarray:
    out = np.full((len(x), len(y)), np.nan, dtype)
    rows = bytes_product.packed_rows(x, centre)
    bytes_product.multiply(rows, bytes_product.packed_columns(y, centre), out)
    return out


def expected(x: np.ndarray, y: np.ndarray, centre: int) -> np.ndarray:
    return (x.astype(np.int64) - centre) @ (y.astype(np.int64) - centre).T


@pytest.mark.parametrize("height", [1, 13, 14, 15, 28, 43])
@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 97])
@pytest.mark.parametrize("features", [1, 3, 4, 5, 63, 784])
def test_every_edge_is_exact(rng, height, width, features):
    x = rng.integers(0, 256, (height, features), dtype=np.uint8)
    y = rng.integers(0, 256, (width, features), dtype=np.uint8)
    assert np.array_equal(product(x, y, 128), expected(x, y, 128))


@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(1, 300),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
def test_any_shape_and_centre(height, width, features, centre, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (height, features), dtype=np.uint8)
    y = rng.integers(0, 256, (width, features), dtype=np.uint8)
    assert np.array_equal(product(x, y, centre), expected(x, y, centre))


@pytest.mark.parametrize("features", [3, 8, 41, 784])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_in_which_all_rows_of_a_panel_are_zero(rng, features, dtype):
    x, y = (rng.integers(0, 256, (count, features), dtype=np.uint8) for count in (45, 70))
    x[:, rng.random(features) < 0.7] = 0
    x[:14, 4:] = 0
    x[14:28] = 0
    y[:40] = 0
    rows = bytes_product.packed_rows(x, 100)
    assert rows.steps[1, 0] == 1  # of nothing but zeros
    assert (rows.steps[:, 0] <= -(-features // 4)).all()
    assert np.array_equal(product(x, y, 100, dtype), expected(x, y, 100))
    out = np.ones((45, 70), dtype)
    bytes_product.add_multiple(0.5, rows, bytes_product.packed_columns(y, 100), out)
    assert np.array_equal(out, 1.0 + 0.5 * expected(x, y, 100))


@pytest.mark.parametrize("centre", [0, 1, 127, 128, 255])
@pytest.mark.parametrize("values", [(0, 0), (0, 255), (255, 0), (255, 255)])
def test_the_longest_rows_do_not_overflow(centre, values):
    x = np.full((15, bytes_product.LONGEST), values[0], np.uint8)
    y = np.full((33, bytes_product.LONGEST), values[1], np.uint8)
    assert np.array_equal(product(x, y, centre), expected(x, y, centre))


def test_float32_is_exact_below_two_to_the_24(rng):
    x = rng.integers(0, 256, (50, 1024), dtype=np.uint8)
    assert np.array_equal(product(x, x, 128, np.float32), expected(x, x, 128))


def test_strided_operands_and_results(rng):
    every = rng.integers(0, 256, (60, 90), dtype=np.uint8)
    x, y = every[::2, 5:50], every[1::3, 5:50]
    whole = np.full((40, 50), -1.0)
    out = whole[3 : 3 + len(x), 4 : 4 + len(y)]
    bytes_product.multiply(bytes_product.packed_rows(x, 9), bytes_product.packed_columns(y, 9), out)
    assert np.array_equal(out, expected(x, y, 9))
    out[...] = -1.0
    assert (whole == -1.0).all()


def test_fewer_rows_and_columns_than_are_packed(rng):
    x = rng.integers(0, 256, (50, 20), dtype=np.uint8)
    out = np.empty((17, 35))
    bytes_product.multiply(bytes_product.packed_rows(x, 128), bytes_product.packed_columns(x, 128), out)
    assert np.array_equal(out, expected(x[:17], x[:35], 128))


def test_given_space_is_used(rng):
    x = rng.integers(0, 256, (30, 20), dtype=np.uint8)
    space = np.zeros((1, bytes_product.row_space(30, 20) + 5), np.int8)
    rows = bytes_product.packed_rows(x, 128, space)
    assert np.shares_memory(rows.values, space)
    assert (space[0, -5:] == 0).all()
