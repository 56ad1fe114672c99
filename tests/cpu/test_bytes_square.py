"""Products of rows of bytes with each other against int64, at the edges of a tile, of a register, and of int32."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu import bytes_product
from kernelfit.cpu.bytes_square import multiply_square

pytestmark = pytest.mark.skipif(
    not bytes_product.available(), reason="this CPU, or Numba's target, has no AVX-512 VNNI"
)


def expected(values: np.ndarray, centre: int) -> np.ndarray:
    centred = values.astype(np.int64) - centre
    return centred @ centred.T


@pytest.mark.parametrize("n", [1, 3, 4, 5, 50, 67])
@pytest.mark.parametrize("features", [1, 63, 64, 65, 784])
@pytest.mark.parametrize("centre", [0, 100, 128, 255])
def test_every_edge_is_exact(rng, n, features, centre):
    values = rng.integers(0, 256, (n, features), dtype=np.uint8)
    out = np.full((n, n), np.nan)
    multiply_square(values, centre, out)
    np.testing.assert_array_equal(out, expected(values, centre))


@pytest.mark.parametrize("centre", [0, 128, 255])
@pytest.mark.parametrize("value", [0, 255])
def test_the_longest_rows_do_not_overflow(centre, value):
    values = np.full((5, bytes_product.LONGEST), value, np.uint8)
    out = np.empty((5, 5))
    multiply_square(values, centre, out)
    np.testing.assert_array_equal(out, expected(values, centre))


def test_strided_rows_and_float32(rng):
    values = rng.integers(0, 256, (20, 300), dtype=np.uint8)[::2, 5:130]
    out = np.full((12, 12), -1.0, np.float32)
    multiply_square(values, 128, out[1:11, 1:11])
    np.testing.assert_array_equal(out[1:11, 1:11], expected(values, 128))
    out[1:11, 1:11] = -1.0
    assert (out == -1.0).all()
